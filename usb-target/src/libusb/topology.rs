//! The interfaces and endpoints of the active configuration, as the system has read them.

use rusb::{ConfigDescriptor, Context, Device, Error};
use usbwright_protocol::{Class, EndpointAddress, TransferType};

/// The interfaces of a configuration, and which of their settings are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    /// The configuration's value.
    pub(super) configuration: u8,
    /// Whether it is the active one; otherwise none is.
    pub(super) active: bool,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    number: u8,
    /// The setting in force.
    present: u8,
    settings: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    number: u8,
    class: Class,
    endpoints: Vec<(EndpointAddress, TransferType)>,
}

impl Topology {
    /// The active configuration, each interface at setting 0; the first one, where none is active.
    pub(super) fn of(device: &Device<Context>) -> Result<Self, Error> {
        match device.active_config_descriptor() {
            Ok(descriptor) => Ok(Self::from_descriptor(&descriptor, true)),
            Err(Error::NotFound) => Ok(Self::first(device)),
            Err(error) => Err(error),
        }
    }

    /// The first configuration, whichever is active; an empty one where the system does not tell.
    pub(super) fn first(device: &Device<Context>) -> Self {
        let first = device.config_descriptor(0);
        first.map_or_else(|_| Self::default(), |it| Self::from_descriptor(&it, false))
    }

    fn from_descriptor(descriptor: &ConfigDescriptor, active: bool) -> Self {
        let interfaces = descriptor.interfaces().filter_map(|interface| {
            let settings: Vec<_> = interface.descriptors().map(|it| setting(&it)).collect();
            let first = settings.first()?.number;
            let default = settings.iter().any(|it| it.number == 0);
            Some(Interface {
                number: interface.number(),
                present: if default { 0 } else { first },
                settings,
            })
        });
        Self {
            configuration: descriptor.number(),
            active,
            interfaces: interfaces.collect(),
        }
    }

    /// The numbers of the interfaces that are there to be claimed.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = u8> {
        let active = self.active;
        let interfaces = self.interfaces.iter().filter(move |_| active);
        interfaces.map(|it| it.number)
    }

    /// The class of each interface at its present setting.
    pub(super) fn classes(&self) -> Vec<Class> {
        let present = self.interfaces.iter().filter_map(Interface::present);
        present.map(|it| it.class).collect()
    }

    /// Takes note of a setting that has come into force.
    pub(super) fn set(&mut self, interface: u8, setting: u8) {
        let mut interfaces = self.interfaces.iter_mut();
        if let Some(found) = interfaces.find(|it| it.number == interface) {
            found.present = setting;
        }
    }

    /// The type of an endpoint in the present settings; of one that they lack, the type it has in any other.
    pub(super) fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.present_type(endpoint).or_else(|| {
            let settings = self.interfaces.iter().flat_map(|it| &it.settings);
            settings.filter_map(|it| it.transfer_type(endpoint)).next()
        })
    }

    /// The type of an endpoint in the present settings.
    pub(super) fn present_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        if endpoint.is_control() {
            return Some(TransferType::Control);
        }
        let interfaces = self.interfaces.iter().filter(|_| self.active);
        let mut present = interfaces.filter_map(Interface::present);
        present.find_map(|it| it.transfer_type(endpoint))
    }
}

impl Interface {
    fn present(&self) -> Option<&Setting> {
        self.settings.iter().find(|it| it.number == self.present)
    }
}

impl Setting {
    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        let found = self.endpoints.iter().find(|(own, _)| *own == endpoint);
        found.map(|(_, transfer_type)| *transfer_type)
    }
}

fn setting(descriptor: &rusb::InterfaceDescriptor<'_>) -> Setting {
    let endpoint = |it: rusb::EndpointDescriptor<'_>| {
        let transfer_type = match it.transfer_type() {
            rusb::TransferType::Control => TransferType::Control,
            rusb::TransferType::Isochronous => TransferType::Isochronous,
            rusb::TransferType::Bulk => TransferType::Bulk,
            rusb::TransferType::Interrupt => TransferType::Interrupt,
        };
        (EndpointAddress::from_byte(it.address()), transfer_type)
    };
    Setting {
        number: descriptor.setting_number(),
        class: Class {
            class: descriptor.class_code(),
            subclass: descriptor.sub_class_code(),
            protocol: descriptor.protocol_code(),
        },
        endpoints: descriptor.endpoint_descriptors().map(endpoint).collect(),
    }
}

#[cfg(test)]
mod tests {
    use usbwright_protocol::Direction;

    use super::*;

    #[test]
    fn an_endpoint_has_the_type_of_the_setting_in_force() {
        let endpoint = EndpointAddress::new(1, Direction::In);
        let other = EndpointAddress::new(2, Direction::In);
        let setting = |number, endpoints| Setting {
            number,
            class: Class::VENDOR,
            endpoints,
        };
        let mut topology = Topology {
            configuration: 3,
            active: true,
            interfaces: vec![Interface {
                number: 0,
                present: 0,
                settings: vec![
                    setting(0, vec![(endpoint, TransferType::Bulk)]),
                    setting(
                        1,
                        vec![
                            (endpoint, TransferType::Interrupt),
                            (other, TransferType::Isochronous),
                        ],
                    ),
                ],
            }],
        };
        assert_eq!(topology.transfer_type(endpoint), Some(TransferType::Bulk));
        assert_eq!(
            topology.transfer_type(other),
            Some(TransferType::Isochronous)
        );
        assert_eq!(topology.present_type(other), None);
        topology.set(0, 1);
        assert_eq!(
            topology.present_type(endpoint),
            Some(TransferType::Interrupt)
        );
        assert_eq!(
            topology.present_type(other),
            Some(TransferType::Isochronous)
        );
        topology.active = false;
        assert_eq!(topology.present_type(other), None);
        assert_eq!(topology.interfaces().count(), 0);
        let nowhere = EndpointAddress::new(2, Direction::Out);
        assert_eq!(topology.transfer_type(nowhere), None);
    }
}
