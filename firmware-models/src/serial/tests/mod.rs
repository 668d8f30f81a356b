//! What a host and the other end of the line get of a serial port.

mod data;
mod line;
mod port;
mod window;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{Completion, Port, Speed, Status},
};

use super::{
    ControlLines, Serial, Signal, StatusLines, Strings, Terminal,
    descriptors::{DATA_IN, DATA_OUT, NOTIFICATIONS},
    queue::CAPACITY,
};
use crate::{Spec, testing::Host};

/// A port that is configured, and the other end of its line.
fn port(speed: Speed) -> (Host, Terminal) {
    let mut firmware = Serial::new(speed, Strings::of("Serial port"));
    let terminal = firmware.terminal();
    let mut host = Host::of(|now| EmulatedDevice::new(firmware, speed, now).unwrap());
    host.configure(1);
    (host, terminal)
}

fn loopback() -> Host {
    Host::new("serial,loopback", 1)
}

fn request(host: &mut Host, request: u8, value: u16, data: &[u8]) -> Status {
    let [low, high] = value.to_le_bytes();
    let length = u8::try_from(data.len()).unwrap();
    let setup = [0x21, request, low, high, 0, 0, length, 0];
    host.control(setup, data.to_vec()).status
}

fn told(completion: &Completion) -> Vec<u8> {
    assert_eq!(completion.status, Status::Done);
    completion.data.to_vec()
}

/// What a host reads that asks for a notification, once time passes.
fn notification(host: &mut Host) -> Option<Vec<u8>> {
    let read = host.read(NOTIFICATIONS, 16);
    host.pass(Duration::from_millis(8));
    if let Some(completion) = host.ended() {
        return Some(told(&completion));
    }
    host.device.cancel(read, host.now);
    assert_eq!(host.ended().unwrap().status, Status::Cancelled);
    None
}

/// A notification of the first interface.
fn serial_state(state: u8) -> Option<Vec<u8>> {
    Some(vec![0xa1, 0x20, 0, 0, 0, 0, 2, 0, state, 0])
}

/// Everything that the host has written.
fn read_all(terminal: &Terminal) -> Vec<u8> {
    let mut all = Vec::new();
    let cx = &mut Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(data)) = terminal.poll_read(cx, 1000) {
        all.extend_from_slice(&data);
    }
    all
}

/// Reads until so many bytes have come, while time passes.
fn got(host: &mut Host, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        host.read(DATA_IN, u32::try_from(length - all.len()).unwrap());
        let completion = loop {
            match host.ended() {
                Some(completion) => break completion,
                None => host.pass(Duration::from_micros(125)),
            }
        };
        all.extend(told(&completion));
    }
    all
}

/// Gives bytes to the host, and tells how many were taken.
fn offer(terminal: &Terminal, data: Vec<u8>) -> usize {
    let (length, mut data) = (data.len(), Bytes::from(data));
    let cx = &mut Context::from_waker(Waker::noop());
    let _ = terminal.poll_write(cx, &mut data);
    length - data.len()
}
