//! What a remote device is, and which of its settings are in force, as far as that passes through its port.

use usbwright_protocol::{
    Class, DeviceSummary, EndpointAddress, RequestKind, Setup, TransferType,
    descriptor::{ConfigurationDescriptor, InterfaceDescriptor, SettingDescriptor},
    request,
};

/// What a control transfer changes if it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Configuration(u8),
    Setting { interface: u8, alternate: u8 },
}

impl Change {
    pub(super) fn of(setup: &Setup) -> Option<Self> {
        let [low, _] = setup.value.to_le_bytes();
        match (setup.kind(), setup.request_type & 0x1f, setup.request) {
            (RequestKind::Standard, 0, request::SET_CONFIGURATION) => {
                Some(Self::Configuration(low))
            }
            (RequestKind::Standard, 1, request::SET_INTERFACE) => Some(Self::Setting {
                interface: setup.interface(),
                alternate: low,
            }),
            _ => None,
        }
    }
}

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Endpoint {
    /// As in the present settings, or else in any other.
    pub(super) transfer_type: Option<TransferType>,
    /// For a periodic one, in (micro)frames; otherwise 0.
    pub(super) interval: u32,
    /// Whether the present settings have it, where these are known.
    pub(super) present: Option<bool>,
}

/// A device's descriptors, and its settings.
#[derive(Debug)]
pub(super) struct Settings {
    summary: DeviceSummary,
    /// The configurations that could be read.
    configurations: Vec<ConfigurationDescriptor>,
    /// The configuration in force, if it is known; 0 for none.
    configuration: Option<u8>,
    /// Settings other than 0 that were chosen: interface and alternate.
    alternates: Vec<(u8, u8)>,
    endpoints: [Endpoint; 32],
}

impl Settings {
    /// Those of a device as its server tells it, before anything has been asked of it.
    pub(super) fn new(summary: DeviceSummary) -> Self {
        let mut settings = Self {
            summary,
            configurations: Vec::new(),
            configuration: None,
            alternates: Vec::new(),
            endpoints: [Endpoint::default(); 32],
        };
        settings.look_up_endpoints();
        settings
    }

    /// Takes the device's configurations in.
    pub(super) fn describe(&mut self, configurations: Vec<ConfigurationDescriptor>) {
        self.configurations = configurations;
        self.look_up_endpoints();
    }

    /// A control transfer has succeeded.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Configuration(value) => {
                self.configuration = Some(value);
                self.alternates.clear();
            }
            Change::Setting {
                interface,
                alternate,
            } => {
                self.alternates.retain(|(number, _)| *number != interface);
                self.alternates.push((interface, alternate));
            }
        }
        self.look_up_endpoints();
    }

    /// The device is being reset: some servers configure it again, others do not.
    pub(super) fn reset(&mut self) {
        self.configuration = None;
        self.alternates.clear();
        self.look_up_endpoints();
    }

    #[inline]
    pub(super) fn endpoint(&self, address: EndpointAddress) -> &Endpoint {
        &self.endpoints[address.index()]
    }

    pub(super) fn summary(&self) -> DeviceSummary {
        let mut summary = self.summary.clone();
        if let Some(present) = self.present() {
            summary.configuration = present.value;
            let settings = present.interfaces.iter().map(|it| self.setting(it));
            let class = |it: Option<&SettingDescriptor>| it.map_or(Class::default(), |it| it.class);
            summary.interfaces = settings.map(class).collect();
        }
        summary
    }

    /// The configuration in force; where it is not known or there is none, the one that the server spoke of, or the first.
    fn present(&self) -> Option<&ConfigurationDescriptor> {
        let find = |value| self.configurations.iter().find(|it| it.value == value);
        let known = self.configuration.and_then(find);
        known
            .or_else(|| find(self.summary.configuration))
            .or(self.configurations.first())
    }

    /// The setting of an interface in force.
    fn setting<'a>(&self, interface: &'a InterfaceDescriptor) -> Option<&'a SettingDescriptor> {
        let mut chosen = self.alternates.iter();
        let chosen = chosen.find(|(number, _)| *number == interface.number);
        let alternate = chosen.map_or(0, |(_, alternate)| *alternate);
        let setting = interface.setting(alternate);
        setting.or(interface.settings.first())
    }

    fn look_up_endpoints(&mut self) {
        let known = match self.configuration {
            Some(0) => !self.configurations.is_empty(),
            Some(value) => self.configurations.iter().any(|it| it.value == value),
            None => false,
        };
        let mut endpoints = [Endpoint {
            present: known.then_some(false),
            ..Endpoint::default()
        }; 32];
        let speed = self.summary.speed;
        let mut tell = |setting: &SettingDescriptor, present: bool| {
            for endpoint in &setting.endpoints {
                let periodic = matches!(
                    endpoint.transfer_type,
                    TransferType::Interrupt | TransferType::Isochronous
                );
                endpoints[endpoint.address.index()] = Endpoint {
                    transfer_type: Some(endpoint.transfer_type),
                    interval: if periodic {
                        endpoint.service_interval(speed)
                    } else {
                        0
                    },
                    present: known.then_some(present),
                };
            }
        };
        // What is told last counts: the present settings, and before them the present configuration.
        let present = self.present();
        let all = self.configurations.iter().rev().chain(present);
        let interfaces = all.flat_map(|it| it.interfaces.iter().rev());
        for setting in interfaces.flat_map(|it| it.settings.iter().rev()) {
            tell(setting, false);
        }
        let none = self.configuration == Some(0);
        for interface in present.iter().flat_map(|it| &it.interfaces) {
            if let Some(setting) = self.setting(interface) {
                tell(setting, !none);
            }
        }
        for direction in [0, 16] {
            endpoints[direction] = Endpoint {
                transfer_type: Some(TransferType::Control),
                interval: 0,
                present: known.then_some(true),
            };
        }
        self.endpoints = endpoints;
    }
}

#[cfg(test)]
mod tests {
    use usbwright_protocol::Speed;

    use super::*;

    const INTERRUPT: [u8; 7] = [7, 5, 0x81, 3, 8, 0, 4];
    const ISOCHRONOUS: [u8; 7] = [7, 5, 0x82, 1, 8, 0, 1];

    /// A configuration with one interface: an interrupt endpoint, and in its other setting an isochronous one.
    fn configuration(value: u8, class: u8) -> ConfigurationDescriptor {
        let interface = |alternate| [9, 4, 0, alternate, 1, class, 0, 0, 0];
        let body = [&interface(0)[..], &INTERRUPT, &interface(1), &ISOCHRONOUS].concat();
        let total = u8::try_from(9 + body.len()).unwrap();
        let bytes = [&[9, 2, total, 0, 1, value, 0, 0x80, 0][..], &body].concat();
        ConfigurationDescriptor::parse(&bytes, Speed::High).unwrap()
    }

    fn settings() -> Settings {
        let mut settings = Settings::new(DeviceSummary {
            speed: Speed::High,
            vendor_id: 1,
            product_id: 2,
            device_release: 3,
            class: Class::PER_INTERFACE,
            configuration: 0,
            configurations: 2,
            interfaces: Vec::new(),
        });
        settings.describe(vec![configuration(1, 7), configuration(2, 8)]);
        settings
    }

    fn present(settings: &Settings, address: u8) -> Option<bool> {
        settings
            .endpoint(EndpointAddress::from_byte(address))
            .present
    }

    #[test]
    fn endpoints_have_their_types_in_any_setting_and_are_present_in_the_one_that_was_chosen() {
        let mut settings = settings();
        assert_eq!(present(&settings, 0x82), None);
        let endpoint = *settings.endpoint(EndpointAddress::from_byte(0x82));
        assert_eq!(endpoint.transfer_type, Some(TransferType::Isochronous));
        assert_eq!(endpoint.interval, 1);
        settings.apply(Change::Configuration(2));
        assert_eq!(
            [0x81, 0x82, 0x83].map(|it| present(&settings, it)),
            [Some(true), Some(false), Some(false)]
        );
        settings.apply(Change::Setting {
            interface: 0,
            alternate: 1,
        });
        assert_eq!(present(&settings, 0x81), Some(false));
        assert_eq!(present(&settings, 0x82), Some(true));
        let interval = settings.endpoint(EndpointAddress::from_byte(0x81)).interval;
        assert_eq!(interval, 8);
        settings.apply(Change::Configuration(0));
        assert_eq!(present(&settings, 0x82), Some(false));
        assert_eq!(present(&settings, 0), Some(true));
        settings.reset();
        assert_eq!(present(&settings, 0x82), None);
    }

    #[test]
    fn the_summary_tells_the_configuration_in_force() {
        let mut settings = settings();
        assert_eq!(settings.summary().configuration, 1);
        settings.apply(Change::Configuration(2));
        assert_eq!(settings.summary().configuration, 2);
        assert_eq!(settings.summary().interfaces[0].class, 8);
    }

    #[test]
    fn only_the_standard_requests_change_settings() {
        let change = |bytes| Change::of(&Setup::from_bytes(bytes));
        assert_eq!(
            change([0, 9, 3, 0, 0, 0, 0, 0]),
            Some(Change::Configuration(3))
        );
        let setting = Change::Setting {
            interface: 2,
            alternate: 1,
        };
        assert_eq!(change([1, 11, 1, 0, 2, 0, 0, 0]), Some(setting));
        assert_eq!(change([0x41, 11, 1, 0, 2, 0, 0, 0]), None);
        assert_eq!(change([1, 9, 3, 0, 0, 0, 0, 0]), None);
    }
}
