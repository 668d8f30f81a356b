//! Resetting a device: it is the same, another one, or gone.

use std::pin::pin;

use usbwright_target::{
    Bulk, In, OpenError, ResetOutcome, TransferError,
    protocol::{Status, descriptor::kind, request},
};

use super::{
    configuration,
    edited::{self, asks, other_release},
};
use crate::support::{BULK, Bench, Script, now, pending};

#[test]
fn a_device_that_is_the_same_keeps_its_pipes_configuration_and_setting() {
    let bench = Bench::new();
    let interface = bench.interface();
    now(interface.set_alternate(1)).unwrap();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    assert_eq!(now(bench.device.reset()).unwrap(), ResetOutcome::Kept);
    assert_eq!(configuration(&bench.device), 1);
    assert_eq!(bench.script.state().settings, [(0, 1), (0, 1)]);
    assert!(!pipe.is_stale());
    bench.script.sends("again");
    assert_eq!(now(pipe.read(512)).data.to_vec(), b"again");
}

#[test]
fn a_device_with_no_configuration_has_none_after_a_reset() {
    let bench = Bench::new();
    now(bench.device.set_configuration(0)).unwrap();
    assert_eq!(now(bench.device.reset()).unwrap(), ResetOutcome::Kept);
    assert_eq!(
        (bench.device.configuration(), configuration(&bench.device)),
        (None, 0)
    );
}

#[test]
fn a_reset_ends_what_is_pending() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let mut read = pin!(pipe.read(512));
    pending(read.as_mut());
    assert_eq!(now(bench.device.reset()).unwrap(), ResetOutcome::Kept);
    assert_eq!(now(read).error, Some(Status::Disconnected.into()));
}

#[test]
fn a_device_that_describes_itself_differently_has_changed_and_its_pipes_are_stale() {
    let device = edited::open(&Script::default(), |setup, resets| match resets {
        0 => None,
        _ => other_release(setup),
    });
    let device = device.unwrap();
    let pipe = now(device.interface(0))
        .unwrap()
        .pipe::<Bulk, In>(BULK)
        .unwrap();
    assert_eq!(now(device.reset()).unwrap(), ResetOutcome::Changed);
    assert_eq!(now(pipe.read(512)).error, Some(TransferError::Stale(BULK)));
    assert_eq!(device.configuration(), None);
}

#[test]
fn another_serial_number_is_another_device() {
    let device = edited::open(&Script::default(), |setup, resets| {
        let serial = asks(setup, kind::STRING) && setup.descriptor().1 == 2 && resets > 0;
        serial.then(|| (Status::Done, vec![4, 3, b'9', 0]))
    });
    assert_eq!(now(device.unwrap().reset()).unwrap(), ResetOutcome::Changed);
}

#[test]
fn a_device_that_does_not_tell_its_strings_for_now_is_the_same() {
    let device = edited::open(&Script::default(), |setup, resets| {
        (asks(setup, kind::STRING) && resets > 0).then(|| (Status::Stalled, Vec::new()))
    });
    let device = device.unwrap();
    assert_eq!(now(device.reset()).unwrap(), ResetOutcome::Kept);
    // What it told before is still there.
    assert_eq!(device.description().string(1), Some("scripted"));
}

#[test]
fn a_device_that_dies_of_the_reset_is_gone() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    bench.script.state().dies = true;
    assert_eq!(now(bench.device.reset()).unwrap(), ResetOutcome::Gone);
    assert!(!bench.device.is_connected());
    assert_eq!(now(pipe.read(512)).error, Some(Status::Disconnected.into()));
}

#[test]
fn a_device_that_can_t_be_enumerated_any_more_is_an_error_and_its_pipes_are_stale() {
    let device = edited::open(&Script::default(), |setup, resets| {
        (asks(setup, kind::DEVICE) && resets > 0).then(|| (Status::Stalled, Vec::new()))
    });
    let device = device.unwrap();
    let pipe = now(device.interface(0))
        .unwrap()
        .pipe::<Bulk, In>(BULK)
        .unwrap();
    assert!(matches!(
        now(device.reset()),
        Err(OpenError::Enumeration(_))
    ));
    assert!(pipe.is_stale());
}

#[test]
fn a_device_that_does_not_take_its_configuration_again_is_an_error_and_its_pipes_are_stale() {
    for refused in [request::SET_CONFIGURATION, request::SET_INTERFACE] {
        let device = edited::open(&Script::default(), move |setup, resets| {
            (setup.request == refused && resets > 0).then(|| (Status::Stalled, Vec::new()))
        });
        let device = device.unwrap();
        let interface = now(device.interface(0)).unwrap();
        now(interface.set_alternate(1)).unwrap();
        let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
        assert!(matches!(
            now(device.reset()),
            Err(OpenError::Configuration(_))
        ));
        assert!(pipe.is_stale());
    }
}
