//! What a kernel says to a character device, and what programs do with their ioctls: random bytes are refused or tell no more than they have, and every ioctl comes to an end.
#![no_main]

#[path = "../../character-devices/tests/engine/mod.rs"]
mod engine;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::run(script));
