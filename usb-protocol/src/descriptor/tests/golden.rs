//! Bytes that real hosts took: Linux's Gadget Zero (which usbtest drives) at three speeds.

use super::*;

/// Gadget Zero: source and sink with isochronous and interrupt settings, and a loop.
fn gadget_zero(speed: Speed) -> Device {
    let bulk = || {
        vendor()
            .endpoint(Endpoint::bulk(input(1)))
            .endpoint(Endpoint::bulk(output(1)))
    };
    let size = if speed == Speed::Full { 1023 } else { 1024 };
    let isochronous = |address| Endpoint::isochronous(address, size, 4);
    let interrupt = |address| Endpoint::interrupt(address, 64, 4);
    let source_sink = Interface::new(0)
        .setting(bulk())
        .setting(
            bulk()
                .endpoint(isochronous(input(2)))
                .endpoint(isochronous(output(2))),
        )
        .setting(
            bulk()
                .endpoint(interrupt(input(3)))
                .endpoint(interrupt(output(3))),
        );
    let powered = |value| Configuration::new(value).self_powered().max_power(2);
    Device::new(0x0525, 0xa4a0)
        .release(0x0601)
        .class(Class::VENDOR)
        .manufacturer("usbwright")
        .product("Gadget Zero")
        .serial("0123456789.0123456789.0123456789")
        .configuration(powered(3).interface(source_sink))
        .configuration(powered(2).interface(Interface::new(0).setting(bulk())))
}

fn found(descriptors: &Descriptors, kind: u8, index: u8) -> Vec<u8> {
    let bytes = descriptors.get(kind, index, 0);
    bytes.map(|bytes| bytes.to_vec()).unwrap_or_default()
}

const HIGH_0: &str = "09 02 6a 00 01 03 00 c0 01
    | 09 04 00 00 02 ff 00 00 00 | 07 05 81 02 00 02 00 | 07 05 01 02 00 02 00
    | 09 04 00 01 04 ff 00 00 00 | 07 05 81 02 00 02 00 | 07 05 01 02 00 02 00
                                 | 07 05 82 01 00 04 04 | 07 05 02 01 00 04 04
    | 09 04 00 02 04 ff 00 00 00 | 07 05 81 02 00 02 00 | 07 05 01 02 00 02 00
                                 | 07 05 83 03 40 00 04 | 07 05 03 03 40 00 04";
const FULL_0: &str = "09 02 6a 00 01 03 00 c0 01
    | 09 04 00 00 02 ff 00 00 00 | 07 05 81 02 40 00 00 | 07 05 01 02 40 00 00
    | 09 04 00 01 04 ff 00 00 00 | 07 05 81 02 40 00 00 | 07 05 01 02 40 00 00
                                 | 07 05 82 01 ff 03 04 | 07 05 02 01 ff 03 04
    | 09 04 00 02 04 ff 00 00 00 | 07 05 81 02 40 00 00 | 07 05 01 02 40 00 00
                                 | 07 05 83 03 40 00 04 | 07 05 03 03 40 00 04";
const HIGH_1: &str = "09 02 20 00 01 02 00 c0 01
    | 09 04 00 00 02 ff 00 00 00 | 07 05 81 02 00 02 00 | 07 05 01 02 00 02 00";
const USB_2: &str = "12 01 00 02 ff 00 00 40 25 05 a0 a4 01 06 01 02 03 02";
const QUALIFIER: &str = "0a 06 00 02 ff 00 00 40 02 00";

/// A configuration as the other speed tells it.
fn as_other_speed(text: &str) -> Vec<u8> {
    let mut bytes = hex(text);
    bytes[1] = kind::OTHER_SPEED_CONFIGURATION;
    bytes
}

#[test]
fn gadget_zero_at_high_speed() {
    let descriptors = Descriptors::build(Speed::High, gadget_zero).unwrap();
    assert_eq!(found(&descriptors, kind::DEVICE, 0), hex(USB_2));
    assert_eq!(found(&descriptors, kind::CONFIGURATION, 0), hex(HIGH_0));
    assert_eq!(found(&descriptors, kind::CONFIGURATION, 1), hex(HIGH_1));
    assert_eq!(
        found(&descriptors, kind::DEVICE_QUALIFIER, 0),
        hex(QUALIFIER)
    );
    let other = found(&descriptors, kind::OTHER_SPEED_CONFIGURATION, 0);
    assert_eq!(other, as_other_speed(FULL_0));
    assert_eq!(descriptors.get(kind::CONFIGURATION, 2, 0), None);
    assert_eq!(descriptors.get(kind::OTHER_SPEED_CONFIGURATION, 2, 0), None);
    assert_eq!(descriptors.get(kind::BOS, 0, 0), None);
}

#[test]
fn gadget_zero_at_full_speed() {
    let descriptors = Descriptors::build(Speed::Full, gadget_zero).unwrap();
    assert_eq!(found(&descriptors, kind::DEVICE, 0), hex(USB_2));
    assert_eq!(found(&descriptors, kind::CONFIGURATION, 0), hex(FULL_0));
    assert_eq!(
        found(&descriptors, kind::DEVICE_QUALIFIER, 0),
        hex(QUALIFIER)
    );
    let other = found(&descriptors, kind::OTHER_SPEED_CONFIGURATION, 0);
    assert_eq!(other, as_other_speed(HIGH_0));
}

#[test]
fn gadget_zero_at_superspeed() {
    let bulk =
        "07 05 81 02 00 04 00 | 06 30 00 00 00 00 | 07 05 01 02 00 04 00 | 06 30 00 00 00 00";
    let configuration = format!(
        "09 02 a6 00 01 03 00 c0 01 | 09 04 00 00 02 ff 00 00 00 | {bulk}
        | 09 04 00 01 04 ff 00 00 00 | {bulk}
        | 07 05 82 01 00 04 04 | 06 30 00 00 00 04 | 07 05 02 01 00 04 04 | 06 30 00 00 00 04
        | 09 04 00 02 04 ff 00 00 00 | {bulk}
        | 07 05 83 03 40 00 04 | 06 30 00 00 40 00 | 07 05 03 03 40 00 04 | 06 30 00 00 40 00"
    );
    // 1 is 8 mA at SuperSpeed, and 2 mA round up to it.
    let descriptors = Descriptors::build(Speed::Super, gadget_zero).unwrap();
    assert_eq!(
        found(&descriptors, kind::DEVICE, 0),
        hex("12 01 20 03 ff 00 00 09 25 05 a0 a4 01 06 01 02 03 02")
    );
    let first = found(&descriptors, kind::CONFIGURATION, 0);
    assert_eq!((first.len(), first), (166, hex(&configuration)));
    assert_eq!(found(&descriptors, kind::CONFIGURATION, 1).len(), 44);
    assert_eq!(
        found(&descriptors, kind::BOS, 0),
        hex("05 0f 16 00 02 | 07 10 02 02 00 00 00 | 0a 10 03 00 0f 00 01 01 f4 01")
    );
    assert_eq!(descriptors.get(kind::DEVICE_QUALIFIER, 0, 0), None);
    assert_eq!(descriptors.get(kind::OTHER_SPEED_CONFIGURATION, 0, 0), None);
}

#[test]
fn the_bos_does_without_the_usb_2_extension_if_told_so() {
    let device = gadget_zero(Speed::Super).without_usb_20_extension();
    let descriptors = device.build(Speed::Super).unwrap();
    assert_eq!(
        found(&descriptors, kind::BOS, 0),
        hex("05 0f 0f 00 01 | 0a 10 03 00 0f 00 01 01 f4 01")
    );
}

#[test]
fn the_bos_tells_superspeed_plus() {
    let descriptors = gadget_zero(Speed::Super).build(Speed::SuperPlus).unwrap();
    let bytes = found(&descriptors, kind::BOS, 0);
    assert_eq!(
        bytes,
        hex(
            "05 0f 2a 00 03 | 07 10 02 02 00 00 00 | 0a 10 03 00 0f 00 01 01 f4 01
            | 14 10 0a 00 01 00 00 00 01 11 00 00 31 40 0a 00 b1 40 0a 00"
        )
    );
    let capabilities = BosDescriptor::parse(&bytes).unwrap().capabilities;
    assert_eq!(capabilities[2], Capability::super_speed_plus());
}

#[test]
fn a_capability_of_the_authors_replaces_the_automatic_one() {
    let own = SuperSpeedCapability {
        speeds: 0x0e,
        ..SuperSpeedCapability::default()
    };
    let device = gadget_zero(Speed::Super)
        .capability(Capability::ContainerId([7; 16]))
        .capability(Capability::SuperSpeed(own));
    let descriptors = device.build(Speed::Super).unwrap();
    let bos = BosDescriptor::parse(&found(&descriptors, kind::BOS, 0)).unwrap();
    assert_eq!(
        bos.capabilities,
        [
            Capability::Usb20Extension { attributes: 2 },
            Capability::SuperSpeed(own),
            Capability::ContainerId([7; 16]),
        ]
    );
}

#[test]
fn only_a_device_capable_of_both_speeds_tells_of_the_other() {
    let qualified = |descriptors: Descriptors| {
        let qualifier = descriptors.get(kind::DEVICE_QUALIFIER, 0, 0);
        let other = descriptors.get(kind::OTHER_SPEED_CONFIGURATION, 0, 0);
        assert_eq!(qualifier.is_some(), other.is_some());
        qualifier.is_some()
    };
    let device = || simple([vendor()]);
    assert!(qualified(device().build(Speed::High).unwrap()));
    assert!(!qualified(device().build(Speed::Full).unwrap()));
    let capable = device().high_speed_capable(true);
    assert!(qualified(capable.build(Speed::Full).unwrap()));
    let incapable = |_| device().high_speed_capable(false);
    assert!(!qualified(
        Descriptors::build(Speed::Full, incapable).unwrap()
    ));
    assert!(!qualified(
        Descriptors::build(Speed::Low, |_| device()).unwrap()
    ));
}

#[test]
fn associations_stand_before_their_interfaces_and_make_a_miscellaneous_device() {
    let class = Class {
        class: 2,
        subclass: 2,
        protocol: 1,
    };
    let interface = |number| Interface::new(number).setting(vendor());
    let device = Device::new(1, 2).configuration(
        Configuration::new(1)
            .association(Association::new(1, 2, class).name("Modem"))
            .interface(interface(0))
            .interface(interface(1))
            .interface(interface(2)),
    );
    let descriptors = device.build(Speed::Full).unwrap();
    assert_eq!(
        found(&descriptors, kind::CONFIGURATION, 0),
        hex("09 02 2c 00 03 01 00 80 00 | 09 04 00 00 00 ff 00 00 00
            | 08 0b 01 02 02 02 01 01 | 09 04 01 00 00 ff 00 00 00 | 09 04 02 00 00 ff 00 00 00")
    );
    assert_eq!(descriptors.device().class.class, 0xef);
}

#[test]
fn two_and_three_packets_fit_a_microframe() {
    let descriptors = simple([
        vendor(),
        vendor()
            .endpoint(Endpoint::isochronous(input(1), 1024, 1).transactions(3))
            .endpoint(Endpoint::interrupt(input(2), 513, 7).transactions(2)),
    ]);
    let descriptors = Descriptors::build(Speed::High, |speed| match speed {
        Speed::High => descriptors.clone(),
        _ => simple([vendor()]),
    });
    let descriptors = descriptors.unwrap();
    let setting = &descriptors.configurations()[0].interfaces[0].settings[1];
    let [three, two] = &setting.endpoints[..] else {
        panic!("two endpoints")
    };
    assert_eq!(
        (
            three.bytes_per_interval(),
            three.service_interval(Speed::High)
        ),
        (3072, 1)
    );
    assert_eq!(
        (two.bytes_per_interval(), two.service_interval(Speed::High)),
        (1026, 64)
    );
    let bytes = found(&descriptors, kind::CONFIGURATION, 0);
    assert_eq!(
        bytes[27..],
        hex("07 05 81 01 00 14 01 | 07 05 82 03 01 0a 07")
    );
}
