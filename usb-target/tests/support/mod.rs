//! A device that exists in messages alone: its configuration, and transfers to it.
#![allow(dead_code, reason = "not every test asks for everything")]

use bytes::Bytes;
use usbwright_target::protocol::{
    Class, DeviceSummary, EndpointAddress, IsoPacket, Payload, Setup, Speed, Transfer, TransferId,
    TransferKind,
    descriptor::ConfigurationDescriptor,
    usbip::{
        operation::ExportedDevice,
        urb::{Command, HEADER_SIZE, Reply, Submit, SubmitReply},
    },
};

/// The device's number on the wire.
pub(crate) const DEVICE_ID: u32 = 0x0003_0007;

/// The device, at high speed.
pub(crate) fn device() -> ExportedDevice {
    ExportedDevice {
        path: String::new(),
        bus_id: "3-7".to_owned(),
        bus_number: 3,
        device_number: 7,
        summary: DeviceSummary {
            speed: Speed::High,
            vendor_id: 0x1209,
            product_id: 1,
            device_release: 0x0100,
            class: Class::VENDOR,
            configuration: 0,
            configurations: 1,
            interfaces: Vec::new(),
        },
    }
}

/// Its configuration: bulk 0x81 and 0x01, interrupt 0x82, isochronous 0x83 and 0x03.
pub(crate) fn configuration_bytes() -> Vec<u8> {
    let endpoint = |address, kind, interval| [7, 5, address, kind, 0, 2, interval];
    let mut bytes = vec![9, 2, 53, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 5, 0xff, 0, 0, 0];
    for (address, kind, interval) in [
        (0x81, 2, 0),
        (0x01, 2, 0),
        (0x82, 3, 4),
        (0x83, 1, 1),
        (0x03, 1, 1),
    ] {
        bytes.extend(endpoint(address, kind, interval));
    }
    bytes
}

pub(crate) fn configuration() -> ConfigurationDescriptor {
    ConfigurationDescriptor::parse(&configuration_bytes(), Speed::High).unwrap()
}

/// Its device descriptor.
pub(crate) const DEVICE_DESCRIPTOR: [u8; 18] = [
    18, 1, 0, 2, 0xff, 0, 0, 64, 0x09, 0x12, 1, 0, 0, 1, 0, 0, 0, 1,
];

fn transfer(id: u64, endpoint: u8, kind: TransferKind) -> Transfer {
    Transfer {
        id: TransferId(id),
        endpoint: EndpointAddress::from_byte(endpoint),
        kind,
    }
}

pub(crate) fn read(id: u64, endpoint: u8, length: u32) -> Transfer {
    transfer(id, endpoint, TransferKind::In { length })
}

pub(crate) fn write(id: u64, endpoint: u8, data: impl Into<Payload>) -> Transfer {
    let kind = TransferKind::Out {
        data: data.into(),
        zero_packet: false,
    };
    transfer(id, endpoint, kind)
}

pub(crate) fn control(id: u64, setup: [u8; 8], data: Bytes, room: u32) -> Transfer {
    let setup = Setup::from_bytes(setup);
    transfer(id, 0, TransferKind::Control { setup, data, room })
}

pub(crate) fn isochronous(id: u64, endpoint: u8, data: Bytes, windows: &[(u32, u32)]) -> Transfer {
    let packets = windows.iter().map(|(offset, length)| IsoPacket {
        offset: *offset,
        length: *length,
        ..IsoPacket::default()
    });
    let packets = packets.collect();
    transfer(id, endpoint, TransferKind::Isochronous { data, packets })
}

/// The first command of `bytes`, and what follows its header.
pub(crate) fn command(bytes: &[u8]) -> (Command, &[u8]) {
    let (header, rest) = bytes.split_first_chunk::<HEADER_SIZE>().unwrap();
    (Command::decode(header).unwrap(), rest)
}

/// The first command of `bytes`, which submits, and what follows its header.
pub(crate) fn submit(bytes: &[u8]) -> (Submit, &[u8]) {
    match command(bytes) {
        (Command::Submit(submit), rest) => (submit, rest),
        (other, _) => panic!("{other:?} is no submit"),
    }
}

/// The number of the unlink that is the only command of `bytes`, and the transfer that it asks for.
pub(crate) fn unlink(bytes: &[u8]) -> (u32, u32) {
    match command(bytes) {
        (Command::Unlink { sequence, target }, []) => (sequence, target),
        (other, _) => panic!("{other:?} is not one unlink"),
    }
}

/// The reply to a transfer.
pub(crate) fn ended(sequence: u32, status: i32, moved: u32, data: &[u8]) -> Vec<u8> {
    let reply = SubmitReply {
        sequence,
        status,
        actual_length: moved,
        ..SubmitReply::default()
    };
    [&Reply::Submit(reply).encode()[..], data].concat()
}

/// The reply to an unlink.
pub(crate) fn unlinked(sequence: u32, status: i32) -> Vec<u8> {
    Reply::Unlink { sequence, status }.encode().to_vec()
}
