//! From the typed tree to bytes.

use bytes::{BufMut, Bytes};

use crate::{Class, Speed, TransferType};

use super::{
    AssociationDescriptor, Companion, ConfigurationDescriptor, DescriptorError, DeviceDescriptor,
    EndpointDescriptor, SettingDescriptor, Usage,
    compile::power_unit,
    error::{Rule, Site},
    kind,
};

impl DeviceDescriptor {
    /// The eighteen bytes.
    pub fn to_bytes(&self) -> [u8; 18] {
        let mut bytes = [0; 18];
        let mut rest = &mut bytes[..];
        rest.put_slice(&[18, kind::DEVICE]);
        rest.put_u16_le(self.usb_version);
        put_class(&mut rest, self.class);
        rest.put_u8(self.max_packet_size_0);
        rest.put_u16_le(self.vendor_id);
        rest.put_u16_le(self.product_id);
        rest.put_u16_le(self.release);
        rest.put_slice(&[
            self.manufacturer_index,
            self.product_index,
            self.serial_index,
            self.configurations,
        ]);
        bytes
    }

    /// The ten bytes of the device qualifier that tells this descriptor to a host at the other speed (USB 2.0 §9.6.2).
    pub(super) fn qualifier(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        let mut rest = &mut bytes[..];
        rest.put_slice(&[10, kind::DEVICE_QUALIFIER]);
        rest.put_u16_le(self.usb_version);
        put_class(&mut rest, self.class);
        rest.put_slice(&[self.max_packet_size_0, self.configurations]);
        bytes
    }
}

const TOTAL: Rule = (
    "a configuration has at most 65535 bytes with all that belongs to it",
    "USB 2.0 §9.6.3",
);
const INTERFACES: Rule = (
    "a configuration has at most 255 interfaces",
    "USB 2.0 §9.6.3",
);
const ENDPOINTS: Rule = ("a setting has at most 30 endpoints", "USB 2.0 §9.6.5");

impl ConfigurationDescriptor {
    /// The bytes with all that belongs to it; counts and totals are computed.
    ///
    /// Fails where they do not fit their fields.
    pub fn encode(&self, speed: Speed) -> Result<Bytes, DescriptorError> {
        let site = Site::device(speed).configuration(self.value);
        let count = self.interfaces.len();
        let fits = count <= usize::from(u8::MAX);
        site.require(fits, "bNumInterfaces", count, INTERFACES)?;
        let attributes =
            1 << 7 | u8::from(self.self_powered) << 6 | u8::from(self.remote_wakeup) << 5;
        let power = self.max_power_ma.div_ceil(power_unit(speed));
        let mut bytes = vec![9, kind::CONFIGURATION, 0, 0, count as u8];
        bytes.extend([self.value, self.name_index, attributes]);
        bytes.push(u8::try_from(power).unwrap_or(u8::MAX));
        bytes.extend(&self.extra);
        let numbers = || self.interfaces.iter().map(|interface| interface.number);
        let astray = |association: &&AssociationDescriptor| {
            numbers().all(|number| number != association.first)
        };
        self.associations
            .iter()
            .filter(astray)
            .for_each(|association| association.encode(&mut bytes));
        for interface in &self.interfaces {
            self.associations
                .iter()
                .filter(|association| association.first == interface.number)
                .for_each(|association| association.encode(&mut bytes));
            let site = site.interface(interface.number);
            for setting in &interface.settings {
                setting.encode(interface.number, &mut bytes, site)?;
            }
        }
        let total = u16::try_from(bytes.len());
        site.require(total.is_ok(), "wTotalLength", bytes.len(), TOTAL)?;
        bytes[2..4].copy_from_slice(&total.unwrap_or(u16::MAX).to_le_bytes());
        Ok(bytes.into())
    }
}

impl AssociationDescriptor {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend([8, kind::INTERFACE_ASSOCIATION, self.first, self.count]);
        put_class(bytes, self.class);
        bytes.push(self.name_index);
    }
}

impl SettingDescriptor {
    fn encode(&self, number: u8, bytes: &mut Vec<u8>, site: Site) -> Result<(), DescriptorError> {
        let site = site.alternate(self.alternate);
        let count = self.endpoints.len();
        site.require(count <= 30, "bNumEndpoints", count, ENDPOINTS)?;
        bytes.extend([9, kind::INTERFACE, number, self.alternate, count as u8]);
        put_class(bytes, self.class);
        bytes.push(self.name_index);
        bytes.extend(&self.extra);
        for endpoint in &self.endpoints {
            endpoint.encode(bytes, site.speed);
        }
        Ok(())
    }
}

impl EndpointDescriptor {
    fn encode(&self, bytes: &mut Vec<u8>, speed: Speed) {
        let periodic = matches!(
            self.transfer_type,
            TransferType::Interrupt | TransferType::Isochronous
        );
        let more = match speed {
            Speed::High if periodic => u16::from(self.transactions.clamp(1, 3) - 1),
            _ => 0,
        };
        let length = if self.audio.is_some() { 9 } else { 7 };
        bytes.extend([length, kind::ENDPOINT, self.address.byte()]);
        bytes.push(self.attributes());
        bytes.put_u16_le(self.max_packet_size & 0x07ff | more << 11);
        bytes.push(self.interval);
        if let Some(audio) = self.audio {
            bytes.extend([audio.refresh, audio.synch_address]);
        }
        if let Some(companion) = self.companion {
            companion.encode(bytes, self.transfer_type);
        }
        bytes.extend(&self.extra);
    }

    fn attributes(&self) -> u8 {
        let usage = match self.usage {
            Usage::Data => 0,
            Usage::Feedback | Usage::Notification => 1,
            Usage::ImplicitFeedback => 2,
        };
        usage << 4 | (self.synchronization as u8) << 2 | self.transfer_type as u8
    }
}

impl Companion {
    fn encode(self, bytes: &mut Vec<u8>, transfer_type: TransferType) {
        let attributes = match transfer_type {
            TransferType::Bulk => self.streams,
            TransferType::Isochronous => self.mult,
            TransferType::Control | TransferType::Interrupt => 0,
        };
        bytes.extend([6, kind::SUPERSPEED_ENDPOINT_COMPANION]);
        bytes.extend([self.burst, attributes]);
        bytes.put_u16_le(self.bytes_per_interval);
    }
}

fn put_class(bytes: &mut impl BufMut, class: Class) {
    bytes.put_slice(&[class.class, class.subclass, class.protocol]);
}
