//! Every descriptor of a device at one speed, encoded once and looked up by endpoint zero.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::{Recipient, RequestKind, Setup, Speed};

use super::{
    ConfigurationDescriptor, DescriptorError, Device, DeviceDescriptor, PlatformCapability,
    compile::{self, Compiled},
    error::Site,
    kind, microsoft,
    strings::{StringTable, Strings},
    webusb,
};

/// The checked and encoded descriptors of a device at one speed. Clones share one allocation, and so do the answers.
#[derive(Clone, Debug)]
pub struct Descriptors {
    set: Arc<Set>,
}

#[derive(Debug)]
struct Set {
    speed: Speed,
    running: Compiled,
    device: Bytes,
    other: Option<OtherSpeed>,
    strings: Strings,
    vendor: VendorAnswers,
}

/// What a device tells of itself at the speed at which it does not run.
#[derive(Debug)]
struct OtherSpeed {
    qualifier: Bytes,
    configurations: Vec<Bytes>,
}

impl Descriptors {
    /// Checks and encodes the device that `device` gives for `speed`.
    ///
    /// At full and high speed it is asked for the other of the two also, for the device qualifier and the other-speed
    /// configurations; at full speed a device that is not [`Device::high_speed_capable`] does without.
    pub fn build(speed: Speed, device: impl Fn(Speed) -> Device) -> Result<Self, DescriptorError> {
        let site = Site::device(speed);
        let authored = device(speed);
        let mut strings = StringTable::default();
        let (vendor, platforms) = VendorAnswers::of(&authored, site)?;
        let running = compile::device(&authored, platforms, speed, &mut strings)?;
        let other = match speed {
            Speed::High => Some(Speed::Full),
            Speed::Full if authored.high_speed_capable.unwrap_or(true) => Some(Speed::High),
            _ => None,
        };
        let other = other
            .map(|speed| OtherSpeed::of(&device(speed), speed, &mut strings))
            .transpose()?;
        let microsoft = authored.microsoft_os_10.as_ref().map(|own| own.string());
        Ok(Self {
            set: Arc::new(Set {
                speed,
                device: Bytes::copy_from_slice(&running.device.to_bytes()),
                running,
                other,
                strings: strings.finish(&authored.languages, microsoft, site)?,
                vendor,
            }),
        })
    }

    /// The speed they are for.
    pub fn speed(&self) -> Speed {
        self.set.speed
    }

    /// The device descriptor.
    pub fn device(&self) -> &DeviceDescriptor {
        &self.set.running.device
    }

    /// The configurations in the order of their indices.
    pub fn configurations(&self) -> &[ConfigurationDescriptor] {
        &self.set.running.configurations
    }

    /// The configuration that SET_CONFIGURATION calls `value`.
    pub fn configuration(&self, value: u8) -> Option<&ConfigurationDescriptor> {
        let mut configurations = self.configurations().iter();
        configurations.find(|configuration| configuration.value == value)
    }

    /// What GET_DESCRIPTOR answers, whole; `None` where the device stalls. `language` matters to strings only.
    #[doc(alias = "GET_DESCRIPTOR")]
    pub fn get(&self, kind: u8, index: u8, language: u16) -> Option<Bytes> {
        let Set {
            running,
            other,
            strings,
            ..
        } = &*self.set;
        let position = usize::from(index);
        match (kind, index) {
            (kind::DEVICE, 0) => Some(self.set.device.clone()),
            (kind::CONFIGURATION, _) => running.encoded.get(position).cloned(),
            (kind::STRING, _) => strings.get(index, language),
            (kind::DEVICE_QUALIFIER, 0) => Some(other.as_ref()?.qualifier.clone()),
            (kind::OTHER_SPEED_CONFIGURATION, _) => {
                other.as_ref()?.configurations.get(position).cloned()
            }
            (kind::BOS, 0) => running.bos.clone(),
            _ => None,
        }
    }

    /// What a vendor request for Microsoft's descriptors or WebUSB's URL answers, whole; `None` for other requests.
    pub fn vendor_request(&self, setup: &Setup) -> Option<Bytes> {
        let inward = setup.request_type & 0x80 != 0;
        if setup.kind() != RequestKind::Vendor || !inward {
            return None;
        }
        self.set.vendor.get(setup)
    }
}

impl OtherSpeed {
    fn of(
        authored: &Device,
        speed: Speed,
        strings: &mut StringTable,
    ) -> Result<Self, DescriptorError> {
        let (_, platforms) = VendorAnswers::of(authored, Site::device(speed))?;
        let compiled = compile::device(authored, platforms, speed, strings)?;
        let configurations = compiled.encoded.iter().map(|bytes| {
            let mut bytes = BytesMut::from(&bytes[..]);
            bytes[1] = kind::OTHER_SPEED_CONFIGURATION;
            bytes.freeze()
        });
        Ok(Self {
            qualifier: Bytes::copy_from_slice(&compiled.device.qualifier()),
            configurations: configurations.collect(),
        })
    }
}

/// The answers to vendor requests, each with the request's code.
#[derive(Debug, Default)]
struct VendorAnswers {
    compatible_ids: Option<(u8, Bytes)>,
    properties: Vec<(u8, u8, Bytes)>,
    set: Option<(u8, Bytes)>,
    url: Option<(u8, Bytes)>,
}

impl VendorAnswers {
    /// The answers, and the capabilities that announce them.
    fn of(device: &Device, site: Site) -> Result<(Self, Vec<PlatformCapability>), DescriptorError> {
        let configurations = device.configurations.iter();
        let interfaces: Vec<usize> = configurations.map(|own| own.interfaces.len()).collect();
        let first = interfaces.first().copied().unwrap_or(0);
        let mut answers = Self::default();
        let mut platforms = Vec::new();
        if let Some(own) = &device.microsoft_os_10 {
            let code = own.vendor_code();
            answers.compatible_ids = Some((code, own.compatible_ids(first, site)?));
            let properties = own.properties(first, site)?.into_iter();
            answers.properties = properties
                .map(|(interface, bytes)| (code, interface, bytes))
                .collect();
        }
        if let Some(own) = &device.microsoft_os_20 {
            let set = own.set(&interfaces, site)?;
            platforms.push(own.capability(set.len() as u16));
            answers.set = Some((own.vendor_code(), set));
        }
        if let Some(own) = &device.webusb {
            platforms.push(own.capability());
            answers.url = own.url(site)?.map(|url| (own.vendor_code(), url));
        }
        Ok((answers, platforms))
    }

    fn get(&self, setup: &Setup) -> Option<Bytes> {
        let to_device = setup.recipient() == Recipient::Device;
        let answer = match (setup.index, setup.value) {
            // The high byte names an interface, which does not matter; the low one a page of 64 KiB.
            (microsoft::COMPATIBLE_IDS, value) if to_device && value & 0xff == 0 => {
                &self.compatible_ids
            }
            (microsoft::PROPERTIES, value) => return self.properties_of(setup.request, value),
            (microsoft::SET, 0) if to_device => &self.set,
            (webusb::GET_URL, webusb::LANDING_PAGE) if to_device => &self.url,
            _ => return None,
        };
        let (code, bytes) = answer.as_ref()?;
        (*code == setup.request).then(|| bytes.clone())
    }

    fn properties_of(&self, request: u8, value: u16) -> Option<Bytes> {
        let [page, interface] = value.to_le_bytes();
        let mut properties = self.properties.iter();
        let (_, _, bytes) =
            properties.find(|(code, own, _)| (*code, *own, 0) == (request, interface, page))?;
        Some(bytes.clone())
    }
}
