//! That no payload is copied: it has one address from the socket to the firmware, and from the firmware to the socket.

use std::{
    io::{IoSlice, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::Bytes;
use usbwright_protocol::{
    Class, Direction, EndpointAddress, Now, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
    usbip::urb::{Command, HEADER_SIZE, Submit},
};
use usbwright_wire_io::{Intake, Wait};

use super::{
    Limits,
    session::{Need, Session},
};
use crate::{Context, EmulatedDevice, Firmware, In, Out};

/// Where a payload lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: usize,
    length: usize,
}

impl Place {
    fn of(bytes: &[u8]) -> Self {
        Self {
            address: bytes.as_ptr().addr(),
            length: bytes.len(),
        }
    }
}

/// Sends from memory of its own, and notes where what it receives lies.
struct Observer {
    source: Bytes,
    received: Arc<Mutex<Vec<Place>>>,
}

impl Firmware for Observer {
    fn describe(&self, _: Speed) -> Device {
        let setting = Setting::new(Class::VENDOR)
            .endpoint(Endpoint::bulk(EndpointAddress::new(1, Direction::In)))
            .endpoint(Endpoint::bulk(EndpointAddress::new(1, Direction::Out)));
        Device::new(1, 2)
            .configuration(Configuration::new(1).interface(Interface::new(0).setting(setting)))
    }

    fn send(&mut self, _: EndpointAddress, room: usize, _: &mut Context<'_>) -> In {
        In::Data(self.source.slice(..room))
    }

    fn receive(&mut self, _: EndpointAddress, data: &Bytes, _: &mut Context<'_>) -> Out {
        self.received.lock().unwrap().push(Place::of(data));
        Out::Taken
    }
}

struct Bench {
    session: Session,
    device: EmulatedDevice,
    source: Bytes,
    received: Arc<Mutex<Vec<Place>>>,
}

impl Bench {
    fn new() -> Self {
        let source = Bytes::from(vec![7; 1 << 20]);
        let received = Arc::default();
        let firmware = Observer {
            source: source.clone(),
            received: Arc::clone(&received),
        };
        let device = EmulatedDevice::new(firmware, Speed::High, Instant::now()).unwrap();
        Self {
            session: Session::new(Limits::default()),
            device,
            source,
            received,
        }
    }

    fn run(&mut self, intake: &mut Intake) -> usize {
        let need = self
            .session
            .run(intake.bytes(), &mut self.device, Now::SYSTEM);
        match need.unwrap() {
            Need::Input(size) => size,
            Need::Room => panic!("the replies are few and small"),
        }
    }
}

fn command(sequence: u32, direction: Direction, endpoint: u8, length: u32) -> Vec<u8> {
    let submit = Submit {
        sequence,
        device_id: 0x10001,
        direction,
        endpoint,
        flags: 0,
        length,
        packets: 0,
        interval: 0,
        setup: if endpoint == 0 {
            [0, 9, 1, 0, 0, 0, 0, 0]
        } else {
            [0; 8]
        },
    };
    let mut command = Command::Submit(submit).encode().to_vec();
    if direction == Direction::Out {
        command.resize(HEADER_SIZE + length as usize, 7);
    }
    command
}

/// Reads a client's stream, and notes where each of its bytes was written to: the end of a stretch of the stream, and the
/// address that its end would have.
///
/// Before each read the socket is full, or has all that is left, so that every run reads the same.
fn run_stream(bench: &mut Bench, stream: &[u8]) -> Vec<(usize, usize)> {
    let (mut client, server) = UnixStream::pair().unwrap();
    client.set_nonblocking(true).unwrap();
    let total = stream.len();
    let mut rest = stream;
    let mut intake = Intake::new();
    let mut written = Vec::new();
    let mut position = 0;
    let mut size = HEADER_SIZE;
    while position < total {
        while let Ok(sent @ 1..) = client.write(rest) {
            rest = &rest[sent..];
        }
        let usual = bench.session.usual();
        let read = intake.read(server.as_fd(), size, usual, Wait::ForSome);
        position += read.unwrap().0;
        written.push((position, intake.bytes().as_ptr_range().end.addr()));
        size = bench.run(&mut intake);
        bench.session.out.advance(bench.session.out.len());
    }
    written
}

#[test]
fn a_firmware_is_given_what_it_receives_where_it_was_read_to() {
    for length in [512, 4096, 5000, 64 << 10, 256 << 10, 1 << 20] {
        let step = HEADER_SIZE + length as usize;
        // The first commands of a size make the buffer grow.
        let settled = 8.max((64 << 10) / step);
        let count = 3 * settled;
        let mut bench = Bench::new();
        let mut stream = command(0, Direction::Out, 0, 0);
        let first = stream.len() + HEADER_SIZE;
        for sequence in 1..=count {
            let sequence = u32::try_from(sequence).unwrap();
            stream.extend(command(sequence, Direction::Out, 1, length));
        }
        let written = run_stream(&mut bench, &stream);
        let received = bench.received.lock().unwrap();
        assert_eq!(received.len(), count);
        for (number, place) in received.iter().enumerate().skip(settled) {
            let (begin, end) = (
                first + number * step,
                first + (number + 1) * step - HEADER_SIZE,
            );
            // Every stretch that holds a part of the payload was written to where the firmware has seen that part.
            let mut before = 0;
            for (until, address) in &written {
                if *until > begin && before < end {
                    let at = address - (until - begin.max(before));
                    let seen = place.address + (begin.max(before) - begin);
                    assert_eq!(at, seen, "{length} bytes, transfer {number}");
                }
                before = *until;
            }
            assert_eq!(place.length, length as usize);
        }
    }
}

#[test]
fn what_a_firmware_sends_is_written_from_where_it_is() {
    for length in [512, 4096, 64 << 10, 1 << 20] {
        let mut bench = Bench::new();
        let mut stream = command(0, Direction::Out, 0, 0);
        stream.extend(command(1, Direction::In, 1, length));
        let mut intake = Intake::new();
        intake.bytes().extend_from_slice(&stream);
        bench.run(&mut intake);
        let mut slices = [IoSlice::new(&[]); 4];
        let count = bench.session.out.gather(&mut slices);
        let payload = Place::of(&bench.source[..length as usize]);
        assert_eq!(count, 2);
        assert_eq!(Place::of(&slices[1]), payload);
    }
}
