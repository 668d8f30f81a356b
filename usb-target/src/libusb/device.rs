//! The real devices that there are.

use std::{fmt, fs, path::Path};

use rusb::{Context, UsbContext as _};
use usbwright_protocol::{Class, Speed};

use super::{LibusbError, topology::Topology};

/// Where Linux tells of its devices, and of their names without their being opened.
const SYSFS: &str = "/sys/bus/usb/devices";
/// The class of hubs (USB 2.0 §11.23.1), which belong to the bus.
const HUB: u8 = 9;

/// A real device, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibusbDevice {
    /// The number of its bus.
    pub bus: u8,
    /// Its address there.
    pub address: u8,
    /// The bus and the ports on the way to it, as Linux names it: `1-1.2`.
    pub path: String,
    /// Who made it.
    #[doc(alias = "idVendor")]
    pub vendor_id: u16,
    /// What it is.
    #[doc(alias = "idProduct")]
    pub product_id: u16,
    /// Its release, in BCD.
    #[doc(alias = "bcdDevice")]
    pub device_release: u16,
    /// The class of the whole device.
    #[doc(alias = "bDeviceClass")]
    pub class: Class,
    /// The class of each interface, at its first setting, of its first configuration; none where the system does not tell.
    #[doc(alias = "bInterfaceClass")]
    pub interfaces: Vec<Class>,
    /// The speed it runs at; high where the system does not know.
    pub speed: Speed,
    /// The name of its maker, where it has one that this user can read.
    #[doc(alias = "iManufacturer")]
    pub manufacturer: Option<String>,
    /// Its name, likewise.
    #[doc(alias = "iProduct")]
    pub product: Option<String>,
    /// Its serial number, likewise.
    #[doc(alias = "iSerialNumber")]
    pub serial: Option<String>,
}

impl LibusbDevice {
    /// What there is to tell of a device; it is opened for its names only where the system does not tell them.
    pub(super) fn of(device: &rusb::Device<Context>) -> Result<Self, rusb::Error> {
        let descriptor = device.device_descriptor()?;
        let path = path(device)?;
        let folder = Path::new(SYSFS).join(&path);
        let [manufacturer, product, serial] = if folder.is_dir() {
            ["manufacturer", "product", "serial"].map(|name| told(&folder.join(name)))
        } else {
            read(device, &descriptor)
        };
        Ok(Self {
            bus: device.bus_number(),
            address: device.address(),
            path,
            vendor_id: descriptor.vendor_id(),
            product_id: descriptor.product_id(),
            device_release: release(&descriptor),
            class: class(&descriptor),
            interfaces: Topology::first(device).classes(),
            speed: speed(device.speed()),
            manufacturer,
            product,
            serial,
        })
    }
}

impl fmt::Display for LibusbDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bus,
            address,
            path,
            vendor_id,
            product_id,
            ..
        } = self;
        write!(
            f,
            "{path} ({vendor_id:04x}:{product_id:04x}, bus {bus}, address {address}"
        )?;
        let names = [&self.manufacturer, &self.product];
        for name in names.into_iter().flatten() {
            write!(f, ", {}", name.escape_debug())?;
        }
        if let Some(serial) = &self.serial {
            write!(f, ", serial {}", serial.escape_debug())?;
        }
        f.write_str(")")
    }
}

/// The real devices that there are, hubs left out, in the order of their buses and addresses.
///
/// # Errors
/// Where the system has no USB.
pub fn list() -> Result<Vec<LibusbDevice>, LibusbError> {
    let context = Context::new().map_err(LibusbError::NoUsb)?;
    let present = present(&context)?;
    Ok(present.into_iter().map(|(_, device)| device).collect())
}

/// The same, each with what libusb knows it by. One that goes meanwhile is left out.
pub(super) fn present(
    context: &Context,
) -> Result<Vec<(rusb::Device<Context>, LibusbDevice)>, LibusbError> {
    let devices = context.devices().map_err(LibusbError::List)?;
    let mut present: Vec<_> = devices
        .iter()
        .filter(|device| !is_hub(device))
        .filter_map(|device| {
            let told = LibusbDevice::of(&device).ok()?;
            Some((device, told))
        })
        .collect();
    present.sort_by_key(|(_, device)| (device.bus, device.address));
    Ok(present)
}

pub(super) fn is_hub(device: &rusb::Device<Context>) -> bool {
    let descriptor = device.device_descriptor();
    descriptor.is_ok_and(|it| it.class_code() == HUB)
}

/// A device's release, in BCD.
pub(super) fn release(descriptor: &rusb::DeviceDescriptor) -> u16 {
    let rusb::Version(major, minor, sub) = descriptor.device_version();
    u16::from(major / 10) << 12
        | u16::from(major % 10) << 8
        | u16::from(minor) << 4
        | u16::from(sub)
}

pub(super) fn class(descriptor: &rusb::DeviceDescriptor) -> Class {
    Class {
        class: descriptor.class_code(),
        subclass: descriptor.sub_class_code(),
        protocol: descriptor.protocol_code(),
    }
}

pub(super) fn speed(speed: rusb::Speed) -> Speed {
    match speed {
        rusb::Speed::Low => Speed::Low,
        rusb::Speed::Full => Speed::Full,
        rusb::Speed::Super => Speed::Super,
        rusb::Speed::SuperPlus => Speed::SuperPlus,
        _ => Speed::High,
    }
}

fn path(device: &rusb::Device<Context>) -> Result<String, rusb::Error> {
    let ports: Vec<_> = device
        .port_numbers()?
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(format!("{}-{}", device.bus_number(), ports.join(".")))
}

fn told(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim_end_matches('\n');
    (!text.is_empty()).then(|| text.to_owned())
}

fn read(
    device: &rusb::Device<Context>,
    descriptor: &rusb::DeviceDescriptor,
) -> [Option<String>; 3] {
    let Ok(handle) = device.open() else {
        return [None, None, None];
    };
    let indices = [
        descriptor.manufacturer_string_index(),
        descriptor.product_string_index(),
        descriptor.serial_number_string_index(),
    ];
    indices.map(|index| handle.read_string_descriptor_ascii(index?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_in_a_line_whatever_its_names_are() {
        let device = LibusbDevice {
            bus: 1,
            address: 2,
            path: "1-1".to_owned(),
            vendor_id: 0x0525,
            product_id: 0xa4a0,
            device_release: 0,
            class: Class::VENDOR,
            interfaces: Vec::new(),
            speed: Speed::High,
            manufacturer: Some("A\nB\u{1b}".to_owned()),
            product: None,
            serial: Some("7".to_owned()),
        };
        let told = device.to_string();
        assert_eq!(
            told,
            "1-1 (0525:a4a0, bus 1, address 2, A\\nB\\u{1b}, serial 7)"
        );
    }
}
