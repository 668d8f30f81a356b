//! The ioctls of a terminal that is a serial port (`tty_ioctl(2)`, `include/uapi/linux/serial.h`).
#![expect(unsafe_code, reason = "ioctls take pointers")]

use std::os::fd::{AsFd, AsRawFd};

pub(crate) use libc::{TIOCM_CAR, TIOCM_DSR, TIOCM_DTR, TIOCM_RTS};

const TIOCGICOUNT: libc::Ioctl = 0x545d;

/// `struct serial_icounter_struct`: how often what has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Counters {
    pub(crate) cts: i32,
    pub(crate) dsr: i32,
    pub(crate) rng: i32,
    pub(crate) dcd: i32,
    pub(crate) rx: i32,
    pub(crate) tx: i32,
    pub(crate) frame: i32,
    pub(crate) overrun: i32,
    pub(crate) parity: i32,
    pub(crate) brk: i32,
    buf_overrun: i32,
    reserved: [i32; 9],
}

fn ioctl<T>(port: &impl AsFd, request: libc::Ioctl, value: &mut T) {
    let port = port.as_fd().as_raw_fd();
    // SAFETY: every request here reads or writes one `T` at most, and the descriptor is open.
    let result = unsafe { libc::ioctl(port, request, std::ptr::from_mut(value)) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// The signals, as `TIOCM_…`.
pub(crate) fn lines(port: &impl AsFd) -> i32 {
    let mut lines = 0;
    ioctl(port, libc::TIOCMGET, &mut lines);
    lines
}

/// Sets signals, or clears them.
pub(crate) fn set(port: &impl AsFd, mut lines: i32, on: bool) {
    let request = if on { libc::TIOCMBIS } else { libc::TIOCMBIC };
    ioctl(port, request, &mut lines);
}

/// What has been counted.
pub(crate) fn counters(port: &impl AsFd) -> Counters {
    let mut counters = Counters::default();
    ioctl(port, TIOCGICOUNT, &mut counters);
    counters
}
