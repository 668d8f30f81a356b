//! Interfaces: who has one, and its settings.

use std::pin::pin;

use usbwright_target::{
    Bulk, ClaimError, In, Isochronous, PipeError, SettingError, TransferError,
    protocol::{Status, request},
};

use super::edited;
use crate::support::{BULK, BULK_OUT, Bench, ISO, POLLED, Script, now, pending};

#[test]
fn an_interface_is_one_s_own_until_handles_and_pipes_are_dropped() {
    let bench = Bench::new();
    let interface = bench.interface();
    let clone = interface.clone();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    drop(interface);
    assert_eq!(
        now(bench.device.interface(0)).unwrap_err(),
        ClaimError::Claimed(0)
    );
    drop(clone);
    assert_eq!(
        now(bench.device.interface(0)).unwrap_err().to_string(),
        "interface 0 is claimed already: use a clone of that handle, or drop it and its pipes"
    );
    drop(pipe);
    assert!(now(bench.device.interface(0)).is_ok());
}

#[test]
fn another_interface_can_be_had_meanwhile() {
    let bench = Bench::new();
    let first = bench.interface();
    let second = now(bench.device.interface(1)).unwrap();
    assert_eq!((first.number(), second.number()), (0, 1));
    assert!(matches!(
        now(bench.device.interface(2)),
        Err(ClaimError::Unknown { .. })
    ));
}

#[test]
fn a_setting_has_its_own_pipes() {
    let bench = Bench::new();
    let interface = bench.interface();
    let addresses = |interface: &usbwright_target::Interface| -> Vec<_> {
        interface
            .pipes()
            .iter()
            .map(usbwright_target::Pipe::address)
            .collect()
    };
    assert_eq!(addresses(&interface), [BULK_OUT, BULK, POLLED]);
    let error = interface.first::<Isochronous, In>().unwrap_err();
    assert!(matches!(error, PipeError::None { alternate: 0, .. }));
    now(interface.set_alternate(1)).unwrap();
    assert_eq!(addresses(&interface), [BULK_OUT, BULK, POLLED, ISO]);
    assert_eq!(interface.first::<Isochronous, In>().unwrap().address(), ISO);
    assert_eq!(bench.script.state().settings, [(0, 1)]);
}

#[test]
fn another_setting_makes_pipes_stale_and_ends_what_is_pending() {
    let bench = Bench::new();
    let interface = bench.interface();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    let mut read = Box::pin(pipe.read(512));
    pending(read.as_mut());
    now(interface.set_alternate(1)).unwrap();
    assert_eq!(now(read).error, Some(TransferError::Stale(BULK)));
    assert!(pipe.is_stale());
    bench.script.sends("the new setting's");
    assert_eq!(now(pipe.read(512)).error, Some(TransferError::Stale(BULK)));
    assert_eq!(now(pipe.reset()).error, Some(TransferError::Stale(BULK)));
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    assert_eq!(now(pipe.read(512)).data.to_vec(), b"the new setting's");
}

#[test]
fn the_same_setting_makes_pipes_stale_as_well() {
    let bench = Bench::new();
    let interface = bench.interface();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    now(interface.set_alternate(0)).unwrap();
    assert!(pipe.is_stale());
}

#[test]
fn a_setting_that_is_refused_leaves_the_pipes_as_they_are() {
    let script = Script::default();
    let device = edited::open(&script, |setup, _| {
        (setup.request == request::SET_INTERFACE).then(|| (Status::Stalled, Vec::new()))
    });
    let interface = now(device.unwrap().interface(0)).unwrap();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    let mut read = pin!(pipe.read(512));
    pending(read.as_mut());
    let error = now(interface.set_alternate(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the device did not take the setting: it stalled"
    );
    assert_eq!(now(read).error, Some(Status::Cancelled.into()));
    assert_eq!((interface.alternate(), pipe.is_stale()), (0, false));
    script.sends("still here");
    assert_eq!(now(pipe.read(512)).data.to_vec(), b"still here");
}

#[test]
fn a_setting_that_there_is_not_is_not_asked_for() {
    let bench = Bench::new();
    let interface = bench.interface();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    let error = now(interface.set_alternate(2)).unwrap_err();
    assert!(matches!(error, SettingError::Unknown { alternate: 2, ref has, .. } if *has == [0, 1]));
    assert!(!pipe.is_stale());
    assert!(bench.script.state().settings.is_empty());
}
