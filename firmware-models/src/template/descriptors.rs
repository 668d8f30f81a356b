//! What the bell tells of itself.

use usbwright_emulator::protocol::{
    Class, Direction, EndpointAddress, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

/// The interrupt endpoint that tells of presses.
pub(super) const PRESSES: EndpointAddress = EndpointAddress::new(1, Direction::In);

/// How often a host asks for presses, as `bInterval`: every millisecond (USB 2.0 §9.6.6).
fn interval(speed: Speed) -> u8 {
    match speed {
        Speed::Low | Speed::Full => 1,
        _ => 4,
    }
}

/// The bell at a speed. A device that exists is told byte for byte; this one has a test number of pid.codes.
pub(super) fn describe(speed: Speed) -> Device {
    let presses = Endpoint::interrupt(PRESSES, 1, interval(speed));
    let setting = Setting::new(Class::VENDOR).endpoint(presses);
    Device::new(0x1209, 0x0001)
        .manufacturer("usbwright")
        .product("Bell")
        .configuration(Configuration::new(1).interface(Interface::new(0).setting(setting)))
}
