//! Microsoft OS descriptors 1.0 and 2.0: which of its drivers Windows takes, and what it writes to the registry.

use bytes::{BufMut, Bytes};

use super::{
    DescriptorError, PlatformCapability,
    error::{Rule, Site},
    strings,
};

const REFERENCE_10: &str = "Microsoft OS 1.0 Descriptors Specification";
const REFERENCE_20: &str = "Microsoft OS 2.0 Descriptors Specification";

const COMPATIBLE_ID: Rule = ("an id has at most 8 of A-Z, 0-9 and _", REFERENCE_20);
const FUNCTIONS: Rule = ("there are at most 255 functions", REFERENCE_10);
const SET_LENGTH: Rule = ("a set has at most 65535 bytes", REFERENCE_20);
const PROPERTY_LENGTH: Rule = (
    "a property has at most 65535 bytes with its name and value",
    REFERENCE_20,
);
const PROPERTY_NAME: Rule = ("a property has a name", REFERENCE_20);
const FIRST_INTERFACE: Rule = ("the configuration has no such interface", REFERENCE_20);
const CONFIGURATION: Rule = ("the device has no such configuration", REFERENCE_20);
const FUNCTION_ONCE: Rule = ("each function is there once", REFERENCE_20);

/// `wIndex` of the requests.
pub(super) const COMPATIBLE_IDS: u16 = 4;
pub(super) const PROPERTIES: u16 = 5;
pub(super) const SET: u16 = 7;

/// A value in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "wPropertyDataType")]
pub enum RegistryValue {
    /// Text.
    #[doc(alias = "REG_SZ")]
    Text(String),
    /// Text that names environment variables.
    #[doc(alias = "REG_EXPAND_SZ")]
    ExpandText(String),
    /// Bytes.
    #[doc(alias = "REG_BINARY")]
    Binary(Vec<u8>),
    /// A number, little-endian.
    #[doc(alias = "REG_DWORD_LITTLE_ENDIAN")]
    Number(u32),
    /// A number, big-endian.
    #[doc(alias = "REG_DWORD_BIG_ENDIAN")]
    NumberBigEndian(u32),
    /// A symbolic link.
    #[doc(alias = "REG_LINK")]
    Link(String),
    /// Several texts.
    #[doc(alias = "REG_MULTI_SZ")]
    Texts(Vec<String>),
}

impl RegistryValue {
    fn kind(&self) -> u8 {
        match self {
            Self::Text(_) => 1,
            Self::ExpandText(_) => 2,
            Self::Binary(_) => 3,
            Self::Number(_) => 4,
            Self::NumberBigEndian(_) => 5,
            Self::Link(_) => 6,
            Self::Texts(_) => 7,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Self::Text(text) | Self::ExpandText(text) | Self::Link(text) => terminated(text),
            Self::Binary(bytes) => bytes.clone(),
            Self::Number(number) => number.to_le_bytes().to_vec(),
            Self::NumberBigEndian(number) => number.to_be_bytes().to_vec(),
            Self::Texts(texts) => {
                let mut bytes: Vec<u8> = texts.iter().flat_map(|text| terminated(text)).collect();
                bytes.put_u16_le(0);
                bytes
            }
        }
    }
}

/// UTF-16LE with a NUL.
fn terminated(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().chain([0]);
    units.flat_map(u16::to_le_bytes).collect()
}

/// A property, encoded and found to fit.
fn property(
    name: &str,
    value: &RegistryValue,
    site: Site,
) -> Result<(Vec<u8>, Vec<u8>), DescriptorError> {
    site.require(!name.is_empty(), "PropertyName", "empty", PROPERTY_NAME)?;
    let (name, data) = (terminated(name), value.data());
    let longest = name.len().max(data.len());
    let found = format_args!("{longest} bytes");
    let fits = longest <= usize::from(u16::MAX);
    site.require(fits, "wPropertyDataLength", found, PROPERTY_LENGTH)?;
    Ok((name, data))
}

/// A compatible id and a sub-compatible id, padded.
fn ids(compatible: &str, sub: &str, site: Site) -> Result<[u8; 16], DescriptorError> {
    let mut bytes = [0; 16];
    let fields = [(compatible, "CompatibleID", 0), (sub, "SubCompatibleID", 8)];
    for (id, field, offset) in fields {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let fine = id.len() <= 8 && id.bytes().all(legal);
        site.require(fine, field, format_args!("{id:?}"), COMPATIBLE_ID)?;
        bytes[offset..offset + id.len()].copy_from_slice(id.as_bytes());
    }
    Ok(bytes)
}

/// Microsoft OS 1.0 descriptors: compatible ids and registry properties, which Windows asks for by a vendor request
/// after it has read string 0xee.
#[derive(Clone, Debug)]
pub struct MicrosoftOs10 {
    vendor_code: u8,
    functions: Vec<(u8, String, String)>,
    properties: Vec<(u8, String, RegistryValue)>,
}

impl MicrosoftOs10 {
    /// No functions yet. Windows uses `vendor_code` in its requests; the 2.0 set and WebUSB may share it.
    #[doc(alias = "bMS_VendorCode")]
    pub fn new(vendor_code: u8) -> Self {
        Self {
            vendor_code,
            functions: Vec::new(),
            properties: Vec::new(),
        }
    }

    /// The ids of the function that begins at `first_interface`; `sub_compatible` may be empty.
    #[doc(alias = "compatibleID")]
    #[doc(alias = "subCompatibleID")]
    #[doc(alias = "bFirstInterfaceNumber")]
    pub fn function(
        mut self,
        first_interface: u8,
        compatible: impl Into<String>,
        sub_compatible: impl Into<String>,
    ) -> Self {
        let function = (first_interface, compatible.into(), sub_compatible.into());
        self.functions.push(function);
        self
    }

    /// A registry property of the function that begins at `first_interface`.
    #[doc(alias = "bPropertyName")]
    pub fn property(
        mut self,
        first_interface: u8,
        name: impl Into<String>,
        value: RegistryValue,
    ) -> Self {
        self.properties.push((first_interface, name.into(), value));
        self
    }

    pub(super) fn vendor_code(&self) -> u8 {
        self.vendor_code
    }

    /// String 0xee, which announces the rest.
    pub(super) fn string(&self) -> Bytes {
        let signature = "MSFT100".encode_utf16();
        strings::encode(signature.chain([u16::from(self.vendor_code)]))
    }

    /// The compatible ids of all functions, where there are `interfaces`.
    pub(super) fn compatible_ids(
        &self,
        interfaces: usize,
        site: Site,
    ) -> Result<Bytes, DescriptorError> {
        let count = u8::try_from(self.functions.len());
        let found = self.functions.len();
        site.require(count.is_ok(), "bCount", found, FUNCTIONS)?;
        let mut bytes = header_10(16 + 24 * found, COMPATIBLE_IDS);
        bytes.put_u8(count.unwrap_or(u8::MAX));
        bytes.put_bytes(0, 7);
        for (position, (first, compatible, sub)) in self.functions.iter().enumerate() {
            let field = "bFirstInterfaceNumber";
            let known = usize::from(*first) < interfaces;
            site.require(known, field, first, FIRST_INTERFACE)?;
            let mut before = self.functions[..position].iter();
            let once = !before.any(|(other, ..)| other == first);
            site.require(once, field, first, FUNCTION_ONCE)?;
            bytes.extend([*first, 1]);
            bytes.extend(ids(compatible, sub, site)?);
            bytes.put_bytes(0, 6);
        }
        Ok(bytes.into())
    }

    /// The properties of each function that has any.
    pub(super) fn properties(
        &self,
        interfaces: usize,
        site: Site,
    ) -> Result<Vec<(u8, Bytes)>, DescriptorError> {
        let mut firsts: Vec<u8> = self.properties.iter().map(|(first, ..)| *first).collect();
        firsts.sort_unstable();
        firsts.dedup();
        let mut all = Vec::with_capacity(firsts.len());
        for first in firsts {
            let known = usize::from(first) < interfaces;
            site.require(known, "wValue", first, FIRST_INTERFACE)?;
            all.push((first, self.properties_of(first, site)?));
        }
        Ok(all)
    }

    fn properties_of(&self, first: u8, site: Site) -> Result<Bytes, DescriptorError> {
        let mut sections = Vec::new();
        let mut count = 0u16;
        for (_, name, value) in self.properties.iter().filter(|(own, ..)| *own == first) {
            let (name, data) = property(name, value, site)?;
            sections.put_u32_le((14 + name.len() + data.len()) as u32);
            sections.put_u32_le(u32::from(value.kind()));
            sections.put_u16_le(name.len() as u16);
            sections.put_slice(&name);
            sections.put_u32_le(data.len() as u32);
            sections.put_slice(&data);
            count = count.saturating_add(1);
        }
        let mut bytes = header_10(10 + sections.len(), PROPERTIES);
        bytes.put_u16_le(count);
        bytes.extend(sections);
        let length = bytes.len();
        let fits = length <= usize::from(u16::MAX);
        site.require(fits, "dwLength", length, SET_LENGTH)?;
        Ok(bytes.into())
    }
}

fn header_10(length: usize, index: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    bytes.put_u32_le(length as u32);
    bytes.put_u16_le(0x0100);
    bytes.put_u16_le(index);
    bytes
}

/// What Windows is told of a device or a function by Microsoft OS 2.0 descriptors.
#[derive(Clone, Debug, Default)]
pub struct MicrosoftFeatures {
    features: Vec<Feature>,
}

#[derive(Clone, Debug)]
enum Feature {
    CompatibleId(String, String),
    Property(String, RegistryValue),
    MinimumResumeTime(u8, u8),
    ModelId([u8; 16]),
    CcgpDevice,
    VendorRevision(u16),
}

impl MicrosoftFeatures {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, feature: Feature) -> Self {
        self.features.push(feature);
        self
    }

    /// The driver to take: `WINUSB`, say.
    #[doc(alias = "CompatibleID")]
    pub fn compatible_id(self, id: impl Into<String>) -> Self {
        self.compatible_ids(id, "")
    }

    /// The driver to take, with a second id that tells its version.
    #[doc(alias = "SubCompatibleID")]
    pub fn compatible_ids(self, id: impl Into<String>, sub: impl Into<String>) -> Self {
        self.with(Feature::CompatibleId(id.into(), sub.into()))
    }

    /// A property to write to the registry: `DeviceInterfaceGUIDs`, say.
    pub fn property(self, name: impl Into<String>, value: RegistryValue) -> Self {
        self.with(Feature::Property(name.into(), value))
    }

    /// How long the device needs to resume and to be signalled to, in ms.
    #[doc(alias = "bResumeRecoveryTime")]
    #[doc(alias = "bResumeSignalingTime")]
    pub fn minimum_resume_time(self, recovery: u8, signaling: u8) -> Self {
        self.with(Feature::MinimumResumeTime(recovery, signaling))
    }

    /// Which model the physical device is, whatever its functions.
    #[doc(alias = "ModelID")]
    pub fn model_id(self, uuid: [u8; 16]) -> Self {
        self.with(Feature::ModelId(uuid))
    }

    /// The composite device goes to Windows' common class generic parent.
    #[doc(alias = "MS_OS_20_FEATURE_CCGP_DEVICE")]
    pub fn ccgp_device(self) -> Self {
        self.with(Feature::CcgpDevice)
    }

    /// The revision of the registry properties: Windows writes them again when it has changed.
    #[doc(alias = "VendorRevision")]
    pub fn vendor_revision(self, revision: u16) -> Self {
        self.with(Feature::VendorRevision(revision))
    }

    fn encode(&self, bytes: &mut Vec<u8>, site: Site) -> Result<(), DescriptorError> {
        for feature in &self.features {
            match feature {
                Feature::CompatibleId(compatible, sub) => {
                    bytes.extend([20, 0, 3, 0]);
                    bytes.extend(ids(compatible, sub, site)?);
                }
                Feature::Property(name, value) => {
                    let (name, data) = property(name, value, site)?;
                    let length = 10 + name.len() + data.len();
                    let fits = length <= usize::from(u16::MAX);
                    site.require(fits, "wLength", length, PROPERTY_LENGTH)?;
                    bytes.put_u16_le(length as u16);
                    bytes.extend([4, 0, value.kind(), 0]);
                    bytes.put_u16_le(name.len() as u16);
                    bytes.extend(name);
                    bytes.put_u16_le(data.len() as u16);
                    bytes.extend(data);
                }
                Feature::MinimumResumeTime(recovery, signaling) => {
                    bytes.extend([6, 0, 5, 0, *recovery, *signaling]);
                }
                Feature::ModelId(uuid) => {
                    bytes.extend([20, 0, 6, 0]);
                    bytes.extend(uuid);
                }
                Feature::CcgpDevice => bytes.extend([4, 0, 7, 0]),
                Feature::VendorRevision(revision) => {
                    bytes.extend([6, 0, 8, 0]);
                    bytes.put_u16_le(*revision);
                }
            }
        }
        Ok(())
    }
}

/// A Microsoft OS 2.0 descriptor set, which Windows (8.1 and later) finds by the BOS.
#[derive(Clone, Debug)]
pub struct MicrosoftOs20 {
    vendor_code: u8,
    windows_version: u32,
    device: MicrosoftFeatures,
    functions: Vec<(u8, u8, MicrosoftFeatures)>,
}

impl MicrosoftOs20 {
    /// `{d8dd60df-4589-4cc7-9cd2-659d9e648a9f}`, in the order of the wire.
    #[doc(alias = "PlatformCapabilityUUID")]
    pub const PLATFORM: [u8; 16] = [
        0xdf, 0x60, 0xdd, 0xd8, 0x89, 0x45, 0xc7, 0x4c, 0x9c, 0xd2, 0x65, 0x9d, 0x9e, 0x64, 0x8a,
        0x9f,
    ];

    /// An empty set, for Windows 8.1 and later. Windows uses `vendor_code` in its requests; the 1.0 descriptors and
    /// WebUSB may share it.
    #[doc(alias = "bMS_VendorCode")]
    pub fn new(vendor_code: u8) -> Self {
        Self {
            vendor_code,
            windows_version: 0x0603_0000,
            device: MicrosoftFeatures::new(),
            functions: Vec::new(),
        }
    }

    /// The oldest Windows that the set is for, as its `NTDDI_VERSION`.
    #[doc(alias = "dwWindowsVersion")]
    pub fn windows_version(mut self, version: u32) -> Self {
        self.windows_version = version;
        self
    }

    /// What is told of the whole device.
    pub fn device(mut self, features: MicrosoftFeatures) -> Self {
        self.device = features;
        self
    }

    /// What is told of the function that begins at `first_interface` of the configuration at index `configuration`
    /// (from 0: Windows takes the field, whatever its name, for an index).
    #[doc(alias = "bConfigurationValue")]
    #[doc(alias = "bFirstInterface")]
    pub fn function(
        mut self,
        configuration: u8,
        first_interface: u8,
        features: MicrosoftFeatures,
    ) -> Self {
        self.functions
            .push((configuration, first_interface, features));
        self
    }

    pub(super) fn vendor_code(&self) -> u8 {
        self.vendor_code
    }

    /// The capability that announces a set of `length` bytes.
    pub(super) fn capability(&self, length: u16) -> PlatformCapability {
        let mut data = Vec::with_capacity(8);
        data.put_u32_le(self.windows_version);
        data.put_u16_le(length);
        data.extend([self.vendor_code, 0]);
        PlatformCapability {
            uuid: Self::PLATFORM,
            data: data.into(),
        }
    }

    /// The set, for configurations of that many interfaces each.
    pub(super) fn set(&self, interfaces: &[usize], site: Site) -> Result<Bytes, DescriptorError> {
        let mut bytes = vec![10, 0, 0, 0];
        bytes.put_u32_le(self.windows_version);
        bytes.put_u16_le(0);
        self.device.encode(&mut bytes, site)?;
        let mut configurations: Vec<u8> = self.functions.iter().map(|(own, ..)| *own).collect();
        configurations.sort_unstable();
        configurations.dedup();
        for index in configurations {
            let field = "bConfigurationValue";
            let count = interfaces.get(usize::from(index));
            site.require(count.is_some(), field, index, CONFIGURATION)?;
            let start = bytes.len();
            bytes.extend([8, 0, 1, 0, index, 0, 0, 0]);
            self.functions_of(index, count.copied().unwrap_or(0), &mut bytes, site)?;
            patch(&mut bytes, start, 6, site)?;
        }
        patch(&mut bytes, 0, 8, site)?;
        Ok(bytes.into())
    }

    fn functions_of(
        &self,
        configuration: u8,
        interfaces: usize,
        bytes: &mut Vec<u8>,
        site: Site,
    ) -> Result<(), DescriptorError> {
        let field = "bFirstInterface";
        let mut seen = [false; 256];
        for (own, first, features) in &self.functions {
            if *own != configuration {
                continue;
            }
            let known = usize::from(*first) < interfaces;
            site.require(known, field, first, FIRST_INTERFACE)?;
            let twice = std::mem::replace(&mut seen[usize::from(*first)], true);
            site.require(!twice, field, first, FUNCTION_ONCE)?;
            let start = bytes.len();
            bytes.extend([8, 0, 2, 0, *first, 0, 0, 0]);
            features.encode(bytes, site)?;
            patch(bytes, start, 6, site)?;
        }
        Ok(())
    }
}

/// Writes the length of what began at `start` into the field `offset` bytes after it.
fn patch(bytes: &mut [u8], start: usize, offset: usize, site: Site) -> Result<(), DescriptorError> {
    let length = bytes.len() - start;
    let fits = length <= usize::from(u16::MAX);
    site.require(fits, "wTotalLength", length, SET_LENGTH)?;
    let field = start + offset;
    bytes[field..field + 2].copy_from_slice(&(length as u16).to_le_bytes());
    Ok(())
}
