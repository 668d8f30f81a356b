//! What the board tells of itself.

use usbwright_emulator::protocol::{
    Class, Direction, EndpointAddress, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

/// The interrupt endpoint that tells of the switches.
pub(super) const SWITCHES: EndpointAddress = EndpointAddress::new(1, Direction::In);
/// The bulk endpoint that takes packets.
pub(super) const LOOP_OUT: EndpointAddress = EndpointAddress::new(6, Direction::Out);
/// The bulk endpoint that sends them back.
pub(super) const LOOP_IN: EndpointAddress = EndpointAddress::new(8, Direction::In);

const FULL_SPEED: &str = "Full speed";
const HIGH_SPEED: &str = "High speed";

/// Packets of the bulk endpoints, in bytes.
pub(super) fn bulk_packet_size(speed: Speed) -> usize {
    match speed {
        Speed::Low | Speed::Full => 64,
        Speed::High => 512,
        Speed::Super | Speed::SuperPlus => 1024,
    }
}

/// The board at a speed. The texts of its strings are our own; their numbers are the board's.
pub(super) fn describe(speed: Speed) -> Device {
    let setting = Setting::new(Class::VENDOR)
        .endpoint(Endpoint::interrupt(SWITCHES, 1, 1))
        .endpoint(Endpoint::bulk(LOOP_OUT))
        .endpoint(Endpoint::bulk(LOOP_IN));
    let name = match speed {
        Speed::Low | Speed::Full => FULL_SPEED,
        _ => HIGH_SPEED,
    };
    Device::new(0x0547, 0x1002)
        .release(0)
        .manufacturer("usbwright")
        .product("OSR USB-FX2 learning board")
        .string(FULL_SPEED)
        .string(HIGH_SPEED)
        .configuration(
            Configuration::new(1)
                .name(name)
                .remote_wakeup()
                .max_power(100)
                .interface(Interface::new(0).setting(setting)),
        )
}
