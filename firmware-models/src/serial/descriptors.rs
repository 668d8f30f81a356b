//! What a serial port tells of itself.

use usbwright_emulator::protocol::{
    Class, Direction, EndpointAddress, Speed,
    descriptor::{Association, Configuration, Device, Endpoint, Interface, Setting},
};

use crate::Strings;

/// The interface of requests and notifications.
pub(super) const COMMUNICATIONS: u8 = 0;
/// The interface of the data.
const DATA: u8 = 1;
pub(super) const DATA_IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
pub(super) const DATA_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
pub(super) const NOTIFICATIONS: EndpointAddress = EndpointAddress::new(2, Direction::In);
/// Bytes in a packet of notifications: one fits.
const NOTIFICATION_PACKET: u16 = 16;
/// Packets in a burst at SuperSpeed, less one.
const BURST: u8 = 15;

/// Abstract Control Model, without a protocol of commands (CDC 1.2 §4.2, §4.3, §4.4).
const ACM: Class = Class {
    class: 2,
    subclass: 2,
    protocol: 0,
};
/// CDC data (CDC 1.2 §4.5).
const CDC_DATA: Class = Class {
    class: 0x0a,
    subclass: 0,
    protocol: 0,
};

/// The functional descriptors (CDC 1.2 §5.2.3, PSTN 1.2 §5.3).
#[rustfmt::skip]
const FUNCTIONAL: [u8; 19] = [
    // Header: CDC 1.20.
    5, 0x24, 0x00, 0x20, 0x01,
    // Call Management: the device does none.
    5, 0x24, 0x01, 0x00, DATA,
    // Abstract Control Management: line coding, control lines and serial state; break.
    4, 0x24, 0x02, 0x02 | 0x04,
    // Union.
    5, 0x24, 0x06, COMMUNICATIONS, DATA,
];

/// Packets of the data endpoints, in bytes.
pub(super) fn packet_size(speed: Speed) -> usize {
    match speed {
        Speed::Low | Speed::Full => 64,
        Speed::High => 512,
        Speed::Super | Speed::SuperPlus => 1024,
    }
}

/// The numbers are those of the kernel's own serial gadget (`drivers/usb/gadget/legacy/serial.c`).
pub(super) fn describe(speed: Speed, strings: &Strings) -> Device {
    let bulk = |address| match speed {
        Speed::Super | Speed::SuperPlus => Endpoint::bulk(address).burst(BURST),
        _ => Endpoint::bulk(address),
    };
    // 4 ms: in frames of 1 ms, or 2^(6-1) microframes.
    let interval = match speed {
        Speed::Low | Speed::Full => 4,
        _ => 6,
    };
    let notifications = Endpoint::interrupt(NOTIFICATIONS, NOTIFICATION_PACKET, interval);
    let communications = Setting::new(ACM).extra(FUNCTIONAL).endpoint(notifications);
    let data = Setting::new(CDC_DATA)
        .endpoint(bulk(DATA_IN))
        .endpoint(bulk(DATA_OUT));
    let configuration = Configuration::new(1)
        .self_powered()
        .association(Association::new(COMMUNICATIONS, 2, ACM).name(&strings.product))
        .interface(Interface::new(COMMUNICATIONS).setting(communications))
        .interface(Interface::new(DATA).setting(data));
    Device::new(0x0525, 0xa4a7)
        .manufacturer(&strings.vendor)
        .product(&strings.product)
        .serial(&strings.serial)
        .configuration(configuration)
}
