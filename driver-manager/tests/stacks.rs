//! Stacks that are built as their package says.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use usbwright_driver_manager::package::{HostCheck, Package};
use usbwright_host_stack::{
    ControlCode, Device, DeviceInit, Driver, Queue, Request, StackBuilder, Threads,
    status::{HResult, NtStatus, Win32Error},
};

/// A driver that says nothing of how it gets at data, and notes where the data of each request is.
struct Notes(Arc<Mutex<Vec<usize>>>);

impl Driver for Notes {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(());
        let seen = Arc::clone(&self.0);
        let handler = move |_: &Queue, request: Request| {
            let data = request.input(1).unwrap().payload().into_bytes();
            seen.lock().unwrap().push(data.as_ptr() as usize);
            request.complete_with_information(NtStatus::SUCCESS, data.len());
        };
        let queue = device.parallel_queue().default_queue();
        queue.on_default(handler).create()?;
        Ok(device)
    }
}

/// What a package with these directives of the framework has become.
fn builder(framework: &str) -> StackBuilder {
    let text = format!(
        r"
        devices = ['USB\Class_FF']
        [[driver]]
        UmdfService = 'notes'
        RetrievalMode = 'Deferred'
        RWPreference = 'BufferedOrDirect'
        [framework]
        {framework}
        "
    );
    let package = Package::parse(Path::new("notes.toml"), &text, HostCheck::Skipped).unwrap();
    StackBuilder::from(&package).threads(Threads::None)
}

/// Whether the driver has the application's own memory, in a stack of such a package.
fn is_direct(framework: &str) -> bool {
    let seen = Arc::default();
    let driver = Notes(Arc::clone(&seen));
    let stack = builder(framework).driver("notes", driver).start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    let data = Bytes::from(vec![1; 1 << 16]);
    assert!(handle.write(data.clone()).wait().ok().is_ok());
    let at = seen.lock().unwrap()[0];
    at == data.as_ptr() as usize
}

#[test]
fn a_driver_gets_at_data_as_its_package_says_but_by_copies_in_a_pooled_host() {
    assert!(is_direct(
        "UmdfHostProcessSharing = 'ProcessSharingDisabled'"
    ));
    assert!(!is_direct(
        "UmdfHostProcessSharing = 'ProcessSharingEnabled'"
    ));
}

#[test]
fn control_codes_of_method_neither_are_copied_where_the_package_says_so() {
    let code = ControlCode(0x0022_2003);
    let answer = |framework| {
        let driver = Notes(Arc::default());
        let stack = builder(framework).driver("notes", driver).start().unwrap();
        let handle = stack.open_and_wait().unwrap();
        handle.control(code, &b"data"[..], 0).wait().error()
    };
    assert_eq!(answer(""), Win32Error::INVALID_FUNCTION);
    assert_eq!(
        answer("UmdfMethodNeitherAction = 'Copy'"),
        Win32Error::SUCCESS
    );
}
