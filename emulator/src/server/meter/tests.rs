//! What is counted of sessions, with a fake clock.

use std::time::Duration;

use bytes::Bytes;
use usbwright_protocol::{
    Direction,
    usbip::urb::{Command, Submit},
};

use super::*;
use crate::{
    EmulatedDevice,
    counters::{DURATIONS, EndpointCounts},
    server::{Exchange, Limits},
    testing::{Supply, waiting_device},
};

/// A client of a device that is counted.
struct Counted {
    counters: Arc<DeviceCounters>,
    exchange: Exchange,
    device: EmulatedDevice,
    supply: Supply,
    now: Instant,
    sequence: u32,
}

const SET_CONFIGURATION: [u8; 8] = [0, 9, 1, 0, 0, 0, 0, 0];
const SET_ALTERNATE: [u8; 8] = [1, 11, 1, 0, 0, 0, 0, 0];
const NO_SUCH_REQUEST: [u8; 8] = [0x40, 1, 0, 0, 0, 0, 0, 0];
const PORT_RESET: [u8; 8] = [0x23, 3, 4, 0, 1, 0, 0, 0];

impl Counted {
    fn new() -> Self {
        Self::again(&Arc::default())
    }

    fn again(counters: &Arc<DeviceCounters>) -> Self {
        let now = Instant::now();
        let (device, supply) = waiting_device(now);
        let mut counted = Self {
            counters: Arc::clone(counters),
            exchange: Exchange::new(Limits::default()).counted_by(Arc::clone(counters)),
            device,
            supply,
            now,
            sequence: 0,
        };
        counted.control(SET_CONFIGURATION);
        counted.control(SET_ALTERNATE);
        counted
    }

    fn control(&mut self, setup: [u8; 8]) {
        self.submit(0, Direction::Out, 0, setup);
    }

    fn read(&mut self, endpoint: u8, length: u32) {
        self.submit(endpoint, Direction::In, length, [0; 8]);
    }

    fn submit(&mut self, endpoint: u8, direction: Direction, length: u32, setup: [u8; 8]) {
        self.sequence += 1;
        let submit = Submit {
            sequence: self.sequence,
            device_id: 0x10001,
            direction,
            endpoint,
            flags: 0,
            length,
            packets: 0,
            interval: 0,
            setup,
        };
        self.send(Command::Submit(submit));
    }

    fn unlink(&mut self, target: u32) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.send(Command::Unlink { sequence, target });
    }

    fn send(&mut self, command: Command) {
        let fed = self
            .exchange
            .feed(&command.encode(), &mut self.device, self.now);
        fed.unwrap();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.exchange.poll(&mut self.device, self.now);
    }

    fn supply(&self, length: usize) {
        let data = Bytes::from(vec![0; length]);
        self.supply.lock().unwrap().push_back(data);
    }

    fn of(&self, address: u8) -> EndpointCounts {
        let endpoints = self.counters.endpoints();
        let found = endpoints
            .into_iter()
            .find(|it| it.endpoint.byte() == address);
        found.unwrap()
    }
}

#[test]
fn bytes_and_transfers_are_counted_by_endpoint() {
    let mut counted = Counted::new();
    for length in [10, 20, 30] {
        counted.supply(length);
        counted.read(1, 1024);
    }
    let bulk = counted.of(0x81);
    assert_eq!((bulk.transfers(), bulk.bytes, bulk.pending), (3, 60, 0));
    assert_eq!(bulk.transfer_type, Some(TransferType::Bulk));
    let control = counted.of(0);
    assert_eq!((control.transfers(), control.stalls), (2, 0));
    assert_eq!(control.transfer_type, Some(TransferType::Control));
    assert_eq!(counted.counters.endpoints().len(), 2);
}

#[test]
fn a_transfer_that_waits_is_pending_and_takes_as_long_as_it_waits() {
    let mut counted = Counted::new();
    counted.read(1, 64);
    counted.pass(Duration::from_millis(2));
    counted.read(1, 64);
    assert_eq!(
        (counted.of(0x81).pending, counted.of(0x81).transfers()),
        (2, 0)
    );
    counted.supply(5);
    counted.supply(5);
    counted.pass(Duration::from_millis(2));
    // Whatever happens to the device has its endpoints asked again.
    counted.control(SET_ALTERNATE);
    let bulk = counted.of(0x81);
    assert_eq!((bulk.pending, bulk.transfers()), (0, 2));
    assert_eq!(bulk.time, Duration::from_millis(6));
    let range = |time| DURATIONS.iter().position(|bound| *bound == time).unwrap();
    let (short, long) = (Duration::from_millis(3), Duration::from_millis(10));
    assert_eq!(
        (bulk.durations[range(short)], bulk.durations[range(long)]),
        (1, 1)
    );
}

#[test]
fn what_is_taken_back_what_stalls_and_what_is_in_error_is_told_apart() {
    let mut counted = Counted::new();
    counted.read(1, 64);
    let target = counted.sequence;
    counted.unlink(target);
    counted.control(NO_SUCH_REQUEST);
    counted.read(9, 64);
    let (bulk, control, missing) = (counted.of(0x81), counted.of(0), counted.of(0x89));
    assert_eq!((bulk.cancelled, bulk.transfers(), bulk.pending), (1, 1, 0));
    assert_eq!((control.stalls, control.errors), (1, 0));
    assert_eq!((missing.errors, missing.transfer_type), (1, None));
}

#[test]
fn what_a_server_refuses_is_an_error_and_waits_no_more() {
    let mut counted = Counted::new();
    // The setup packet says that data comes, and the transfer that it goes.
    counted.submit(0, Direction::Out, 0, [0xc0, 1, 0, 0, 0, 0, 8, 0]);
    let refused = counted.of(0x80);
    assert_eq!(
        (refused.errors, refused.transfers(), refused.pending),
        (1, 1, 0)
    );
}

#[test]
fn the_configuration_is_that_which_the_host_has_set_and_none_after_a_reset() {
    let mut counted = Counted::new();
    assert_eq!(counted.counters.configuration(), 1);
    counted.control([0, 9, 7, 0, 0, 0, 0, 0]);
    assert_eq!(counted.counters.configuration(), 1, "there is no such one");
    counted.control(PORT_RESET);
    assert_eq!(counted.counters.configuration(), 0);
    counted.control(SET_CONFIGURATION);
    assert_eq!(counted.counters.configuration(), 1);
}

#[test]
fn counting_goes_on_with_the_next_session_and_nothing_waits_after_the_last() {
    let mut first = Counted::new();
    first.read(1, 64);
    let counters = Arc::clone(&first.counters);
    drop(first);
    let rest = counters.endpoints();
    assert!(rest.iter().all(|it| it.pending == 0), "{rest:?}");
    assert_eq!((counters.sessions(), counters.configuration()), (1, 0));
    let second = Counted::again(&counters);
    assert_eq!((counters.sessions(), second.of(0).transfers()), (2, 4));
}
