//! What an application gets of a device whose driver is at the other end of two sockets.

mod support;

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use support::{ECHO, PART, PEND, RELEASE, Setup, WHO, channels, name, until};
use usbwright_host_stack::{AccessRights, ControlCode, Method};
use usbwright_reflector::{
    Event, HostInfo, NameSpace, Reflector, Rights, SecurityDescriptor, Subject,
    application::{Device, Io, OpenError, OpenOptions},
    status::{NtStatus, Win32Error},
};

fn kept_waiting(setup: &Setup, device: &Device, count: usize) -> Vec<Io> {
    let before = setup.reflector.status(setup.key).unwrap().outstanding;
    let all = (0..count).map(|_| device.control(PEND, "", 0));
    let all: Vec<Io> = all.collect();
    until("all are at the host", || {
        setup.reflector.status(setup.key).unwrap().outstanding == before + count
    });
    all
}

#[test]
fn what_is_written_is_read_in_any_length() {
    let setup = Setup::new();
    let device = setup.open();
    for length in [1, 512, 65_536, 65_537, 1_000_000] {
        let data: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let written = device.write(data.clone()).wait().ok().unwrap();
        assert_eq!((written.information, written.data.len()), (length, 0));
        let read = device.read(length + 10).wait().ok().unwrap();
        assert_eq!((read.information, &read.data[..]), (length, &data[..]));
        let short = device.read(length / 2 + 1).wait().ok().unwrap();
        assert_eq!(short.data, data[..length / 2 + 1]);
    }
    assert_eq!(device.write("").wait().error(), Win32Error::SUCCESS);
    assert_eq!(device.read(0).wait().error(), Win32Error::SUCCESS);
    assert_eq!(device.flush().wait().error(), Win32Error::INVALID_FUNCTION);
}

#[test]
fn a_control_code_takes_input_and_brings_output() {
    let setup = Setup::new();
    let device = setup.open();
    for (input, room) in [(3, 8), (8, 3), (70_000, 70_000), (70_000, 10), (10, 70_000)] {
        let input = vec![7_u8; input];
        let ended = device
            .control(ECHO, input.clone(), room)
            .wait()
            .ok()
            .unwrap();
        assert_eq!(ended.data, input[..input.len().min(room)]);
    }
    let part = device.control(PART, "", 8).wait();
    assert_eq!(
        (part.error(), &part.data[..]),
        (Win32Error::MORE_DATA, &b"ab"[..])
    );
    let unknown = device.control(ControlCode(0x22_2000), "", 0).wait();
    assert_eq!(unknown.error(), Win32Error::INVALID_FUNCTION);
    let error = io::Error::from(unknown.ok().unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn the_driver_knows_who_opens_and_what() {
    let setup = Setup::new();
    let device = setup.options().file_name("\\1").open().unwrap();
    let who = device.control(WHO, "", 64).wait().ok().unwrap();
    assert_eq!(who.data, format!("{} \\1", std::process::id()));
    let (file, by) = setup.event(|it| match it {
        Event::Opened { file, by } => Some((file, by)),
        _ => None,
    });
    assert_eq!(by.pid, Some(std::process::id()));
    drop(device);
    let closed = setup.event(|it| match it {
        Event::Closed { file, last } => Some((file, last)),
        _ => None,
    });
    assert_eq!(closed, (file, true));
    until("the drivers are told", || {
        setup.probe.diary() == ["cleanup \\1", "close \\1"]
    });
}

#[test]
fn a_driver_may_refuse_to_open() {
    let setup = Setup::new();
    let refused = setup.options().file_name("\\locked").open().unwrap_err();
    assert_eq!(refused.error(), Win32Error::ACCESS_DENIED);
    assert_eq!(setup.reflector.status(setup.key).unwrap().open_files, 0);
    setup.open();
}

#[test]
fn a_device_that_is_not_there_is_not_found() {
    let setup = Setup::new();
    setup.reflector.remove_device(setup.key).unwrap();
    let error = setup.try_open().unwrap_err();
    assert!(matches!(error, OpenError::NotFound(_)), "{error:?}");
    assert_eq!(error.error(), Win32Error::FILE_NOT_FOUND);
    assert!(setup.reflector.remove_device(setup.key).is_err());
}

#[test]
fn an_application_without_rights_is_refused_by_the_name_of_the_rule() {
    let me = rustix::process::geteuid().as_raw();
    let access = SecurityDescriptor::nobody()
        .deny(Subject::User(me), Rights::CONNECT)
        .allow(Subject::Everyone, Rights::CONNECT);
    let setup = Setup::secured(access);
    let error = setup.try_open().unwrap_err();
    assert_eq!(error.error(), Win32Error::ACCESS_DENIED);
    let rule = format!("entry 1 of the security descriptor denies it to the user {me}");
    assert!(error.to_string().ends_with(&rule), "{error}");
    let why = setup.event(|it| match it {
        Event::Refused { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(why, rule);
}

#[test]
fn whoever_is_told_of_something_may_remove_the_device() {
    let directory = tempfile::tempdir().unwrap();
    let space = NameSpace::at(directory.path());
    let reflector: Arc<OnceLock<Reflector>> = Arc::default();
    let removes = Arc::downgrade(&reflector);
    let start = Reflector::start(space.clone(), move |key, event| {
        if let (Some(reflector), Event::Refused { .. }) = (removes.upgrade(), event) {
            let _ = reflector.get().map(|it| it.remove_device(key));
        }
    });
    reflector.set(start.unwrap()).unwrap();
    let (end, _ends) = channels();
    let (nobody, info) = (SecurityDescriptor::nobody(), HostInfo { pid: 1 });
    let added = reflector
        .get()
        .unwrap()
        .add_device(&name(), nobody, end, info);
    let options = OpenOptions::new(name()).name_space(space);
    assert!(options.open().is_err());
    until("it is removed", || {
        reflector
            .get()
            .unwrap()
            .status(*added.as_ref().unwrap())
            .is_err()
    });
}

#[test]
fn a_request_is_cancelled_by_its_handle_and_by_dropping_it() {
    let setup = Setup::new();
    let device = setup.open();
    let mut waits = kept_waiting(&setup, &device, 3);
    drop(waits.pop());
    until("the dropped one ends", || {
        setup.reflector.status(setup.key).unwrap().outstanding == 2
    });
    let last = waits.pop().unwrap();
    let cancel = last.cancel_handle();
    cancel.cancel();
    cancel.cancel();
    assert_eq!(last.wait().error(), Win32Error::OPERATION_ABORTED);
    device.cancel_all();
    assert_eq!(waits.pop().unwrap().wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_request_that_takes_too_long_ends_in_time() {
    let setup = Setup::new();
    let device = setup.open();
    let late = device
        .control(PEND, "", 0)
        .timeout(Duration::from_millis(1));
    assert_eq!(late.wait().error(), Win32Error::SEM_TIMEOUT);
    until("it ends at the host as well", || {
        setup.reflector.status(setup.key).unwrap().outstanding == 0
    });
    let released = device.control(RELEASE, "", 4).wait().ok().unwrap();
    assert_eq!(released.data, [0; 4][..]);
}

#[test]
fn a_close_cancels_what_is_outstanding_and_ends_after_that() {
    let setup = Setup::new();
    let device = setup.open();
    let waits = kept_waiting(&setup, &device, 2);
    assert_eq!(device.close().wait().error(), Win32Error::SUCCESS);
    for io in waits {
        assert_eq!(io.wait().error(), Win32Error::OPERATION_ABORTED);
    }
    assert_eq!(device.read(1).wait().error(), Win32Error::INVALID_HANDLE);
    until("the drivers are told", || {
        setup.probe.diary() == ["cleanup ", "close "]
    });
}

#[test]
fn many_threads_may_use_a_device_at_once() {
    let setup = Setup::new();
    let device = setup.open();
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let device = &device;
            scope.spawn(move || {
                for round in 0..100_u8 {
                    let ended = device.control(ECHO, vec![number, round], 2).wait();
                    assert_eq!(ended.ok().unwrap().data, [number, round][..]);
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_wait_for_many_requests_at_once() {
    let setup = Setup::new();
    let device = setup.options().begin().unwrap().await.unwrap();
    let tasks: Vec<_> = (0..100_u32)
        .map(|number| {
            let device = device.clone();
            tokio::spawn(async move {
                let input = number.to_le_bytes().to_vec();
                let ended = device.control(ECHO, input.clone(), 4).await;
                assert_eq!(ended.ok().unwrap().data, input);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let late = device
        .control(PEND, "", 0)
        .timeout(Duration::from_millis(1));
    assert_eq!(late.await.status, NtStatus::IO_TIMEOUT);
}

#[test]
fn a_device_that_is_dropped_ends_what_was_begun() {
    let setup = Setup::new();
    let device = setup.open();
    let waits = kept_waiting(&setup, &device, 1).pop().unwrap();
    drop(device);
    assert_eq!(waits.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_control_code_that_wants_more_than_the_file_was_opened_for_never_gets_to_the_driver() {
    const GENERIC_READ: u32 = 0x8000_0000;
    let setup = Setup::new();
    let options = OpenOptions::new(name()).name_space(setup.space.clone());
    let reader = options.access(GENERIC_READ).open().unwrap();
    let ended = |device: &Device, access| {
        let code = ControlCode::new(0x22, 0x900, Method::Buffered, access);
        device.control(code, "", 0).wait().error()
    };
    for access in [AccessRights::Write, AccessRights::ReadWrite] {
        assert_eq!(ended(&reader, access), Win32Error::ACCESS_DENIED);
    }
    let unknown = Win32Error::INVALID_FUNCTION;
    assert_eq!(ended(&reader, AccessRights::Read), unknown);
    assert_eq!(ended(&reader, AccessRights::Any), unknown);
    assert_eq!(ended(&setup.open(), AccessRights::ReadWrite), unknown);
}
