//! A device for the unit tests: it waits on every endpoint until it is given data.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::Bytes;
use usbwright_protocol::{
    Class, Direction, EndpointAddress, Setup, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

use crate::{Context, EmulatedDevice, Firmware, In};

/// Data to send, on whatever endpoint is read first.
pub(crate) type Supply = Arc<Mutex<VecDeque<Bytes>>>;

/// Bulk endpoints 0x81 and 0x01, isochronous 0x82, interrupt 0x83; vendor requests wait, too.
struct Waiting(Supply);

impl Firmware for Waiting {
    fn describe(&self, _: Speed) -> Device {
        let setting = Setting::new(Class::VENDOR)
            .endpoint(Endpoint::bulk(EndpointAddress::new(1, Direction::In)))
            .endpoint(Endpoint::bulk(EndpointAddress::new(1, Direction::Out)))
            .endpoint(Endpoint::isochronous(
                EndpointAddress::new(2, Direction::In),
                64,
                1,
            ))
            .endpoint(Endpoint::interrupt(
                EndpointAddress::new(3, Direction::In),
                64,
                1,
            ));
        let idle = Setting::new(Class::VENDOR);
        let interface = Interface::new(0).setting(idle).setting(setting);
        Device::new(1, 2).configuration(Configuration::new(1).interface(interface))
    }

    fn control_in(&mut self, _: &Setup, _: &mut Context<'_>) -> In {
        In::NotYet
    }

    fn send(&mut self, _: EndpointAddress, _: usize, _: &mut Context<'_>) -> In {
        let data = self.0.lock().unwrap().pop_front();
        data.map_or(In::NotYet, In::Data)
    }
}

/// A device that runs at high speed from `now` on, and what it is given to send.
pub(crate) fn waiting_device(now: Instant) -> (EmulatedDevice, Supply) {
    let supply = Supply::default();
    let device = EmulatedDevice::new(Waiting(Arc::clone(&supply)), Speed::High, now);
    (device.unwrap(), supply)
}
