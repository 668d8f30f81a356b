//! A device that steps are done with: its interfaces, which are claimed as they are needed, and its pipes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use usbwright::{
    protocol::{EndpointAddress, descriptor::InterfaceDescriptor},
    target::{AnyKind, AnyWay, Device, Interface, Pipe},
};

/// What the options choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) interface: Option<u8>,
    pub(super) alternate: Option<u8>,
    pub(super) timeout: Option<Duration>,
}

/// A device in use.
pub(super) struct Session {
    pub(super) device: Device,
    choice: Choice,
    interfaces: BTreeMap<u8, Interface>,
}

impl Session {
    pub(super) fn new(device: Device, choice: Choice) -> Self {
        device.set_control_timeout(choice.timeout);
        Self {
            device,
            choice,
            interfaces: BTreeMap::new(),
        }
    }

    /// How long a transfer may take.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.choice.timeout
    }

    /// The pipe of an endpoint, in the interface that has it and the setting that is chosen or in force.
    pub(super) async fn pipe(&mut self, address: EndpointAddress) -> anyhow::Result<Pipe> {
        let interfaces = self.present()?;
        let has = |interface: &&InterfaceDescriptor| {
            let mut settings = interface.settings.iter();
            settings.any(|setting| setting.endpoint(address).is_some())
        };
        let wanted = self.choice.interface;
        let mut candidates = interfaces
            .iter()
            .filter(|it| wanted.is_none_or(|number| it.number == number))
            .filter(has);
        let Some(found) = candidates.next() else {
            bail!(
                "there is no endpoint {address}{}; the configuration has {}",
                wanted.map_or(String::new(), |number| format!(" in interface {number}")),
                listed(&interfaces)
            );
        };
        let interface = self.claimed(found.number).await?;
        let pipe = interface.pipe::<AnyKind, AnyWay>(address);
        pipe.with_context(|| {
            let settings = found.settings.iter();
            let having = settings.filter(|it| it.endpoint(address).is_some());
            let having: Vec<_> = having.map(|it| it.alternate.to_string()).collect();
            let having = having.join(" or ");
            format!("choose a setting that has endpoint {address}: --alternate {having}")
        })
    }

    /// The interfaces of the configuration in force.
    fn present(&self) -> anyhow::Result<Vec<InterfaceDescriptor>> {
        let value = self.device.configuration();
        let value = value.context("the device is not configured: use --configuration")?;
        let description = self.device.description();
        let own = description.configuration(value);
        let own = own.with_context(|| {
            format!(
                "configuration {value} is in force, which the device does not describe: use --configuration"
            )
        })?;
        Ok(own.descriptor.interfaces.clone())
    }

    async fn claimed(&mut self, number: u8) -> anyhow::Result<Interface> {
        if let Some(interface) = self.interfaces.get(&number) {
            return Ok(interface.clone());
        }
        let interface = self.device.interface(number).await?;
        if let Some(alternate) = self.choice.alternate {
            interface.set_alternate(alternate).await?;
        }
        self.interfaces.insert(number, interface.clone());
        Ok(interface)
    }
}

/// The endpoints of interfaces, for whoever has named none of them.
fn listed(interfaces: &[InterfaceDescriptor]) -> String {
    let mut endpoints = BTreeMap::new();
    for interface in interfaces {
        for setting in &interface.settings {
            for endpoint in &setting.endpoints {
                let kind = endpoint.transfer_type.name();
                let number = interface.number;
                let told = format!("{} ({kind}, interface {number})", endpoint.address);
                endpoints.entry(endpoint.address).or_insert(told);
            }
        }
    }
    match endpoints.is_empty() {
        true => "none".to_owned(),
        false => endpoints.into_values().collect::<Vec<_>>().join(", "),
    }
}
