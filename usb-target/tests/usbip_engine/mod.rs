//! A host and a server made of a script's bytes: every transfer ends once, with no more than it asked for.

use std::collections::HashMap;

use bytes::Bytes;
use usbwright_target::{
    protocol::{
        Class, DeviceSummary, EndpointAddress, IsoPacket, Setup, Speed, Transfer, TransferId,
        TransferKind,
        descriptor::ConfigurationDescriptor,
        usbip::{
            operation::ExportedDevice,
            urb::{Command, HEADER_SIZE, ISO_PACKET_SIZE, Reply, SubmitReply},
        },
    },
    usbip::Exchange,
};

/// Bulk 0x81 and 0x01, isochronous 0x82 and 0x02, in one setting.
const CONFIGURATION: [u8; 46] = [
    9, 2, 46, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 4, 0xff, 0, 0, 0, 7, 5, 0x81, 2, 0, 2, 0, 7, 5, 1,
    2, 0, 2, 0, 7, 5, 0x82, 1, 0, 2, 1, 7, 5, 2, 1, 0, 2, 1,
];

struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Bytes that a server might send, and might not.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

struct Engine {
    exchange: Exchange,
    /// The most that each transfer under way may bring, by its id.
    asked: HashMap<u64, u32>,
    next: u64,
    /// The numbers of commands that the server has seen.
    seen: Vec<u32>,
}

/// Runs a script; panics where a promise is broken.
pub(crate) fn run(script: &[u8]) {
    let mut script = Script(script);
    let mut engine = Engine::new();
    while !script.0.is_empty() {
        let going_on = match script.byte() % 8 {
            0 | 1 => engine.submit(&mut script),
            2 => {
                let id = u64::from(script.byte()) % (engine.next + 1);
                engine.exchange.cancel(TransferId(id));
                true
            }
            3 if script.byte() < 16 => engine.exchange.reset().is_ok(),
            4..=6 => engine.reply(&mut script),
            7 => {
                let count = usize::from(script.byte());
                let bytes = script.bytes(count);
                engine.exchange.feed(&bytes).is_ok()
            }
            _ => true,
        };
        engine.collect();
        if !going_on {
            assert!(
                engine.asked.is_empty(),
                "a broken session leaves transfers without an end"
            );
            return;
        }
    }
}

impl Engine {
    fn new() -> Self {
        let device = ExportedDevice {
            path: String::new(),
            bus_id: "1-1".to_owned(),
            bus_number: 1,
            device_number: 1,
            summary: DeviceSummary {
                speed: Speed::High,
                vendor_id: 0,
                product_id: 0,
                device_release: 0,
                class: Class::VENDOR,
                configuration: 1,
                configurations: 1,
                interfaces: Vec::new(),
            },
        };
        let configuration = ConfigurationDescriptor::parse(&CONFIGURATION, Speed::High).unwrap();
        Self {
            exchange: Exchange::new(&device, vec![configuration]),
            asked: HashMap::new(),
            next: 0,
            seen: Vec::new(),
        }
    }

    fn submit(&mut self, script: &mut Script<'_>) -> bool {
        let length = u32::from(script.byte());
        let data = Bytes::from(vec![7; length as usize]);
        let endpoint = [0, 1, 0x81, 2, 0x82, 0x83][usize::from(script.byte()) % 6];
        let kind = match endpoint {
            0 => {
                let setup = Setup::from_bytes(script.bytes(8).try_into().unwrap());
                let data = match setup.request_type & 0x80 {
                    0 => Bytes::from(vec![0; setup.length.into()]),
                    _ => Bytes::new(),
                };
                let room = length;
                TransferKind::Control { setup, data, room }
            }
            1 => TransferKind::Out {
                data: data.into(),
                zero_packet: false,
            },
            2 | 0x82 => {
                let packets = (0..length).map(|offset| IsoPacket {
                    offset,
                    length: 1,
                    ..IsoPacket::default()
                });
                let packets = packets.collect();
                let data = if endpoint == 2 { data } else { Bytes::new() };
                TransferKind::Isochronous { data, packets }
            }
            _ => TransferKind::In { length },
        };
        let most = match &kind {
            TransferKind::Control { data, room, .. } => (*room).max(data.len() as u32),
            _ => length,
        };
        self.asked.insert(self.next, most);
        self.exchange.submit(Transfer {
            id: TransferId(self.next),
            endpoint: EndpointAddress::from_byte(endpoint),
            kind,
        });
        self.next += 1;
        self.see();
        true
    }

    /// Has the server read the commands, which have to be well formed.
    fn see(&mut self) {
        let commands = self.exchange.take();
        let mut rest = &commands[..];
        while let Some((header, body)) = rest.split_first_chunk::<HEADER_SIZE>() {
            rest = match Command::decode(header).expect("a client sends no nonsense") {
                Command::Unlink { sequence, .. } => {
                    self.seen.push(sequence);
                    body
                }
                Command::Submit(submit) => {
                    self.seen.push(submit.sequence);
                    let payload = match submit.flags & 0x200 {
                        0 => submit.length as usize,
                        _ => 0,
                    };
                    &body[payload + submit.packets as usize * ISO_PACKET_SIZE..]
                }
            };
        }
        assert!(rest.is_empty());
    }

    /// A reply that is likely to be taken for one.
    fn reply(&mut self, script: &mut Script<'_>) -> bool {
        self.see();
        let choice = usize::from(script.byte());
        let sequence = match self.seen.len() {
            0 => 1,
            count => self.seen[choice % count],
        };
        let [kind, status, moved, packets] = script.bytes(4).try_into().unwrap();
        let status = [0, 0, -32, -104, 1, i32::from(status)][usize::from(status) % 6];
        let moved = u32::from(moved);
        let bytes = match kind % 3 {
            0 => Reply::Unlink { sequence, status }.encode().to_vec(),
            part => {
                let reply = SubmitReply {
                    sequence,
                    status,
                    actual_length: moved,
                    packets: packets.into(),
                    ..SubmitReply::default()
                };
                let mut bytes = Reply::Submit(reply).encode().to_vec();
                if part == 1 {
                    bytes.extend(vec![1; moved as usize]);
                }
                bytes
            }
        };
        self.exchange.feed(&bytes).is_ok()
    }

    fn collect(&mut self) {
        while let Some(completion) = self.exchange.completion() {
            let most = self
                .asked
                .remove(&completion.id.0)
                .expect("a transfer ends once");
            assert!(completion.actual_length <= most);
            assert!(completion.data.len() <= completion.actual_length as usize);
            if let Some(iso) = &completion.iso {
                let moved: u32 = iso.packets.iter().map(|it| it.actual_length).sum();
                assert_eq!(moved, completion.actual_length);
            }
        }
    }
}
