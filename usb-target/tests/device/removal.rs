//! Unplugging a device: everything that is asked of it ends, and tells so.

use std::pin::pin;

use usbwright_target::{
    Bulk, Out, ResetOutcome, SettingError, TransferError, Wait,
    protocol::{Setup, Status},
};

use crate::support::{Bench, bounded, now, pending};

const GONE: Option<TransferError> = Some(TransferError::Usb(Status::Disconnected));

/// A request that the firmware does not answer.
const SILENT: Setup = Setup {
    request_type: 0xc0,
    request: 2,
    value: 0,
    index: 0,
    length: 1,
};

#[test]
fn what_is_pending_ends_when_the_device_is_unplugged() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let device = bench.device.clone();
    let mut control = Box::pin(async move { device.control(SILENT, Vec::new()).await });
    let mut read = Box::pin(async move { pipe.read(512).await });
    pending(control.as_mut());
    pending(read.as_mut());
    bench.port.unplug();
    let ends = bounded(move || (control.wait().error, read.wait().error));
    assert_eq!(ends, (GONE, GONE));
}

#[test]
fn nothing_can_be_had_of_a_device_that_is_unplugged() {
    let bench = Bench::new();
    let interface = bench.interface();
    let pipe = bench_pipe(&interface);
    let sink = interface.first::<Bulk, Out>().unwrap();
    bench.port.unplug();
    assert!(!bench.device.is_connected());
    assert_eq!(now(pipe.read(512)).error, GONE);
    assert_eq!(now(sink.write("data".as_bytes().to_vec())).error, GONE);
    assert_eq!(now(pipe.reset()).error, GONE);
    assert_eq!(now(bench.device.control(SILENT, Vec::new())).error, GONE);
    let error = now(interface.set_alternate(1)).unwrap_err();
    assert!(matches!(error, SettingError::Refused(failed) if Some(&failed.error) == GONE.as_ref()));
    assert_eq!(now(bench.device.reset()).unwrap(), ResetOutcome::Gone);
    drop((interface, pipe, sink));
    let error = now(bench.device.set_configuration(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the device did not take the configuration: the device is gone"
    );
    now(async { pin!(bench_pipe(&bench.interface()).abort()).await });
}

fn bench_pipe(
    interface: &usbwright_target::Interface,
) -> usbwright_target::Pipe<Bulk, usbwright_target::In> {
    interface.first().unwrap()
}
