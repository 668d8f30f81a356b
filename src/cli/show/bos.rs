//! The binary object store and its capabilities, field by field (USB 3.2 §9.6.2).

use usbwright::protocol::descriptor::{MicrosoftOs20, RawDescriptor, RawDescriptors, WebUsb, kind};

use super::{
    page::{Fields, Page, nothing, words_of},
    standard,
};

/// Speeds by the bits of `wSpeedsSupported`.
const SPEEDS: [(u32, &str); 4] = [
    (1, "low (1.5 Mbit/s)"),
    (2, "full (12 Mbit/s)"),
    (4, "high (480 Mbit/s)"),
    (8, "super (5 Gbit/s)"),
];

pub(super) fn write(page: &mut Page, bytes: &[u8]) {
    let mut chain = RawDescriptors::new(bytes).flatten();
    if let Some(head) = chain.next() {
        let mut fields = Fields::new(page, head.bytes);
        fields.number("bLength", nothing);
        fields.number("bDescriptorType", nothing);
        fields.bits_16("wTotalLength", |total| format!("{total} bytes"));
        fields.number("bNumDeviceCaps", nothing);
        fields.rest("(more)");
    }
    for raw in chain {
        if raw.kind == kind::DEVICE_CAPABILITY {
            capability(page, &raw);
        } else {
            standard::described(page, "Unknown Descriptor", &raw, |_| {});
        }
    }
}

fn capability(page: &mut Page, raw: &RawDescriptor<'_>) {
    let kind = raw.body().first().copied().unwrap_or(0);
    let (name, decode): (&str, standard::Decode) = match kind {
        0x02 => ("USB 2.0 Extension", usb_20_extension),
        0x03 => ("SuperSpeed USB", superspeed),
        0x04 => ("Container ID", container),
        0x05 => ("Platform", platform),
        0x06 => ("Power Delivery", |_| {}),
        0x07 => ("Battery Info", |_| {}),
        0x08 => ("Power Delivery Consumer Port", |_| {}),
        0x09 => ("Power Delivery Provider Port", |_| {}),
        0x0a => ("SuperSpeedPlus USB", superspeed_plus),
        0x0b => ("Precision Time Measurement", |_| {}),
        0x0d => ("Billboard", |_| {}),
        0x0e => ("Authentication", |_| {}),
        0x0f => ("Billboard Alternate Mode", |_| {}),
        0x10 => ("Configuration Summary", |_| {}),
        _ => ("Unknown", |_| {}),
    };
    standard::described(page, &format!("{name} Device Capability"), raw, |fields| {
        fields.number("bDevCapabilityType", nothing);
        decode(fields);
    });
}

fn usb_20_extension(fields: &mut Fields<'_, '_>) {
    fields.bits_32("bmAttributes", |bits| {
        let words = [
            (1 << 1, "link power management (LPM)"),
            (1 << 2, "BESL and alternate HIRD"),
            (1 << 3, "baseline BESL valid"),
            (1 << 4, "deep BESL valid"),
        ];
        let mut words = words_of(bits, &words);
        for (valid, shift, name) in [(1 << 3, 8, "baseline"), (1 << 4, 12, "deep")] {
            if bits & valid != 0 {
                words += &format!(", {name} BESL {}", bits >> shift & 0x0f);
            }
        }
        words
    });
}

fn superspeed(fields: &mut Fields<'_, '_>) {
    fields.bits("bmAttributes", |bits| {
        words_of(bits.into(), &[(1 << 1, "latency tolerance messages (LTM)")])
    });
    fields.bits_16("wSpeedsSupported", |bits| words_of(bits.into(), &SPEEDS));
    fields.number("bFunctionalitySupport", |bit| {
        let speed = SPEEDS
            .get(usize::from(bit))
            .map_or("unknown", |(_, name)| name);
        format!("all of its function from {speed}")
    });
    fields.number("bU1DevExitLat", |time| format!("less than {time} µs"));
    fields.number_16("wU2DevExitLat", |time| format!("less than {time} µs"));
}

fn container(fields: &mut Fields<'_, '_>) {
    fields.number("bReserved", nothing);
    fields.uuid("ContainerID", nothing);
}

fn platform(fields: &mut Fields<'_, '_>) {
    fields.number("bReserved", nothing);
    let uuid = fields.uuid("PlatformCapabilityUUID", |uuid| match uuid {
        MicrosoftOs20::PLATFORM => "Microsoft OS 2.0",
        WebUsb::PLATFORM => "WebUSB",
        _ => "",
    });
    match uuid {
        Some(MicrosoftOs20::PLATFORM) => {
            while fields.left().len() >= 8 {
                fields.bits_32("dwWindowsVersion", windows);
                fields.number_16("wMSOSDescriptorSetTotalLength", nothing);
                fields.bits("bMS_VendorCode", nothing);
                fields.number("bAltEnumCode", nothing);
            }
        }
        Some(WebUsb::PLATFORM) => {
            fields.release("bcdVersion");
            fields.bits("bVendorCode", nothing);
            fields.number("iLandingPage", nothing);
        }
        _ => fields.rest("CapabilityData"),
    }
}

fn windows(version: u32) -> &'static str {
    match version {
        0x0603_0000 => "Windows 8.1 and newer",
        0x0a00_0000 => "Windows 10 and newer",
        _ => "",
    }
}

fn superspeed_plus(fields: &mut Fields<'_, '_>) {
    fields.number("bReserved", nothing);
    fields.bits_32("bmAttributes", |bits| {
        let speeds = (bits & 0x1f) + 1;
        let ids = (bits >> 5 & 0x0f) + 1;
        format!("sublink speeds: {speeds}, their ids: {ids}")
    });
    fields.bits_16("wFunctionalitySupport", |bits| {
        let [id, input, output] = [bits & 0x0f, bits >> 8 & 0x0f, bits >> 12];
        format!("at least speed id {id}, lanes: {input} in, {output} out")
    });
    fields.bits_16("wReserved", nothing);
    let mut index = 0;
    while fields.left().len() >= 4 {
        fields.bits_32(&format!("bmSublinkSpeedAttr[{index}]"), sublink);
        index += 1;
    }
}

fn sublink(bits: u32) -> String {
    let unit = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"][(bits >> 4 & 3) as usize];
    let symmetry = ["symmetric", "asymmetric"][(bits >> 6 & 1) as usize];
    let direction = ["RX", "TX"][(bits >> 7 & 1) as usize];
    let protocol = match bits >> 14 & 3 {
        0 => "SuperSpeed",
        1 => "SuperSpeedPlus",
        _ => "(reserved protocol)",
    };
    let (id, mantissa) = (bits & 0x0f, bits >> 16);
    format!("id {id}: {mantissa} {unit}, {symmetry} {direction}, {protocol}")
}
