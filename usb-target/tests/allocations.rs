//! In process, a transfer in steady state allocates nothing.

use std::time::Instant;

use allocation_counter::measure;
use bytes::Bytes;
use usbwright_models::Spec;
use usbwright_target::{Bulk, Device, In, Out, Pipe, Wait};

fn pipes() -> (Pipe<Bulk, In>, Pipe<Bulk, Out>) {
    let spec: Spec = "gadget-zero,pattern=2".parse().unwrap();
    let device = Device::open(spec.build(Instant::now()).unwrap())
        .wait()
        .unwrap();
    let interface = device.interface(0).wait().unwrap();
    (interface.first().unwrap(), interface.first().unwrap())
}

/// Allocations of `action` in this thread, once it has been warm.
fn allocations(mut action: impl FnMut()) -> u64 {
    (0..100).for_each(|_| action());
    measure(|| (0..100).for_each(|_| action())).count_total
}

#[test]
fn a_read_and_a_write_allocate_nothing() {
    let (source, sink) = pipes();
    let data = Bytes::from(vec![0; 4096]);
    for length in [512, 4096] {
        let read = || assert_eq!(source.read(length).wait().length, length);
        assert_eq!(allocations(read), 0, "reading {length} bytes");
        let write = || assert_eq!(sink.write(data.slice(..length)).wait().length, length);
        assert_eq!(allocations(write), 0, "writing {length} bytes");
    }
}

#[test]
fn sixteen_transfers_at_a_time_allocate_nothing() {
    let (source, sink) = pipes();
    let data = Bytes::from(vec![0; 512]);
    let mut reads = source.queue();
    let mut writes = sink.queue();
    let round = || {
        while reads.len() < 16 {
            reads.read(512).unwrap();
            writes.write(data.clone()).unwrap();
        }
        while let Some((_, ended)) = reads.next().wait() {
            assert_eq!(ended.length, 512);
        }
        while let Some((_, ended)) = writes.next().wait() {
            assert_eq!(ended.length, 512);
        }
    };
    assert_eq!(allocations(round), 0);
}
