//! Information about a file, which an application asks for and sets, through a reflector and a host.

mod support;

use std::time::Duration;

use support::{END_OF_FILE, KEPT, NEVER, RELEASE, Setup, until};
use usbwright_reflector::{
    application::Io,
    status::{NtStatus, Win32Error},
};

#[test]
fn information_of_any_length_is_set_and_asked_for_by_its_class() {
    let setup = Setup::new();
    let device = setup.open();
    for length in [1, 24, 65_536, 65_537, 1_000_000] {
        let data: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let set = device.set_information(KEPT, data.clone()).wait();
        let set = set.ok().unwrap();
        assert_eq!((set.information, set.data.len()), (length, 0));
        let told = device.query_information(KEPT, length + 10).wait();
        let told = told.ok().unwrap();
        assert_eq!((told.information, &told.data[..]), (length, &data[..]));
        let short = device.query_information(KEPT, length / 2 + 1).wait();
        assert_eq!(short.ok().unwrap().data, data[..length / 2 + 1]);
    }
    let _cut = device
        .set_information(END_OF_FILE, 3_u64.to_le_bytes().to_vec())
        .wait()
        .ok()
        .unwrap();
    assert_eq!(device.read(64).wait().ok().unwrap().data, [0, 1, 2][..]);
}

#[test]
fn information_that_the_driver_does_not_have_is_refused_with_its_own_status() {
    let setup = Setup::new();
    let device = setup.open();
    for ended in [
        device.query_information(5, 24),
        device.query_information(u32::MAX, 0),
        device.set_information(5, vec![0; 24]),
    ] {
        assert_eq!(ended.wait().error(), Win32Error::INVALID_FUNCTION);
    }
    let short = device.set_information(END_OF_FILE, vec![0; 7]).wait();
    assert_eq!(short.error(), Win32Error::INSUFFICIENT_BUFFER);
}

#[test]
fn a_file_that_was_opened_to_be_read_may_be_asked_about_and_not_be_cut() {
    const GENERIC_READ: u32 = 0x8000_0000;
    let setup = Setup::new();
    let writer = setup.open();
    let _written = writer.write("whole").wait().ok().unwrap();
    let reader = setup.options().access(GENERIC_READ).open().unwrap();
    let cut = |end: u64| reader.set_information(END_OF_FILE, end.to_le_bytes().to_vec());
    assert_eq!(cut(1).wait().error(), Win32Error::ACCESS_DENIED);
    let told = reader.query_information(KEPT, 64).wait().ok().unwrap();
    assert_eq!(told.data, "whole");
}

#[test]
fn what_waits_for_information_is_cancelled_times_out_and_ends_with_its_file() {
    let setup = Setup::new();
    let device = setup.open();
    let outstanding = |count: usize| {
        until("as many are at the host", || {
            setup.reflector.status(setup.key).unwrap().outstanding == count
        });
    };
    let both = || -> [Io; 2] {
        [
            device.query_information(NEVER, 8),
            device.set_information(NEVER, vec![0; 8]),
        ]
    };
    let cancelled = both();
    outstanding(2);
    for io in cancelled {
        io.cancel();
        assert_eq!(io.wait().error(), Win32Error::OPERATION_ABORTED);
    }
    for io in both() {
        let late = io.timeout(Duration::from_millis(1)).wait();
        assert_eq!(late.error(), Win32Error::SEM_TIMEOUT);
    }
    outstanding(0);
    drop(both());
    outstanding(0);
    let released = device.control(RELEASE, "", 4).wait().ok().unwrap();
    assert_eq!(released.data, [0; 4][..], "the driver has let go of all");
    let closed = both();
    outstanding(2);
    assert_eq!(device.close().wait().error(), Win32Error::SUCCESS);
    for io in closed {
        assert_eq!(io.wait().status, NtStatus::CANCELLED);
    }
}
