//! A device whose every answer a test lays down, and a port that tells what its host does with it.

// Each test binary uses a part of it.
#![allow(dead_code, unused_imports)]

mod bench;
mod scripted;

pub(crate) use self::{
    bench::{Bench, bounded, now, pending},
    scripted::{BULK, BULK_OUT, Firmware, ISO, POLLED, Script, data},
};
