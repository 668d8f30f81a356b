//! A client made of random bytes: the server answers each of its commands once, in replies that the kernel takes.
#![no_main]

#[path = "../../tests/engine/mod.rs"]
mod engine;
#[path = "../../tests/support/usbip/vhci.rs"]
mod vhci;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
