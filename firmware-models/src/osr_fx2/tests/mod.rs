//! What a host and a user get from the board.

mod board;
mod displays;
mod loopback;
mod requests;
mod switches;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
};

use usbwright_emulator::{
    EmulatedDevice,
    protocol::{Port, Speed, Status},
};

use super::{
    Board, Options, OsrFx2, SevenSegments, Switches,
    descriptors::{LOOP_IN, LOOP_OUT, SWITCHES},
};
use crate::testing::Host;

/// A microframe: how often the switches' endpoint is served at high speed.
const MICROFRAME: Duration = Duration::from_micros(125);

const SUSPENDED: SevenSegments = SevenSegments::new(0xe5);
const RESUMED: SevenSegments = SevenSegments::new(0x77);

/// A board of which nobody has a handle, with its configuration set.
fn host() -> Host {
    Host::new("osr-fx2", 1)
}

/// A board with a handle, before its host has done anything.
fn fresh(speed: Speed) -> (Host, Board) {
    let mut firmware = OsrFx2::new(Options::default());
    let board = firmware.board();
    let host = Host::of(|now| EmulatedDevice::new(firmware, speed, now).unwrap());
    (host, board)
}

/// A board with a handle, with its configuration set, whose switches were read once.
fn configured() -> (Host, Board) {
    let (mut host, board) = fresh(Speed::High);
    host.configure(1);
    assert_eq!(told(&mut host), Some(0x00));
    (host, board)
}

/// Reads the switches' endpoint once; `None` where it has nothing.
fn told(host: &mut Host) -> Option<u8> {
    let id = host.read(SWITCHES, 1);
    host.pass(MICROFRAME);
    if let Some(completion) = host.ended() {
        assert_eq!(
            (completion.status, completion.actual_length),
            (Status::Done, 1)
        );
        return Some(completion.data.to_vec()[0]);
    }
    host.device.cancel(id, host.now);
    assert_eq!(host.ended().unwrap().status, Status::Cancelled);
    None
}

/// Reads a byte by a vendor request.
fn ask(host: &mut Host, request: u8) -> u8 {
    let completion = host.control([0xc0, request, 0, 0, 0, 0, 1, 0], Vec::new());
    assert_eq!(
        (completion.status, completion.actual_length),
        (Status::Done, 1)
    );
    completion.data.to_vec()[0]
}

/// Sets a byte by a vendor request.
fn set(host: &mut Host, request: u8, byte: u8) {
    let completion = host.control([0x40, request, byte, 0, 0, 0, 0, 0], Vec::new());
    assert_eq!(completion.status, Status::Done);
}

/// Sends so many packets through the loopback.
fn loop_packets(host: &mut Host, packets: usize) {
    for _ in 0..packets {
        host.write(LOOP_OUT, vec![1], false);
        assert_eq!(host.ended().unwrap().status, Status::Done);
        assert_eq!(host.got(LOOP_IN, 512), [1]);
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Count {
    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Whether it was woken since this was last asked.
    fn rung(&self) -> bool {
        self.0.swap(0, Ordering::SeqCst) > 0
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
