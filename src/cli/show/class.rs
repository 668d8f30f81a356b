//! Descriptors that classes define. HID, CDC, DFU and UAS are told field by field, audio and video by name.

use usbwright::protocol::{Class, descriptor::RawDescriptor};

use super::{
    page::{Fields, Page, nothing, words_of},
    standard::described,
    text::Subject,
};

const AUDIO: u8 = 0x01;
const COMMUNICATIONS: u8 = 0x02;
const HID: u8 = 0x03;
const MASS_STORAGE: u8 = 0x08;
const CDC_DATA: u8 = 0x0a;
const SMART_CARD: u8 = 0x0b;
const VIDEO: u8 = 0x0e;
const APPLICATION: u8 = 0xfe;

/// What most classes call a descriptor of an interface.
const CS_INTERFACE: u8 = 0x24;
/// What most classes call a descriptor of an endpoint.
const CS_ENDPOINT: u8 = 0x25;

/// Writes a descriptor of an interface of that class, or of an endpoint of such a one. `false` where the class is not known to
/// have it: nothing is written then.
pub(super) fn write(
    page: &mut Page,
    subject: &Subject<'_>,
    class: Class,
    of_endpoint: bool,
    raw: &RawDescriptor<'_>,
) -> bool {
    match (class.class, raw.kind) {
        (HID, 0x21) => described(page, "HID Device Descriptor", raw, hid),
        (SMART_CARD, 0x21) => described(page, "Smart Card Device Class Descriptor", raw, ccid),
        (APPLICATION, 0x21) if class.subclass == 1 => {
            described(
                page,
                "Device Firmware Upgrade Interface Descriptor",
                raw,
                dfu,
            );
        }
        (MASS_STORAGE, CS_INTERFACE) if of_endpoint => {
            described(page, "USB Attached SCSI Pipe Usage", raw, pipe_usage);
        }
        (COMMUNICATIONS | CDC_DATA, CS_INTERFACE) => cdc(page, subject, raw),
        (AUDIO | VIDEO, CS_INTERFACE | CS_ENDPOINT) => media(page, class, raw),
        (_, CS_INTERFACE) => described(page, "Class-Specific Interface Descriptor", raw, |_| {}),
        (_, CS_ENDPOINT) => described(page, "Class-Specific Endpoint Descriptor", raw, |_| {}),
        _ => return false,
    }
    true
}

/// USB HID 1.11 §6.2.1.
fn hid(fields: &mut Fields<'_, '_>) {
    fields.release("bcdHID");
    fields.number(
        "bCountryCode",
        |code| if code == 0 { "not localized" } else { "" },
    );
    let count = fields.number("bNumDescriptors", nothing);
    for _ in 0..count.unwrap_or(0) {
        let kind = fields.bits("bDescriptorType", |kind| match kind {
            0x22 => "report",
            0x23 => "physical",
            _ => "",
        });
        if kind.is_none() {
            break;
        }
        fields.number_16("wDescriptorLength", nothing);
    }
}

/// USB CCID 1.1 §5.1, as far as its release.
fn ccid(fields: &mut Fields<'_, '_>) {
    fields.release("bcdCCID");
}

/// USB DFU 1.1 §4.1.3.
fn dfu(fields: &mut Fields<'_, '_>) {
    let words = [
        (1, "downloads"),
        (2, "uploads"),
        (4, "manifestation tolerant"),
        (8, "detaches by itself"),
    ];
    fields.bits("bmAttributes", |bits| words_of(bits.into(), &words));
    fields.number_16("wDetachTimeout", |time| format!("{time} ms"));
    fields.number_16("wTransferSize", nothing);
    fields.release("bcdDFUVersion");
}

/// USB Attached SCSI §5.2.3.6.
fn pipe_usage(fields: &mut Fields<'_, '_>) {
    fields.number("bPipeID", |pipe| match pipe {
        1 => "command",
        2 => "status",
        3 => "data IN",
        4 => "data OUT",
        _ => "",
    });
    fields.number("bReserved", nothing);
}

/// A functional descriptor (USB CDC 1.2 §5.2.3, PSTN 1.2 §5.3, ECM 1.2 §5.4, NCM 1.0 §5.2, MBIM 1.0 §6.4).
fn cdc(page: &mut Page, subject: &Subject<'_>, raw: &RawDescriptor<'_>) {
    let subtype = raw.body().first().copied().unwrap_or(0xff);
    let name = cdc_name(subtype);
    described(
        page,
        &format!("CDC {name} Functional Descriptor"),
        raw,
        |fields| {
            fields.bits("bDescriptorSubtype", nothing);
            cdc_fields(fields, subject, subtype);
        },
    );
}

fn cdc_name(subtype: u8) -> &'static str {
    match subtype {
        0x00 => "Header",
        0x01 => "Call Management",
        0x02 => "ACM",
        0x03 => "Direct Line Management",
        0x04 => "Telephone Ringer",
        0x05 => "Telephone Call and Line State",
        0x06 => "Union",
        0x07 => "Country Selection",
        0x08 => "Telephone Operational Modes",
        0x09 => "USB Terminal",
        0x0a => "Network Channel Terminal",
        0x0b => "Protocol Unit",
        0x0c => "Extension Unit",
        0x0d => "Multi-Channel Management",
        0x0e => "CAPI Control Management",
        0x0f => "Ethernet Networking",
        0x10 => "ATM Networking",
        0x11 => "Wireless Handset Control",
        0x12 => "Mobile Direct Line",
        0x13 => "Mobile Direct Line Detail",
        0x14 => "Device Management",
        0x15 => "OBEX",
        0x16 => "Command Set",
        0x17 => "Command Set Detail",
        0x18 => "Telephone Control",
        0x19 => "OBEX Service Identifier",
        0x1a => "NCM",
        0x1b => "MBIM",
        0x1c => "MBIM Extended",
        _ => "Unknown",
    }
}

fn cdc_fields(fields: &mut Fields<'_, '_>, subject: &Subject<'_>, subtype: u8) {
    match subtype {
        0x00 => fields.release("bcdCDC"),
        0x01 => {
            let words = [(1, "handles calls"), (2, "over the data interface, too")];
            fields.bits("bmCapabilities", |bits| words_of(bits.into(), &words));
            fields.number("bDataInterface", nothing);
        }
        0x02 => {
            let words = [
                (1, "communication features"),
                (2, "line coding and serial state"),
                (4, "sends break"),
                (8, "network connection"),
            ];
            fields.bits("bmCapabilities", |bits| words_of(bits.into(), &words));
        }
        0x06 => {
            fields.number("bControlInterface", nothing);
            while fields.number("bSubordinateInterface", nothing).is_some() {}
        }
        0x07 => {
            fields.number("iCountryCodeRelDate", |index| subject.string(index));
            while fields.bits_16("wCountryCode", nothing).is_some() {}
        }
        0x0f => {
            fields.number("iMACAddress", |index| subject.string(index));
            fields.bits_32("bmEthernetStatistics", nothing);
            fields.number_16("wMaxSegmentSize", nothing);
            fields.bits_16("wNumberMCFilters", nothing);
            fields.number("bNumberPowerFilters", nothing);
        }
        0x1a => {
            fields.release("bcdNcmVersion");
            fields.bits("bmNetworkCapabilities", nothing);
        }
        0x1b => {
            fields.release("bcdMBIMVersion");
            fields.number_16("wMaxControlMessage", nothing);
            fields.number("bNumberFilters", nothing);
            fields.number("bMaxFilterSize", nothing);
            fields.number_16("wMaxSegmentSize", nothing);
            fields.bits("bmNetworkCapabilities", nothing);
        }
        _ => {}
    }
}

/// Audio (1.0, 2.0 and 3.0) and video: their names.
fn media(page: &mut Page, class: Class, raw: &RawDescriptor<'_>) {
    let subtype = raw.body().first().copied().unwrap_or(0);
    let (kind, name) = match (class.class, class.subclass, raw.kind) {
        (AUDIO, 1, CS_INTERFACE) => (
            "AudioControl Interface",
            audio_control(subtype, class.protocol),
        ),
        (AUDIO, 2, CS_INTERFACE) => ("AudioStreaming Interface", audio_streaming(subtype)),
        (AUDIO, 3, CS_INTERFACE) => ("MIDIStreaming Interface", midi(subtype)),
        (AUDIO, 3, _) => ("MIDIStreaming Endpoint", general(subtype)),
        (AUDIO, _, CS_ENDPOINT) => ("AudioStreaming Endpoint", general(subtype)),
        (AUDIO, ..) => ("Audio Interface", "unknown"),
        (_, 1, CS_INTERFACE) => ("VideoControl Interface", video_control(subtype)),
        (_, 2, CS_INTERFACE) => ("VideoStreaming Interface", video_streaming(subtype)),
        (_, _, CS_INTERFACE) => ("Video Interface", "unknown"),
        _ => (
            "VideoControl Endpoint",
            if subtype == 3 { "INTERRUPT" } else { "unknown" },
        ),
    };
    described(page, &format!("{kind} Descriptor"), raw, |fields| {
        fields.number("bDescriptorSubtype", |_| name);
    });
}

fn general(subtype: u8) -> &'static str {
    if subtype == 1 { "GENERAL" } else { "unknown" }
}

fn audio_control(subtype: u8, protocol: u8) -> &'static str {
    match (subtype, protocol) {
        (0x01, _) => "HEADER",
        (0x02, _) => "INPUT_TERMINAL",
        (0x03, _) => "OUTPUT_TERMINAL",
        (0x04, 0x30) => "EXTENDED_TERMINAL",
        (0x05, 0x30) => "MIXER_UNIT",
        (0x06, 0x30) => "SELECTOR_UNIT",
        (0x07, 0x30) => "FEATURE_UNIT",
        (0x04, _) => "MIXER_UNIT",
        (0x05, _) => "SELECTOR_UNIT",
        (0x06, _) => "FEATURE_UNIT",
        (0x07, 0x20) => "EFFECT_UNIT",
        (0x07, _) | (0x08, 0x20) => "PROCESSING_UNIT",
        (0x08, 0) | (0x09, 0x20) => "EXTENSION_UNIT",
        (0x0a, 0x20) => "CLOCK_SOURCE",
        (0x0b, 0x20) => "CLOCK_SELECTOR",
        (0x0c, 0x20) => "CLOCK_MULTIPLIER",
        (0x0d, 0x20) => "SAMPLE_RATE_CONVERTER",
        _ => "unknown",
    }
}

fn audio_streaming(subtype: u8) -> &'static str {
    match subtype {
        1 => "AS_GENERAL",
        2 => "FORMAT_TYPE",
        3 => "FORMAT_SPECIFIC",
        _ => "unknown",
    }
}

fn midi(subtype: u8) -> &'static str {
    match subtype {
        1 => "HEADER",
        2 => "MIDI_IN_JACK",
        3 => "MIDI_OUT_JACK",
        4 => "ELEMENT",
        _ => "unknown",
    }
}

fn video_control(subtype: u8) -> &'static str {
    match subtype {
        1 => "HEADER",
        2 => "INPUT_TERMINAL",
        3 => "OUTPUT_TERMINAL",
        4 => "SELECTOR_UNIT",
        5 => "PROCESSING_UNIT",
        6 => "EXTENSION_UNIT",
        7 => "ENCODING_UNIT",
        _ => "unknown",
    }
}

fn video_streaming(subtype: u8) -> &'static str {
    match subtype {
        0x01 => "INPUT_HEADER",
        0x02 => "OUTPUT_HEADER",
        0x03 => "STILL_IMAGE_FRAME",
        0x04 => "FORMAT_UNCOMPRESSED",
        0x05 => "FRAME_UNCOMPRESSED",
        0x06 => "FORMAT_MJPEG",
        0x07 => "FRAME_MJPEG",
        0x0a => "FORMAT_MPEG2TS",
        0x0c => "FORMAT_DV",
        0x0d => "COLORFORMAT",
        0x10 => "FORMAT_FRAME_BASED",
        0x11 => "FRAME_FRAME_BASED",
        0x12 => "FORMAT_STREAM_BASED",
        0x13 => "FORMAT_H264",
        0x14 => "FRAME_H264",
        _ => "unknown",
    }
}
