//! The host's side: what is taken, what is passed over, what is refused.

use super::*;
use crate::TransferType;

const HEAD: &str = "09 02 ff 00 01 01 00 80 32";

/// Parses a configuration of these descriptors after its head; the total is filled in.
fn parse(rest: &str, speed: Speed) -> Result<ConfigurationDescriptor, ParseError> {
    let mut bytes = [hex(HEAD), hex(rest)].concat();
    bytes[2] = bytes.len() as u8;
    ConfigurationDescriptor::parse(&bytes, speed)
}

#[test]
fn unknown_descriptors_stay_where_they_were() {
    let configuration = parse(
        "03 40 01 | 09 04 00 00 01 03 01 01 00 | 03 21 02 | 03 22 03 | 07 05 81 03 08 00 0a | 03 25 04",
        Speed::Full,
    )
    .unwrap();
    let setting = &configuration.interfaces[0].settings[0];
    assert_eq!(configuration.extra[..], hex("03 40 01"));
    assert_eq!(setting.extra[..], hex("03 21 02 03 22 03"));
    assert_eq!(setting.endpoints[0].extra[..], hex("03 25 04"));
    assert_eq!(configuration.max_power_ma, 100);
}

#[test]
fn what_linux_passes_over_is_passed_over() {
    let configuration = parse(
        "09 04 00 00 09 ff 00 00 00
        | 07 05 80 03 08 00 0a | 03 25 00
        | 07 05 81 03 08 00 0a | 07 05 81 02 40 00 00
        | 09 04 00 00 00 03 00 00 00 | 07 05 82 03 08 00 0a
        | 09 04 05 00 00 ff 00 00 00 | 07 05 81 03 08 00 0a | 07 05 83 02 40 00 00",
        Speed::Full,
    )
    .unwrap();
    let found: Vec<_> = configuration
        .endpoints()
        .map(|(interface, _, endpoint)| {
            let address = endpoint.address.byte();
            (interface.number, address, endpoint.transfer_type)
        })
        .collect();
    assert_eq!(
        found,
        [
            (0, 0x81, TransferType::Interrupt),
            (5, 0x83, TransferType::Bulk)
        ]
    );
}

#[test]
fn settings_of_an_interface_are_gathered() {
    let configuration = parse(
        "09 04 00 00 00 ff 00 00 00 | 09 04 01 00 00 ff 00 00 00 | 09 04 00 01 00 ff 00 00 00",
        Speed::High,
    )
    .unwrap();
    assert_eq!(configuration.interfaces.len(), 2);
    assert!(configuration.interface(0).unwrap().setting(1).is_some());
    assert!(configuration.interface(1).unwrap().setting(1).is_none());
}

#[test]
fn a_companion_counts_where_it_follows_its_endpoint_at_superspeed() {
    let rest = "09 04 00 00 01 ff 00 00 00 | 07 05 81 01 00 04 01 | 06 30 03 01 00 20";
    let endpoint = |speed| {
        let configuration = parse(rest, speed).unwrap();
        configuration.interfaces[0].settings[0].endpoints[0].clone()
    };
    let fast = endpoint(Speed::Super);
    assert_eq!((fast.transactions, fast.bytes_per_interval()), (8, 8192));
    let slow = endpoint(Speed::High);
    assert_eq!((slow.companion, slow.extra.len()), (None, 6));
}

#[test]
fn audio_endpoints_have_nine_bytes() {
    let audio = AudioEndpoint {
        refresh: 4,
        synch_address: 0x82,
    };
    let endpoint = Endpoint::isochronous(input(1), 192, 1)
        .synchronization(Synchronization::Asynchronous)
        .usage(Usage::ImplicitFeedback)
        .audio(audio)
        .extra(hex("07 25 01 00 00 00 00"));
    let device = simple([vendor(), vendor().endpoint(endpoint)]);
    let descriptors = device.build(Speed::Full).unwrap();
    let bytes = descriptors.get(kind::CONFIGURATION, 0, 0).unwrap();
    assert_eq!(
        bytes[27..],
        hex("09 05 81 25 c0 00 01 04 82 | 07 25 01 00 00 00 00")
    );
    let parsed = ConfigurationDescriptor::parse(&bytes, Speed::Full).unwrap();
    assert_eq!(parsed, descriptors.configurations()[0]);
}

#[test]
fn the_device_descriptor_parses_back() {
    let device = simple([vendor()]).manufacturer("m").serial("s");
    let descriptors = device.build(Speed::High).unwrap();
    let bytes = descriptors.get(kind::DEVICE, 0, 0).unwrap();
    assert_eq!(
        &DeviceDescriptor::parse(&bytes).unwrap(),
        descriptors.device()
    );
}

#[test]
fn refusals_name_the_descriptor_the_place_and_the_rule() {
    let configuration = |rest| parse(rest, Speed::High).unwrap_err().to_string();
    let total = |bytes| {
        let error = ConfigurationDescriptor::parse(&hex(bytes), Speed::High);
        error.unwrap_err().to_string()
    };
    let messages = [
        total(""),
        total("09 03 09 00 00 01 00 80 32"),
        total("08 02 08 00 00 01 00 80"),
        total("09 02 0a 00 00 01 00 80 32"),
        total("09 02 08 00 00 01 00 80 32"),
        configuration("01 04"),
        configuration("09 04 00"),
        configuration("09"),
        configuration("08 04 00 00 00 ff 00 00"),
        configuration("09 04 00 00 01 ff 00 00 00 | 06 05 81 02 00 02"),
        configuration("07 0b 00 02 ff 00 00"),
        DeviceDescriptor::parse(&hex("11 01 00 02 00 00 00 40 25 05 a0 a4 01 06 01 02 03"))
            .unwrap_err()
            .to_string(),
        BosDescriptor::parse(&hex("05 0f 0b 00 01 | 06 10 02 02 00 00"))
            .unwrap_err()
            .to_string(),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}
