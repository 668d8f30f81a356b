//! What a program gets from its pipes: every policy on and off, wrong calls, misbehaving devices and ports, and that no byte is lost.

mod cancel;
mod clear_stall;
mod concurrent;
mod formatting;
mod forms;
mod isochronous;
mod misbehaving;
mod packets;
mod partial_reads;
mod ports;
mod queue;
mod raw;
mod resume;
mod short_packets;
mod stream;
mod support;
mod timeout;
mod values;
