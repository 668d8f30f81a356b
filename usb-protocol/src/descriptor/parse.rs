//! From bytes to the typed tree: strict about lengths, otherwise as tolerant as Linux.

use bytes::{Bytes, BytesMut};
use nom::{
    IResult, Parser,
    bytes::complete::take,
    number::complete::{le_u16, u8 as byte},
};

use crate::{Class, EndpointAddress, Speed, TransferType};

use super::{
    AssociationDescriptor, AudioEndpoint, BosDescriptor, Capability, Companion,
    ConfigurationDescriptor, DeviceDescriptor, EndpointDescriptor, InterfaceDescriptor, ParseError,
    QualifierDescriptor, RawDescriptor, RawDescriptors, SettingDescriptor, Synchronization, Usage,
    compile::power_unit, kind,
};

/// What a field parser returns; why it fails is the caller's to say, who knows the descriptor.
type Fields<'a, T> = IResult<&'a [u8], T, ()>;

/// The fields of a descriptor's body, of which there may be more than are known.
fn fields_of<'a, T>(
    raw: &RawDescriptor<'a>,
    descriptor: &'static str,
    fields: impl FnOnce(&'a [u8]) -> Fields<'a, T>,
) -> Result<T, ParseError> {
    match fields(raw.body()) {
        Ok((_, fields)) => Ok(fields),
        Err(_) => Err(raw.error(descriptor, "bLength is too small for its fields")),
    }
}

/// The first descriptor of a chain, of one of the types named.
fn head<'a>(
    bytes: &'a [u8],
    name: &'static str,
    kinds: &[u8],
) -> Result<RawDescriptor<'a>, ParseError> {
    let head = RawDescriptor::at(bytes, 0)?;
    if kinds.contains(&head.kind) {
        Ok(head)
    } else {
        Err(head.error(name, "bDescriptorType is of another descriptor"))
    }
}

/// The descriptors after the first, up to `total` bytes.
fn chain<'a>(
    bytes: &'a [u8],
    head: &RawDescriptor<'_>,
    name: &'static str,
    total: u16,
) -> Result<RawDescriptors<'a>, ParseError> {
    let first = head.bytes.len();
    let bytes = bytes
        .get(..usize::from(total))
        .filter(|bytes| bytes.len() >= first)
        .ok_or_else(|| {
            head.error(
                name,
                "wTotalLength is at least bLength and no more than there is",
            )
        })?;
    Ok(RawDescriptors::from(bytes, first))
}

fn class(bytes: &[u8]) -> Fields<'_, Class> {
    let codes = (byte, byte, byte);
    let mut class = codes.map(|(class, subclass, protocol)| Class {
        class,
        subclass,
        protocol,
    });
    class.parse(bytes)
}

impl DeviceDescriptor {
    /// The device descriptor that `bytes` begin with.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        const NAME: &str = "device descriptor";
        let head = head(bytes, NAME, &[kind::DEVICE])?;
        let ids = (le_u16, le_u16, le_u16);
        let indices = (byte, byte, byte);
        let mut fields = (le_u16, class, byte, ids, indices, byte);
        let (usb_version, class, max_packet_size_0, ids, indices, configurations) =
            fields_of(&head, NAME, |body| fields.parse(body))?;
        let (vendor_id, product_id, release) = ids;
        let (manufacturer_index, product_index, serial_index) = indices;
        Ok(Self {
            usb_version,
            class,
            max_packet_size_0,
            vendor_id,
            product_id,
            release,
            manufacturer_index,
            product_index,
            serial_index,
            configurations,
        })
    }
}

impl QualifierDescriptor {
    /// The device qualifier that `bytes` begin with.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        const NAME: &str = "device qualifier";
        let head = head(bytes, NAME, &[kind::DEVICE_QUALIFIER])?;
        let mut fields = (le_u16, class, byte, byte);
        let (usb_version, class, max_packet_size_0, configurations) =
            fields_of(&head, NAME, |body| fields.parse(body))?;
        Ok(Self {
            usb_version,
            class,
            max_packet_size_0,
            configurations,
        })
    }
}

impl BosDescriptor {
    /// The BOS that `bytes` begin with. Descriptors in it that are no capabilities are passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        const NAME: &str = "BOS descriptor";
        const CAPABILITY: &str = "device capability descriptor";
        let head = head(bytes, NAME, &[kind::BOS])?;
        let (total, _count) = fields_of(&head, NAME, |body| (le_u16, byte).parse(body))?;
        let mut capabilities = Vec::new();
        for descriptor in chain(bytes, &head, NAME, total)? {
            let raw = descriptor?;
            if raw.kind != kind::DEVICE_CAPABILITY {
                continue;
            }
            let capability = raw
                .body()
                .split_first()
                .and_then(|(kind, data)| Capability::from_parts(*kind, data));
            capabilities.push(
                capability
                    .ok_or_else(|| raw.error(CAPABILITY, "bLength is too small for its fields"))?,
            );
        }
        Ok(Self { capabilities })
    }
}

const INTERFACE: &str = "interface descriptor";
const ENDPOINT: &str = "endpoint descriptor";

impl ConfigurationDescriptor {
    /// The configuration (or other-speed configuration) that `bytes` begin with, with all that belongs to it.
    ///
    /// Descriptors of unknown types are kept as `extra` of what they follow. As in Linux, the counts of interfaces and
    /// endpoints may be wrong; a setting that was there before is passed over, and so are endpoint zero and an endpoint
    /// that the same setting or another interface has already.
    pub fn parse(bytes: &[u8], speed: Speed) -> Result<Self, ParseError> {
        const NAME: &str = "configuration descriptor";
        let kinds = [kind::CONFIGURATION, kind::OTHER_SPEED_CONFIGURATION];
        let head = head(bytes, NAME, &kinds)?;
        let mut fields = (le_u16, byte, byte, byte, byte, byte);
        let (total, _count, value, name_index, attributes, power) =
            fields_of(&head, NAME, |body| fields.parse(body))?;
        let mut tree = TreeBuilder::new(speed);
        for descriptor in chain(bytes, &head, NAME, total)? {
            tree.take(&descriptor?)?;
        }
        let (extra, associations, interfaces) = tree.finish();
        Ok(Self {
            value,
            name_index,
            self_powered: attributes & 1 << 6 != 0,
            remote_wakeup: attributes & 1 << 5 != 0,
            max_power_ma: u16::from(power) * power_unit(speed),
            extra,
            associations,
            interfaces,
        })
    }
}

/// Puts the descriptors of a chain where they belong.
struct TreeBuilder {
    speed: Speed,
    /// What the next descriptor of an unknown type belongs to.
    cursor: Cursor,
    /// Those that came since the cursor moved.
    pending: BytesMut,
    extra: Bytes,
    associations: Vec<AssociationDescriptor>,
    interfaces: Vec<InterfaceDescriptor>,
    /// The interface that has each endpoint, by [`EndpointAddress::index`].
    owners: [Option<u8>; 32],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cursor {
    Configuration,
    /// The last setting of the interface at that position.
    Setting(usize),
    /// The last endpoint of that setting.
    Endpoint(usize),
    /// An endpoint that is passed over, in that setting.
    NoEndpoint(usize),
    /// A setting that is passed over.
    NoSetting,
}

impl TreeBuilder {
    fn new(speed: Speed) -> Self {
        Self {
            speed,
            cursor: Cursor::Configuration,
            pending: BytesMut::new(),
            extra: Bytes::new(),
            associations: Vec::new(),
            interfaces: Vec::new(),
            owners: [None; 32],
        }
    }

    fn take(&mut self, raw: &RawDescriptor<'_>) -> Result<(), ParseError> {
        match raw.kind {
            kind::INTERFACE => self.setting(raw),
            kind::INTERFACE_ASSOCIATION => self.association(raw),
            kind::ENDPOINT if self.cursor != Cursor::Configuration => self.endpoint(raw),
            kind::SUPERSPEED_ENDPOINT_COMPANION if self.awaits_companion() => self.companion(raw),
            _ => {
                self.pending.extend_from_slice(raw.bytes);
                Ok(())
            }
        }
    }

    /// Moves on: the descriptors of unknown types so far go to what they followed.
    fn settle(&mut self, cursor: Cursor) {
        let pending = self.pending.split().freeze();
        match self.cursor {
            Cursor::Configuration => self.extra = pending,
            Cursor::Setting(_) => {
                if let Some((_, setting)) = self.current() {
                    setting.extra = pending;
                }
            }
            Cursor::Endpoint(_) => {
                if let Some(endpoint) = self.last_endpoint() {
                    endpoint.extra = pending;
                }
            }
            Cursor::NoEndpoint(_) | Cursor::NoSetting => {}
        }
        self.cursor = cursor;
    }

    /// The setting that endpoints belong to now.
    fn current(&mut self) -> Option<(u8, &mut SettingDescriptor)> {
        let position = match self.cursor {
            Cursor::Setting(position)
            | Cursor::Endpoint(position)
            | Cursor::NoEndpoint(position) => position,
            Cursor::Configuration | Cursor::NoSetting => return None,
        };
        let interface = self.interfaces.get_mut(position)?;
        Some((interface.number, interface.settings.last_mut()?))
    }

    fn setting(&mut self, raw: &RawDescriptor<'_>) -> Result<(), ParseError> {
        let mut fields = (byte, byte, byte, class, byte);
        let (number, alternate, _count, class, name_index) =
            fields_of(raw, INTERFACE, |body| fields.parse(body))?;
        self.settle(Cursor::NoSetting);
        let known = self
            .interfaces
            .iter()
            .position(|interface| interface.number == number);
        let position = known.unwrap_or(self.interfaces.len());
        if known.is_none() {
            self.interfaces.push(InterfaceDescriptor {
                number,
                settings: Vec::new(),
            });
        }
        let interface = &mut self.interfaces[position];
        if interface.setting(alternate).is_some() {
            return Ok(());
        }
        self.cursor = Cursor::Setting(position);
        interface.settings.push(SettingDescriptor {
            alternate,
            class,
            name_index,
            extra: Bytes::new(),
            endpoints: Vec::new(),
        });
        Ok(())
    }

    fn association(&mut self, raw: &RawDescriptor<'_>) -> Result<(), ParseError> {
        let mut fields = (byte, byte, class, byte);
        let (first, count, class, name_index) =
            fields_of(raw, "interface association descriptor", |body| {
                fields.parse(body)
            })?;
        self.associations.push(AssociationDescriptor {
            first,
            count,
            class,
            name_index,
        });
        Ok(())
    }

    fn endpoint(&mut self, raw: &RawDescriptor<'_>) -> Result<(), ParseError> {
        let speed = self.speed;
        let endpoint = fields_of(raw, ENDPOINT, |body| endpoint(body, speed))?;
        let position = match self.cursor {
            Cursor::Setting(position)
            | Cursor::Endpoint(position)
            | Cursor::NoEndpoint(position) => position,
            Cursor::Configuration | Cursor::NoSetting => return Ok(()),
        };
        self.settle(Cursor::NoEndpoint(position));
        let address = endpoint.address;
        let owner = self.owners[address.index()];
        let Some((number, setting)) = self.current() else {
            return Ok(());
        };
        let shared = owner.is_some_and(|owner| owner != number);
        if !address.is_control() && !shared && setting.endpoint(address).is_none() {
            setting.endpoints.push(endpoint);
            self.owners[address.index()] = Some(number);
            self.cursor = Cursor::Endpoint(position);
        }
        Ok(())
    }

    fn last_endpoint(&mut self) -> Option<&mut EndpointDescriptor> {
        let Cursor::Endpoint(_) = self.cursor else {
            return None;
        };
        self.current()?.1.endpoints.last_mut()
    }

    /// Whether the descriptor before this one is an endpoint at SuperSpeed.
    fn awaits_companion(&mut self) -> bool {
        let fresh = self.speed.is_super() && self.pending.is_empty();
        let endpoint = self.last_endpoint();
        fresh && endpoint.is_some_and(|endpoint| endpoint.companion.is_none())
    }

    fn companion(&mut self, raw: &RawDescriptor<'_>) -> Result<(), ParseError> {
        let mut fields = (byte, byte, le_u16);
        let (burst, attributes, bytes_per_interval) =
            fields_of(raw, "SuperSpeed endpoint companion descriptor", |body| {
                fields.parse(body)
            })?;
        if let Some(endpoint) = self.last_endpoint() {
            let (mult, streams) = match endpoint.transfer_type {
                TransferType::Isochronous => (attributes & 3, 0),
                TransferType::Bulk => (0, attributes & 0x1f),
                TransferType::Control | TransferType::Interrupt => (0, 0),
            };
            let companion = Companion {
                burst: burst.min(15),
                mult: mult.min(2),
                streams: streams.min(16),
                bytes_per_interval,
            };
            endpoint.transactions = companion.packets();
            endpoint.companion = Some(companion);
        }
        Ok(())
    }

    fn finish(mut self) -> (Bytes, Vec<AssociationDescriptor>, Vec<InterfaceDescriptor>) {
        self.settle(Cursor::NoSetting);
        let interfaces = self.interfaces;
        let mut associations = self.associations;
        associations.sort_by_key(|association| {
            interfaces
                .iter()
                .position(|interface| interface.number == association.first)
                .map_or(0, |position| position + 1)
        });
        (self.extra, associations, interfaces)
    }
}

fn endpoint(body: &[u8], speed: Speed) -> Fields<'_, EndpointDescriptor> {
    let mut fields = (byte, byte, le_u16, byte);
    let (rest, (address, attributes, size, interval)) = fields.parse(body)?;
    let audio = take::<_, _, ()>(2usize).parse(rest).ok();
    let transfer_type = TransferType::from_attributes(attributes);
    let isochronous = transfer_type == TransferType::Isochronous;
    let interrupt = transfer_type == TransferType::Interrupt;
    let periodic = isochronous || interrupt;
    let transactions = match speed {
        Speed::High if periodic => (size >> 11 & 3).min(2) as u8 + 1,
        _ => 1,
    };
    let synchronization = match attributes >> 2 & 3 {
        1 if isochronous => Synchronization::Asynchronous,
        2 if isochronous => Synchronization::Adaptive,
        3 if isochronous => Synchronization::Synchronous,
        _ => Synchronization::None,
    };
    let usage = match attributes >> 4 & 3 {
        1 if isochronous => Usage::Feedback,
        1 if interrupt && speed.is_super() => Usage::Notification,
        2 if isochronous => Usage::ImplicitFeedback,
        _ => Usage::Data,
    };
    let endpoint = EndpointDescriptor {
        address: EndpointAddress::from_byte(address),
        transfer_type,
        max_packet_size: size & 0x07ff,
        transactions,
        interval,
        synchronization,
        usage,
        audio: audio.map(|(_, bytes)| AudioEndpoint {
            refresh: bytes[0],
            synch_address: bytes[1],
        }),
        companion: None,
        extra: Bytes::new(),
    };
    Ok((rest, endpoint))
}
