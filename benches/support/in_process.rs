//! Devices in this process, first of all a Gadget Zero which neither makes nor checks a pattern, and how they are measured.
#![allow(dead_code, reason = "not every bench needs all of it")]

use std::time::{Duration, Instant};

use criterion::Criterion;
use usbwright::{
    models::Spec,
    target::{Bulk, Device, In, Options, Out, Pipe, Wait},
};

pub(crate) const LENGTHS: [usize; 3] = [512, 4 << 10, 64 << 10];
/// Transfers in flight, where there are many.
pub(crate) const DEPTH: usize = 16;

pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

pub(crate) fn device() -> Device {
    device_of("gadget-zero,pattern=2", 3)
}

/// A device that does as its parameters say, in a configuration.
pub(crate) fn device_of(spec: &str, configuration: u8) -> Device {
    let spec: Spec = spec.parse().expect("the model is there");
    let port = spec.build(Instant::now()).expect("the device can be made");
    let options = Options::new().configuration(configuration);
    options.open(port).wait().expect("the device can be opened")
}

/// The source and the sink of such a device.
pub(crate) fn pipes() -> (Pipe<Bulk, In>, Pipe<Bulk, Out>) {
    pipes_of(&device())
}

/// The first bulk pipes of a device.
pub(crate) fn pipes_of(device: &Device) -> (Pipe<Bulk, In>, Pipe<Bulk, Out>) {
    let interface = device.interface(0).wait().expect("nobody has it");
    let source = interface.first().expect("it has a source");
    (source, interface.first().expect("it has a sink"))
}
