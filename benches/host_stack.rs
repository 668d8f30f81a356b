//! A driver in this process: what a read and a write cost from the application to the firmware, beside the same through a pipe alone, on devices that do nothing
//! with data and on such as look at it.

#[path = "support/in_process.rs"]
mod in_process;

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Throughput};
use usbwright::{
    host_stack::{Handle, Io, Stack},
    target::{Bulk, Device, In, Out, Pipe, Wait},
};
use usbwright_samples::bulk::BulkDriver;

use in_process::{DEPTH, LENGTHS, criterion, device, device_of, pipes, pipes_of};

fn main() {
    let mut criterion = criterion();
    let (source, sink) = pipes();
    let (_stack, handle) = stack(device());
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
    let both = [
        ("nothing is looked at", "gadget-zero,pattern=2", 3),
        ("the pattern is checked", "gadget-zero,pattern=1", 3),
        ("a loopback", "gadget-zero,qlen=1024", 2),
    ];
    for (name, spec, configuration) in both {
        Both::new(spec, configuration).compare(name);
    }
}

/// Rounds of many transfers, for each in turns.
const ROUNDS: usize = 300;
const LARGE: usize = 64 << 10;

/// The pipes of a device, and a driver above another such device.
struct Both {
    pipes: (Pipe<Bulk, In>, Pipe<Bulk, Out>),
    handle: Handle,
    _stack: Stack,
    data: Bytes,
}

impl Both {
    fn new(spec: &str, configuration: u8) -> Self {
        let device = || device_of(spec, configuration);
        let (stack, handle) = stack(device());
        let pattern = (0..LARGE).map(|place| (place % 512 % 63) as u8);
        Self {
            pipes: pipes_of(&device()),
            handle,
            _stack: stack,
            data: pattern.collect(),
        }
    }

    /// Writes, and then reads, by the pipes alone.
    fn alone(&self) {
        let (source, sink) = &self.pipes;
        let (mut reads, mut writes) = (source.queue(), sink.queue());
        for _ in 0..DEPTH {
            let data = self.data.clone();
            writes.write(data).expect("the pipe takes data");
        }
        while let Some((_, ended)) = writes.next().wait() {
            assert_eq!(ended.length, LARGE);
        }
        for _ in 0..DEPTH {
            reads.read(LARGE).expect("the pipe can be read");
        }
        while let Some((_, ended)) = reads.next().wait() {
            assert_eq!(ended.length, LARGE);
        }
    }

    /// The same, by the driver.
    fn driven(&self) {
        let write = |_| self.handle.write(self.data.clone());
        let writes: Vec<Io> = (0..DEPTH).map(write).collect();
        let ended = |it: Io| assert_eq!(it.wait().information, LARGE);
        writes.into_iter().for_each(ended);
        let read = |_| self.handle.read(LARGE);
        let reads: Vec<Io> = (0..DEPTH).map(read).collect();
        reads.into_iter().for_each(ended);
    }

    /// Prints what a transfer of 64 KiB takes with sixteen at once, and how much of what the pipes move the driver moves.
    fn compare(&self, device: &str) {
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            took[0].push(time(|| self.alone()));
            took[1].push(time(|| self.driven()));
        }
        let [alone, driven] = took.map(|mut all| {
            all.sort_unstable();
            all[ROUNDS / 2] / (2 * DEPTH as u128)
        });
        let share = alone as f64 / driven as f64;
        println!("{device}: a pipe alone {alone} ns, a driver {driven} ns a transfer: {share:.2}");
    }
}

fn time(action: impl FnOnce()) -> u128 {
    let begin = Instant::now();
    action();
    begin.elapsed().as_nanos()
}

/// A driver above a device.
fn stack(device: Device) -> (Stack, Handle) {
    let stack = Stack::builder()
        .usb_device(device)
        .driver("bulk", BulkDriver);
    let stack = stack.start().expect("the stack starts");
    let handle = stack.open_and_wait().expect("it can be opened");
    (stack, handle)
}
