//! What holds for every tree and for every string of bytes.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

fn speeds() -> impl Strategy<Value = Speed> {
    select(&Speed::ALL[..])
}

/// An endpoint that is right at `speed` in any alternate but 0; its address is to be replaced.
fn endpoint(speed: Speed) -> BoxedStrategy<Endpoint> {
    let address = input(1);
    let (most, intervals) = match speed {
        Speed::Low => (8u16, 10..=255u8),
        Speed::Full => (64, 1..=255),
        _ => (1024, 1..=16),
    };
    let interrupt = (1..=most, intervals)
        .prop_map(move |(size, interval)| Endpoint::interrupt(address, size, interval));
    if speed == Speed::Low {
        return interrupt.boxed();
    }
    let most_bursts = if speed.is_super() { 15 } else { 0u8 };
    let bulk = (0..=most_bursts)
        .prop_map(move |burst| Endpoint::bulk(address).burst(burst).extra([3, 0x24, burst]));
    let transactions = if speed == Speed::High { 1..=3 } else { 1..=1u8 };
    let mults = if speed.is_super() { 0..=2 } else { 0..=0u8 };
    let sizes = 683..=if speed == Speed::Full { 1023 } else { 1024u16 };
    let isochronous = (sizes, 1..=16u8, transactions, mults, any::<bool>());
    let isochronous =
        isochronous.prop_map(move |(size, interval, transactions, mult, feedback)| {
            let endpoint = Endpoint::isochronous(address, size, interval)
                .transactions(transactions)
                .mult(mult)
                .synchronization(Synchronization::Adaptive);
            if feedback {
                let endpoint = endpoint.usage(Usage::Feedback);
                endpoint.audio(AudioEndpoint::default())
            } else {
                endpoint
            }
        });
    prop_oneof![interrupt, bulk, isochronous].boxed()
}

/// A device that can be built at the speed.
fn devices() -> impl Strategy<Value = (Speed, Device)> {
    let interfaces = |speed| vec(vec(vec(endpoint(speed), 0..3), 0..3), 1..5);
    let power = (0..=500u16, any::<bool>(), any::<bool>());
    let names = (option::of(".{0,20}"), option::of(".{0,20}"), any::<bool>());
    let tree = speeds().prop_flat_map(move |speed| (Just(speed), interfaces(speed)));
    (tree, power, names).prop_map(|((speed, interfaces), power, names)| {
        (speed, device(speed, interfaces, power, names))
    })
}

fn device(
    speed: Speed,
    interfaces: Vec<Vec<Vec<Endpoint>>>,
    (power, own, wakeup): (u16, bool, bool),
    (name, product, associated): (Option<String>, Option<String>, bool),
) -> Device {
    let mut configuration = Configuration::new(9).max_power(power).extra([2, 0x40]);
    let mut next = 1;
    let most = if speed == Speed::Low { 2 } else { 15 };
    for (number, settings) in (0..).zip(interfaces) {
        let first = next;
        let mut interface = Interface::new(number).setting(vendor().extra([4, 0x21, 1, 2]));
        for endpoints in settings {
            let mut setting = vendor();
            setting.name.clone_from(&name);
            for (number, mut endpoint) in (first..=most).zip(endpoints) {
                endpoint.address = input(number);
                setting = setting.endpoint(endpoint);
                next = next.max(number + 1);
            }
            interface = interface.setting(setting);
        }
        configuration = configuration.interface(interface);
        if associated {
            configuration = configuration.association(Association::new(number, 1, Class::VENDOR));
        }
    }
    if own {
        configuration = configuration.self_powered();
    }
    if wakeup {
        configuration = configuration.remote_wakeup();
    }
    let mut device = Device::new(1, 2).high_speed_capable(false);
    device.product = product;
    device.configuration(configuration)
}

proptest! {
    #[test]
    fn whatever_is_built_parses_back_to_itself((speed, device) in devices()) {
        let bare = simple([vendor()]);
        let descriptors = Descriptors::build(speed, |asked| {
            if asked == speed { device.clone() } else { bare.clone() }
        }).unwrap();
        let bytes = descriptors.get(kind::CONFIGURATION, 0, 0).unwrap();
        let parsed = ConfigurationDescriptor::parse(&bytes, speed).unwrap();
        prop_assert_eq!(&parsed, &descriptors.configurations()[0]);
        prop_assert_eq!(parsed.encode(speed).unwrap(), bytes);
        let bytes = descriptors.get(kind::DEVICE, 0, 0).unwrap();
        prop_assert_eq!(&DeviceDescriptor::parse(&bytes).unwrap(), descriptors.device());
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in vec(any::<u8>(), 0..200), speed in speeds()) {
        let _ = DeviceDescriptor::parse(&bytes);
        let _ = BosDescriptor::parse(&bytes);
        let _ = ConfigurationDescriptor::parse(&bytes, speed);
        let _ = decode_string(&bytes);
    }

    #[test]
    fn what_parses_is_stable(
        descriptors in vec((select(&[4u8, 5, 11, 48, 0x24][..]), vec(0..4u8, 7..9)), 0..20),
        speed in speeds(),
    ) {
        let mut bytes = hex("09 02 00 00 01 01 00 80 32");
        for (kind, body) in descriptors {
            bytes.extend([body.len() as u8 + 2, kind]);
            bytes.extend(body);
        }
        let total = (bytes.len() as u16).to_le_bytes();
        bytes[2..4].copy_from_slice(&total);
        let parsed = ConfigurationDescriptor::parse(&bytes, speed).unwrap();
        let encoded = parsed.encode(speed).unwrap();
        prop_assert_eq!(ConfigurationDescriptor::parse(&encoded, speed).unwrap(), parsed);
    }

    #[test]
    fn strings_survive(text in ".{0,60}") {
        let descriptors = simple([vendor()]).product(text.clone()).build(Speed::Full).unwrap();
        let bytes = descriptors.get(kind::STRING, 1, 0x0409).unwrap();
        prop_assert_eq!(decode_string(&bytes).unwrap(), text);
    }
}
