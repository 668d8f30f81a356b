//! Driver packages: whatever the text, it is a package, or is told what is wrong with it and where.
#![no_main]

#[path = "../../driver-manager/tests/engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| engine::run(text));
