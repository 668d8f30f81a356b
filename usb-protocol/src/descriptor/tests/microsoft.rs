//! Microsoft OS 1.0 and 2.0 descriptors and WebUSB, byte by byte and by their requests.

use super::*;
use crate::Setup;

/// What the request answers; its eight bytes are hexadecimal.
fn ask(descriptors: &Descriptors, setup: &str) -> Option<Vec<u8>> {
    let setup = Setup::from_bytes(hex(setup).try_into().unwrap());
    descriptors
        .vendor_request(&setup)
        .map(|bytes| bytes.to_vec())
}

#[test]
fn version_1_is_found_by_string_0xee() {
    let own = MicrosoftOs10::new(0x20).function(0, "WINUSB", "").property(
        0,
        "A",
        RegistryValue::Texts(vec!["x".into()]),
    );
    let device = simple([vendor()]).microsoft_os_10(own);
    let descriptors = device.build(Speed::Full).unwrap();
    let string = descriptors.get(kind::STRING, 0xee, 0).unwrap();
    assert_eq!(
        string[..],
        hex("12 03 4d 00 53 00 46 00 54 00 31 00 30 00 30 00 20 00")
    );
    let ids = ask(&descriptors, "c0 20 00 00 04 00 10 00").unwrap();
    assert_eq!(
        ids,
        hex("28 00 00 00 00 01 04 00 01 00 00 00 00 00 00 00
            | 00 01 57 49 4e 55 53 42 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00")
    );
    let properties = ask(&descriptors, "c1 20 00 00 05 00 ff ff").unwrap();
    assert_eq!(
        properties,
        hex("22 00 00 00 00 01 05 00 01 00
            | 18 00 00 00 07 00 00 00 04 00 41 00 00 00 06 00 00 00 78 00 00 00 00 00")
    );
    for other in [
        "c1 20 00 01 05 00 ff ff", // another interface
        "c1 20 01 00 05 00 ff ff", // another page
        "c0 21 00 00 04 00 10 00", // another code
        "40 20 00 00 04 00 10 00", // the other way
        "80 20 00 00 04 00 10 00", // no vendor request
        "c0 20 00 00 07 00 10 00", // the 2.0 set, which is not there
    ] {
        assert_eq!(ask(&descriptors, other), None, "{other}");
    }
}

#[test]
fn version_2_is_found_by_the_bos() {
    let winusb = MicrosoftFeatures::new()
        .compatible_id("WINUSB")
        .property("A", RegistryValue::Number(7));
    let own = MicrosoftOs20::new(0x20).function(0, 0, winusb);
    let device = simple([vendor()]).microsoft_os_20(own);
    let descriptors = device.build(Speed::High).unwrap();
    assert_eq!(descriptors.device().usb_version, 0x0210);
    let bos = descriptors.get(kind::BOS, 0, 0).unwrap();
    assert_eq!(
        bos[..],
        hex(
            "05 0f 21 00 01 | 1c 10 05 00 df 60 dd d8 89 45 c7 4c 9c d2 65 9d 9e 64 8a 9f
            | 00 00 03 06 40 00 20 00"
        )
    );
    let set = ask(&descriptors, "c0 20 00 00 07 00 ff ff").unwrap();
    assert_eq!(
        set,
        hex(
            "0a 00 00 00 00 00 03 06 40 00 | 08 00 01 00 00 00 36 00 | 08 00 02 00 00 00 2e 00
            | 14 00 03 00 57 49 4e 55 53 42 00 00 00 00 00 00 00 00 00 00
            | 12 00 04 00 04 00 04 00 41 00 00 00 04 00 07 00 00 00"
        )
    );
}

#[test]
fn every_feature_of_version_2_has_its_bytes() {
    let features = MicrosoftFeatures::new()
        .minimum_resume_time(10, 20)
        .model_id([9; 16])
        .ccgp_device()
        .vendor_revision(0x0203)
        .property("B", RegistryValue::NumberBigEndian(1))
        .property("C", RegistryValue::Binary(vec![5]))
        .property("D", RegistryValue::Text("t".into()));
    let device = simple([vendor()]).microsoft_os_20(MicrosoftOs20::new(1).device(features));
    let descriptors = device.build(Speed::Full).unwrap();
    let set = ask(&descriptors, "c0 01 00 00 07 00 ff ff").unwrap();
    assert_eq!(
        set[10..],
        hex(
            "06 00 05 00 0a 14 | 14 00 06 00 09 09 09 09 09 09 09 09 09 09 09 09 09 09 09 09
            | 04 00 07 00 | 06 00 08 00 03 02
            | 12 00 04 00 05 00 04 00 42 00 00 00 04 00 00 00 00 01
            | 0f 00 04 00 03 00 04 00 43 00 00 00 01 00 05
            | 12 00 04 00 01 00 04 00 44 00 00 00 04 00 74 00 00 00"
        )
    );
}

#[test]
fn webusb_shares_the_vendor_code() {
    let device = simple([vendor()])
        .microsoft_os_20(MicrosoftOs20::new(1))
        .microsoft_os_10(MicrosoftOs10::new(1).function(0, "WINUSB", ""))
        .webusb(WebUsb::new(1).landing_page("https://example.org/a"));
    let descriptors = device.build(Speed::Full).unwrap();
    let bos = descriptors.get(kind::BOS, 0, 0).unwrap();
    assert_eq!(
        bos[33..],
        hex("18 10 05 00 38 b6 08 34 a9 09 a0 47 8b fd a0 76 88 15 b6 65 00 01 01 01")
    );
    let url = ask(&descriptors, "c0 01 01 00 02 00 ff 00").unwrap();
    assert_eq!(url[..3], hex("10 03 01"));
    assert_eq!(&url[3..], b"example.org/a");
    assert_eq!(ask(&descriptors, "c0 01 02 00 02 00 ff 00"), None);
    assert_eq!(
        ask(&descriptors, "c0 01 00 00 07 00 ff 00").unwrap().len(),
        10
    );
    assert_eq!(
        ask(&descriptors, "c0 01 00 00 04 00 ff 00").unwrap().len(),
        40
    );
}
