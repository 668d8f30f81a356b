//! What a client sends: USB/IP commands as bytes.

use usbwright::protocol::{
    Direction,
    usbip::urb::{Command, Submit},
};

/// The setup packet of SET_CONFIGURATION, for Gadget Zero's source and sink.
pub(crate) const SET_CONFIGURATION: [u8; 8] = [0x00, 9, 3, 0, 0, 0, 0, 0];
/// The setup packet of GET_DESCRIPTOR for the device descriptor.
pub(crate) const GET_DESCRIPTOR: [u8; 8] = [0x80, 6, 0, 1, 0, 0, 18, 0];

/// A control transfer without data to the device, or with up to `length` bytes from it.
pub(crate) fn control(setup: [u8; 8], length: u32) -> Vec<u8> {
    let direction = match length {
        0 => Direction::Out,
        _ => Direction::In,
    };
    Command::Submit(submit(1, direction, 0, length, setup))
        .encode()
        .to_vec()
}

/// `count` bulk transfers on endpoint 1, numbered from 1; the payload of those that go OUT is zeros.
pub(crate) fn bulk(direction: Direction, length: u32, count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sequence in 1..=count {
        let submit = submit(sequence, direction, 1, length, [0; 8]);
        bytes.extend(Command::Submit(submit).encode());
        if direction == Direction::Out {
            bytes.resize(bytes.len() + length as usize, 0);
        }
    }
    bytes
}

pub(crate) fn submit(
    sequence: u32,
    direction: Direction,
    endpoint: u8,
    length: u32,
    setup: [u8; 8],
) -> Submit {
    Submit {
        sequence,
        device_id: 0x10001,
        direction,
        endpoint,
        flags: 0,
        length,
        packets: 0,
        interval: 0,
        setup,
    }
}
