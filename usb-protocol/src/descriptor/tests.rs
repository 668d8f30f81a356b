//! Tests of the descriptors, by what they show.

mod golden;
mod microsoft;
mod parsing;
mod properties;
mod refusals;
mod strings;

use super::*;
use crate::{Class, Direction, EndpointAddress, Speed};

fn input(number: u8) -> EndpointAddress {
    EndpointAddress::new(number, Direction::In)
}

fn output(number: u8) -> EndpointAddress {
    EndpointAddress::new(number, Direction::Out)
}

/// Bytes written as hexadecimal digits; spaces and bars are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

/// A device with one configuration of one interface.
fn simple(settings: impl IntoIterator<Item = Setting>) -> Device {
    let interface = settings
        .into_iter()
        .fold(Interface::new(0), Interface::setting);
    Device::new(0x1209, 1).configuration(Configuration::new(1).interface(interface))
}

fn vendor() -> Setting {
    Setting::new(Class::VENDOR)
}
