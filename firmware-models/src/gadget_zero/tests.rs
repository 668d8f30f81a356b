//! What a host gets from a Gadget Zero.

use std::time::Duration;

use usbwright_emulator::protocol::{Direction, EndpointAddress, Port, Status, TransferKind};

use crate::testing::Host;

const BULK_IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
const BULK_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);

#[test]
fn the_source_sends_exactly_what_is_asked_for() {
    let mut host = Host::new("gadget-zero,pattern=1", 3);
    for length in [1, 511, 512, 513, 4096, 65536, 1_000_001] {
        let data = host.got(BULK_IN, length);
        assert_eq!(data.len(), length as usize);
        assert!(
            data.iter()
                .enumerate()
                .all(|(i, byte)| usize::from(*byte) == i % 512 % 63)
        );
    }
    assert_eq!(host.got(BULK_IN, 0), []);
}

#[test]
fn the_sink_halts_on_a_wrong_byte_and_goes_on_when_the_halt_is_cleared() {
    let mut host = Host::new("gadget-zero", 3);
    host.write(BULK_OUT, vec![0; 100_000], true);
    assert_eq!(host.ended().unwrap().status, Status::Done);
    host.write(BULK_OUT, vec![0, 0, 1], false);
    assert_eq!(host.ended().unwrap().status, Status::Stalled);
    assert_eq!(host.device.is_halted(BULK_OUT), Some(true));
    host.control([2, 1, 0, 0, 1, 0, 0, 0], Vec::new());
    host.write(BULK_OUT, vec![0], false);
    assert_eq!(host.ended().unwrap().status, Status::Done);
}

#[test]
fn an_unchecked_sink_takes_anything() {
    let mut host = Host::new("gadget-zero,pattern=2", 3);
    host.write(BULK_OUT, vec![7; 1000], false);
    assert_eq!(host.ended().unwrap().status, Status::Done);
}

#[test]
fn the_interrupt_endpoints_keep_the_interval_that_is_asked_for() {
    const INTERRUPT_IN: EndpointAddress = EndpointAddress::new(3, Direction::In);
    for (spec, period) in [
        ("gadget-zero,speed=full", 4000),
        ("gadget-zero,speed=full,int_interval=1", 1000),
        ("gadget-zero", 1000),
        ("gadget-zero,int_interval=1", 125),
        ("gadget-zero,speed=super,int_interval=2", 250),
    ] {
        let mut host = Host::new(spec, 3);
        host.control([1, 11, 2, 0, 0, 0, 0, 0], Vec::new());
        host.submit(INTERRUPT_IN, TransferKind::In { length: 128 });
        host.device.poll(host.now + Duration::from_micros(period));
        assert!(host.ended().is_none(), "{spec}");
        let due = host.now + Duration::from_micros(2 * period);
        assert_eq!(host.device.deadline(), Some(due), "{spec}");
        host.device.poll(due);
        assert_eq!(host.ended().unwrap().data.len(), 128, "{spec}");
    }
}

#[test]
fn the_loopback_waits_while_it_is_empty() {
    let mut host = Host::new("gadget-zero", 2);
    let waits = host.read(BULK_IN, 1024);
    assert!(host.ended().is_none());
    host.write(BULK_OUT, &b"hello"[..], false);
    let ends = [host.ended().unwrap(), host.ended().unwrap()];
    assert_eq!(ends[1].id, waits);
    assert_eq!(ends[1].data.to_vec(), b"hello");
}

#[test]
fn the_loopback_keeps_the_boundaries_of_packets() {
    let mut host = Host::new("gadget-zero", 2);
    host.write(BULK_OUT, vec![1; 512], true);
    host.write(BULK_OUT, vec![2; 600], false);
    host.write(BULK_OUT, vec![3; 512], false);
    host.write(BULK_OUT, vec![4; 10], false);
    for _ in 0..4 {
        assert_eq!(host.ended().unwrap().status, Status::Done);
    }
    // A zero-length packet ends the first read, a short packet the second; full packets do not end the third.
    assert_eq!(host.got(BULK_IN, 4096), vec![1; 512]);
    assert_eq!(host.got(BULK_IN, 4096), vec![2; 600]);
    assert_eq!(host.got(BULK_IN, 512), vec![3; 512]);
    host.read(BULK_IN, 5);
    let overflow = host.ended().unwrap();
    assert_eq!(
        (overflow.status, overflow.actual_length),
        (Status::Overflow, 5)
    );
}

#[test]
fn the_loopback_takes_no_more_than_it_can_hold() {
    let mut host = Host::new("gadget-zero,buflen=512,qlen=3", 2);
    host.write(BULK_OUT, vec![1; 512 * 5], false);
    assert!(host.ended().is_none());
    // What is read makes room for what waits.
    let mut data = Vec::new();
    for _ in 0..5 {
        host.read(BULK_IN, 512);
        while let Some(completion) = host.ended() {
            data.extend(completion.data.to_vec());
        }
    }
    assert_eq!(data, vec![1; 512 * 5]);
}

#[test]
fn the_control_buffer_is_written_and_read_in_the_source_sink_configuration() {
    let mut host = Host::new("gadget-zero", 3);
    let data: Vec<u8> = (0..200).collect();
    let written = host.control([0x40, 0x5b, 0, 0, 0, 0, 200, 0], data.clone());
    assert_eq!((written.status, written.actual_length), (Status::Done, 200));
    let read = host.control([0xc0, 0x5c, 0, 0, 0, 0, 200, 0], Vec::new());
    assert_eq!(read.data.to_vec(), data);
    let refused = [
        [0x40, 0x5b, 1, 0, 0, 0, 0, 0],
        [0x40, 0x5b, 0, 0, 1, 0, 0, 0],
        [0xc0, 0x5c, 0, 0, 0, 0, 1, 0x10],
        [0xc0, 0x5d, 0, 0, 0, 0, 1, 0],
    ];
    for setup in refused {
        assert_eq!(host.control(setup, Vec::new()).status, Status::Stalled);
    }
    let mut loopback = Host::new("gadget-zero", 2);
    let refused = loopback.control([0xc0, 0x5c, 0, 0, 0, 0, 8, 0], Vec::new());
    assert_eq!(refused.status, Status::Stalled);
}

#[test]
fn the_descriptors_are_those_of_the_kernels_gadget() {
    let mut host = Host::new("gadget-zero", 3);
    let device = host.control([0x80, 6, 0, 1, 0, 0, 18, 0], Vec::new());
    assert_eq!(
        device.data.to_vec(),
        [
            18, 1, 0, 2, 0xff, 0, 0, 64, 0x25, 0x05, 0xa0, 0xa4, 0, 1, 1, 2, 3, 2
        ]
    );
    let configuration = host.control([0x80, 6, 0, 2, 0, 0, 255, 0], Vec::new());
    assert_eq!(configuration.data.len(), 106);
    assert_eq!(
        configuration.data.to_vec()[..9],
        [9, 2, 106, 0, 1, 3, 4, 0xc0, 0]
    );
    let mut fast = Host::new("gadget-zero,speed=super", 3);
    let capabilities = fast.control([0x80, 6, 0, 15, 0, 0, 255, 0], Vec::new());
    assert_eq!(
        capabilities.data.to_vec(),
        [5, 15, 15, 0, 1, 10, 16, 3, 0, 15, 0, 1, 1, 0xf4, 1]
    );
    let configuration = fast.control([0x80, 6, 0, 2, 0, 0, 255, 0], Vec::new());
    assert_eq!(configuration.data.len(), 166);
}
