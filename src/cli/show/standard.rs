//! The descriptors of the USB specification, field by field.

use usbwright::protocol::{Class, EndpointAddress, Speed, TransferType, descriptor::RawDescriptor};

use super::{
    page::{Fields, Page, nothing, words_of},
    text::Subject,
};

/// A speed, to which the sizes and intervals of a chain belong.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) speed: Speed,
}

/// Writes the fields of a descriptor after its length and type.
pub(super) type Decode = fn(&mut Fields<'_, '_>);

fn head(fields: &mut Fields<'_, '_>) {
    fields.number("bLength", nothing);
    fields.number("bDescriptorType", nothing);
}

pub(super) fn device(page: &mut Page, subject: &Subject<'_>, bytes: &[u8]) {
    let mut fields = Fields::new(page, bytes);
    head(&mut fields);
    fields.release("bcdUSB");
    class(
        &mut fields,
        subject,
        ["bDeviceClass", "bDeviceSubClass", "bDeviceProtocol"],
    );
    let logarithm = subject.description.speed().is_super();
    fields.number("bMaxPacketSize0", |size| match size {
        size @ 0..16 if logarithm => format!("{} bytes", 1_u32 << size),
        _ => String::new(),
    });
    let names = subject.names;
    let vendor = fields.bits_16("idVendor", |id| {
        names.vendor(id).unwrap_or_default().to_owned()
    });
    fields.bits_16("idProduct", |id| {
        let name = vendor.and_then(|vendor| names.product_name(vendor, id));
        name.unwrap_or_default().to_owned()
    });
    fields.release("bcdDevice");
    for name in ["iManufacturer", "iProduct", "iSerial"] {
        fields.number(name, |index| subject.string(index));
    }
    fields.number("bNumConfigurations", nothing);
    fields.rest("(more)");
}

pub(super) fn qualifier(page: &mut Page, subject: &Subject<'_>, bytes: &[u8]) {
    let mut fields = Fields::new(page, bytes);
    head(&mut fields);
    fields.release("bcdUSB");
    class(
        &mut fields,
        subject,
        ["bDeviceClass", "bDeviceSubClass", "bDeviceProtocol"],
    );
    fields.number("bMaxPacketSize0", nothing);
    fields.number("bNumConfigurations", nothing);
    fields.number("bReserved", nothing);
    fields.rest("(more)");
}

pub(super) fn configuration(page: &mut Page, at: At<'_>, bytes: &[u8]) {
    let mut fields = Fields::new(page, bytes);
    head(&mut fields);
    fields.bits_16("wTotalLength", |total| format!("{total} bytes"));
    fields.number("bNumInterfaces", nothing);
    fields.number("bConfigurationValue", nothing);
    fields.number("iConfiguration", |index| at.subject.string(index));
    fields.bits("bmAttributes", |bits| {
        let powered = ["bus powered", "self powered"][usize::from(bits >> 6 & 1)];
        let wakes = words_of(bits.into(), &[(1 << 5, ", remote wakeup")]);
        let odd = if bits & 0x80 == 0 {
            ", (bit 7 missing)"
        } else {
            ""
        };
        format!("{powered}{wakes}{odd}")
    });
    let unit = if at.speed.is_super() { 8 } else { 2 };
    fields.number("bMaxPower", |power| {
        format!("{} mA", u16::from(power) * unit)
    });
    fields.rest("(more)");
}

pub(super) fn association(page: &mut Page, at: At<'_>, raw: &RawDescriptor<'_>) {
    let mut fields = Fields::new(page, raw.bytes);
    head(&mut fields);
    fields.number("bFirstInterface", nothing);
    fields.number("bInterfaceCount", nothing);
    let names = ["bFunctionClass", "bFunctionSubClass", "bFunctionProtocol"];
    class(&mut fields, at.subject, names);
    fields.number("iFunction", |index| at.subject.string(index));
    fields.rest("(more)");
}

/// Returns the class of the interface.
pub(super) fn interface(page: &mut Page, at: At<'_>, raw: &RawDescriptor<'_>) -> Class {
    let mut fields = Fields::new(page, raw.bytes);
    head(&mut fields);
    fields.number("bInterfaceNumber", nothing);
    fields.number("bAlternateSetting", nothing);
    fields.number("bNumEndpoints", nothing);
    let names = [
        "bInterfaceClass",
        "bInterfaceSubClass",
        "bInterfaceProtocol",
    ];
    let class = class(&mut fields, at.subject, names);
    fields.number("iInterface", |index| at.subject.string(index));
    fields.rest("(more)");
    class
}

/// Returns the type of the endpoint.
pub(super) fn endpoint(page: &mut Page, at: At<'_>, raw: &RawDescriptor<'_>) -> TransferType {
    let mut fields = Fields::new(page, raw.bytes);
    head(&mut fields);
    fields.bits("bEndpointAddress", |byte| {
        let address = EndpointAddress::from_byte(byte);
        format!("EP {} {}", address.number(), address.direction())
    });
    let mut transfer_type = TransferType::Control;
    fields.bits("bmAttributes", |bits| {
        transfer_type = TransferType::from_attributes(bits);
        attributes(bits, transfer_type, at.speed)
    });
    let periodic = matches!(
        transfer_type,
        TransferType::Interrupt | TransferType::Isochronous
    );
    fields.bits_16("wMaxPacketSize", |size| {
        let packets = match at.speed {
            Speed::High if periodic => (size >> 11 & 3) + 1,
            _ => 1,
        };
        format!("{packets}x {} bytes", size & 0x07ff)
    });
    fields.number("bInterval", |interval| {
        every(interval, transfer_type, at.speed)
    });
    fields.number("bRefresh", nothing);
    fields.bits("bSynchAddress", nothing);
    fields.rest("(more)");
    transfer_type
}

fn attributes(bits: u8, transfer_type: TransferType, speed: Speed) -> String {
    let kind = transfer_type.name();
    let synchronization = [
        "no synchronization",
        "asynchronous",
        "adaptive",
        "synchronous",
    ];
    let usage = ["data", "feedback", "implicit feedback", "(reserved usage)"];
    let [sync, used] = [bits >> 2 & 3, bits >> 4 & 3].map(usize::from);
    match transfer_type {
        TransferType::Isochronous => {
            format!("{kind}, {}, {}", synchronization[sync], usage[used])
        }
        TransferType::Interrupt if speed.is_super() => {
            let usage = [
                "periodic",
                "notification",
                "(reserved usage)",
                "(reserved usage)",
            ];
            format!("{kind}, {}", usage[used])
        }
        _ => kind.to_owned(),
    }
}

/// How often the host serves an endpoint.
fn every(interval: u8, transfer_type: TransferType, speed: Speed) -> String {
    let frames = match transfer_type {
        TransferType::Interrupt if speed < Speed::High => u32::from(interval.max(1)),
        TransferType::Interrupt | TransferType::Isochronous if interval > 0 => {
            1 << (interval.min(16) - 1)
        }
        _ => return String::new(),
    };
    format!("every {:?}", speed.frame() * frames)
}

pub(super) fn companion(
    page: &mut Page,
    transfer_type: Option<TransferType>,
    raw: &RawDescriptor<'_>,
) {
    let mut fields = Fields::new(page, raw.bytes);
    head(&mut fields);
    fields.number("bMaxBurst", |burst| match burst {
        0 => "1 packet in a burst".to_owned(),
        _ => format!("{} packets in a burst", u16::from(burst) + 1),
    });
    fields.bits("bmAttributes", |bits| match transfer_type {
        Some(TransferType::Bulk) if bits & 0x1f != 0 => {
            format!("{} streams", 1_u64 << (bits & 0x1f))
        }
        Some(TransferType::Isochronous) if bits & 0x80 != 0 => "SSP companion follows".to_owned(),
        Some(TransferType::Isochronous) => match bits & 3 {
            0 => "1 burst in an interval".to_owned(),
            mult => format!("{} bursts in an interval", mult + 1),
        },
        _ => String::new(),
    });
    fields.number_16("wBytesPerInterval", nothing);
    fields.rest("(more)");
}

/// A descriptor of the specification that is decoded nowhere else: its name and its fields. `None` for other types.
pub(super) fn other(kind: u8) -> Option<(&'static str, Decode)> {
    let decoded: (&str, Decode) = match kind {
        0x08 => ("Interface Power", |_| {}),
        0x09 => ("OTG", |fields| {
            fields.bits("bmAttributes", |bits| {
                words_of(
                    bits.into(),
                    &[(1, "SRP"), (2, "HNP"), (4, "ADP"), (8, "RSP")],
                )
            });
            fields.release("bcdOTG");
        }),
        0x0a => ("Debug", |fields| {
            fields.bits("bDebugInEndpoint", nothing);
            fields.bits("bDebugOutEndpoint", nothing);
        }),
        0x0c => ("Security", |fields| {
            fields.number_16("wTotalLength", nothing);
            fields.number("bNumEncryptionTypes", nothing);
        }),
        0x0e => ("Encryption Type", |fields| {
            fields.number("bEncryptionType", nothing);
            fields.number("bEncryptionValue", nothing);
            fields.number("bAuthKeyIndex", nothing);
        }),
        0x31 => ("SuperSpeedPlus Isochronous Endpoint Companion", |fields| {
            fields.number_16("wReserved", nothing);
            fields.bits_32("dwBytesPerInterval", |bytes| format!("{bytes} bytes"));
        }),
        _ => return None,
    };
    Some(decoded)
}

/// Writes a heading for a descriptor and its length and type; `decode` does the rest, and what it leaves is shown as it is.
pub(super) fn described(
    page: &mut Page,
    heading: &str,
    raw: &RawDescriptor<'_>,
    decode: impl FnOnce(&mut Fields<'_, '_>),
) {
    page.under(heading, |page| {
        let mut fields = Fields::new(page, raw.bytes);
        fields.number("bLength", nothing);
        fields.bits("bDescriptorType", nothing);
        decode(&mut fields);
        fields.rest("(bytes)");
    });
}

fn class(fields: &mut Fields<'_, '_>, subject: &Subject<'_>, names: [&str; 3]) -> Class {
    let mut class = Class::default();
    let [first, second, third] = match fields.left() {
        &[class, subclass, protocol, ..] => subject.names.class_names(Class {
            class,
            subclass,
            protocol,
        }),
        _ => [None; 3],
    };
    class.class = fields
        .number(names[0], |_| first.unwrap_or_default())
        .unwrap_or(0);
    class.subclass = fields
        .number(names[1], |_| second.unwrap_or_default())
        .unwrap_or(0);
    class.protocol = fields
        .number(names[2], |_| third.unwrap_or_default())
        .unwrap_or(0);
    class
}
