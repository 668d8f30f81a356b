//! The binary object store: what a device can do beyond the device descriptor (USB 3.2 §9.6.2).

use bytes::{BufMut, Bytes};

use crate::Speed;

use super::{
    DescriptorError, Device,
    error::{Rule, Site},
    kind,
};

/// The BOS: a device's capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "BOS")]
pub struct BosDescriptor {
    /// The capabilities in order.
    pub capabilities: Vec<Capability>,
}

/// A capability in the BOS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "bDevCapabilityType")]
pub enum Capability {
    /// USB 2.0 extension (USB 3.2 §9.6.2.1).
    #[doc(alias = "LPM")]
    Usb20Extension {
        /// Bit 1: link power management; bits 2 to 4 and 8 to 15: BESL.
        #[doc(alias = "bmAttributes")]
        attributes: u32,
    },
    /// What the device can at SuperSpeed (USB 3.2 §9.6.2.2).
    SuperSpeed(SuperSpeedCapability),
    /// Which device this is, whatever port it is seen on (USB 3.2 §9.6.2.3).
    ContainerId([u8; 16]),
    /// Something that a platform defines (USB 3.2 §9.6.2.4).
    Platform(PlatformCapability),
    /// What the device can at SuperSpeedPlus (USB 3.2 §9.6.2.5).
    SuperSpeedPlus {
        /// The least that the device needs: sublink speed id in bits 0 to 3, lanes in bits 8 to 11 (in) and 12 to 15
        /// (out).
        #[doc(alias = "wFunctionalitySupport")]
        functionality: u16,
        /// How many sublink speed ids there are, less one.
        #[doc(alias = "SSIC")]
        ids_less_one: u8,
        /// The speed of each sublink; 1 to 32 of them.
        #[doc(alias = "bmSublinkSpeedAttr")]
        sublinks: Vec<u32>,
    },
    /// A capability of a type that is not told apart here.
    Other {
        /// Its type.
        #[doc(alias = "bDevCapabilityType")]
        kind: u8,
        /// What follows the type.
        data: Bytes,
    },
}

/// What a device can at SuperSpeed (USB 3.2 §9.6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuperSpeedCapability {
    /// Bit 1: latency tolerance messages.
    #[doc(alias = "bmAttributes")]
    pub attributes: u8,
    /// Bits 0 to 3: low, full, high and SuperSpeed.
    #[doc(alias = "wSpeedsSupported")]
    pub speeds: u16,
    /// The lowest speed, by its bit's number, at which the device can do everything.
    #[doc(alias = "bFunctionalitySupport")]
    pub functionality: u8,
    /// How long the link takes to leave U1, in µs.
    #[doc(alias = "bU1DevExitLat")]
    pub u1_exit_latency: u8,
    /// How long the link takes to leave U2, in µs.
    #[doc(alias = "wU2DevExitLat")]
    pub u2_exit_latency: u16,
}

impl Default for SuperSpeedCapability {
    /// Every speed, all of the function from full speed, and the latencies of most controllers: 1 µs and 500 µs.
    fn default() -> Self {
        Self {
            attributes: 0,
            speeds: 0x0f,
            functionality: 1,
            u1_exit_latency: 1,
            u2_exit_latency: 500,
        }
    }
}

/// A capability that a platform defines (USB 3.2 §9.6.2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformCapability {
    /// The platform, in the order of the wire.
    #[doc(alias = "PlatformCapabilityUUID")]
    pub uuid: [u8; 16],
    /// What it defines.
    #[doc(alias = "CapabilityData")]
    pub data: Bytes,
}

const USB_20_EXTENSION: u8 = 2;
const SUPERSPEED: u8 = 3;
const CONTAINER_ID: u8 = 4;
const PLATFORM: u8 = 5;
const SUPERSPEED_PLUS: u8 = 10;

const LENGTH: Rule = ("a capability has at most 255 bytes", "USB 3.2 §9.6.2");
const TOTAL: Rule = (
    "a BOS has at most 255 capabilities and 65535 bytes",
    "USB 3.2 §9.6.2",
);
const ONCE: Rule = (
    "each capability (each platform's) is there once",
    "USB 3.2 §9.6.2",
);
const SUBLINKS: Rule = (
    "there are 1 to 32 sublink speeds and 1 to 16 ids",
    "USB 3.2 §9.6.2.5",
);

impl Capability {
    /// 10 Gbit/s on one lane, either way.
    pub fn super_speed_plus() -> Self {
        const GEN_2: u32 = 10 << 16 | 1 << 14 | 3 << 4 | 1;
        const TRANSMIT: u32 = 1 << 7;
        Self::SuperSpeedPlus {
            functionality: 0x1101,
            ids_less_one: 0,
            sublinks: vec![GEN_2, GEN_2 | TRANSMIT],
        }
    }

    /// The type as the byte has it.
    #[doc(alias = "bDevCapabilityType")]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Usb20Extension { .. } => USB_20_EXTENSION,
            Self::SuperSpeed(_) => SUPERSPEED,
            Self::ContainerId(_) => CONTAINER_ID,
            Self::Platform(_) => PLATFORM,
            Self::SuperSpeedPlus { .. } => SUPERSPEED_PLUS,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// The capability of type `kind`, of what follows the type; `None` where that is too short for the type.
    pub(super) fn from_parts(kind: u8, data: &[u8]) -> Option<Self> {
        let capability = match kind {
            USB_20_EXTENSION => Self::Usb20Extension {
                attributes: u32::from_le_bytes(*data.first_chunk()?),
            },
            SUPERSPEED => {
                let [attributes, s0, s1, functionality, u1_exit_latency, l0, l1] =
                    *data.first_chunk()?;
                Self::SuperSpeed(SuperSpeedCapability {
                    attributes,
                    speeds: u16::from_le_bytes([s0, s1]),
                    functionality,
                    u1_exit_latency,
                    u2_exit_latency: u16::from_le_bytes([l0, l1]),
                })
            }
            CONTAINER_ID => Self::ContainerId(*data.get(1..)?.first_chunk()?),
            PLATFORM => {
                let (uuid, rest) = data.get(1..)?.split_first_chunk()?;
                Self::Platform(PlatformCapability {
                    uuid: *uuid,
                    data: Bytes::copy_from_slice(rest),
                })
            }
            SUPERSPEED_PLUS => Self::super_speed_plus_from(data)?,
            kind => Self::Other {
                kind,
                data: Bytes::copy_from_slice(data),
            },
        };
        Some(capability)
    }

    fn super_speed_plus_from(data: &[u8]) -> Option<Self> {
        let ([_, a0, a1, _, _, f0, f1, _, _], sublinks) = data.split_first_chunk()?;
        let attributes = u16::from_le_bytes([*a0, *a1]);
        let count = usize::from(attributes & 0x1f) + 1;
        let (words, _) = sublinks.as_chunks();
        Some(Self::SuperSpeedPlus {
            functionality: u16::from_le_bytes([*f0, *f1]),
            ids_less_one: (attributes >> 5 & 0x0f) as u8,
            sublinks: words
                .get(..count)?
                .iter()
                .copied()
                .map(u32::from_le_bytes)
                .collect(),
        })
    }

    fn encode(&self, site: Site) -> Result<Vec<u8>, DescriptorError> {
        let mut bytes = vec![0, kind::DEVICE_CAPABILITY, self.kind()];
        match self {
            Self::Usb20Extension { attributes } => bytes.put_u32_le(*attributes),
            Self::SuperSpeed(capability) => {
                bytes.put_u8(capability.attributes);
                bytes.put_u16_le(capability.speeds);
                bytes.put_u8(capability.functionality);
                bytes.put_u8(capability.u1_exit_latency);
                bytes.put_u16_le(capability.u2_exit_latency);
            }
            Self::ContainerId(uuid) => {
                bytes.put_u8(0);
                bytes.put_slice(uuid);
            }
            Self::Platform(platform) => {
                bytes.put_u8(0);
                bytes.put_slice(&platform.uuid);
                bytes.put_slice(&platform.data);
            }
            Self::SuperSpeedPlus {
                functionality,
                ids_less_one,
                sublinks,
            } => {
                let count = sublinks.len();
                let fits = (1..=32).contains(&count) && *ids_less_one < 16;
                site.require(fits, "bmAttributes", count, SUBLINKS)?;
                bytes.put_u8(0);
                bytes.put_u32_le(u32::from(*ids_less_one) << 5 | (count as u32 - 1));
                bytes.put_u16_le(*functionality);
                bytes.put_u16_le(0);
                sublinks.iter().for_each(|word| bytes.put_u32_le(*word));
            }
            Self::Other { data, .. } => bytes.put_slice(data),
        }
        let length = u8::try_from(bytes.len());
        site.require(length.is_ok(), "bLength", bytes.len(), LENGTH)?;
        bytes[0] = length.unwrap_or(u8::MAX);
        Ok(bytes)
    }

    /// What no two capabilities of a BOS have in common.
    fn identity(&self) -> (u8, Option<[u8; 16]>) {
        match self {
            Self::Platform(platform) => (PLATFORM, Some(platform.uuid)),
            other => (other.kind(), None),
        }
    }
}

impl BosDescriptor {
    /// The BOS that a device has at a speed: what its author named, and what the speed calls for.
    pub(super) fn of(
        device: &Device,
        platforms: impl IntoIterator<Item = PlatformCapability>,
        speed: Speed,
    ) -> Self {
        let mut automatic = Vec::new();
        if speed.is_super() {
            if device.usb_20_extension {
                automatic.push(Capability::Usb20Extension { attributes: 1 << 1 });
            }
            automatic.push(Capability::SuperSpeed(SuperSpeedCapability::default()));
        }
        if speed == Speed::SuperPlus {
            automatic.push(Capability::super_speed_plus());
        }
        let authored = &device.capabilities;
        for capability in &mut automatic {
            if let Some(own) = authored.iter().find(|own| own.kind() == capability.kind()) {
                capability.clone_from(own);
            }
        }
        let rest = authored.iter().filter(|own| !automatic.contains(own));
        let rest: Vec<_> = rest.cloned().collect();
        let mut capabilities = automatic;
        capabilities.extend(rest);
        capabilities.extend(platforms.into_iter().map(Capability::Platform));
        Self { capabilities }
    }

    /// The bytes, whose header and totals are computed.
    ///
    /// Fails where they do not fit their fields, or a capability is there twice.
    pub fn encode(&self, speed: Speed) -> Result<Bytes, DescriptorError> {
        let site = Site::device(speed);
        let mut bytes = vec![5, kind::BOS, 0, 0, 0];
        for (position, capability) in self.capabilities.iter().enumerate() {
            let mut before = self.capabilities[..position].iter();
            let twice = before.any(|other| other.identity() == capability.identity());
            let found = format_args!("{} twice", capability.kind());
            site.require(!twice, "bDevCapabilityType", found, ONCE)?;
            bytes.extend(capability.encode(site)?);
        }
        let total = u16::try_from(bytes.len());
        let count = u8::try_from(self.capabilities.len());
        let (Ok(total), Ok(count)) = (total, count) else {
            let found = format_args!("{} bytes", bytes.len());
            return site
                .require(false, "wTotalLength", found, TOTAL)
                .map(|()| Bytes::new());
        };
        bytes[2..4].copy_from_slice(&total.to_le_bytes());
        bytes[4] = count;
        Ok(bytes.into())
    }
}
