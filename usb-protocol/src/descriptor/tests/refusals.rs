//! One device for each rule that is broken, and the words in which it is refused.

use super::*;

fn refused(device: &Device, speed: Speed) -> String {
    let outcome = Descriptors::build(speed, |_| device.clone().high_speed_capable(false));
    outcome.expect_err("a rule is broken").to_string()
}

/// A device of one interface whose alternate 1 has the endpoint.
fn with(endpoint: Endpoint) -> Device {
    simple([vendor(), vendor().endpoint(endpoint)])
}

/// A refusal for each endpoint at one speed.
fn endpoints(speed: Speed, endpoints: impl IntoIterator<Item = Endpoint>) -> String {
    let messages = endpoints
        .into_iter()
        .map(|endpoint| refused(&with(endpoint), speed));
    messages.collect::<Vec<_>>().join("\n")
}

fn messages(devices: impl IntoIterator<Item = Device>) -> String {
    let messages = devices
        .into_iter()
        .map(|device| refused(&device, Speed::Full));
    messages.collect::<Vec<_>>().join("\n")
}

fn bulk() -> Endpoint {
    Endpoint::bulk(input(1))
}

fn interrupt(size: u16, interval: u8) -> Endpoint {
    Endpoint::interrupt(input(1), size, interval)
}

fn isochronous(size: u16, interval: u8) -> Endpoint {
    Endpoint::isochronous(input(1), size, interval)
}

#[test]
fn low_speed_endpoints() {
    insta::assert_snapshot!(endpoints(
        Speed::Low,
        [
            bulk(),
            isochronous(8, 1),
            interrupt(9, 10),
            interrupt(0, 10),
            interrupt(8, 9)
        ]
    ));
    let three = (1..=3).map(|number| Endpoint::interrupt(input(number), 8, 10));
    let device = simple([three.fold(vendor(), Setting::endpoint)]);
    insta::assert_snapshot!("three_low_speed_endpoints", refused(&device, Speed::Low));
}

#[test]
fn full_speed_endpoints() {
    insta::assert_snapshot!(endpoints(
        Speed::Full,
        [
            bulk().max_packet_size(63),
            bulk().max_packet_size(512),
            interrupt(65, 1),
            interrupt(64, 0),
            isochronous(1024, 1),
            isochronous(8, 0),
            isochronous(8, 17),
            isochronous(700, 1).transactions(2),
            bulk().burst(1),
            bulk().streams(1),
            isochronous(8, 1).mult(1),
            interrupt(8, 1).bytes_per_interval(8),
            bulk().synchronization(Synchronization::Adaptive),
            bulk().usage(Usage::Feedback),
            interrupt(8, 1).usage(Usage::Notification),
            Endpoint::bulk(EndpointAddress::CONTROL),
            bulk().extra([3, 0x25]),
        ]
    ));
}

#[test]
fn high_speed_endpoints() {
    let same = simple([vendor()]);
    let refused = |device: Device| {
        let outcome = Descriptors::build(Speed::High, |speed| match speed {
            Speed::High => device.clone(),
            _ => same.clone(),
        });
        outcome.expect_err("a rule is broken").to_string()
    };
    let endpoints = [
        bulk().max_packet_size(513),
        bulk().transactions(2),
        interrupt(1025, 1),
        interrupt(8, 17),
        interrupt(8, 0),
        isochronous(1025, 1),
        isochronous(1024, 1).transactions(0),
        isochronous(1024, 1).transactions(4),
        isochronous(512, 1).transactions(2),
        isochronous(682, 1).transactions(3),
    ];
    let mut messages: Vec<_> = endpoints.map(|endpoint| refused(with(endpoint))).to_vec();
    for endpoint in [isochronous(1, 1), interrupt(65, 1)] {
        messages.push(refused(simple([vendor().endpoint(endpoint)])));
    }
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn superspeed_endpoints() {
    insta::assert_snapshot!(endpoints(
        Speed::Super,
        [
            bulk().max_packet_size(512),
            bulk().interval(1),
            bulk().burst(16),
            bulk().mult(1),
            bulk().streams(17),
            bulk().bytes_per_interval(1),
            bulk().transactions(2),
            interrupt(1025, 1),
            interrupt(1024, 1).burst(3),
            interrupt(512, 1).burst(1),
            interrupt(512, 1).streams(1),
            isochronous(1024, 1).mult(3),
            isochronous(1024, 1).burst(1).bytes_per_interval(2049),
        ]
    ));
}

#[test]
fn an_error_at_the_other_speed_says_so() {
    let outcome = with(isochronous(1024, 1)).build(Speed::High);
    insta::assert_snapshot!(outcome.expect_err("1024 is too much at full speed"));
}

#[test]
fn devices() {
    let many = (0..=255).map(|_| Configuration::new(1).interface(Interface::new(0)));
    let configuration =
        |value| Configuration::new(value).interface(Interface::new(0).setting(vendor()));
    let lpm = Capability::Usb20Extension { attributes: 2 };
    let big = Capability::Other {
        kind: 0x42,
        data: vec![0; 253].into(),
    };
    let sublinks = Capability::SuperSpeedPlus {
        functionality: 0,
        ids_less_one: 0,
        sublinks: Vec::new(),
    };
    let device = || simple([vendor()]);
    let names = (0..=254).map(|number: u8| vendor().name(number.to_string()));
    insta::assert_snapshot!(messages([
        Device::new(1, 2),
        many.fold(Device::new(1, 2), Device::configuration),
        Device::new(1, 2).configuration(configuration(0)),
        Device::new(1, 2)
            .configuration(configuration(1))
            .configuration(configuration(1)),
        device().release(0x010a),
        device().usb_version(0x0300).capability(lpm.clone()),
        device().usb_version(0x020a),
        device().usb_version(0x0200).capability(lpm.clone()),
        device().usb_version(0x0210),
        device().capability(lpm.clone()).capability(lpm),
        device().capability(big),
        device().capability(sublinks),
        device().product("x".repeat(127)),
        device().product("x").languages([]),
        device().product("x").languages([0x0409, 0x0409]),
        simple(names),
    ]));
    let old = device().usb_version(0x0200);
    insta::assert_snapshot!("superspeed_version", refused(&old, Speed::Super));
}

#[test]
fn configurations() {
    let configuration = || Configuration::new(1).interface(Interface::new(0).setting(vendor()));
    let association = |first, count| Association::new(first, count, Class::VENDOR);
    let two = || configuration().interface(Interface::new(1).setting(vendor()));
    let shared = |number| Interface::new(number).setting(vendor().endpoint(bulk()));
    let many = (0..=255).map(|number| Interface::new(number).setting(vendor()));
    let long = (0..=255).fold(Interface::new(0), |interface, _| {
        interface.setting(vendor().extra([255; 255]))
    });
    let settings = (0..=256).fold(Interface::new(0), |interface, _| {
        interface.setting(vendor())
    });
    let device = |configuration| Device::new(1, 2).configuration(configuration);
    insta::assert_snapshot!(messages(
        [
            Configuration::new(1),
            many.fold(Configuration::new(1), Configuration::interface),
            Configuration::new(1).interface(Interface::new(1).setting(vendor())),
            Configuration::new(1).interface(Interface::new(0)),
            Configuration::new(1).interface(settings),
            configuration().max_power(501),
            configuration().extra([9, 4, 0, 0, 0, 0, 0, 0, 0]),
            configuration().extra([1, 1]),
            configuration().extra([3]),
            configuration().association(association(0, 0)),
            configuration().association(association(0, 2)),
            configuration().association(Association::new(0, 1, Class::PER_INTERFACE)),
            two()
                .association(association(0, 2))
                .association(association(1, 1)),
            Configuration::new(1)
                .interface(shared(0))
                .interface(shared(1)),
            Configuration::new(1)
                .interface(Interface::new(0).setting(vendor().endpoint(bulk()).endpoint(bulk()))),
            Configuration::new(1).interface(long),
        ]
        .map(device)
    ));
    let thirsty = device(configuration().max_power(901));
    insta::assert_snapshot!("superspeed_power", refused(&thirsty, Speed::Super));
}

#[test]
fn microsoft_and_webusb() {
    let device = || simple([vendor()]);
    let version_1 = |own: MicrosoftOs10| device().microsoft_os_10(own);
    let version_2 = |own: MicrosoftOs20| device().microsoft_os_20(own);
    let one = || MicrosoftOs10::new(1);
    let two = || MicrosoftOs20::new(1);
    let features = MicrosoftFeatures::new;
    let large = || RegistryValue::Binary(vec![0; 65_536]);
    let most = || RegistryValue::Binary(vec![0; 65_530]);
    let half = || RegistryValue::Binary(vec![0; 33_000]);
    let halves = features().property("a", half()).property("b", half());
    insta::assert_snapshot!(messages([
        version_1(one().function(1, "WINUSB", "")),
        version_1(one().function(0, "WINUSB", "").function(0, "WINUSB", "")),
        version_1(one().function(0, "winusb", "")),
        version_1(one().function(0, "WINUSB", "123456789")),
        version_1(one().property(0, "", RegistryValue::Number(1))),
        version_1(one().property(1, "a", RegistryValue::Number(1))),
        version_1(one().property(0, "a", large())),
        version_1(one().property(0, "a", half()).property(0, "b", half())),
        version_2(two().function(1, 0, features())),
        version_2(two().function(0, 1, features())),
        version_2(two().function(0, 0, features()).function(0, 0, features())),
        version_2(two().device(features().compatible_id("WIN USB"))),
        version_2(two().device(features().property("a", most()))),
        version_2(two().device(halves)),
        device().webusb(WebUsb::new(1).landing_page(format!("https://{}", "x".repeat(253)))),
    ]));
}
