//! A host and a firmware made of random bytes: the device keeps its promises to the host.
#![no_main]

#[path = "../../emulator/tests/engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
