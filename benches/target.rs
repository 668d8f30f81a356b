//! The host's side in process: what a transfer costs through a pipe, and through a queue with many in flight.

#[path = "support/in_process.rs"]
mod in_process;

use bytes::Bytes;
use criterion::{BenchmarkId, Throughput};
use usbwright::target::Wait;

use in_process::{DEPTH, LENGTHS, criterion, pipes};

fn main() {
    let mut criterion = criterion();
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
