//! Rules that a configuration may break and still be of use.

use std::collections::HashSet;

use usbwright_protocol::{
    Speed,
    descriptor::{ConfigurationDescriptor, ParseError, RawDescriptor, RawDescriptors, kind},
};

use super::Fetched;

const CONFIGURATION: &str = "configuration descriptor";
const INTERFACE: &str = "interface descriptor";
const ENDPOINT: &str = "endpoint descriptor";

/// The rules that a configuration breaks, each with the first place at which it does.
pub(super) fn configuration(
    configuration: &Fetched<ConfigurationDescriptor>,
    before: &[Fetched<ConfigurationDescriptor>],
    speed: Speed,
) -> Vec<ParseError> {
    let value = configuration.descriptor.value;
    let taken = before.iter().any(|other| other.descriptor.value == value);
    let descriptors: Vec<_> = RawDescriptors::new(&configuration.bytes)
        .flatten()
        .collect();
    let mut broken = Broken::default();
    if let Some(head) = descriptors.first() {
        let found = configuration.descriptor.interfaces.len();
        let counted = head.bytes.get(4).copied().map_or(0, usize::from);
        let rules = [
            (value != 0, "bConfigurationValue is at least 1"),
            (!taken, "bConfigurationValue is no other configuration's"),
            (
                counted == found,
                "bNumInterfaces is the number of its interfaces",
            ),
        ];
        for (holds, rule) in rules {
            broken.unless(holds, head, CONFIGURATION, rule);
        }
    }
    settings(&descriptors, &mut broken);
    if speed.is_super() {
        companions(&descriptors, &mut broken);
    }
    broken.0
}

/// Each setting is there once, and has as many endpoints as it says, each once.
fn settings(descriptors: &[RawDescriptor<'_>], broken: &mut Broken) {
    let mut known = HashSet::new();
    for (position, setting) in descriptors.iter().enumerate() {
        let &[_, kind::INTERFACE, number, alternate, counted, ..] = setting.bytes else {
            continue;
        };
        let once = known.insert((number, alternate));
        let rule = "each setting of an interface is there once";
        broken.unless(once, setting, INTERFACE, rule);
        let own = descriptors[position + 1..]
            .iter()
            .take_while(|raw| raw.kind != kind::INTERFACE)
            .filter(|raw| raw.kind == kind::ENDPOINT);
        let mut addresses = HashSet::new();
        let mut found = 0;
        for endpoint in own {
            found += 1;
            let address = endpoint.bytes.get(2).map_or(0, |address| address & 0x8f);
            let fine = address & 0x0f != 0 && addresses.insert(address);
            let rule = "an endpoint of a setting is there once, and is not endpoint zero";
            broken.unless(fine, endpoint, ENDPOINT, rule);
        }
        let rule = "bNumEndpoints is the number of its endpoints";
        broken.unless(found == usize::from(counted), setting, INTERFACE, rule);
    }
}

/// At SuperSpeed a companion follows each endpoint (USB 3.2 §9.6.7).
fn companions(descriptors: &[RawDescriptor<'_>], broken: &mut Broken) {
    for (position, endpoint) in descriptors.iter().enumerate() {
        let next = descriptors.get(position + 1);
        let companion = next.is_some_and(|it| it.kind == kind::SUPERSPEED_ENDPOINT_COMPANION);
        let fine = endpoint.kind != kind::ENDPOINT || companion;
        let rule = "a companion follows each endpoint at SuperSpeed";
        broken.unless(fine, endpoint, ENDPOINT, rule);
    }
}

/// The rules that are broken, each once: a configuration can have thousands of descriptors.
#[derive(Default)]
struct Broken(Vec<ParseError>);

impl Broken {
    fn unless(
        &mut self,
        holds: bool,
        raw: &RawDescriptor<'_>,
        descriptor: &'static str,
        rule: &'static str,
    ) {
        if !holds && self.0.iter().all(|known| known.rule != rule) {
            self.0.push(raw.error(descriptor, rule));
        }
    }
}
