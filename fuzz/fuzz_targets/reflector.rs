//! Applications, reflector and host against peers made of random bytes, and against each other: each request ends once, with no more than there was room for.
#![no_main]

#[path = "../../reflector/tests/engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
