//! The device core in process: through its port, and behind a USB/IP session without a socket.

#[path = "support/commands.rs"]
mod commands;
#[path = "support/device.rs"]
mod device;
#[path = "support/exchange.rs"]
mod exchange;

use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use usbwright::protocol::Direction;

use self::{device::Host, exchange::Loop};

const LENGTHS: [u32; 4] = [512, 4 << 10, 64 << 10, 1 << 20];
/// Gadget Zero's patterns: zeros and mod 63, both made and checked, and zeros that nobody checks.
const PATTERNS: [u8; 3] = [0, 1, 2];

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    port(&mut criterion);
    session(&mut criterion);
    criterion.final_summary();
}

fn port(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("port");
    let mut host = Host::new("gadget-zero");
    group.bench_function("GET_DESCRIPTOR", |bencher| {
        bencher.iter(|| host.control(commands::GET_DESCRIPTOR));
    });
    for pattern in PATTERNS {
        for length in LENGTHS {
            group.throughput(Throughput::Bytes(length.into()));
            let mut host = Host::new(&format!("gadget-zero,pattern={pattern}"));
            let parameter = format!("pattern={pattern}, {length}");
            group.bench_function(BenchmarkId::new("bulk IN", &parameter), |bencher| {
                bencher.iter(|| host.read(length));
            });
            let data = pattern_of(&mut host, length);
            group.bench_function(BenchmarkId::new("bulk OUT", &parameter), |bencher| {
                bencher.iter(|| host.write(&data));
            });
        }
    }
}

/// What the sink takes: what the source gives.
fn pattern_of(host: &mut Host, length: u32) -> Bytes {
    host.read(length).data.to_vec().into()
}

fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    let mut exchange = Loop::new(commands::control(commands::GET_DESCRIPTOR, 18));
    group.bench_function("GET_DESCRIPTOR", |bencher| {
        bencher.iter(|| exchange.round());
    });
    for direction in [Direction::In, Direction::Out] {
        for length in LENGTHS {
            group.throughput(Throughput::Bytes(length.into()));
            let mut exchange = Loop::new(commands::bulk(direction, length, 1));
            let name = format!("bulk {direction}");
            group.bench_function(BenchmarkId::new(name, length), |bencher| {
                bencher.iter(|| exchange.round());
            });
        }
    }
}
