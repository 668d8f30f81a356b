//! What whoever runs a stack is told of it.

use std::sync::{Arc, Mutex};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, Stack, StackEvent, Threads, status::HResult,
};

/// A driver that panics when it is to be removed, or not.
struct Moody(bool);

struct Callbacks(bool);

impl Driver for Moody {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        Ok(init.create(Callbacks(self.0)))
    }
}

impl DeviceCallbacks for Callbacks {
    fn release_hardware(&self, _: &Device) -> Result<(), HResult> {
        assert!(!self.0, "moody");
        Ok(())
    }
}

/// What is told of a stack that is built and removed.
fn told(panics: bool) -> Vec<String> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let stack = Stack::builder()
        .driver("moody", Moody(panics))
        .threads(Threads::None)
        .observer(move |event| {
            telling.lock().unwrap().push(match event {
                StackEvent::CallbackBegins { callback, .. } => format!("begins {callback}"),
                StackEvent::CallbackEnded { callback, .. } => format!("ended {callback}"),
                StackEvent::RuleBroken(it) => format!("broken: {it}"),
                StackEvent::Failed(it) => format!("failed: {it}"),
                _ => String::new(),
            });
        })
        .start()
        .unwrap();
    let _ = stack.remove();
    drop(stack);
    let told = told.lock().unwrap();
    told.clone()
}

#[test]
fn each_callback_is_told_as_it_begins_and_as_it_ends() {
    let told = told(false);
    assert_eq!(
        told[..4],
        [
            "begins device_add",
            "ended device_add",
            "begins prepare_hardware",
            "ended prepare_hardware"
        ]
    );
    let begun = told.iter().filter(|it| it.starts_with("begins"));
    let ended = told.iter().filter(|it| it.starts_with("ended"));
    assert_eq!(begun.count(), ended.count());
    assert!(told.contains(&"ended release_hardware".to_owned()));
}

#[test]
fn a_driver_that_panics_is_told_of_by_its_callback_and_what_it_said() {
    let told = told(true);
    let failed = "failed: driver moody panicked in release_hardware: moody".to_owned();
    assert!(told.contains(&failed), "{told:?}");
    assert!(
        told.iter()
            .any(|it| it.starts_with("broken: driver moody: a callback panicked"))
    );
}
