//! A character device whose kernel is the test: what a kernel says and is answered goes over a socket that keeps messages apart, as `/dev/cuse` does.

mod kernel;
#[path = "../../reflector/tests/support/mod.rs"]
mod support;

use std::time::Instant;

use kernel::{Kernel, event, opcode};
use rustix::io::Errno;
use support::{ECHO, KEPT, PART, PEND, Setup, until};
use usbwright_character_devices::{CONTROL, ControlBlock, FLUSH, QUERY, SET, StartError};
use zerocopy::{FromBytes as _, IntoBytes as _};

const RDWR: u32 = 2;
const NONBLOCK: u32 = 0o4000;

#[test]
fn a_device_is_made_with_its_name_and_the_most_that_a_kernel_moves() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    assert_eq!(kernel.device(), "DEVNAME=usbwright!probe\0");
    assert_eq!(kernel.path(), "/dev/usbwright/probe");
}

#[test]
fn a_kernel_that_is_too_old_or_begins_in_another_way_is_told_of() {
    let setup = Setup::new();
    let old = Kernel::begin(&setup, |kernel| kernel.init(7, 20, 1)).err();
    assert!(matches!(old, Some(StartError::Version { minor: 20, .. })));
    let restricted = Kernel::begin(&setup, |kernel| kernel.init(7, 31, 0)).err();
    assert!(matches!(restricted, Some(StartError::Restricted)));
    let other = Kernel::begin(&setup, |kernel| kernel.send(opcode::OPEN, &[0; 8])).err();
    assert!(matches!(other, Some(StartError::NotInit)));
}

#[test]
fn what_is_written_is_read() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    assert_eq!(kernel.write(file, b"to the driver"), Ok(13));
    assert_eq!(kernel.read(file, 2), Ok(b"to".to_vec()));
    let long = vec![0x5A; 128 * 1024];
    assert_eq!(kernel.write(file, &long), Ok(128 * 1024));
    assert_eq!(kernel.read(file, 128 * 1024), Ok(long));
    kernel.release(file);
    assert_eq!(setup.probe.diary(), ["cleanup ", "close "]);
    assert_eq!(kernel.read(file, 1), Err(Errno::BADF));
}

#[test]
fn an_ioctl_is_a_control_code_by_its_own_number() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    // What isatty(3) asks for.
    let unknown = kernel.ioctl(file, 0x5401, 0, &[], 0);
    assert_eq!(unknown.result, -Errno::NOTTY.raw_os_error());
    // No direction: the argument is the input. ECHO is of the device type 0x22.
    let echoed = kernel.ioctl(file, ECHO.0, 0x1234, &[], 0);
    assert_eq!((echoed.result, echoed.flags), (0, 0));
}

#[test]
fn an_ioctl_with_a_block_takes_any_control_code() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    let block = ControlBlock {
        code: ECHO.0,
        input: 0x2000,
        input_length: 5,
        output: 0x3000,
        output_length: 16,
        ..ControlBlock::default()
    };
    let retry = 1 << 2;
    let first = kernel.ioctl(file, CONTROL, 0x1000, &[], 0);
    assert_eq!((first.flags, first.spans), (retry, (1, 0)));
    assert_eq!(first.data, [0x1000_u64, 40].as_bytes());
    let second = kernel.ioctl(file, CONTROL, 0x1000, block.as_bytes(), 0);
    assert_eq!((second.flags, second.spans), (retry, (2, 2)));
    let spans = [0x1000_u64, 40, 0x2000, 5, 0x1000, 40, 0x3000, 16];
    assert_eq!(second.data, spans.as_bytes());
    let all = [block.as_bytes(), b"hello"].concat();
    let third = kernel.ioctl(file, CONTROL, 0x1000, &all, 56);
    assert_eq!((third.result, third.flags), (0, 0));
    let (told, output) = ControlBlock::read_from_prefix(&third.data).unwrap();
    assert_eq!((told.error, told.returned, output), (0, 5, &b"hello"[..]));

    let block = ControlBlock {
        code: PART.0,
        output_length: 2,
        ..ControlBlock::default()
    };
    let part = kernel.ioctl(file, CONTROL, 0x1000, block.as_bytes(), 42);
    assert_eq!(part.result, -Errno::MSGSIZE.raw_os_error());
    let (told, output) = ControlBlock::read_from_prefix(&part.data).unwrap();
    assert_eq!((told.error, told.returned, output), (234, 2, &b"ab"[..]));
}

#[test]
fn information_about_a_file_is_set_and_asked_for_in_a_block() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    let block = |code, input_length, output_length| ControlBlock {
        code,
        input_length,
        output_length,
        ..ControlBlock::default()
    };
    let told = |data: &[u8]| {
        let (told, output) = ControlBlock::read_from_prefix(data).unwrap();
        (told.error, told.returned, output.to_vec())
    };
    let all = [block(KEPT, 5, 0).as_bytes(), b"hello"].concat();
    let set = kernel.ioctl(file, SET, 0x1000, &all, 40);
    assert_eq!((set.result, told(&set.data)), (0, (0, 5, vec![])));
    let query = block(KEPT, 0, 16);
    let query = kernel.ioctl(file, QUERY, 0x1000, query.as_bytes(), 56);
    let kept = (0, 5, b"hello".to_vec());
    assert_eq!((query.result, told(&query.data)), (0, kept));
    let unknown = kernel.ioctl(file, QUERY, 0x1000, block(5, 0, 0).as_bytes(), 40);
    assert_eq!(unknown.result, -Errno::NOTTY.raw_os_error());
    assert_eq!(told(&unknown.data), (1, 0, vec![]));
}

#[test]
fn a_signal_takes_a_request_back() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    let block = ControlBlock {
        code: PEND.0,
        ..ControlBlock::default()
    };
    let waiting = kernel.begin_ioctl(file, CONTROL, 0x1000, block.as_bytes(), 40);
    let outstanding = || setup.reflector.status(setup.key).unwrap().outstanding;
    until("the driver has it", || outstanding() == 1);
    kernel.interrupt(waiting);
    let ended = kernel.controlled(waiting);
    assert_eq!(ended.result, -Errno::INTR.raw_os_error());
    assert_eq!(outstanding(), 0);
    // One for what has ended, or never was, is of no effect.
    kernel.interrupt(waiting);
    kernel.interrupt(4711);
    assert_eq!(kernel.write(file, b"still there"), Ok(11));
}

#[test]
fn a_poll_tells_what_was_read_ahead_and_no_byte_of_it_is_lost() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    assert_eq!(kernel.write(file, b"abcdef"), Ok(6));
    assert_eq!(kernel.poll(file, 9, event::OUT), event::OUT);
    // Nothing is known before something was read: the kernel is told later.
    assert_eq!(kernel.poll(file, 9, event::IN), 0);
    assert_eq!(kernel.told(), 9);
    assert_eq!(kernel.poll(file, 9, event::IN), event::IN);
    assert_eq!(kernel.read(file, 4), Ok(b"abcd".to_vec()));
    assert_eq!(kernel.read(file, 4), Ok(b"ef".to_vec()));
}

#[test]
fn who_does_not_want_to_wait_is_told_to_come_again() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR | NONBLOCK).unwrap();
    assert_eq!(kernel.write(file, b"abc"), Ok(3));
    let begin = Instant::now();
    let read = loop {
        match kernel.read_with(file, 8, NONBLOCK) {
            Err(Errno::AGAIN) => assert!(begin.elapsed() < support::PATIENCE),
            read => break read,
        }
    };
    assert_eq!(read, Ok(b"abc".to_vec()));
}

#[test]
fn a_host_that_dies_ends_what_waits_and_the_device_is_there_again_with_the_next_one() {
    let mut setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    let block = ControlBlock {
        code: PEND.0,
        ..ControlBlock::default()
    };
    let waiting = kernel.begin_ioctl(file, CONTROL, 0x1000, block.as_bytes(), 40);
    setup.reflector.host_died(setup.key).unwrap();
    let ended = kernel.controlled(waiting);
    assert_eq!(ended.result, -Errno::IO.raw_os_error());
    let (told, _) = ControlBlock::read_from_prefix(&ended.data).unwrap();
    assert_eq!(told.error, 1291);
    assert_eq!(kernel.read(file, 1), Err(Errno::IO));
    assert_eq!(kernel.open(RDWR), Err(Errno::IO));
    setup.another_host();
    let anew = kernel.open(RDWR).unwrap();
    assert_eq!(kernel.write(anew, b"anew"), Ok(4));
    assert_eq!(kernel.read(file, 1), Err(Errno::IO), "the old file is dead");
    kernel.release(file);
}

#[test]
fn what_waits_when_the_device_goes_is_told_that_there_is_none() {
    let setup = Setup::new();
    let mut kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    let block = ControlBlock {
        code: PEND.0,
        ..ControlBlock::default()
    };
    let waiting = kernel.begin_ioctl(file, CONTROL, 0x1000, block.as_bytes(), 40);
    let outstanding = || setup.reflector.status(setup.key).unwrap().outstanding;
    until("the driver has it", || outstanding() == 1);
    kernel.end_device();
    assert_eq!(kernel.answer(waiting), Err(Errno::NODEV));
    assert!(kernel.is_closed());
    until("the file is closed", || {
        setup.probe.diary().contains(&"close ".to_owned())
    });
}

#[test]
fn a_flush_reaches_the_drivers_by_an_ioctl_of_its_own_and_by_fsync() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    let before = setup.reflector.last_requests(setup.key).unwrap().len();
    // This driver knows no flush.
    let flushed = kernel.answer(kernel.begin_ioctl(file, FLUSH, 0, &[], 0));
    assert_eq!(flushed, Err(Errno::OPNOTSUPP));
    let synced = kernel.call(opcode::FSYNC, [file, 0].as_bytes());
    assert_eq!(synced, Err(Errno::OPNOTSUPP));
    let requests = setup.reflector.last_requests(setup.key).unwrap();
    assert!(requests[before..].iter().all(|it| it.kind == "flush"));
    assert_eq!(requests.len(), before + 2);
}

#[test]
fn what_makes_no_sense_fails_and_harms_nothing_else() {
    let setup = Setup::new();
    let kernel = Kernel::of(&setup);
    let file = kernel.open(RDWR).unwrap();
    assert_eq!(kernel.call(opcode::WRITE, &[0; 8]), Err(Errno::IO));
    assert_eq!(kernel.call(77, &[]), Err(Errno::NOSYS));
    assert_eq!(kernel.read(file + 1, 1), Err(Errno::BADF));
    assert_eq!(kernel.write(file, b"fine"), Ok(4));
}
