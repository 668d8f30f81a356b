//! A driver in this process: what a read and a write cost from the application to the firmware, beside the same through a pipe alone.

#[path = "support/in_process.rs"]
mod in_process;

use std::collections::VecDeque;

use bytes::Bytes;
use criterion::{BenchmarkId, Throughput};
use usbwright::{
    host_stack::{Handle, Io, Stack},
    target::Wait,
};
use usbwright_samples::bulk::BulkDriver;

use in_process::{DEPTH, LENGTHS, criterion, device, pipes};

fn main() {
    let mut criterion = criterion();
    let (source, sink) = pipes();
    let (_stack, handle) = stack();
    let mut group = criterion.benchmark_group("host-stack");
    for length in LENGTHS {
        let data = Bytes::from(vec![0; length]);
        group.throughput(Throughput::Elements(1));
        group.bench_function(
            BenchmarkId::new("read, the pipe alone", length),
            |bencher| {
                bencher.iter(|| source.read(length).wait());
            },
        );
        group.bench_function(BenchmarkId::new("read, by the driver", length), |bencher| {
            bencher.iter(|| handle.read(length).wait());
        });
        group.bench_function(
            BenchmarkId::new("write, the pipe alone", length),
            |bencher| {
                bencher.iter(|| sink.write(data.clone()).wait());
            },
        );
        group.bench_function(
            BenchmarkId::new("write, by the driver", length),
            |bencher| {
                bencher.iter(|| handle.write(data.clone()).wait());
            },
        );
        group.throughput(Throughput::Elements(DEPTH as u64));
        group.bench_function(
            BenchmarkId::new("read ×16, the pipe alone", length),
            |bencher| {
                let mut queue = source.queue();
                bencher.iter(|| {
                    while queue.len() < DEPTH {
                        queue.read(length).expect("the pipe can be read");
                    }
                    while queue.next().wait().is_some() {}
                });
            },
        );
        group.bench_function(
            BenchmarkId::new("read ×16, by the driver", length),
            |bencher| {
                let mut reads: VecDeque<Io> = VecDeque::with_capacity(DEPTH);
                bencher.iter(|| {
                    reads.extend((0..DEPTH).map(|_| handle.read(length)));
                    while let Some(read) = reads.pop_front() {
                        assert_eq!(read.wait().information, length);
                    }
                });
            },
        );
    }
    group.finish();
    criterion.final_summary();
}

/// A driver above another such device.
fn stack() -> (Stack, Handle) {
    let stack = Stack::builder()
        .usb_device(device())
        .driver("bulk", BulkDriver);
    let stack = stack.start().expect("the stack starts");
    let handle = stack.open_and_wait().expect("it can be opened");
    (stack, handle)
}
