//! Devices and interfaces: opening, configurations and settings, recovery, removal.

#[path = "../bench/mod.rs"]
mod support;

mod control;
mod edited;
mod interfaces;
mod opening;
mod polled;
mod removal;
mod resetting;

use usbwright_target::protocol::{Setup, request};

/// GET_CONFIGURATION, or another standard request to the device for data.
const fn ask(request: u8, length: u16) -> Setup {
    Setup {
        request_type: 0x80,
        request,
        value: 0,
        index: 0,
        length,
    }
}

/// What the device itself says its configuration is.
fn configuration(device: &usbwright_target::Device) -> u8 {
    let answer = support::now(device.control(ask(request::GET_CONFIGURATION, 1), Vec::new()));
    answer.ok().unwrap().data.to_vec()[0]
}
