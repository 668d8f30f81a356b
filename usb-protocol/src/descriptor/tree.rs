//! What descriptors mean: the typed tree of a device, its configurations, interfaces, settings and endpoints.

use bytes::Bytes;

use crate::{Class, EndpointAddress, Speed, TransferType};

/// The device descriptor (USB 2.0 §9.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceDescriptor {
    /// The release of the USB specification, in BCD.
    #[doc(alias = "bcdUSB")]
    pub usb_version: u16,
    /// The class of the whole device.
    #[doc(alias = "bDeviceClass")]
    pub class: Class,
    /// The packet size of endpoint zero as the byte has it: in bytes up to high speed, its base-2 logarithm above.
    #[doc(alias = "bMaxPacketSize0")]
    pub max_packet_size_0: u8,
    /// Who made it.
    #[doc(alias = "idVendor")]
    pub vendor_id: u16,
    /// What it is.
    #[doc(alias = "idProduct")]
    pub product_id: u16,
    /// The device's release, in BCD.
    #[doc(alias = "bcdDevice")]
    pub release: u16,
    /// The string that names its maker; 0 for none.
    #[doc(alias = "iManufacturer")]
    pub manufacturer_index: u8,
    /// The string that names it; 0 for none.
    #[doc(alias = "iProduct")]
    pub product_index: u8,
    /// The string with its serial number; 0 for none.
    #[doc(alias = "iSerialNumber")]
    pub serial_index: u8,
    /// How many configurations it has at this speed.
    #[doc(alias = "bNumConfigurations")]
    pub configurations: u8,
}

/// The device qualifier: what the device descriptor would tell at the other of full and high speed (USB 2.0 §9.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "device_qualifier")]
pub struct QualifierDescriptor {
    /// The release of the USB specification, in BCD.
    #[doc(alias = "bcdUSB")]
    pub usb_version: u16,
    /// The class of the whole device.
    #[doc(alias = "bDeviceClass")]
    pub class: Class,
    /// The packet size of endpoint zero, in bytes.
    #[doc(alias = "bMaxPacketSize0")]
    pub max_packet_size_0: u8,
    /// How many configurations there are at the other speed.
    #[doc(alias = "bNumConfigurations")]
    pub configurations: u8,
}

/// A configuration with all that belongs to it (USB 2.0 §9.6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationDescriptor {
    /// The number that SET_CONFIGURATION takes.
    #[doc(alias = "bConfigurationValue")]
    pub value: u8,
    /// The string that names it; 0 for none.
    #[doc(alias = "iConfiguration")]
    pub name_index: u8,
    /// Whether the device has power of its own.
    #[doc(alias = "bmAttributes")]
    pub self_powered: bool,
    /// Whether the device can wake the host.
    #[doc(alias = "bmAttributes")]
    pub remote_wakeup: bool,
    /// The most that the device draws from the bus, in mA.
    #[doc(alias = "bMaxPower")]
    pub max_power_ma: u16,
    /// Descriptors of other types before the first interface, encoded.
    pub extra: Bytes,
    /// Groups of interfaces that make up one function, in the order of the interfaces.
    pub associations: Vec<AssociationDescriptor>,
    /// The interfaces.
    pub interfaces: Vec<InterfaceDescriptor>,
}

impl ConfigurationDescriptor {
    /// The interface of that number.
    pub fn interface(&self, number: u8) -> Option<&InterfaceDescriptor> {
        self.interfaces
            .iter()
            .find(|interface| interface.number == number)
    }

    /// Every endpoint of every setting, in the order of the descriptors.
    pub fn endpoints(
        &self,
    ) -> impl Iterator<
        Item = (
            &InterfaceDescriptor,
            &SettingDescriptor,
            &EndpointDescriptor,
        ),
    > {
        self.interfaces.iter().flat_map(|interface| {
            interface.settings.iter().flat_map(move |setting| {
                setting
                    .endpoints
                    .iter()
                    .map(move |endpoint| (interface, setting, endpoint))
            })
        })
    }
}

/// A group of adjacent interfaces that one driver serves (Interface Association Descriptors ECN; USB 3.2 §9.6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "IAD")]
pub struct AssociationDescriptor {
    /// The number of the first interface.
    #[doc(alias = "bFirstInterface")]
    pub first: u8,
    /// How many interfaces there are.
    #[doc(alias = "bInterfaceCount")]
    pub count: u8,
    /// The class of the function.
    #[doc(alias = "bFunctionClass")]
    pub class: Class,
    /// The string that names the function; 0 for none.
    #[doc(alias = "iFunction")]
    pub name_index: u8,
}

/// An interface: its settings, of which one is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceDescriptor {
    /// Its number.
    #[doc(alias = "bInterfaceNumber")]
    pub number: u8,
    /// Its settings, never empty.
    pub settings: Vec<SettingDescriptor>,
}

impl InterfaceDescriptor {
    /// The setting of that number.
    pub fn setting(&self, alternate: u8) -> Option<&SettingDescriptor> {
        self.settings
            .iter()
            .find(|setting| setting.alternate == alternate)
    }
}

/// One setting of an interface (USB 2.0 §9.6.5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "altsetting")]
pub struct SettingDescriptor {
    /// The number that SET_INTERFACE takes.
    #[doc(alias = "bAlternateSetting")]
    pub alternate: u8,
    /// Its class.
    #[doc(alias = "bInterfaceClass")]
    pub class: Class,
    /// The string that names it; 0 for none.
    #[doc(alias = "iInterface")]
    pub name_index: u8,
    /// Descriptors of other types (those of the class) before the first endpoint, encoded.
    pub extra: Bytes,
    /// Its endpoints.
    pub endpoints: Vec<EndpointDescriptor>,
}

impl SettingDescriptor {
    /// The endpoint of that address.
    pub fn endpoint(&self, address: EndpointAddress) -> Option<&EndpointDescriptor> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.address == address)
    }
}

/// An endpoint (USB 2.0 §9.6.6), with its companion at SuperSpeed (USB 3.2 §9.6.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointDescriptor {
    /// Its number and direction.
    #[doc(alias = "bEndpointAddress")]
    pub address: EndpointAddress,
    /// How it moves data.
    #[doc(alias = "bmAttributes")]
    pub transfer_type: TransferType,
    /// The most that one packet holds, in bytes.
    #[doc(alias = "wMaxPacketSize")]
    pub max_packet_size: u16,
    /// The most packets in a service interval: 1 to 3 at high speed, (burst + 1) · (mult + 1) at SuperSpeed.
    #[doc(alias = "wMaxPacketSize")]
    pub transactions: u8,
    /// The interval as the byte has it; see [`service_interval`](Self::service_interval).
    #[doc(alias = "bInterval")]
    pub interval: u8,
    /// How an isochronous endpoint keeps time.
    #[doc(alias = "bmAttributes")]
    pub synchronization: Synchronization,
    /// What an isochronous or SuperSpeed interrupt endpoint is for.
    #[doc(alias = "bmAttributes")]
    pub usage: Usage,
    /// Two more fields, which USB Audio 1.0 has.
    pub audio: Option<AudioEndpoint>,
    /// The SuperSpeed companion.
    pub companion: Option<Companion>,
    /// Descriptors of other types that follow it, encoded.
    pub extra: Bytes,
}

impl EndpointDescriptor {
    /// How often the host serves the endpoint, in frames or microframes (see [`Speed::frame`]); 1 for bulk and control,
    /// which are served as the bus has time.
    #[doc(alias = "bInterval")]
    pub fn service_interval(&self, speed: Speed) -> u32 {
        match self.transfer_type {
            TransferType::Interrupt if speed < Speed::High => u32::from(self.interval.max(1)),
            TransferType::Interrupt | TransferType::Isochronous => {
                1 << (self.interval.clamp(1, 16) - 1)
            }
            TransferType::Bulk | TransferType::Control => 1,
        }
    }

    /// The most that moves in one service interval, in bytes; for bulk and control, in one burst.
    #[doc(alias = "wBytesPerInterval")]
    pub fn bytes_per_interval(&self) -> u32 {
        let periodic = matches!(
            self.transfer_type,
            TransferType::Interrupt | TransferType::Isochronous
        );
        match self.companion {
            Some(companion) if periodic => u32::from(companion.bytes_per_interval),
            _ => u32::from(self.max_packet_size) * u32::from(self.transactions),
        }
    }
}

/// How an isochronous endpoint keeps time (USB 2.0 §5.12.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronization {
    /// Not at all.
    #[default]
    None = 0,
    /// By a clock of its own.
    Asynchronous = 1,
    /// By the data.
    Adaptive = 2,
    /// By the start of frame.
    Synchronous = 3,
}

/// What an isochronous endpoint (USB 2.0 §5.12.4.2) or a SuperSpeed interrupt endpoint (USB 3.2 §9.6.6) is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Data.
    #[default]
    Data,
    /// Isochronous: how fast the other direction's data goes.
    Feedback,
    /// Isochronous: data, whose rate is also feedback.
    ImplicitFeedback,
    /// SuperSpeed interrupt: rare notifications, rather than periodic data.
    Notification,
}

/// The two fields that USB Audio 1.0 adds to its endpoint descriptors (USB Audio 1.0 §4.6.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioEndpoint {
    /// How often feedback comes: every 2^`refresh` frames; 0 for none.
    #[doc(alias = "bRefresh")]
    pub refresh: u8,
    /// The address of the endpoint that carries feedback; 0 for none.
    #[doc(alias = "bSynchAddress")]
    pub synch_address: u8,
}

/// The SuperSpeed endpoint companion (USB 3.2 §9.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Companion {
    /// Packets in a burst, less one: 0 to 15.
    #[doc(alias = "bMaxBurst")]
    pub burst: u8,
    /// Isochronous: bursts in a service interval, less one: 0 to 2.
    #[doc(alias = "Mult")]
    pub mult: u8,
    /// Bulk: the base-2 logarithm of the number of streams, 0 for none, at most 16.
    #[doc(alias = "MaxStreams")]
    pub streams: u8,
    /// The most that moves in a service interval of a periodic endpoint, in bytes.
    #[doc(alias = "wBytesPerInterval")]
    pub bytes_per_interval: u16,
}
