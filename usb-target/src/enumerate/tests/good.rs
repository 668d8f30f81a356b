//! What is asked of good devices, and what is made of it.

use std::time::Instant;

use usbwright_emulator::EmulatedDevice;
use usbwright_models::Spec;
use usbwright_protocol::{
    Direction, EndpointAddress, Port, Transfer, TransferId, TransferKind, TransferType,
};

use super::*;
use crate::enumerate::{DeviceState, DeviceStatus, read_state, read_string};

/// One control transfer of a device that answers at once.
fn control(device: &mut EmulatedDevice, setup: Setup) -> ControlAnswer {
    let kind = TransferKind::Control {
        setup,
        data: Bytes::new(),
        room: setup.length.into(),
    };
    let transfer = Transfer {
        id: TransferId(1),
        endpoint: EndpointAddress::CONTROL,
        kind,
    };
    device.submit(transfer, Instant::now().into());
    let completion = device.completion().expect("it ends at once");
    ControlAnswer {
        status: completion.status,
        data: completion.data.to_vec().into(),
    }
}

fn gadget_zero(spec: &str) -> (EmulatedDevice, Vec<[u8; 8]>, Description) {
    let spec: Spec = spec.parse().unwrap();
    let mut device = spec.build(Instant::now()).unwrap();
    let mut asked = Vec::new();
    let description = now(enumerate(spec.speed(), async |setup| {
        asked.push(setup.to_bytes());
        control(&mut device, setup)
    }));
    (device, asked, description.unwrap())
}

#[test]
fn gadget_zero_is_asked_as_linux_asks_it() {
    let (_, asked, _) = gadget_zero("gadget-zero,speed=super");
    let get = |kind, index, language: u8, length: u8| {
        let language = [language, if language == 0 { 0 } else { 4 }];
        [0x80, 6, index, kind, language[0], language[1], length, 0]
    };
    let expected = [
        get(1, 0, 0, 18),
        get(15, 0, 0, 5),
        get(15, 0, 0, 15),
        get(2, 0, 0, 9),
        get(2, 0, 0, 166),
        get(2, 1, 0, 9),
        get(2, 1, 0, 44),
        get(3, 0, 0, 255),
        get(3, 2, 9, 255),
        get(3, 1, 9, 255),
        get(3, 3, 9, 255),
        get(3, 4, 9, 255),
        get(3, 5, 9, 255),
    ];
    assert_eq!(asked, expected);
}

#[test]
fn gadget_zero_is_described_as_it_describes_itself() {
    for speed in ["full", "high", "super", "super-plus"] {
        let (device, _, description) = gadget_zero(&format!("gadget-zero,speed={speed}"));
        let own = device.descriptors();
        assert_eq!(&description.device().descriptor, own.device());
        let configurations = description.configurations().iter();
        let configurations: Vec<_> = configurations.map(|it| it.descriptor.clone()).collect();
        assert_eq!(configurations, own.configurations());
        assert_eq!(description.string(2), Some("Gadget Zero"));
        assert_eq!(description.string(5), Some("loop input to output"));
        assert_eq!(description.strings().count(), 5);
        assert_eq!(description.languages(), [0x0409]);
        assert_eq!(description.bos().is_some(), speed.starts_with("super"));
        let dual = ["full", "high"].contains(&speed);
        assert_eq!(description.qualifier().is_some(), dual);
        let other = description.other_speed_configurations().len();
        assert_eq!(other, if dual { 2 } else { 0 });
        assert_eq!(description.defects(), []);
    }
}

#[test]
fn configurations_endpoints_and_strings_are_looked_up() {
    let (_, _, description) = gadget_zero("gadget-zero");
    let loopback = description.configuration(2).unwrap();
    assert_eq!(loopback, &description.configurations()[1]);
    assert_eq!(description.configuration(1), None);
    let address = EndpointAddress::new(2, Direction::In);
    let endpoint = description.endpoint(3, 0, 1, address).unwrap();
    assert_eq!(endpoint.transfer_type, TransferType::Isochronous);
    assert_eq!(description.endpoint(3, 0, 0, address), None);
    assert_eq!(description.string(0), None);
}

#[test]
fn a_composite_device_is_described_whole() {
    let description = composite_but(Speed::High, |_| None).unwrap();
    let first = &description.configurations()[0].descriptor;
    assert_eq!(first.associations[0].count, 2);
    let name = first.associations[0].name_index;
    assert_eq!(description.string(name), Some("pair"));
    assert_eq!(description.languages(), [0x0407, 0x0409]);
    assert_eq!(description.defects(), []);
}

#[test]
fn strings_are_read_in_other_languages() {
    let mut asked = Vec::new();
    let descriptors = Descriptors::build(Speed::High, composite).unwrap();
    let text = now(read_string(
        async |setup: Setup| {
            asked.push(setup.index);
            answer(&descriptors, setup)
        },
        1,
        0x0409,
    ));
    assert_eq!(text.unwrap(), "maker");
    assert_eq!(asked, [0x0409]);
}

#[test]
fn a_device_that_names_no_strings_is_asked_for_none() {
    let interface = Interface::new(0).setting(Setting::new(Class::VENDOR));
    let device = Device::new(1, 2).configuration(Configuration::new(1).interface(interface));
    let descriptors = device.build(Speed::Full).unwrap();
    let mut strings = 0;
    let description = now(enumerate(Speed::Full, async |setup| {
        strings += usize::from(setup.descriptor().0 == kind::STRING);
        answer(&descriptors, setup)
    }))
    .unwrap();
    assert_eq!(strings, 0);
    // It runs at full speed only, which is no defect.
    assert_eq!(description.qualifier(), None);
    assert_eq!(description.defects(), []);
}

#[test]
fn the_strings_of_network_adapters_are_read() {
    let class = Class {
        class: 2,
        subclass: 6,
        protocol: 0,
    };
    // The address is the string that the configuration's name is.
    let ethernet = [13, 0x24, 0x0f, 1, 0, 0, 0, 0, 0xea, 5, 0, 0, 0];
    let setting = Setting::new(class).extra(ethernet);
    let configuration = Configuration::new(1).interface(Interface::new(0).setting(setting));
    let device = Device::new(1, 2).configuration(configuration.name("0a0b0c0d0e0f"));
    let descriptors = device.build(Speed::High).unwrap();
    let description = now(enumerate(Speed::High, async |setup| {
        let mut answer = answer(&descriptors, setup);
        if asks(setup, kind::CONFIGURATION, 0) {
            let mut bytes = answer.data.to_vec();
            bytes[6] = 0;
            answer.data = bytes.into();
        }
        answer
    }));
    assert_eq!(description.unwrap().string(1), Some("0a0b0c0d0e0f"));
}

#[test]
fn the_state_of_a_device_is_read() {
    let (mut device, _, _) = gadget_zero("gadget-zero");
    let state = now(read_state(async |setup| control(&mut device, setup)));
    let expected = DeviceState {
        configuration: Some(0),
        status: Some(DeviceStatus(1)),
    };
    assert_eq!(state, expected);
    let words: Vec<_> = DeviceStatus(3).words().collect();
    assert_eq!(words, ["self powered", "remote wakeup enabled"]);
    let silent = now(read_state(async |_| failed(Status::Stalled)));
    assert_eq!(silent, DeviceState::default());
}

#[test]
fn an_enumeration_may_move_to_another_thread() {
    fn movable<T: Send>(future: T) -> T {
        future
    }
    let descriptors = Descriptors::build(Speed::High, composite).unwrap();
    let description = movable(enumerate(Speed::High, async move |setup| {
        answer(&descriptors, setup)
    }));
    assert!(now(description).is_ok());
}
