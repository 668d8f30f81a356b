//! Finding the device that is meant, and taking it.

use std::sync::Arc;

use rusb::{Context, Device, DeviceHandle, Error};

use super::{
    LibusbDevice, LibusbError, Selector, claims::Claims, device, error::Listing, topology::Topology,
};

/// A device with all of its interfaces.
pub(super) struct Opened {
    pub(super) context: Context,
    pub(super) device: Device<Context>,
    pub(super) told: LibusbDevice,
    pub(super) topology: Topology,
    pub(super) handle: Arc<DeviceHandle<Context>>,
    pub(super) claims: Claims,
}

impl Opened {
    /// The one device that is as `selector` says.
    pub(super) fn by(selector: &Selector) -> Result<Self, LibusbError> {
        let context = Context::new().map_err(LibusbError::NoUsb)?;
        let (device, told) = choose(device::present(&context)?, selector)?;
        let handle = device.open().map_err(|cause| match cause {
            Error::Access => LibusbError::Denied {
                device: Box::new(told.clone()),
            },
            cause => refused("open", &told, cause),
        })?;
        let handle = Arc::new(handle);
        let topology = Topology::of(&device)
            .map_err(|cause| refused("read the configuration of", &told, cause))?;
        let found = topology.active.then_some(topology.configuration);
        let mut claims = Claims::new(handle.clone(), found);
        claims
            .claim(topology.interfaces())
            .map_err(|(interface, cause)| match cause {
                Error::Busy => LibusbError::InUse {
                    device: Box::new(told.clone()),
                    interface,
                },
                cause => refused("claim an interface of", &told, cause),
            })?;
        Ok(Self {
            context,
            device,
            told,
            topology,
            handle,
            claims,
        })
    }
}

pub(super) fn refused(action: &'static str, device: &LibusbDevice, cause: Error) -> LibusbError {
    LibusbError::Refused {
        action,
        device: Box::new(device.clone()),
        cause,
    }
}

/// The only device that a selector fits.
fn choose<T>(
    present: Vec<(T, LibusbDevice)>,
    selector: &Selector,
) -> Result<(T, LibusbDevice), LibusbError> {
    let (mut fitting, others): (Vec<_>, Vec<_>) = present
        .into_iter()
        .partition(|(_, told)| selector.matches(told));
    let listing = |devices: Vec<(T, LibusbDevice)>| {
        Listing(devices.into_iter().map(|(_, told)| told).collect())
    };
    let selector = Box::new(selector.clone());
    match (fitting.pop(), fitting.is_empty()) {
        (Some(device), true) => Ok(device),
        (None, _) => Err(LibusbError::NotFound {
            selector,
            present: listing(others),
        }),
        (Some(last), false) => {
            fitting.push(last);
            let matching = listing(fitting);
            Err(LibusbError::Ambiguous { selector, matching })
        }
    }
}

#[cfg(test)]
mod tests {
    use usbwright_protocol::{Class, Speed};

    use super::*;

    fn device(address: u8) -> ((), LibusbDevice) {
        let device = LibusbDevice {
            bus: 1,
            address,
            path: format!("1-{address}"),
            vendor_id: 0x0525,
            product_id: 0xa4a0,
            device_release: 0,
            class: Class::VENDOR,
            interfaces: Vec::new(),
            speed: Speed::High,
            manufacturer: None,
            product: Some("Zero".to_owned()),
            serial: None,
        };
        ((), device)
    }

    fn error(present: Vec<((), LibusbDevice)>, selector: &str) -> String {
        let selector = selector.parse().unwrap();
        choose(present, &selector).unwrap_err().to_string()
    }

    #[test]
    fn a_device_is_had_only_where_it_is_the_one_that_is_meant() {
        let both = || vec![device(2), device(3)];
        let selector = "path=1-3".parse().unwrap();
        assert_eq!(choose(both(), &selector).unwrap(), device(3));
        assert_eq!(
            error(both(), "id=0525:a4a0"),
            "more than one USB device has id=0525:a4a0: add path=… of the one that is meant; there is:\n  \
             1-2 (0525:a4a0, bus 1, address 2, Zero)\n  1-3 (0525:a4a0, bus 1, address 3, Zero)"
        );
        assert_eq!(
            error(vec![device(2)], "serial=7"),
            "no USB device has serial=7; there is:\n  1-2 (0525:a4a0, bus 1, address 2, Zero)"
        );
        assert_eq!(
            error(Vec::new(), "bus=1"),
            "no USB device has bus=1; there is none at all"
        );
    }

    #[test]
    fn who_may_not_open_a_device_is_told_what_to_do() {
        let device = Box::new(device(2).1);
        let told = LibusbError::Denied { device }.to_string();
        assert!(
            told.contains("ATTR{idVendor}==\"0525\", ATTR{idProduct}==\"a4a0\""),
            "{told}"
        );
    }
}
