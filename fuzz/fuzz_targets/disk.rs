//! A disk's host made of random bytes, over both transports: the disk does as a plain model of it does, whatever the host sends.
#![no_main]

#[path = "../../firmware-models/tests/disk_engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
