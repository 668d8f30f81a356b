//! Opening a device, and the configuration that it has then.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use usbwright_target::{
    ClaimError, ConfigurationError, Device, OpenError, Options,
    protocol::{Status, descriptor::kind, request},
};

use super::{
    configuration,
    edited::{self, asks},
};
use crate::support::{BULK, Bench, Script, now};

#[test]
fn a_device_that_has_no_configuration_takes_its_first() {
    let bench = Bench::new();
    assert_eq!(bench.device.configuration(), Some(1));
    assert_eq!(configuration(&bench.device), 1);
    assert_eq!(bench.script.state().configurations, [Some(1)]);
}

#[test]
fn a_device_that_is_configured_keeps_its_configuration_and_setting() {
    let bench = Bench::new();
    now(bench.interface().set_alternate(1)).unwrap();
    let again = now(Options::new()
        .clock(bench.clock.clone())
        .open(bench.port.clone()))
    .unwrap();
    assert_eq!(again.configuration(), Some(1));
    assert_eq!(bench.script.state().configurations, [Some(1)]);
    assert_eq!(now(again.interface(0)).unwrap().alternate(), 1);
}

#[test]
fn a_configuration_can_be_chosen_as_it_is_opened() {
    let bench = Bench::new();
    let options = Options::new().clock(bench.clock.clone()).configuration(2);
    let device = now(options.open(bench.port.clone())).unwrap();
    assert_eq!(
        (device.configuration(), configuration(&device)),
        (Some(2), 2)
    );
    assert_eq!(bench.script.state().configurations, [Some(1), Some(2)]);
    let error = now(device.interface(1)).unwrap_err();
    let expected = ClaimError::Unknown {
        configuration: 2,
        number: 1,
        has: vec![0],
    };
    assert_eq!(error, expected);
}

#[test]
fn a_configuration_that_there_is_not_is_an_error() {
    let bench = Bench::new();
    let options = Options::new().clock(bench.clock.clone()).configuration(9);
    let error = now(options.open(bench.port.clone())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the device has no configuration 9; it has [1, 2]"
    );
}

#[test]
fn a_device_in_a_configuration_that_it_does_not_describe_takes_its_first() {
    let script = Script::default();
    let device = edited::open(&script, |setup, _| {
        (setup.request == request::GET_CONFIGURATION).then(|| (Status::Done, vec![7]))
    });
    assert_eq!(device.unwrap().configuration(), Some(1));
    assert_eq!(script.state().configurations, [Some(1)]);
}

#[test]
fn a_device_that_refuses_its_configuration_is_not_opened() {
    let error = edited::open(&Script::default(), |setup, _| {
        (setup.request == request::SET_CONFIGURATION).then(|| (Status::Stalled, Vec::new()))
    });
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        OpenError::Configuration(ConfigurationError::Refused(_))
    ));
    assert_eq!(
        error.to_string(),
        "the device did not take the configuration: it stalled"
    );
}

#[test]
fn a_device_is_opened_without_being_configured_though_it_refuses_that_and_is_malformed() {
    let script = Script::default();
    let device = edited::open_with(Options::new().unconfigured(), &script, |setup, _| {
        let second = asks(setup, kind::CONFIGURATION) && setup.descriptor().1 == 1;
        let refused = setup.request == request::SET_CONFIGURATION;
        match second {
            true => Some((Status::Done, vec![9, 2, 8, 0, 1, 1, 0, 0x80, 50])),
            false => refused.then(|| (Status::Stalled, Vec::new())),
        }
    });
    let device = device.unwrap();
    assert_eq!(device.configuration(), None);
    assert!(script.state().configurations.is_empty());
    let description = device.description();
    assert_eq!(description.configurations().len(), 1);
    assert!(description.defects()[0].to_string().contains("at index 1"));
    assert!(now(device.set_configuration(1)).is_err());
    assert_eq!(
        now(device.interface(0)).unwrap_err(),
        ClaimError::NotConfigured
    );
    // A reset finds it as it was.
    let outcome = now(device.reset()).unwrap();
    assert_eq!(outcome, usbwright_target::ResetOutcome::Kept);
}

#[test]
fn a_malformed_device_is_not_opened_and_the_error_tells_where_it_is_wrong() {
    let with = |kind, status, bytes: &'static [u8]| {
        let opened = edited::open(&Script::default(), move |setup, _| {
            asks(setup, kind).then(|| (status, bytes.to_vec()))
        });
        let error = opened.unwrap_err();
        assert!(matches!(error, OpenError::Enumeration(_)));
        error.to_string()
    };
    assert_eq!(
        with(kind::DEVICE, Status::Stalled, &[]),
        "can't enumerate the device: the device descriptor: the device refuses it (it stalls)"
    );
    assert_eq!(
        with(kind::DEVICE, Status::Done, &[18, 1, 0]),
        "can't enumerate the device: the device descriptor: descriptor at byte 0: bLength goes beyond the end"
    );
    assert_eq!(
        with(
            kind::CONFIGURATION,
            Status::Done,
            &[9, 2, 8, 0, 1, 1, 0, 0x80, 50]
        ),
        "can't enumerate the device: the configuration at index 0: wTotalLength is 8, but its head alone has 9 bytes"
    );
    assert_eq!(
        with(kind::DEVICE, Status::Disconnected, &[]),
        "can't enumerate the device: the device descriptor: it can't be read: the device is gone"
    );
}

#[test]
fn no_configuration_can_be_chosen_while_an_interface_is_claimed() {
    let bench = Bench::new();
    let interfaces = [0, 1].map(|number| now(bench.device.interface(number)).unwrap());
    let error = now(bench.device.set_configuration(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "interfaces [0, 1] are claimed: drop them and their pipes first"
    );
    let pipe = interfaces[0].pipe::<usbwright_target::Bulk, usbwright_target::In>(BULK);
    drop(interfaces);
    let error = now(bench.device.set_configuration(2)).unwrap_err();
    assert!(matches!(error, ConfigurationError::Claimed(all) if all == [0]));
    drop(pipe);
    now(bench.device.set_configuration(2)).unwrap();
    assert_eq!(configuration(&bench.device), 2);
}

#[test]
fn a_device_can_be_left_with_no_configuration() {
    let bench = Bench::new();
    now(bench.device.set_configuration(0)).unwrap();
    assert_eq!(
        (bench.device.configuration(), configuration(&bench.device)),
        (None, 0)
    );
    assert_eq!(
        now(bench.device.interface(0)).unwrap_err(),
        ClaimError::NotConfigured
    );
    let error = now(bench.device.set_configuration(3)).unwrap_err();
    assert!(matches!(error, ConfigurationError::Unknown { value: 3, has } if has == [1, 2]));
}

/// Opens a device that does not answer in time as often as this when it is asked for its device descriptor, and how often it was asked.
fn silent_at_first(times: usize) -> (Result<Device, OpenError>, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    let opened = edited::open(&Script::default(), move |setup, _| {
        let is_late = asks(setup, kind::DEVICE) && counts.fetch_add(1, Ordering::Relaxed) < times;
        is_late.then(|| (Status::TimedOut, Vec::new()))
    });
    (opened, asked.load(Ordering::Relaxed))
}

#[test]
fn a_descriptor_that_is_not_told_in_time_is_asked_for_once_more() {
    let (opened, asked) = silent_at_first(1);
    assert_eq!((opened.unwrap().configuration(), asked), (Some(1), 2));
}

#[test]
fn a_device_that_never_tells_its_descriptor_is_not_asked_for_ever() {
    let (opened, asked) = silent_at_first(usize::MAX);
    assert!(matches!(opened, Err(OpenError::Enumeration(_))));
    assert_eq!(asked, 2);
}
