//! Devices that a kernel has, in the lab: behind its own USB/IP servers, and by libusb.

use std::{
    fmt::Display,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use usbwright::{
    remote::{RemoteDevice, RemotePort},
    target::{
        Device, Wait as _,
        libusb::{LibusbError, LibusbPort, Selector},
    },
};

use super::{Subject, backends::Backend};

/// How long a server may take until it has a device back.
const PATIENCE: Duration = Duration::from_secs(60);

/// A device of Linux' own server, which has it back a while after its client has left.
pub(crate) fn served(backend: &'static Backend, device: &str) -> Subject {
    let device: Arc<RemoteDevice> = Arc::new(device.parse().unwrap());
    Subject::new(backend, move || {
        let port = again(|| RemotePort::open(&device), |_| true);
        Device::open(port).wait().unwrap()
    })
}

/// What `open` opens, once whoever had it before has let it go; `waits` tells of which errors that may be the reason.
fn again<T, E: Display>(open: impl Fn() -> Result<T, E>, waits: impl Fn(&E) -> bool) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match open() {
            Ok(opened) => return opened,
            Err(error) => {
                let late = Instant::now() > until;
                assert!(waits(&error) && !late, "{error}");
                thread::yield_now();
            }
        }
    }
}

/// A real device, by libusb.
pub(crate) fn real(backend: &'static Backend, selector: &str) -> Subject {
    let selector: Selector = selector.parse().unwrap();
    Subject::new(backend, move || {
        let in_use = |error: &_| matches!(error, LibusbError::InUse { .. });
        let port = again(|| LibusbPort::open(&selector), in_use);
        Device::open(port).wait().unwrap()
    })
}
