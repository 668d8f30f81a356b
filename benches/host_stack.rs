//! A driver in this process: what a read and a write cost from the application to the firmware, beside the same through a pipe alone.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use usbwright::{
    host_stack::{Handle, Io, Stack},
    models::Spec,
    target::{Bulk, Device, In, Out, Pipe, Wait},
};
use usbwright_samples::bulk::BulkDriver;

const LENGTHS: [usize; 3] = [512, 4 << 10, 64 << 10];
/// Transfers in flight.
const DEPTH: usize = 16;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
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

fn device() -> Device {
    let spec: Spec = "gadget-zero,pattern=2".parse().expect("the model is there");
    let port = spec.build(Instant::now()).expect("the device can be made");
    Device::open(port).wait().expect("the device can be opened")
}

/// The source and the sink of a Gadget Zero, which neither makes nor checks a pattern.
fn pipes() -> (Pipe<Bulk, In>, Pipe<Bulk, Out>) {
    let interface = device().interface(0).wait().expect("nobody has it");
    let source = interface.first().expect("it has a source");
    (source, interface.first().expect("it has a sink"))
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
