//! What an application gets of the echo driver.

use usbwright_host_stack::{
    ControlCode, Handle, OnViolation, Stack, Threads, status::Win32Error, usb_target::ManualClock,
};
use usbwright_samples::echo::{
    DELAY, END_OF_FILE_INFORMATION, EchoDriver, MAX_WRITE, STANDARD_INFORMATION,
};

/// The device, which an application has open, and the clock that it goes by.
fn echo() -> (Handle, ManualClock, Stack) {
    let clock = ManualClock::new();
    let stack = Stack::builder()
        .driver("echo", EchoDriver)
        .clock(clock.clone())
        .threads(Threads::None)
        .on_violation(OnViolation::Panic)
        .start()
        .unwrap();
    (stack.open_and_wait().unwrap(), clock, stack)
}

/// A device that something was written to.
fn written(data: &'static [u8]) -> (Handle, ManualClock, Stack) {
    let (handle, clock, stack) = echo();
    let write = handle.write(data);
    clock.advance(DELAY);
    assert_eq!(write.wait().ok().unwrap().information, data.len());
    (handle, clock, stack)
}

#[test]
fn what_was_written_is_read() {
    let (handle, clock, _stack) = written(b"hello");
    let read = handle.read(16);
    clock.advance(DELAY);
    assert_eq!(&read.wait().ok().unwrap().data[..], b"hello");
}

#[test]
fn a_short_read_gets_the_beginning_and_leaves_it_there() {
    let (handle, clock, _stack) = written(b"hello");
    for _ in 0..2 {
        let read = handle.read(2);
        clock.advance(DELAY);
        let read = read.wait().ok().unwrap();
        assert_eq!((&read.data[..], read.information), (&b"he"[..], 2));
    }
}

#[test]
fn a_read_before_any_write_fails_at_once() {
    let (handle, _clock, _stack) = echo();
    assert_eq!(handle.read(1).wait().error(), Win32Error::INVALID_PARAMETER);
}

#[test]
fn forty_kilobytes_can_be_written_and_not_a_byte_more() {
    let (handle, clock, _stack) = written(b"before");
    let error = handle.write(vec![1; MAX_WRITE + 1]).wait().error();
    assert_eq!(error, Win32Error::MORE_DATA);
    let read = handle.read(6);
    clock.advance(DELAY);
    assert_eq!(&read.wait().data[..], b"before");
    let write = handle.write(vec![2; MAX_WRITE]);
    clock.advance(DELAY);
    assert_eq!(write.wait().ok().unwrap().information, MAX_WRITE);
    let read = handle.read(MAX_WRITE);
    clock.advance(DELAY);
    assert_eq!(&read.wait().data[..], vec![2; MAX_WRITE]);
}

#[test]
fn nothing_is_written_or_read_without_the_driver() {
    let (handle, _clock, _stack) = echo();
    assert_eq!(handle.write(&b""[..]).wait().error(), Win32Error::SUCCESS);
    assert_eq!(handle.read(0).wait().error(), Win32Error::SUCCESS);
}

#[test]
fn what_is_kept_has_a_length_which_may_be_cut() {
    let (handle, clock, _stack) = written(b"hello");
    let length = || {
        let told = handle.query_information(STANDARD_INFORMATION, 24).wait();
        let told = told.ok().unwrap().data;
        assert_eq!(told.len(), 24);
        u64::from_le_bytes(told[8..16].try_into().unwrap())
    };
    let cut = |end: u64| {
        let end = end.to_le_bytes().to_vec();
        let cut = handle.set_information(END_OF_FILE_INFORMATION, end);
        cut.wait().error()
    };
    assert_eq!(length(), 5);
    assert_eq!(cut(6), Win32Error::INVALID_PARAMETER);
    assert_eq!(cut(u64::MAX), Win32Error::INVALID_PARAMETER);
    assert_eq!(cut(2), Win32Error::SUCCESS);
    assert_eq!(length(), 2);
    let read = handle.read(16);
    clock.advance(DELAY);
    assert_eq!(&read.wait().data[..], b"he");
}

#[test]
fn information_without_room_for_it_or_of_another_class_is_refused() {
    let (handle, _clock, _stack) = echo();
    let short = handle.query_information(STANDARD_INFORMATION, 23).wait();
    assert_eq!(short.error(), Win32Error::INSUFFICIENT_BUFFER);
    let short = handle.set_information(END_OF_FILE_INFORMATION, vec![0; 7]);
    assert_eq!(short.wait().error(), Win32Error::INSUFFICIENT_BUFFER);
    let unknown = handle.query_information(4, 64).wait();
    assert_eq!(unknown.error(), Win32Error::INVALID_FUNCTION);
}

#[test]
fn any_control_code_succeeds() {
    let (handle, _clock, _stack) = echo();
    let control = handle.control(ControlCode(0x0022_2000), &b"x"[..], 8);
    assert_eq!(control.wait().ok().unwrap().information, 0);
}

#[test]
fn requests_are_served_one_after_another_each_in_a_tenth_of_a_second() {
    let (handle, clock, _stack) = echo();
    let writes = [b"one", b"two"].map(|data| handle.write(&data[..]));
    let ended = || writes.each_ref().map(|it| it.has_ended());
    assert_eq!(ended(), [false, false]);
    clock.advance(DELAY);
    assert_eq!(ended(), [true, false]);
    clock.advance(DELAY);
    assert_eq!(ended(), [true, true]);
}

#[test]
fn a_request_can_be_cancelled_while_it_takes_its_time_and_the_next_one_is_served() {
    let (handle, clock, _stack) = written(b"hello");
    let (first, second) = (handle.read(5), handle.read(5));
    first.cancel();
    assert_eq!(first.wait().error(), Win32Error::OPERATION_ABORTED);
    assert!(!second.has_ended());
    clock.advance(DELAY);
    assert_eq!(&second.wait().data[..], b"hello");
}

#[test]
fn a_request_goes_on_while_its_device_sleeps_and_the_next_one_waits_for_d0() {
    let (handle, clock, stack) = written(b"hello");
    let (first, second) = (handle.read(5), handle.read(5));
    stack.suspend().unwrap();
    clock.advance(DELAY);
    assert_eq!(&first.wait().data[..], b"hello");
    clock.advance(DELAY);
    assert!(!second.has_ended());
    stack.resume().unwrap();
    clock.advance(DELAY);
    assert_eq!(&second.wait().data[..], b"hello");
}

#[test]
fn a_request_ends_when_its_device_goes() {
    let (handle, _clock, stack) = written(b"hello");
    let reads = [handle.read(5), handle.read(5)];
    stack.surprise_remove();
    for read in reads {
        assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    }
}
