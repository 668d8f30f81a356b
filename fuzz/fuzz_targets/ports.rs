//! The ends of a port's connection against peers made of random bytes: each operation ends once, with no more than there was room for.
#![no_main]

#[path = "../../communication-ports/tests/engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
