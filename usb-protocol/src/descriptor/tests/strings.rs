//! Strings: indices, languages, and what is refused.

use super::*;

fn string(descriptors: &Descriptors, index: u8) -> String {
    let bytes = descriptors.get(kind::STRING, index, 0x0409).unwrap();
    decode_string(&bytes).unwrap()
}

#[test]
fn equal_strings_share_an_index() {
    let device = simple([vendor().name("Übertragung"), vendor().name("Gerät 🦀")]);
    let device = device.product("Gerät 🦀").serial("1");
    let descriptors = device.build(Speed::Full).unwrap();
    let settings = &descriptors.configurations()[0].interfaces[0].settings;
    assert_eq!(descriptors.device().manufacturer_index, 0);
    assert_eq!(descriptors.device().product_index, 1);
    assert_eq!(settings[1].name_index, 1);
    assert_eq!(string(&descriptors, 1), "Gerät 🦀");
    assert_eq!(string(&descriptors, settings[0].name_index), "Übertragung");
}

#[test]
fn only_offered_languages_are_spoken() {
    let device = simple([vendor()]).product("p").languages([0x0407, 0x0409]);
    let descriptors = device.build(Speed::Full).unwrap();
    let table = descriptors.get(kind::STRING, 0, 0).unwrap();
    assert_eq!(table[..], hex("06 03 07 04 09 04"));
    assert_eq!(decode_languages(&table).unwrap(), [0x0407, 0x0409]);
    assert!(descriptors.get(kind::STRING, 1, 0x0407).is_some());
    assert!(descriptors.get(kind::STRING, 1, 0x040c).is_none());
    assert!(descriptors.get(kind::STRING, 2, 0x0409).is_none());
}

#[test]
fn a_device_without_strings_has_no_languages() {
    let descriptors = simple([vendor()]).build(Speed::Full).unwrap();
    assert_eq!(descriptors.get(kind::STRING, 0, 0), None);
}

#[test]
fn the_index_of_microsofts_string_is_left_free() {
    let named = (0..=u8::MAX).map(|number| vendor().name(number.to_string()));
    let most = simple(named.take(254)).build(Speed::Full).unwrap();
    let settings = &most.configurations()[0].interfaces[0].settings;
    assert_eq!(settings[236].name_index, 0xed);
    assert_eq!(settings[237].name_index, 0xef);
    assert_eq!(settings[253].name_index, 0xff);
    assert_eq!(string(&most, 0xef), "237");
    assert_eq!(string(&most, 0xff), "253");
    assert_eq!(most.get(kind::STRING, 0xee, 0), None);
}

#[test]
fn malformed_strings_are_refused() {
    for (bytes, rule) in [
        ("", "a descriptor has at least 2 bytes"),
        ("02 02", "bDescriptorType is 3"),
        ("01 03", "bLength is at least 2 and no more than there is"),
        (
            "06 03 41 00",
            "bLength is at least 2 and no more than there is",
        ),
        ("03 03 41", "bLength is even"),
    ] {
        assert_eq!(decode_string(&hex(bytes)).unwrap_err().rule, rule);
    }
    assert_eq!(decode_string(&hex("04 03 00 d8")).unwrap(), "\u{fffd}");
}

#[test]
fn a_string_that_is_added_has_its_index_before_the_configurations() {
    let device = |speed| {
        let name = if speed == Speed::High { "fast" } else { "slow" };
        let interface = Interface::new(0).setting(vendor());
        let configuration = Configuration::new(1).name(name).interface(interface);
        let device = Device::new(0x1209, 1).product("p").serial("1");
        device
            .string("slow")
            .string("fast")
            .configuration(configuration)
    };
    for (speed, own, other) in [(Speed::Full, 3, 4), (Speed::High, 4, 3)] {
        let descriptors = Descriptors::build(speed, device).unwrap();
        assert_eq!(descriptors.configurations()[0].name_index, own);
        let bytes = descriptors.get(kind::OTHER_SPEED_CONFIGURATION, 0, 0);
        assert_eq!(bytes.unwrap()[6], other);
        assert_eq!(string(&descriptors, 3), "slow");
        assert_eq!(string(&descriptors, 4), "fast");
    }
}

#[test]
fn a_string_that_is_added_is_checked_as_any_other() {
    let error = simple([vendor()])
        .string("x".repeat(127))
        .build(Speed::Full);
    let told = error.unwrap_err().to_string();
    assert!(
        told.contains("a string has at most 126 UTF-16 units"),
        "{told}"
    );
}
