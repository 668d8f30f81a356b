//! Where devices come from, as the manager sees it.

use std::{error::Error, os::fd::OwnedFd, sync::Arc};

use usbwright_protocol::{Class, DeviceSummary, usbip::operation::ExportedDevice};

use crate::package::HardwareId;

/// Why a device can't be had.
pub type OpenError = Box<dyn Error + Send + Sync>;

/// A device that has been imported: the stream socket carries its transfers, as USB/IP has them, and belongs to a host from now on.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub socket: OwnedFd,
    /// What the device is.
    pub device: ExportedDevice,
}

/// A device that can be had, more than once: each time that its host is started.
pub trait DeviceSource: Send + Sync + 'static {
    /// Has it. Whoever had it before is gone. It may block, and is called on a thread of its own.
    ///
    /// # Errors
    /// Where it can't be had.
    fn open(&self) -> Result<Connection, OpenError>;

    /// The manager has forgotten it: it was unplugged, or its host has told so, and its stack is down. It may be told of again. This is called on the manager's thread,
    /// and returns soon.
    fn gone(&self) {}
}

impl<F> DeviceSource for F
where
    F: Fn() -> Result<Connection, OpenError> + Send + Sync + 'static,
{
    fn open(&self) -> Result<Connection, OpenError> {
        self()
    }
}

/// A device that has come.
#[derive(Clone)]
pub struct Offer {
    /// Its name, for people. What can't be shown in a line is replaced.
    pub name: String,
    /// Its ids, the most specific first: [`ids_of`].
    pub ids: Vec<HardwareId>,
    /// How it is had.
    pub source: Arc<dyn DeviceSource>,
}

/// The ids of a device, the most specific first. One that has its class told by its interfaces has their classes, in their order.
pub fn ids_of(device: &DeviceSummary) -> Vec<HardwareId> {
    let classes = match device.class == Class::PER_INTERFACE {
        true => &device.interfaces[..],
        false => &[device.class],
    };
    let (vendor, product) = (device.vendor_id, device.product_id);
    let mut ids: Vec<HardwareId> = Vec::new();
    for class in classes {
        ids.extend(HardwareId::of_device(
            vendor,
            product,
            device.device_release,
            *class,
        ));
    }
    if ids.is_empty() {
        ids = HardwareId::of_device(vendor, product, device.device_release, device.class);
    }
    ids.sort_by_key(HardwareId::is_compatible_id);
    ids
}

/// A name that can be shown in a line.
pub(super) fn shown(name: &str) -> String {
    let plain = |it: char| if it.is_control() { '?' } else { it };
    name.chars().take(128).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use usbwright_protocol::Speed;

    use super::*;

    #[test]
    fn a_device_whose_interfaces_have_the_classes_is_found_by_any_of_them() {
        let class = |class| Class {
            class,
            subclass: 0,
            protocol: 0,
        };
        let device = DeviceSummary {
            speed: Speed::High,
            vendor_id: 0x0547,
            product_id: 0x1002,
            device_release: 0,
            class: Class::PER_INTERFACE,
            configuration: 1,
            configurations: 1,
            interfaces: vec![class(8), class(3)],
        };
        let ids = ids_of(&device);
        assert_eq!(ids[0].to_string(), r"USB\VID_0547&PID_1002&REV_0000");
        let place = |id: &str| ids.iter().position(|it| it.to_string() == id);
        assert!(place(r"USB\VID_0547&PID_1002") < place(r"USB\Class_08"));
        assert!(place(r"USB\Class_08") < place(r"USB\Class_03"));
    }
}
