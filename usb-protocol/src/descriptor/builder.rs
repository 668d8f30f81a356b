//! What an author writes: a device, its configurations, interfaces and settings, as plain values.

use crate::{Class, Speed};

use super::{
    Capability, DescriptorError, Descriptors, Endpoint, MicrosoftOs10, MicrosoftOs20, WebUsb,
};

/// A device at one speed, before it is checked.
#[derive(Clone, Debug)]
pub struct Device {
    pub(super) vendor_id: u16,
    pub(super) product_id: u16,
    pub(super) release: u16,
    pub(super) class: Option<Class>,
    pub(super) usb_version: Option<u16>,
    pub(super) manufacturer: Option<String>,
    pub(super) product: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) languages: Vec<u16>,
    pub(super) strings: Vec<String>,
    pub(super) configurations: Vec<Configuration>,
    pub(super) capabilities: Vec<Capability>,
    pub(super) usb_20_extension: bool,
    pub(super) high_speed_capable: Option<bool>,
    pub(super) microsoft_os_10: Option<MicrosoftOs10>,
    pub(super) microsoft_os_20: Option<MicrosoftOs20>,
    pub(super) webusb: Option<WebUsb>,
}

impl Device {
    /// A device without configurations, release 1.00.
    #[doc(alias = "idVendor")]
    #[doc(alias = "idProduct")]
    pub fn new(vendor_id: u16, product_id: u16) -> Self {
        Self {
            vendor_id,
            product_id,
            release: 0x0100,
            class: None,
            usb_version: None,
            manufacturer: None,
            product: None,
            serial: None,
            languages: vec![0x0409],
            strings: Vec::new(),
            configurations: Vec::new(),
            capabilities: Vec::new(),
            usb_20_extension: true,
            high_speed_capable: None,
            microsoft_os_10: None,
            microsoft_os_20: None,
            webusb: None,
        }
    }

    /// The device's release, in BCD: `0x0123` is 1.23.
    #[doc(alias = "bcdDevice")]
    pub fn release(mut self, release: u16) -> Self {
        self.release = release;
        self
    }

    /// The class of the whole device. Where none is given it is [`Class::PER_INTERFACE`], or `ef/02/01` for a device
    /// with [`Association`]s.
    #[doc(alias = "bDeviceClass")]
    pub fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// The release of the USB specification, in BCD. Where none is given it follows from the speed: 3.20 at SuperSpeed,
    /// below that 2.10 for a device with a BOS and 2.00 for others.
    #[doc(alias = "bcdUSB")]
    pub fn usb_version(mut self, version: u16) -> Self {
        self.usb_version = Some(version);
        self
    }

    /// Who made it.
    #[doc(alias = "iManufacturer")]
    pub fn manufacturer(mut self, text: impl Into<String>) -> Self {
        self.manufacturer = Some(text.into());
        self
    }

    /// What it is called.
    #[doc(alias = "iProduct")]
    pub fn product(mut self, text: impl Into<String>) -> Self {
        self.product = Some(text.into());
        self
    }

    /// Its serial number.
    #[doc(alias = "iSerialNumber")]
    pub fn serial(mut self, text: impl Into<String>) -> Self {
        self.serial = Some(text.into());
        self
    }

    /// The languages in which the strings are offered; every string reads the same in each. US English (0x0409) alone
    /// where nothing else is said.
    #[doc(alias = "wLANGID")]
    pub fn languages(mut self, languages: impl IntoIterator<Item = u16>) -> Self {
        self.languages = languages.into_iter().collect();
        self
    }

    /// Adds a string that is numbered behind the device's own and before those of its configurations. Whoever names it
    /// afterwards gets that number, so that a configuration's string has the same one at every speed.
    #[doc(alias = "iConfiguration")]
    pub fn string(mut self, text: impl Into<String>) -> Self {
        self.strings.push(text.into());
        self
    }

    /// Adds a configuration; the first is the one at index 0.
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configurations.push(configuration);
        self
    }

    /// Adds a capability to the BOS (USB 3.2 §9.6.2), or replaces one that the BOS has by itself at SuperSpeed.
    #[doc(alias = "BOS")]
    pub fn capability(mut self, capability: Capability) -> Self {
        self.capabilities.push(capability);
        self
    }

    /// Leaves out the USB 2.0 extension capability that the BOS has by itself at SuperSpeed, as devices do that know no
    /// link power management.
    pub fn without_usb_20_extension(mut self) -> Self {
        self.usb_20_extension = false;
        self
    }

    /// Whether a device at full speed could also run at high speed and so has a device qualifier and other-speed
    /// configurations. Where nothing is said: yes for [`Descriptors::build`], no for [`Device::build`].
    #[doc(alias = "device_qualifier")]
    pub fn high_speed_capable(mut self, capable: bool) -> Self {
        self.high_speed_capable = Some(capable);
        self
    }

    /// Adds Microsoft OS 1.0 descriptors.
    pub fn microsoft_os_10(mut self, descriptors: MicrosoftOs10) -> Self {
        self.microsoft_os_10 = Some(descriptors);
        self
    }

    /// Adds a Microsoft OS 2.0 descriptor set, and to the BOS the capability that announces it.
    pub fn microsoft_os_20(mut self, descriptors: MicrosoftOs20) -> Self {
        self.microsoft_os_20 = Some(descriptors);
        self
    }

    /// Adds WebUSB's URL, and to the BOS the capability that announces it.
    pub fn webusb(mut self, webusb: WebUsb) -> Self {
        self.webusb = Some(webusb);
        self
    }

    /// Checks and encodes the device as it is at `speed`.
    ///
    /// At high speed the same tree is the other-speed configuration too, and has to be right at both; where the two
    /// differ use [`Descriptors::build`].
    pub fn build(self, speed: Speed) -> Result<Descriptors, DescriptorError> {
        let capable = self.high_speed_capable.unwrap_or(false);
        Descriptors::build(speed, |_| self.clone().high_speed_capable(capable))
    }
}

/// A configuration (USB 2.0 §9.6.3).
#[derive(Clone, Debug)]
pub struct Configuration {
    pub(super) value: u8,
    pub(super) name: Option<String>,
    pub(super) self_powered: bool,
    pub(super) remote_wakeup: bool,
    pub(super) max_power: u16,
    pub(super) extra: Vec<u8>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) associations: Vec<Association>,
}

impl Configuration {
    /// The configuration that SET_CONFIGURATION calls `value`; powered by the bus, of which it draws nothing.
    #[doc(alias = "bConfigurationValue")]
    pub fn new(value: u8) -> Self {
        Self {
            value,
            name: None,
            self_powered: false,
            remote_wakeup: false,
            max_power: 0,
            extra: Vec::new(),
            interfaces: Vec::new(),
            associations: Vec::new(),
        }
    }

    /// What it is called.
    #[doc(alias = "iConfiguration")]
    pub fn name(mut self, text: impl Into<String>) -> Self {
        self.name = Some(text.into());
        self
    }

    /// The device has power of its own.
    #[doc(alias = "bmAttributes")]
    pub fn self_powered(mut self) -> Self {
        self.self_powered = true;
        self
    }

    /// The device can wake the host.
    #[doc(alias = "bmAttributes")]
    pub fn remote_wakeup(mut self) -> Self {
        self.remote_wakeup = true;
        self
    }

    /// The most that the device draws from the bus, in mA; rounded up to the unit of the descriptor, 2 mA or (at
    /// SuperSpeed) 8 mA.
    #[doc(alias = "bMaxPower")]
    pub fn max_power(mut self, milliamperes: u16) -> Self {
        self.max_power = milliamperes;
        self
    }

    /// Appends encoded descriptors of other types, to stand before the first interface.
    pub fn extra(mut self, descriptors: impl AsRef<[u8]>) -> Self {
        self.extra.extend_from_slice(descriptors.as_ref());
        self
    }

    /// Adds an interface. They are numbered from 0 in the order in which they are added.
    pub fn interface(mut self, interface: Interface) -> Self {
        self.interfaces.push(interface);
        self
    }

    /// Adds an association of interfaces.
    pub fn association(mut self, association: Association) -> Self {
        self.associations.push(association);
        self
    }
}

/// A group of adjacent interfaces that one driver serves (Interface Association Descriptors ECN; USB 3.2 §9.6.4).
#[derive(Clone, Debug)]
#[doc(alias = "IAD")]
pub struct Association {
    pub(super) first: u8,
    pub(super) count: u8,
    pub(super) class: Class,
    pub(super) name: Option<String>,
}

impl Association {
    /// The `count` interfaces from number `first`, as one function of `class`.
    #[doc(alias = "bFirstInterface")]
    #[doc(alias = "bInterfaceCount")]
    #[doc(alias = "bFunctionClass")]
    pub fn new(first: u8, count: u8, class: Class) -> Self {
        Self {
            first,
            count,
            class,
            name: None,
        }
    }

    /// What the function is called.
    #[doc(alias = "iFunction")]
    pub fn name(mut self, text: impl Into<String>) -> Self {
        self.name = Some(text.into());
        self
    }
}

/// An interface: its settings.
#[derive(Clone, Debug)]
pub struct Interface {
    pub(super) number: u8,
    pub(super) settings: Vec<Setting>,
}

impl Interface {
    /// The interface of that number, without settings.
    #[doc(alias = "bInterfaceNumber")]
    pub fn new(number: u8) -> Self {
        Self {
            number,
            settings: Vec::new(),
        }
    }

    /// Adds a setting. The first is the default, alternate 0; those after it are alternates 1, 2 and so on.
    #[doc(alias = "bAlternateSetting")]
    pub fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }
}

/// One setting of an interface (USB 2.0 §9.6.5).
#[derive(Clone, Debug)]
#[doc(alias = "altsetting")]
pub struct Setting {
    pub(super) class: Class,
    pub(super) name: Option<String>,
    pub(super) extra: Vec<u8>,
    pub(super) endpoints: Vec<Endpoint>,
}

impl Setting {
    /// A setting of that class, without endpoints.
    #[doc(alias = "bInterfaceClass")]
    pub fn new(class: Class) -> Self {
        Self {
            class,
            name: None,
            extra: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    /// What it is called.
    #[doc(alias = "iInterface")]
    pub fn name(mut self, text: impl Into<String>) -> Self {
        self.name = Some(text.into());
        self
    }

    /// Appends encoded descriptors of its class, to stand before the endpoints.
    pub fn extra(mut self, descriptors: impl AsRef<[u8]>) -> Self {
        self.extra.extend_from_slice(descriptors.as_ref());
        self
    }

    /// Adds an endpoint.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }
}
