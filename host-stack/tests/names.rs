//! Device interfaces and symbolic links: how devices get names, and are found by them.

mod support;

use std::sync::{Arc, Mutex};

use support::{Kept, builder, driver, own::Own};
use usbwright_host_stack::{
    Device, DeviceNames, Guid, Handle, OpenError, OpenOptions, PnpState, Queue, Request, Stack,
    status::{HResult, NtStatus, Win32Error},
};

const CLASS: Guid = Guid(0x573E_8C73_0CB4_4471_A1BF_FAB2_6C31_D384);
const OTHER: Guid = Guid(0xCDC3_5B6E_0BE4_4936_BF5F_5537_380A_7C1A);

fn open(names: &DeviceNames, name: &str) -> Result<Handle, OpenError> {
    let opening = names.open(name, &OpenOptions::new())?;
    opening.wait().map_err(OpenError::Refused)
}

/// A stack whose driver makes an interface, and takes down the names by which files are opened.
fn stack(names: &DeviceNames, opened: &Arc<Mutex<Vec<String>>>) -> Stack {
    let opened = Arc::clone(opened);
    let make = move |device: &Device| {
        let opened = Arc::clone(&opened);
        let queue = device.parallel_queue().default_queue();
        let on_create = move |_: &Queue, request: Request, file: usbwright_host_stack::File| {
            opened.lock().unwrap().push(file.name().to_owned());
            request.complete(NtStatus::SUCCESS);
        };
        queue.on_create(on_create).create()?;
        device.create_interface(CLASS, "").map(drop)
    };
    let builder = builder().0.names(names).driver("dri\\ver", driver(make));
    builder.start().unwrap()
}

#[test]
fn an_interface_is_enabled_once_the_stack_has_started_until_it_goes() {
    let names = DeviceNames::new();
    let seen = names.clone();
    let make = move |device: &Device| {
        let name = device.create_interface(CLASS, "")?;
        assert_eq!(seen.interfaces(CLASS), []);
        let error = seen.open(&name, &OpenOptions::new()).unwrap_err();
        assert_eq!(error, OpenError::Disabled(name.to_string()));
        Ok(())
    };
    let builder = builder().0.names(&names).driver("it", driver(make));
    let stack = builder.start().unwrap();
    let [name] = &names.interfaces(CLASS)[..] else {
        panic!("there is one");
    };
    assert_eq!(**name, *format!(r"\\?\it#0001#{CLASS}"));
    assert_eq!(names.interfaces(OTHER), []);
    let handle = open(&names, name).unwrap();
    stack.remove().unwrap();
    assert_eq!(names.interfaces(CLASS), []);
    let gone = OpenError::NoSuchDevice(name.to_string());
    assert_eq!(open(&names, name).unwrap_err(), gone);
    assert_eq!(HResult::from(gone), Win32Error::FILE_NOT_FOUND.into());
    assert_eq!(handle.read(1).wait().error(), Win32Error::DEVICE_REMOVED);
}

#[test]
fn an_interface_cannot_be_opened_while_its_stack_is_stopped_for_a_while() {
    let names = DeviceNames::new();
    let Own { stack, device, .. } = Own::among(&names);
    let name = device.create_interface(CLASS, "").unwrap();
    stack.suspend().unwrap();
    open(&names, &name).unwrap();
    stack.resume().unwrap();
    stack.stop().unwrap();
    let disabled = OpenError::Disabled(name.to_string());
    assert_eq!(open(&names, &name).unwrap_err(), disabled);
    stack.restart().unwrap();
    open(&names, &name).unwrap();
}

#[test]
fn a_driver_disables_an_interface_and_what_is_open_stays_so() {
    let names = DeviceNames::new();
    let own = Own::among(&names);
    let name = own.device.create_interface(CLASS, "").unwrap();
    let handle = open(&names, &name).unwrap();
    own.device.set_interface_enabled(CLASS, "", false).unwrap();
    let disabled = OpenError::Disabled(name.to_string());
    assert_eq!(open(&names, &name).unwrap_err(), disabled);
    assert_eq!(HResult::from(disabled), Win32Error::FILE_NOT_FOUND.into());
    assert_eq!(names.interfaces(CLASS), []);
    let read = handle.read(4);
    own.kept
        .take()
        .complete_with_information(NtStatus::SUCCESS, 4);
    assert_eq!(read.wait().information, 4);
    own.device.set_interface_enabled(CLASS, "", true).unwrap();
    open(&names, &name).unwrap();
    let error = own.device.set_interface_enabled(OTHER, "", true);
    assert_eq!(error, Err(NtStatus::OBJECT_NAME_NOT_FOUND.into()));
}

#[test]
fn what_follows_a_name_is_the_files_and_so_is_the_reference() {
    let (names, opened) = (DeviceNames::new(), Arc::default());
    let stack = stack(&names, &opened);
    let device = &stack.devices()[0];
    let plain = names.interfaces(CLASS).remove(0);
    assert!(plain.starts_with(r"\\?\dri_ver#"), "{plain}");
    let with = device.create_interface(CLASS, "pipe0").unwrap();
    assert!(with.ends_with(r"\pipe0") && with.starts_with(&*plain));
    let expected = [
        (plain.to_string(), ""),
        (format!(r"{plain}\a\b"), r"\a\b"),
        (with.to_string(), r"\pipe0"),
        (format!(r"{with}\c"), r"\pipe0\c"),
        (with.to_uppercase(), r"\pipe0"),
        (format!(r"{plain}\pipe01"), r"\pipe01"),
    ];
    for (name, file) in expected {
        open(&names, &name).unwrap();
        assert_eq!(opened.lock().unwrap().pop().unwrap(), file);
    }
    assert!(matches!(
        open(&names, &format!("{plain}x")),
        Err(OpenError::NoSuchDevice(_))
    ));
}

#[test]
fn a_reference_with_a_separator_and_a_second_interface_of_one_kind_are_refused() {
    let own = Own::new();
    for reference in [r"a\b", "a/b"] {
        let error = own.device.create_interface(CLASS, reference);
        assert_eq!(error, Err(NtStatus::INVALID_PARAMETER.into()));
    }
    own.device.create_interface(CLASS, "a").unwrap();
    own.device.create_interface(CLASS, "b").unwrap();
    own.device.create_interface(OTHER, "a").unwrap();
    let error = own.device.create_interface(CLASS, "A");
    assert_eq!(error, Err(NtStatus::OBJECT_NAME_COLLISION.into()));
}

#[test]
fn devices_of_one_driver_have_interfaces_of_different_names() {
    let names = DeviceNames::new();
    let (first, second) = (Own::among(&names), Own::among(&names));
    let one = first.device.create_interface(CLASS, "").unwrap();
    let two = second.device.create_interface(CLASS, "").unwrap();
    assert_ne!(one, two);
    assert_eq!(names.interfaces(CLASS), [one, two]);
}

#[test]
fn a_symbolic_link_is_found_under_each_of_its_prefixes() {
    let names = DeviceNames::new();
    let own = Own::among(&names);
    own.device.create_symbolic_link("Echo").unwrap();
    for name in [
        r"\\.\Echo",
        r"\\?\echo",
        r"\??\ECHO",
        r"\DosDevices\Echo",
        "Echo",
    ] {
        open(&names, name).unwrap();
    }
    for (name, status) in [
        ("", NtStatus::INVALID_PARAMETER),
        (r"\\.\", NtStatus::INVALID_PARAMETER),
        (r"a\b", NtStatus::INVALID_PARAMETER),
        (r"\\.\ECHO", NtStatus::OBJECT_NAME_COLLISION),
    ] {
        let error = own.device.create_symbolic_link(name);
        assert_eq!(error, Err(status.into()), "{name}");
    }
    drop(own);
    let own = Own::among(&names);
    own.device.create_symbolic_link("echo").unwrap();
}

#[test]
fn the_names_of_a_stack_are_its_own_unless_it_is_given_others() {
    let own = Own::new();
    let name = own.device.create_interface(CLASS, "").unwrap();
    let error = open(&DeviceNames::new(), &name).unwrap_err();
    assert!(matches!(error, OpenError::NoSuchDevice(_)));
    let names = own.device.names().unwrap();
    open(&names, &name).unwrap();
    own.stack.remove().unwrap();
    assert!(own.device.names().is_err());
    let error = own.device.create_interface(CLASS, "");
    assert_eq!(error, Err(NtStatus::INVALID_DEVICE_STATE.into()));
}

#[test]
fn a_driver_is_told_of_interfaces_that_are_there_or_come() {
    let names = DeviceNames::new();
    let there = Own::among(&names);
    let first = there.device.create_interface(CLASS, "").unwrap();
    let own = Own::among(&names);
    let [all, new]: [Arc<Mutex<Vec<String>>>; 2] = Default::default();
    for (told, existing) in [(&all, true), (&new, false)] {
        let told = Arc::clone(told);
        let arrived = move |_: &Device, name: &str| told.lock().unwrap().push(name.into());
        own.device
            .on_interface_arrival(CLASS, existing, arrived)
            .unwrap();
    }
    own.stack.run();
    assert_eq!(*all.lock().unwrap(), [&*first]);
    let second = stack(&names, &Arc::default());
    let second = (names.interfaces(CLASS).pop().unwrap(), second);
    there
        .device
        .set_interface_enabled(CLASS, "", false)
        .unwrap();
    there.device.set_interface_enabled(CLASS, "", true).unwrap();
    there.device.create_interface(OTHER, "").unwrap();
    own.stack.run();
    assert_eq!(*all.lock().unwrap(), [&*first, &*second.0, &*first]);
    assert_eq!(*new.lock().unwrap(), [&*second.0, &*first]);
    own.stack.remove().unwrap();
    assert_eq!(Arc::strong_count(&all), 1, "the callback was dropped");
}

#[test]
fn a_handle_that_was_opened_by_name_keeps_the_stack() {
    let names = DeviceNames::new();
    let (kept, queue) = (Kept::default(), Kept::default());
    drop(queue);
    let keep = kept.clone();
    let make = move |device: &Device| {
        device.create_symbolic_link("it")?;
        keep.queue(device).map(drop)
    };
    let builder = builder().0.names(&names).driver("it", driver(make));
    let stack = builder.start().unwrap();
    let handle = open(&names, "it").unwrap();
    assert_eq!(stack.state(), PnpState::Started);
    drop(stack);
    let read = handle.read(2);
    kept.take().complete_with_information(NtStatus::SUCCESS, 2);
    assert_eq!(read.wait().information, 2);
    drop(handle);
    assert!(matches!(
        open(&names, "it"),
        Err(OpenError::NoSuchDevice(_))
    ));
}
