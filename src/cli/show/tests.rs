//! What is shown of devices.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use proptest::{collection::vec, prelude::*};
use usbwright::{
    protocol::{
        Class, Direction, EndpointAddress, Setup, Speed, Status,
        descriptor::{
            Association, Capability, Configuration, Descriptors, Device, Endpoint, Interface,
            MicrosoftOs20, Setting, WebUsb,
        },
    },
    target::enumerate::{ControlAnswer, Description, DeviceState, DeviceStatus, enumerate},
};

use super::{json::json, page::WIDTH, text::text};
use crate::cli::{open, usb_ids::UsbIds};

/// A few names, the same on every machine.
pub(in crate::cli) fn ids() -> UsbIds {
    UsbIds::parse(
        "\
0525  Netchip Technology, Inc.
\ta4a0  Linux-USB \"Gadget Zero\"
C 02  Communications
\t02  Abstract (modem)
\t\t01  AT-commands (v.25ter)
C 03  Human Interface Device
\t01  Boot Interface Subclass
\t\t01  Keyboard
C ef  Miscellaneous Device
C ff  Vendor Specific Class
L 0009  English
\t01  US
",
    )
}

/// What a device tells of itself that answers with `answer`.
fn enumerated(speed: Speed, mut answer: impl FnMut(Setup) -> Option<Vec<u8>>) -> Description {
    let description = enumerate(speed, async |setup| {
        let bytes = answer(setup);
        ControlAnswer {
            status: bytes.as_ref().map_or(Status::Stalled, |_| Status::Done),
            data: bytes.unwrap_or_default().into(),
        }
    });
    match pin!(description).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(description) => description.unwrap(),
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// What a device tells of itself.
pub(in crate::cli) fn described(speed: Speed, device: fn(Speed) -> Device) -> Description {
    let descriptors = Descriptors::build(speed, device).unwrap();
    enumerated(speed, |setup| {
        let (kind, index) = setup.descriptor();
        let bytes = descriptors.get(kind, index, setup.index)?;
        Some(bytes.to_vec())
    })
}

fn class(class: u8, subclass: u8, protocol: u8) -> Class {
    Class {
        class,
        subclass,
        protocol,
    }
}

fn input(number: u8) -> EndpointAddress {
    EndpointAddress::new(number, Direction::In)
}

/// A modem, a keyboard, a microphone and a lamp.
pub(in crate::cli) fn composite(speed: Speed) -> Device {
    let interval = if speed < Speed::High { 32 } else { 9 };
    let modem = Setting::new(class(2, 2, 1))
        .extra([5, 0x24, 0, 0x10, 1])
        .extra([5, 0x24, 1, 3, 1])
        .extra([4, 0x24, 2, 6])
        .extra([5, 0x24, 6, 0, 1])
        .endpoint(Endpoint::interrupt(input(1), 16, interval));
    let data = Setting::new(class(10, 0, 0))
        .endpoint(Endpoint::bulk(input(2)))
        .endpoint(Endpoint::bulk(EndpointAddress::new(2, Direction::Out)));
    let keyboard = Setting::new(class(3, 1, 1))
        .name("keys")
        .extra([9, 0x21, 0x11, 1, 0, 1, 0x22, 63, 0])
        .endpoint(Endpoint::interrupt(input(3), 8, interval));
    let microphone = Setting::new(class(1, 1, 0)).extra([9, 0x24, 1, 0, 1, 9, 0, 1, 1]);
    let lamp = Setting::new(Class::VENDOR).extra([5, 0x41, 1, 2, 3]);
    Device::new(0x1209, 0x0001)
        .manufacturer("A maker")
        .product("Everything\u{202e}\u{1b}[31m \"at once\"")
        .capability(Capability::ContainerId([7; 16]))
        .capability(Capability::Other {
            kind: 0x42,
            data: (0..20).collect(),
        })
        .microsoft_os_20(MicrosoftOs20::new(0x20))
        .webusb(WebUsb::new(0x21))
        .configuration(
            Configuration::new(1)
                .remote_wakeup()
                .max_power(500)
                .association(Association::new(0, 2, class(2, 2, 1)).name("modem"))
                .interface(Interface::new(0).setting(modem))
                .interface(Interface::new(1).setting(data))
                .interface(Interface::new(2).setting(keyboard))
                .interface(Interface::new(3).setting(microphone))
                .interface(Interface::new(4).setting(lamp)),
        )
}

#[test]
fn gadget_zero_is_shown_field_by_field() {
    for speed in ["high", "super"] {
        let spec = format!("gadget-zero,speed={speed}").parse().unwrap();
        let (description, state) = open::describe(&spec).unwrap();
        let name = format!("gadget_zero_{speed}");
        insta::assert_snapshot!(name, text(&description, &state, &ids()));
    }
}

#[test]
fn gadget_zero_is_shown_as_json() {
    let (description, state) = open::describe(&"gadget-zero".parse().unwrap()).unwrap();
    insta::assert_snapshot!(format!("{:#}", json(&description, &state)));
}

#[test]
fn a_composite_device_is_shown_with_its_functions_classes_and_capabilities() {
    let state = DeviceState {
        configuration: None,
        status: Some(DeviceStatus(2)),
    };
    for speed in [Speed::High, Speed::SuperPlus] {
        let text = text(&described(speed, composite), &state, &ids());
        insta::assert_snapshot!(format!("composite_{speed}"), text);
        assert!(fits(&text), "{text}");
    }
}

#[test]
fn a_composite_device_is_shown_as_json() {
    let description = described(Speed::Super, composite);
    let value = json(&description, &DeviceState::default());
    insta::assert_snapshot!(format!("{value:#}"));
}

#[test]
fn every_field_that_lsusb_tells_of_gadget_zero_is_told() {
    let told = [
        (
            "high",
            include_str!("../../../tests/data/gadget-zero-high.txt"),
        ),
        (
            "super",
            include_str!("../../../tests/data/gadget-zero-super.txt"),
        ),
    ];
    for (speed, lsusb) in told {
        let spec = format!("gadget-zero,speed={speed}").parse().unwrap();
        let (description, state) = open::describe(&spec).unwrap();
        let own = text(&description, &state, &ids());
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        let own: Vec<_> = own.lines().filter_map(first).collect();
        let prefixes = ["b", "w", "i", "dw"];
        // A slip of lsusb's: the specification has wU2DevExitLat.
        let known = |field: &String| {
            prefixes.iter().any(|it| field.starts_with(it)) && field != "bU2DevExitLat"
        };
        for field in lsusb.lines().filter_map(first).filter(known) {
            assert!(own.contains(&field), "{field} at {speed} speed");
        }
    }
}

#[test]
fn defects_are_told_at_the_end() {
    let descriptors = Descriptors::build(Speed::High, composite).unwrap();
    let description = enumerated(Speed::High, |setup| {
        let (kind, index) = setup.descriptor();
        let bytes = descriptors.get(kind, index, setup.index)?;
        (kind != 3 || index != 2).then(|| bytes.to_vec())
    });
    let text = text(&description, &DeviceState::default(), &ids());
    assert!(
        text.contains("  iProduct                             2  (not there)\n"),
        "{text}"
    );
    let end = "Defects\n  string 2 in language 0x0409: the device refuses it (it stalls)\n";
    assert!(text.ends_with(end), "{text}");
}

/// Whether a text fits a terminal and does nothing to it.
fn fits(text: &str) -> bool {
    let tame = |line: &str| !line.chars().any(char::is_control);
    text.lines()
        .all(|line| line.chars().count() <= WIDTH && tame(line))
}

/// Descriptors of types that are decoded, and of others.
fn descriptors() -> impl Strategy<Value = Vec<u8>> {
    let kinds = vec![4, 5, 11, 0x08, 0x09, 0x21, 0x24, 0x25, 0x30, 0x31, 0x77];
    let one = (prop::sample::select(kinds), vec(any::<u8>(), 0..40));
    let one = one.prop_map(|(kind, mut body)| {
        // Interfaces and endpoints that are too short end an enumeration.
        if [4, 5, 11, 0x30].contains(&kind) {
            body.resize(body.len().max(7), 0);
        }
        [&[body.len() as u8 + 2, kind], &body[..]].concat()
    });
    vec(one, 0..12).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn whatever_a_device_tells_is_shown_in_lines_that_fit(
        speed in prop::sample::select(Speed::ALL.to_vec()),
        chain in descriptors(),
        string in vec(any::<u8>(), 0..120),
    ) {
        let built = Descriptors::build(Speed::High, composite).unwrap();
        let [low, high] = (chain.len() as u16 + 9).to_le_bytes();
        let configuration = [&[9, 2, low, high, 1, 1, 1, 0x80, 50], &chain[..]].concat();
        let string = [&[string.len() as u8 / 2 * 2 + 2, 3], &string[..]].concat();
        let description = enumerated(speed, |setup| match setup.descriptor() {
            (2, _) => Some(configuration.clone()),
            (3, 1..) => Some(string.clone()),
            (kind, index) => Some(built.get(kind, index, setup.index)?.to_vec()),
        });
        let state = DeviceState::default();
        let text = text(&description, &state, &ids());
        prop_assert!(fits(&text), "{text}");
        json(&description, &state);
    }
}
