//! The devices that the tests serve.

use std::time::Instant;

use bytes::Bytes;
use usbwright::{
    emulator::{Context, EmulatedDevice, Firmware, Out, protocol::Speed},
    models::gadget_zero::{GadgetZero, Options, PatternKind},
    protocol::{
        Setup,
        descriptor::{Configuration, Device, Interface},
    },
};

/// A Gadget Zero whose loopback holds 16 KiB and whose sink takes anything.
pub(crate) fn gadget_zero() -> EmulatedDevice {
    let options = Options {
        pattern: PatternKind::Unchecked,
        queue_length: 4,
        isochronous_interval: 1,
        ..Options::default()
    };
    let firmware = GadgetZero::new(Speed::High, options);
    EmulatedDevice::new(firmware, Speed::High, Instant::now()).unwrap()
}

/// A device whose firmware panics at any vendor request without data.
pub(crate) fn fragile() -> EmulatedDevice {
    EmulatedDevice::new(Fragile, Speed::High, Instant::now()).unwrap()
}

struct Fragile;

impl Firmware for Fragile {
    fn describe(&self, _: Speed) -> Device {
        let setting =
            usbwright::protocol::descriptor::Setting::new(usbwright::protocol::Class::VENDOR);
        let interface = Interface::new(0).setting(setting);
        Device::new(1, 2).configuration(Configuration::new(1).interface(interface))
    }

    fn control_out(&mut self, _: &Setup, _: &Bytes, _: &mut Context<'_>) -> Out {
        panic!("this firmware was told to panic");
    }
}
