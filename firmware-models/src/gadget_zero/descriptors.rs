//! What Gadget Zero tells of itself.

use usbwright_emulator::protocol::{
    Class, Direction, EndpointAddress, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

use super::Options;

/// The configuration that is a source and a sink.
pub(super) const SOURCE_SINK: u8 = 3;
/// The configuration that is a loopback.
pub(super) const LOOPBACK: u8 = 2;

const BULK: u8 = 1;
/// The number of the isochronous endpoints.
pub(super) const ISOCHRONOUS: u8 = 2;
/// The number of the interrupt endpoints.
pub(super) const INTERRUPT: u8 = 3;

/// Packets of the interrupt endpoints, in bytes.
pub(super) const INTERRUPT_PACKET: u16 = 64;

pub(super) fn bulk_packet_size(speed: Speed) -> usize {
    match speed {
        Speed::Low | Speed::Full => 64,
        Speed::High => 512,
        Speed::Super | Speed::SuperPlus => 1024,
    }
}

pub(super) fn isochronous_packet_size(speed: Speed) -> u16 {
    match speed {
        Speed::Low | Speed::Full => 1023,
        _ => 1024,
    }
}

pub(super) fn describe(speed: Speed, options: &Options) -> Device {
    Device::new(0x0525, 0xa4a0)
        .class(Class::VENDOR)
        .manufacturer("usbwright")
        .product("Gadget Zero")
        .serial("0123456789.0123456789.0123456789")
        .without_usb_20_extension()
        .configuration(source_sink(speed, options))
        .configuration(loopback())
}

fn source_sink(speed: Speed, options: &Options) -> Configuration {
    let isochronous = |address| {
        let size = isochronous_packet_size(speed);
        Endpoint::isochronous(address, size, options.isochronous_interval)
    };
    let interrupt =
        |address| Endpoint::interrupt(address, INTERRUPT_PACKET, options.interrupt_interval);
    let source_sink = Interface::new(0)
        .setting(bulk_setting())
        .setting(pair(bulk_setting(), ISOCHRONOUS, isochronous))
        .setting(pair(bulk_setting(), INTERRUPT, interrupt));
    Configuration::new(SOURCE_SINK)
        .name("source and sink data")
        .self_powered()
        .interface(source_sink)
}

fn loopback() -> Configuration {
    Configuration::new(LOOPBACK)
        .name("loop input to output")
        .self_powered()
        .interface(Interface::new(0).setting(bulk_setting().name("loop input to output")))
}

fn bulk_setting() -> Setting {
    pair(Setting::new(Class::VENDOR), BULK, Endpoint::bulk)
}

/// Adds an IN and an OUT endpoint of one number.
fn pair(setting: Setting, number: u8, make: impl Fn(EndpointAddress) -> Endpoint) -> Setting {
    setting
        .endpoint(make(EndpointAddress::new(number, Direction::In)))
        .endpoint(make(EndpointAddress::new(number, Direction::Out)))
}
