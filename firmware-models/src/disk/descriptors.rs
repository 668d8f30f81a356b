//! What a disk tells of itself.

use usbwright_emulator::protocol::{
    Class, Direction, EndpointAddress, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

use super::Strings;

/// The interface.
pub(super) const INTERFACE: u8 = 0;
const BULK: u8 = 1;
/// SCSI commands over Bulk-Only Transport (Mass Storage Class Overview 1.4 §2, §3).
const BULK_ONLY: Class = Class {
    class: 8,
    subclass: 6,
    protocol: 0x50,
};
/// Packets in a burst at SuperSpeed, less one.
const BURST: u8 = 15;

pub(super) fn packet_size(speed: Speed) -> usize {
    match speed {
        Speed::Low | Speed::Full => 64,
        Speed::High => 512,
        Speed::Super | Speed::SuperPlus => 1024,
    }
}

/// The numbers are those of the kernel's own disk (`drivers/usb/gadget/legacy/mass_storage.c`), which hosts know to be without
/// faults.
pub(super) fn describe(speed: Speed, strings: &Strings) -> Device {
    let endpoint = |direction| {
        let endpoint = Endpoint::bulk(EndpointAddress::new(BULK, direction));
        match speed {
            Speed::Super | Speed::SuperPlus => endpoint.burst(BURST),
            _ => endpoint,
        }
    };
    let setting = Setting::new(BULK_ONLY)
        .endpoint(endpoint(Direction::In))
        .endpoint(endpoint(Direction::Out));
    let interface = Interface::new(INTERFACE).setting(setting);
    Device::new(0x0525, 0xa4a5)
        .manufacturer(&strings.vendor)
        .product(&strings.product)
        .serial(&strings.serial)
        .configuration(Configuration::new(1).self_powered().interface(interface))
}
