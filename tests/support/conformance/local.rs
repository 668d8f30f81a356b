//! The backend in process: an emulated device that can be unplugged.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use usbwright::{
    models::Spec,
    target::{Device, Wait as _},
};

use super::Subject;
use crate::{conformance::backends::Backend, pluggable::Plug};

/// The backend in process, with a device of that spec.
pub(crate) fn subject(backend: &'static Backend, spec: &str) -> Subject {
    let spec: Spec = spec.parse().unwrap();
    let last = Arc::new(Mutex::new(Plug::default()));
    let opened = Arc::clone(&last);
    let open = move || {
        let plug = Plug::default();
        *opened.lock().unwrap_or_else(PoisonError::into_inner) = plug.clone();
        let device = spec.build(Instant::now()).unwrap();
        Device::open(plug.of(device)).wait().unwrap()
    };
    Subject::new(backend, open).unplugged_by(move || {
        last.lock().unwrap_or_else(PoisonError::into_inner).pull();
    })
}
