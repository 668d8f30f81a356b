//! A USB/IP server made of random bytes: each of its client's transfers ends once, with no more than it asked for.
#![no_main]

#[path = "../../usb-target/tests/usbip_engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
