//! What a disk tells of itself.

use usbwright_emulator::protocol::{
    Class, Direction, EndpointAddress, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

use crate::Strings;

/// The interface.
pub(super) const INTERFACE: u8 = 0;
/// Data, and of Bulk-Only Transport everything.
const DATA: u8 = 1;
/// Of UAS: commands to the device, and their status from it.
const COMMAND: u8 = 2;
pub(super) const DATA_IN: EndpointAddress = EndpointAddress::new(DATA, Direction::In);
pub(super) const DATA_OUT: EndpointAddress = EndpointAddress::new(DATA, Direction::Out);
pub(super) const STATUS_IN: EndpointAddress = EndpointAddress::new(COMMAND, Direction::In);
pub(super) const COMMAND_OUT: EndpointAddress = EndpointAddress::new(COMMAND, Direction::Out);
/// The alternate setting that is UAS.
pub(super) const UAS_SETTING: u8 = 1;
/// SCSI commands over Bulk-Only Transport (Mass Storage Class Overview 1.4 §2, §3).
const BULK_ONLY: Class = Class {
    class: 8,
    subclass: 6,
    protocol: 0x50,
};
/// SCSI commands over UAS.
const UAS: Class = Class {
    protocol: 0x62,
    ..BULK_ONLY
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
pub(super) fn describe(speed: Speed, strings: &Strings, uas: bool) -> Device {
    let bulk = |address| match speed {
        Speed::Super | Speed::SuperPlus => Endpoint::bulk(address).burst(BURST),
        _ => Endpoint::bulk(address),
    };
    let bulk_only = Setting::new(BULK_ONLY)
        .endpoint(bulk(DATA_IN))
        .endpoint(bulk(DATA_OUT));
    let mut interface = Interface::new(INTERFACE).setting(bulk_only);
    if uas && speed == Speed::High {
        interface = interface.setting(uas_setting());
    }
    Device::new(0x0525, 0xa4a5)
        .manufacturer(&strings.vendor)
        .product(&strings.product)
        .serial(&strings.serial)
        .configuration(Configuration::new(1).self_powered().interface(interface))
}

/// Each pipe is told apart by a descriptor of its own (UAS r04 §5.3.3).
fn uas_setting() -> Setting {
    const PIPE_USAGE: u8 = 0x24;
    let pipes = [COMMAND_OUT, STATUS_IN, DATA_IN, DATA_OUT];
    let mut setting = Setting::new(UAS);
    for (address, number) in pipes.into_iter().zip(1..) {
        let usage = [4, PIPE_USAGE, number, 0];
        setting = setting.endpoint(Endpoint::bulk(address).extra(usage));
    }
    setting
}
