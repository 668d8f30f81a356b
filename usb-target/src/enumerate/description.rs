//! What a device has told of itself, to be looked up.

use std::collections::BTreeMap;

use bytes::Bytes;
use usbwright_protocol::{
    EndpointAddress, Speed,
    descriptor::{
        BosDescriptor, ConfigurationDescriptor, DeviceDescriptor, EndpointDescriptor,
        QualifierDescriptor, RawDescriptors, SettingDescriptor,
    },
};

use super::Defect;

/// A descriptor as it came, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched<T> {
    /// What it means.
    pub descriptor: T,
    /// The bytes that came, with all that belongs to it.
    pub bytes: Bytes,
}

/// What a device has told of itself; see [`enumerate`](super::enumerate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub(super) speed: Speed,
    pub(super) device: Fetched<DeviceDescriptor>,
    pub(super) configurations: Vec<Fetched<ConfigurationDescriptor>>,
    pub(super) bos: Option<Fetched<BosDescriptor>>,
    pub(super) qualifier: Option<Fetched<QualifierDescriptor>>,
    pub(super) other_speed: Vec<Fetched<ConfigurationDescriptor>>,
    pub(super) languages: Vec<u16>,
    pub(super) strings: BTreeMap<u8, String>,
    pub(super) defects: Vec<Defect>,
}

impl Description {
    /// The speed it runs at.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// The device descriptor.
    pub fn device(&self) -> &Fetched<DeviceDescriptor> {
        &self.device
    }

    /// The configurations by their indices; never empty.
    pub fn configurations(&self) -> &[Fetched<ConfigurationDescriptor>] {
        &self.configurations
    }

    /// The first configuration that SET_CONFIGURATION calls `value`.
    #[doc(alias = "bConfigurationValue")]
    pub fn configuration(&self, value: u8) -> Option<&Fetched<ConfigurationDescriptor>> {
        let mut configurations = self.configurations.iter();
        configurations.find(|configuration| configuration.descriptor.value == value)
    }

    /// The descriptor of an endpoint of a configuration in a setting of an interface.
    pub fn endpoint(
        &self,
        configuration: u8,
        interface: u8,
        alternate: u8,
        endpoint: EndpointAddress,
    ) -> Option<&EndpointDescriptor> {
        let configuration = &self.configuration(configuration)?.descriptor;
        let setting = configuration.interface(interface)?.setting(alternate)?;
        setting.endpoint(endpoint)
    }

    /// What it can do beyond the device descriptor, where it tells.
    #[doc(alias = "BOS")]
    pub fn bos(&self) -> Option<&Fetched<BosDescriptor>> {
        self.bos.as_ref()
    }

    /// What the device descriptor would tell at the other of full and high speed; `None` where it runs at one of them only.
    #[doc(alias = "device_qualifier")]
    pub fn qualifier(&self) -> Option<&Fetched<QualifierDescriptor>> {
        self.qualifier.as_ref()
    }

    /// The other of full and high speed, for a device that runs at one of them.
    pub fn other_speed(&self) -> Option<Speed> {
        other_speed(self.speed)
    }

    /// The configurations at the other of full and high speed, by their indices.
    pub fn other_speed_configurations(&self) -> &[Fetched<ConfigurationDescriptor>] {
        &self.other_speed
    }

    /// The languages of its strings; empty where no descriptor names a string, or where it lists none.
    #[doc(alias = "wLANGID")]
    pub fn languages(&self) -> &[u16] {
        &self.languages
    }

    /// A string that a descriptor names, in the first language. `None` for index 0, and where the device has no such string.
    pub fn string(&self, index: u8) -> Option<&str> {
        self.strings.get(&index).map(String::as_str)
    }

    /// Every string that was read, with its index.
    pub fn strings(&self) -> impl Iterator<Item = (u8, &str)> {
        let strings = self.strings.iter();
        strings.map(|(index, text)| (*index, text.as_str()))
    }

    /// What is wrong with the device and yet keeps nobody from using it, in the order in which it was found.
    pub fn defects(&self) -> &[Defect] {
        &self.defects
    }

    /// Every string that a descriptor names, in the order in which a host asks: the device's first. Some are there twice.
    pub(super) fn named_strings(&self) -> Vec<u8> {
        let device = &self.device.descriptor;
        let mut named = vec![
            device.product_index,
            device.manufacturer_index,
            device.serial_index,
        ];
        for configuration in self.configurations.iter().chain(&self.other_speed) {
            let configuration = &configuration.descriptor;
            named.push(configuration.name_index);
            named.extend(configuration.associations.iter().map(|it| it.name_index));
            let interfaces = configuration.interfaces.iter();
            for setting in interfaces.flat_map(|interface| &interface.settings) {
                named.push(setting.name_index);
                named.extend(class_strings(setting));
            }
        }
        named.retain(|index| *index != 0);
        named
    }
}

/// The other of full and high speed.
pub(super) fn other_speed(speed: Speed) -> Option<Speed> {
    match speed {
        Speed::Full => Some(Speed::High),
        Speed::High => Some(Speed::Full),
        Speed::Low | Speed::Super | Speed::SuperPlus => None,
    }
}

/// The strings that a communications interface's own descriptors name: of networking, of countries and of network channels
/// (USB CDC 1.2 §5.2.3; ECM 1.2 §5.4: the address of an Ethernet adapter is a string).
#[doc(alias = "iMACAddress")]
fn class_strings(setting: &SettingDescriptor) -> impl Iterator<Item = u8> {
    const COMMUNICATIONS: u8 = 2;
    const CS_INTERFACE: u8 = 0x24;
    let known = setting.class.class == COMMUNICATIONS;
    let extra: &[u8] = if known { &setting.extra } else { &[] };
    let descriptors = RawDescriptors::new(extra).flatten();
    descriptors.filter_map(|raw| match *raw.bytes {
        [_, CS_INTERFACE, 0x0f | 0x07, index, ..] => Some(index),
        [_, CS_INTERFACE, 0x0a, _, index, ..] => Some(index),
        _ => None,
    })
}
