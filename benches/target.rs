//! The host's side in process: what a transfer costs through a pipe, and through a queue with many in flight.

use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use usbwright::{
    models::Spec,
    target::{Bulk, Device, In, Out, Pipe, Wait},
};

const LENGTHS: [usize; 3] = [512, 4 << 10, 64 << 10];
/// Transfers in flight through a queue.
const DEPTH: usize = 16;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let (source, sink) = pipes();
    let mut group = criterion.benchmark_group("target");
    for length in LENGTHS {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("read", length), |bencher| {
            bencher.iter(|| source.read(length).wait());
        });
        let data = Bytes::from(vec![0; length]);
        group.bench_function(BenchmarkId::new("write", length), |bencher| {
            bencher.iter(|| sink.write(data.clone()).wait());
        });
        group.throughput(Throughput::Elements(DEPTH as u64));
        group.bench_function(BenchmarkId::new("read ×16", length), |bencher| {
            let mut queue = source.queue();
            bencher.iter(|| {
                while queue.len() < DEPTH {
                    queue.read(length).expect("the pipe can be read");
                }
                while queue.next().wait().is_some() {}
            });
        });
        group.bench_function(BenchmarkId::new("write ×16", length), |bencher| {
            let mut queue = sink.queue();
            bencher.iter(|| {
                while queue.len() < DEPTH {
                    queue.write(data.clone()).expect("the pipe takes data");
                }
                while queue.next().wait().is_some() {}
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

/// The source and the sink of a Gadget Zero, which neither makes nor checks a pattern.
fn pipes() -> (Pipe<Bulk, In>, Pipe<Bulk, Out>) {
    let spec: Spec = "gadget-zero,pattern=2".parse().expect("the model is there");
    let port = spec.build(Instant::now()).expect("the device can be made");
    let device = Device::open(port).wait().expect("the device can be opened");
    let interface = device.interface(0).wait().expect("nobody has it");
    let source = interface.first().expect("it has a source");
    (source, interface.first().expect("it has a sink"))
}
