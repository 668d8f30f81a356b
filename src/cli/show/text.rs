//! A device in words: every descriptor in the order of its bytes, with every field.

use usbwright::{
    protocol::{
        Class, TransferType,
        descriptor::{ConfigurationDescriptor, RawDescriptor, RawDescriptors, kind},
    },
    target::enumerate::{Description, DeviceState, Fetched},
};

use super::{
    bos, class,
    page::Page,
    standard::{self, At},
};
use crate::cli::usb_ids::UsbIds;

/// What is shown, and the names that it is shown with.
pub(super) struct Subject<'a> {
    pub(super) description: &'a Description,
    pub(super) names: &'a UsbIds,
}

impl Subject<'_> {
    /// A string, quoted and escaped; nothing for index 0.
    pub(super) fn string(&self, index: u8) -> String {
        match self.description.string(index) {
            Some(text) => format!("{text:?}"),
            None if index == 0 => String::new(),
            None => "(not there)".to_owned(),
        }
    }
}

/// Everything about a device.
pub(super) fn text(description: &Description, state: &DeviceState, names: &UsbIds) -> String {
    let subject = Subject { description, names };
    let mut page = Page::default();
    page.words(&title(description, names));
    page.under("Device Descriptor", |page| {
        standard::device(page, &subject, &description.device().bytes);
    });
    let at = At {
        subject: &subject,
        speed: description.speed(),
    };
    for own in description.configurations() {
        let marked = state.configuration == Some(own.descriptor.value);
        let mark = if marked { " (in force)" } else { "" };
        let heading = format!("Configuration Descriptor{mark}");
        configuration(&mut page, at, &heading, own);
    }
    if let Some(own) = description.bos() {
        page.under("Binary Object Store Descriptor", |page| {
            bos::write(page, &own.bytes);
        });
    }
    if let Some(own) = description.qualifier() {
        page.under("Device Qualifier (for the other speed)", |page| {
            standard::qualifier(page, &subject, &own.bytes);
        });
    }
    let speed = description.other_speed().unwrap_or(at.speed);
    let subject = &subject;
    for own in description.other_speed_configurations() {
        let heading = format!("Other Speed Configuration Descriptor ({speed} speed)");
        configuration(&mut page, At { subject, speed }, &heading, own);
    }
    ending(&mut page, description, state, names);
    page.into_text()
}

/// A device in one line: its ids, names and speed. Where it has no name of its own, that of usb.ids.
pub(in crate::cli) fn title(description: &Description, names: &UsbIds) -> String {
    let device = &description.device().descriptor;
    let (vendor, product) = (device.vendor_id, device.product_id);
    let mut title = format!("{vendor:04x}:{product:04x}");
    let known = [
        (device.product_index, names.product_name(vendor, product)),
        (device.manufacturer_index, names.vendor(vendor)),
    ];
    for (index, known) in known {
        match (description.string(index), known) {
            (Some(own), _) => title += &format!(", {own:?}"),
            (None, Some(known)) => title += &format!(", {known}"),
            (None, None) => {}
        }
    }
    if let Some(serial) = description.string(device.serial_index) {
        title += &format!(", serial {serial:?}");
    }
    title + &format!(", {} speed", description.speed())
}

/// What no descriptor tells.
fn ending(page: &mut Page, description: &Description, state: &DeviceState, names: &UsbIds) {
    if !description.languages().is_empty() {
        page.under("Languages", |page| {
            for language in description.languages() {
                let names = names.language(*language).into_iter().flatten();
                let names: Vec<_> = names.collect();
                page.line("wLANGID", format!("{language:#06x}"), names.join(", "));
            }
        });
    }
    if let Some(status) = state.status {
        let words: Vec<_> = status.words().collect();
        let words = match words[..] {
            [] => "bus powered".to_owned(),
            _ => words.join(", "),
        };
        page.line("Device Status", format!("{:#06x}", status.0), words);
    }
    if !description.defects().is_empty() {
        page.under("Defects", |page| {
            for defect in description.defects() {
                page.words(&defect.to_string());
            }
        });
    }
}

/// A configuration with all that belongs to it.
fn configuration(
    page: &mut Page,
    at: At<'_>,
    heading: &str,
    own: &Fetched<ConfigurationDescriptor>,
) {
    let mut chain = RawDescriptors::new(&own.bytes).flatten();
    page.under(heading, |page| {
        if let Some(head) = chain.next() {
            standard::configuration(page, at, head.bytes);
        }
        let mut place = Place::default();
        for raw in chain {
            one(page, at, &raw, &mut place);
        }
    });
}

/// What a class's own descriptors follow.
#[derive(Default)]
struct Place {
    class: Option<Class>,
    endpoint: Option<TransferType>,
}

/// One descriptor after the head.
fn one(page: &mut Page, at: At<'_>, raw: &RawDescriptor<'_>, place: &mut Place) {
    match raw.kind {
        kind::INTERFACE => page.under("Interface Descriptor", |page| {
            place.class = Some(standard::interface(page, at, raw));
            place.endpoint = None;
        }),
        kind::INTERFACE_ASSOCIATION => page.under("Interface Association", |page| {
            standard::association(page, at, raw);
        }),
        kind::ENDPOINT => page.deeper(1, |page| {
            page.under("Endpoint Descriptor", |page| {
                place.endpoint = Some(standard::endpoint(page, at, raw));
            });
        }),
        kind::SUPERSPEED_ENDPOINT_COMPANION => {
            page.deeper(2, |page| {
                page.under("SuperSpeed Endpoint Companion", |page| {
                    standard::companion(page, place.endpoint, raw);
                });
            });
        }
        _ => {
            let depth = match place {
                Place { class: None, .. } => 0,
                Place { endpoint: None, .. } => 1,
                _ => 2,
            };
            page.deeper(depth, |page| other(page, at, raw, place));
        }
    }
}

/// A descriptor of a class, or one that only few devices have.
fn other(page: &mut Page, at: At<'_>, raw: &RawDescriptor<'_>, place: &Place) {
    let of_class = place
        .class
        .is_some_and(|own| class::write(page, at.subject, own, place.endpoint.is_some(), raw));
    if of_class {
        return;
    }
    match standard::other(raw.kind) {
        Some((heading, decode)) => standard::described(page, heading, raw, decode),
        None => standard::described(page, "Unknown Descriptor", raw, |_| {}),
    }
}
