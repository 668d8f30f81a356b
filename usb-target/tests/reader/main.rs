//! The continuous reader, rule by rule (UMDF's `ConfigureContinuousReader`), against a device whose every answer is laid down.

#[path = "../bench/mod.rs"]
mod support;

mod configuration;
mod failures;
mod messages;
mod random;
mod removal;
mod starting;

use usbwright_target::{ContinuousReader, Message, ReaderConfig};

use crate::support::{Bench, now};

/// Bytes in a bulk packet of the device.
const PACKET: usize = 512;

/// A reader of the bench's bulk pipe with messages of up to two packets, started.
fn started(bench: &Bench) -> ContinuousReader {
    let reader = stopped(bench);
    reader.start();
    reader
}

/// The same, not started.
fn stopped(bench: &Bench) -> ContinuousReader {
    bench.pipe().reader(ReaderConfig::new(2 * PACKET)).unwrap()
}

/// The next message, which has come already.
#[track_caller]
fn message(reader: &mut ContinuousReader) -> Message {
    now(reader.next()).unwrap()
}

/// Its bytes.
#[track_caller]
fn bytes(reader: &mut ContinuousReader) -> Vec<u8> {
    message(reader).data().to_vec()
}
