//! Control transfers of a program's own.

use std::{pin::pin, time::Duration};

use usbwright_target::{
    TransferError,
    protocol::{Setup, Status, request},
};

use crate::support::{Bench, now, pending};

fn vendor(request_type: u8, request: u8, length: u16) -> Setup {
    Setup {
        request_type,
        request,
        length,
        ..Setup::default()
    }
}

/// What is wrong with a request.
fn refusal(setup: Setup, data: &'static [u8]) -> Option<TransferError> {
    now(Bench::new().device.control(setup, data)).error
}

#[test]
fn data_comes_in_and_goes_out() {
    let bench = Bench::new();
    let answer = now(bench.device.control(vendor(0xc0, 1, 64), Vec::new()));
    assert_eq!(answer.ok().unwrap().data.to_vec(), b"answer");
    let taken = now(bench.device.control(vendor(0x40, 1, 3), "abc"));
    assert_eq!(taken.ok().unwrap().length, 3);
    let refused = now(bench.device.control(vendor(0xc0, 9, 64), Vec::new()));
    assert_eq!(refused.error, Some(Status::Stalled.into()));
}

#[test]
fn what_the_host_has_to_know_of_is_refused() {
    for request in [
        request::SET_ADDRESS,
        request::SET_CONFIGURATION,
        request::SET_INTERFACE,
    ] {
        for recipient in [0, 1] {
            let error = refusal(vendor(recipient, request, 0), b"");
            assert_eq!(error, Some(TransferError::Reserved(request)));
        }
        // A vendor's request of that number is the vendor's.
        assert_eq!(refusal(vendor(0x40, request, 0), b""), None);
    }
}

#[test]
fn data_is_as_long_as_the_setup_packet_tells() {
    for (told, data) in [(2, &b"abc"[..]), (4, b"abc"), (0, b"a"), (1, b"")] {
        let error = TransferError::DataStage {
            told: told.into(),
            given: data.len(),
        };
        assert_eq!(refusal(vendor(0x40, 1, told), data), Some(error));
    }
    assert_eq!(
        refusal(vendor(0xc0, 1, 3), b"abc"),
        Some(TransferError::DataForIn(3))
    );
}

/// A request that the firmware does not answer, and when it is taken back.
#[track_caller]
fn times_out(bench: &Bench, after: Duration) {
    let mut control = pin!(bench.device.control(vendor(0xc0, 2, 1), Vec::new()));
    pending(control.as_mut());
    bench.clock.advance(after - Duration::from_nanos(1));
    pending(control.as_mut());
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(now(control).error, Some(Status::TimedOut.into()));
}

#[test]
fn a_request_is_taken_back_after_5_seconds_or_as_is_told() {
    let bench = Bench::new();
    assert_eq!(bench.device.control_timeout(), Some(Duration::from_secs(5)));
    times_out(&bench, Duration::from_secs(5));
    bench
        .device
        .set_control_timeout(Some(Duration::from_millis(20)));
    times_out(&bench, Duration::from_millis(20));
    // The endpoint goes on.
    bench.nudge();
}

#[test]
fn a_request_can_take_for_ever() {
    let bench = Bench::new();
    for forever in [None, Some(Duration::MAX)] {
        bench.device.set_control_timeout(forever);
        let mut control = Box::pin(bench.device.control(vendor(0xc0, 2, 1), Vec::new()));
        pending(control.as_mut());
        bench.clock.advance(Duration::from_secs(1_000_000));
        pending(control.as_mut());
    }
}
