//! What a manager and a host take from each other: random bytes are refused with a reason, or are a message that reads back as it was.
#![no_main]

#[path = "../../driver-host/control/tests/engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
