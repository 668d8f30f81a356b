//! Instructions that the hot functions take, counted by valgrind. Each has a limit.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the macros of gungraun make public items without documentation"
)]

#[path = "support/commands.rs"]
mod commands;
#[path = "support/device.rs"]
mod device;
#[path = "support/exchange.rs"]
mod exchange;

use std::hint::black_box;

use bytes::Bytes;
use gungraun::{Callgrind, CallgrindMetrics, EventKind, OutputFormat, prelude::*};
use usbwright::protocol::{
    Direction::{self, In, Out},
    usbip::urb::{Command, Reply, SubmitReply},
};

use self::{device::Host, exchange::Loop};

/// The most instructions that [`CALLS`] calls may take: about a tenth more than they took when the limit was set.
mod limit {
    use super::CALLS;

    pub(super) const DECODE: u64 = 5_500;
    pub(super) const ENCODE: u64 = 2_900;

    pub(super) const DEVICE_IN_4K: u64 = 72_800;
    pub(super) const DEVICE_OUT_4K: u64 = 73_300;
    pub(super) const DEVICE_GET_DESCRIPTOR: u64 = 60_600;

    pub(super) const IN_512: u64 = 177_400;
    pub(super) const IN_4K: u64 = 177_400;
    pub(super) const IN_64K: u64 = 177_400;
    pub(super) const IN_16_X_4K: u64 = 2_403_000;
    pub(super) const OUT_512: u64 = 181_200;
    pub(super) const OUT_4K: u64 = 218_100;
    pub(super) const OUT_64K: u64 = 170_400 + copied(48 + (64 << 10));
    pub(super) const OUT_16_X_4K: u64 = 2_173_000 + copied(16 * (48 + 4096));
    pub(super) const GET_DESCRIPTOR: u64 = 163_400;

    pub(super) const COUNTED_IN_4K: u64 = IN_4K * 110 / 100;
    pub(super) const COUNTED_IN_16_X_4K: u64 = IN_16_X_4K * 104 / 100;
    pub(super) const COUNTED_OUT_16_X_4K: u64 = OUT_16_X_4K * 104 / 100;

    /// What a client sends is copied once, which a socket's session does not do. A copy of over some KiB is one instruction
    /// for each byte at the most, as valgrind counts; other processors and C libraries take fewer.
    const fn copied(bytes: u64) -> u64 {
        CALLS * bytes
    }
}

/// How often a function runs while it is counted; what has a state runs as often before.
const CALLS: u64 = 100;

#[library_benchmark]
#[bench::submit(args = (submit_header()), config = at_most(limit::DECODE))]
fn decode(header: [u8; 48]) {
    for _ in 0..CALLS {
        black_box(Command::decode(black_box(&header))).unwrap();
    }
}

#[library_benchmark]
#[bench::reply(args = (SubmitReply::default()), config = at_most(limit::ENCODE))]
fn encode(reply: SubmitReply) {
    for _ in 0..CALLS {
        black_box(Reply::Submit(black_box(reply)).encode());
    }
}

#[library_benchmark]
#[bench::in_4k(setup = host, config = at_most(limit::DEVICE_IN_4K))]
fn device_in(mut host: Box<Host>) -> Box<Host> {
    for _ in 0..CALLS {
        black_box(host.read(4096));
    }
    host
}

#[library_benchmark]
#[bench::out_4k(setup = host, config = at_most(limit::DEVICE_OUT_4K))]
fn device_out(mut host: Box<Host>) -> Box<Host> {
    let data = Bytes::from_static(&[0; 4096]);
    for _ in 0..CALLS {
        black_box(host.write(&data));
    }
    host
}

#[library_benchmark]
#[bench::get_descriptor(setup = host, config = at_most(limit::DEVICE_GET_DESCRIPTOR))]
fn device_control(mut host: Box<Host>) -> Box<Host> {
    for _ in 0..CALLS {
        black_box(host.control(commands::GET_DESCRIPTOR));
    }
    host
}

#[library_benchmark]
#[bench::in_512(args = (In, 512, 1), setup = bulk, config = at_most(limit::IN_512))]
#[bench::in_4k(args = (In, 4096, 1), setup = bulk, config = at_most(limit::IN_4K))]
#[bench::in_64k(args = (In, 65536, 1), setup = bulk, config = at_most(limit::IN_64K))]
#[bench::in_16_x_4k(args = (In, 4096, 16), setup = bulk, config = at_most(limit::IN_16_X_4K))]
#[bench::out_512(args = (Out, 512, 1), setup = bulk, config = at_most(limit::OUT_512))]
#[bench::out_4k(args = (Out, 4096, 1), setup = bulk, config = at_most(limit::OUT_4K))]
#[bench::out_64k(args = (Out, 65536, 1), setup = bulk, config = at_most(limit::OUT_64K))]
#[bench::out_16_x_4k(args = (Out, 4096, 16), setup = bulk, config = at_most(limit::OUT_16_X_4K))]
#[bench::get_descriptor(setup = control, config = at_most(limit::GET_DESCRIPTOR))]
#[bench::counted_in_4k(args = (In, 4096, 1), setup = counted, config = at_most(limit::COUNTED_IN_4K))]
#[bench::counted_in_16_x_4k(args = (In, 4096, 16), setup = counted, config = at_most(limit::COUNTED_IN_16_X_4K))]
#[bench::counted_out_16_x_4k(args = (Out, 4096, 16), setup = counted, config = at_most(limit::COUNTED_OUT_16_X_4K))]
fn session(mut exchange: Box<Loop>) -> Box<Loop> {
    for _ in 0..CALLS {
        black_box(exchange.round());
    }
    exchange
}

fn submit_header() -> [u8; 48] {
    Command::Submit(commands::submit(1, In, 1, 4096, [0; 8])).encode()
}

fn host() -> Box<Host> {
    let mut host = Host::new("gadget-zero,pattern=2");
    for _ in 0..CALLS {
        host.read(4096);
        host.write(&Bytes::from_static(&[0; 4096]));
        host.control(commands::GET_DESCRIPTOR);
    }
    Box::new(host)
}

fn bulk(direction: Direction, length: u32, count: u32) -> Box<Loop> {
    warm(Loop::new(commands::bulk(direction, length, count)))
}

fn counted(direction: Direction, length: u32, count: u32) -> Box<Loop> {
    warm(Loop::new(commands::bulk(direction, length, count)).counted())
}

fn control() -> Box<Loop> {
    warm(Loop::new(commands::control(commands::GET_DESCRIPTOR, 18)))
}

/// A session in steady state.
fn warm(mut exchange: Loop) -> Box<Loop> {
    for _ in 0..CALLS {
        exchange.round();
    }
    Box::new(exchange)
}

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind
        .format([CallgrindMetrics::SingleEvent(EventKind::Ir)])
        .hard_limits([(EventKind::Ir, instructions)]);
    let mut config = LibraryBenchmarkConfig::default();
    config
        .tool(callgrind)
        .output_format(OutputFormat::default().truncate_description(Some(0)));
    config
}

library_benchmark_group!(
    name = hot,
    benchmarks = [
        decode,
        encode,
        device_in,
        device_out,
        device_control,
        session
    ]
);
main!(library_benchmark_groups = hot);
