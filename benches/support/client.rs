//! A client that keeps transfers in flight. It is as simple as can be, so that what is measured is the server.

use std::io::{BufReader, Read, Write};

use usbwright::protocol::{
    Direction,
    usbip::{
        operation::{self, ReplyStatus, Request},
        urb::{HEADER_SIZE, Reply},
    },
};

use crate::commands;

/// Transfers that are in flight at a time.
pub(crate) const DEPTH: u32 = 16;

/// A connection to a server.
pub(crate) trait Socket: Read + Write {}

impl<T: Read + Write> Socket for T {}

/// A client that has a device, in the configuration with the source and the sink.
pub(crate) struct Client {
    socket: BufReader<Box<dyn Socket>>,
    sequence: u32,
}

impl Client {
    /// Imports the device.
    pub(crate) fn attach(mut socket: Box<dyn Socket>, bus_id: &str) -> Self {
        socket.write_all(&Request::Import.encode()).unwrap();
        socket.write_all(&operation::encode_bus_id(bus_id)).unwrap();
        let mut header = [0; operation::HEADER_SIZE];
        socket.read_exact(&mut header).unwrap();
        let status = Request::Import.decode_reply(&header).unwrap();
        assert_eq!(status, ReplyStatus::Ok);
        let mut device = [0; operation::DEVICE_SIZE];
        socket.read_exact(&mut device).unwrap();
        let set_configuration = commands::control(commands::SET_CONFIGURATION, 0);
        socket.write_all(&set_configuration).unwrap();
        let mut client = Self {
            socket: BufReader::with_capacity(256 << 10, socket),
            sequence: 1,
        };
        client.reply(0, &mut []);
        client
    }

    /// Moves `count` bulk transfers of `length` bytes.
    pub(crate) fn transfer(&mut self, direction: Direction, length: u32, count: u64) {
        let mut batch = Batch::new(direction, length);
        let mut payload = match direction {
            Direction::In => vec![0; length as usize],
            Direction::Out => Vec::new(),
        };
        let (mut unsent, mut flying) = (count, 0);
        while unsent > 0 || flying > 0 {
            let next = unsent.min(u64::from(DEPTH) - flying);
            let commands = batch.number(next as usize, &mut self.sequence);
            self.socket.get_mut().write_all(commands).unwrap();
            unsent -= next;
            flying += next;
            // All replies that have come, and at least one.
            loop {
                self.reply(length, &mut payload);
                flying -= 1;
                if self.socket.buffer().len() < HEADER_SIZE + payload.len() {
                    break;
                }
            }
        }
    }

    /// Reads the reply to a transfer that moved `length` bytes.
    fn reply(&mut self, length: u32, payload: &mut [u8]) {
        let mut header = [0; HEADER_SIZE];
        self.socket.read_exact(&mut header).unwrap();
        match Reply::decode(&header).unwrap() {
            Reply::Submit(reply) if (reply.status, reply.actual_length) == (0, length) => {}
            other => panic!("{other:?} in place of {length} bytes"),
        }
        self.socket.read_exact(payload).unwrap();
    }
}

/// As many commands as may be in flight, all but for their numbers.
struct Batch {
    bytes: Vec<u8>,
    command: usize,
}

impl Batch {
    fn new(direction: Direction, length: u32) -> Self {
        let bytes = commands::bulk(direction, length, DEPTH);
        let command = bytes.len() / DEPTH as usize;
        Self { bytes, command }
    }

    /// The first `count` commands, with fresh numbers.
    fn number(&mut self, count: usize, sequence: &mut u32) -> &[u8] {
        let bytes = &mut self.bytes[..count * self.command];
        for command in bytes.chunks_exact_mut(self.command) {
            *sequence = sequence.wrapping_add(1);
            command[4..8].copy_from_slice(&sequence.to_be_bytes());
        }
        bytes
    }
}
