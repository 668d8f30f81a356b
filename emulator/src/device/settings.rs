//! What the host has set: the configuration, each interface's alternate setting, and the device's features.

use usbwright_protocol::{
    Class, DeviceSummary, EndpointAddress, TransferType,
    descriptor::{ConfigurationDescriptor, Descriptors},
};

/// The device's settings since it was last reset.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// The configuration's value, if one is set.
    pub(super) configuration: Option<u8>,
    /// Each interface's alternate setting, by interface number.
    pub(super) alternates: Vec<u8>,
    pub(super) remote_wakeup: bool,
    pub(super) u1: bool,
    pub(super) u2: bool,
}

impl Settings {
    /// The configuration that is set.
    pub(super) fn current<'a>(
        &self,
        descriptors: &'a Descriptors,
    ) -> Option<&'a ConfigurationDescriptor> {
        descriptors.configuration(self.configuration?)
    }

    /// The configuration that is set, or else the first: what tells of power while none is set.
    pub(super) fn current_or_first<'a>(
        &self,
        descriptors: &'a Descriptors,
    ) -> Option<&'a ConfigurationDescriptor> {
        self.current(descriptors)
            .or_else(|| descriptors.configurations().first())
    }

    /// An interface's alternate setting, where a configuration is set that has the interface.
    pub(super) fn alternate(&self, interface: u8) -> Option<u8> {
        self.alternates.get(usize::from(interface)).copied()
    }

    pub(super) fn summary(&self, descriptors: &Descriptors) -> DeviceSummary {
        let device = descriptors.device();
        let configuration = self.current_or_first(descriptors);
        DeviceSummary {
            speed: descriptors.speed(),
            vendor_id: device.vendor_id,
            product_id: device.product_id,
            device_release: device.release,
            class: device.class,
            configuration: configuration.map_or(0, |it| it.value),
            configurations: u8::try_from(descriptors.configurations().len()).unwrap_or(u8::MAX),
            interfaces: configuration.map_or_else(Vec::new, |it| self.classes(it)),
        }
    }

    fn classes(&self, configuration: &ConfigurationDescriptor) -> Vec<Class> {
        let class = |number: u8| {
            let interface = configuration.interface(number)?;
            let setting = interface.setting(self.alternate(number).unwrap_or(0))?;
            Some(setting.class)
        };
        configuration
            .interfaces
            .iter()
            .filter_map(|interface| class(interface.number))
            .collect()
    }
}

/// The type that an endpoint has in the first setting, of any configuration, that has it.
pub(super) fn type_in_any_setting(
    descriptors: &Descriptors,
    address: EndpointAddress,
) -> Option<TransferType> {
    descriptors
        .configurations()
        .iter()
        .flat_map(|configuration| &configuration.interfaces)
        .flat_map(|interface| &interface.settings)
        .flat_map(|setting| &setting.endpoints)
        .find(|endpoint| endpoint.address == address)
        .map(|endpoint| endpoint.transfer_type)
}
