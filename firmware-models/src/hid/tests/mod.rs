//! The devices, through a host.

mod described;
mod keyboard;
mod pointers;
mod requests;

use std::time::{Duration, Instant};

use usbwright_emulator::{
    EmulatedDevice,
    protocol::{Port, Status},
};

use super::{descriptors::REPORTS, *};
use crate::{Made, Spec, testing::Host};

/// A device of a spec, configured, and its user's side.
fn configured(spec: &str) -> (Host, Handle) {
    let (mut host, handle) = attached(spec);
    host.configure(1);
    (host, handle)
}

/// The same, of which nothing was asked yet.
fn attached(spec: &str) -> (Host, Handle) {
    let mut handles = Vec::new();
    let host = Host::of(|now| {
        let made = spec.parse::<Spec>().unwrap().build_with_handles(now);
        let Made {
            device,
            handles: all,
        } = made.unwrap();
        handles = all;
        device
    });
    (host, handles.remove(0))
}

fn keyboard(spec: &str) -> (Host, Keyboard) {
    match configured(spec) {
        (host, Handle::Keyboard(keyboard)) => (host, keyboard),
        (_, other) => panic!("{other:?}"),
    }
}

/// What a host reads that asks for a report, if there is one in the next ms.
fn read(host: &mut Host) -> Option<Vec<u8>> {
    let endpoint =
        &host.device.descriptors().configurations()[0].interfaces[0].settings[0].endpoints[0];
    let longest = endpoint.max_packet_size.into();
    let id = host.read(REPORTS, longest);
    host.pass(Duration::from_millis(1));
    host.pass(Duration::from_millis(1));
    if let Some(completion) = host.ended() {
        assert_eq!(completion.status, Status::Done);
        return Some(completion.data.to_vec());
    }
    host.device.cancel(id, host.now);
    assert_eq!(host.ended().unwrap().data.to_vec(), [0; 0]);
    None
}

/// What a host reads until there is nothing.
fn read_all(host: &mut Host) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| read(host)).collect()
}
