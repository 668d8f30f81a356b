//! What a HID device tells of itself.

use std::time::Duration;

use bytes::Bytes;
use usbwright_emulator::protocol::{
    Class, Direction, EndpointAddress, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

/// The interface.
pub(super) const INTERFACE: u8 = 0;
/// The endpoint that reports come by.
pub(super) const REPORTS: EndpointAddress = EndpointAddress::new(1, Direction::In);
/// The subclass of devices that a boot program understands (HID 1.11 §4.2).
pub(super) const BOOT: u8 = 1;
/// The types of the class's descriptors (§7.1).
const HID: u8 = 0x21;
const REPORT: u8 = 0x22;

/// What is told of a device, besides the words that all have in common.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) class: Class,
    pub(super) product: &'static str,
    pub(super) serial: Option<String>,
    /// The country of a keyboard's layout, or 0 (§6.2.1).
    pub(super) country: u8,
    /// The idle rate that it begins with (§7.2.4); zero sends reports on changes alone.
    pub(super) idle: Duration,
    /// How often it may be asked for a report, in ms.
    pub(super) interval: u8,
    pub(super) reports: Vec<u8>,
    /// Bytes in its longest input report.
    pub(super) longest: u16,
}

impl Description {
    /// The HID descriptor (§6.2.1).
    fn hid(&self) -> [u8; 9] {
        let [low, high] = u16::try_from(self.reports.len())
            .unwrap_or(u16::MAX)
            .to_le_bytes();
        [9, HID, 0x11, 0x01, self.country, 1, REPORT, low, high]
    }

    /// The descriptors that a host asks the interface for.
    pub(super) fn of_the_class(&self, descriptor: (u8, u8)) -> Option<Bytes> {
        match descriptor {
            (HID, 0) => Some(Bytes::copy_from_slice(&self.hid())),
            (REPORT, 0) => Some(Bytes::copy_from_slice(&self.reports)),
            _ => None,
        }
    }

    /// The ids are those of the kernel's own HID gadget (`drivers/usb/gadget/legacy/hid.c`).
    pub(super) fn describe(&self, speed: Speed) -> Device {
        let interval = interval(speed, self.interval);
        let reports = Endpoint::interrupt(REPORTS, self.longest, interval);
        let setting = Setting::new(self.class).extra(self.hid()).endpoint(reports);
        let mut device = Device::new(0x0525, 0xa4ac)
            .manufacturer("usbwright")
            .product(self.product);
        if let Some(serial) = &self.serial {
            device = device.serial(serial);
        }
        device.configuration(
            Configuration::new(1)
                .remote_wakeup()
                .max_power(100)
                .interface(Interface::new(INTERFACE).setting(setting)),
        )
    }
}

/// `bInterval` for a device that may be asked every so many ms: above full speed the largest power of two of microframes that
/// is no longer.
fn interval(speed: Speed, milliseconds: u8) -> u8 {
    match speed {
        Speed::Low | Speed::Full => milliseconds,
        _ => 1 + (u32::from(milliseconds.max(1)) * 8).ilog2() as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_full_speed_an_interval_is_an_exponent() {
        let exponents = [1, 2, 3, 4, 10, 255].map(|it| interval(Speed::High, it));
        assert_eq!(exponents, [4, 5, 5, 6, 7, 11]);
        assert_eq!(interval(Speed::Full, 10), 10);
    }
}
