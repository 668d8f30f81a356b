//! In steady state, data goes through a memory object without an allocation.

use allocation_counter::measure;
use bytes::Bytes;
use usbwright_host_stack::{Memory, MemoryOffset};

/// Allocations of `action` in this thread, once it has been warm.
fn allocations(mut action: impl FnMut()) -> u64 {
    (0..10).for_each(|_| action());
    measure(|| (0..100).for_each(|_| action())).count_total
}

/// Data as it comes from a device: a slice of something that is shared.
fn came(length: usize) -> Bytes {
    Bytes::from(vec![7; 8192]).slice(..length)
}

#[test]
fn a_driver_that_writes_and_sends_again_and_again_allocates_nothing() {
    let memory = Memory::zeroed(4096).unwrap();
    let round = || {
        memory.copy_from_buffer(0, &[1; 4096]).unwrap();
        assert_eq!(memory.payload(None).unwrap().len(), 4096);
    };
    assert_eq!(allocations(round), 0);
}

#[test]
fn reads_of_any_length_into_one_memory_allocate_nothing() {
    let memory = Memory::zeroed(4096).unwrap();
    let (long, short) = (came(4096), came(512));
    let mut out = [0; 4096];
    let round = || {
        memory.fill(None, long.clone().into()).unwrap();
        memory.fill(None, short.clone().into()).unwrap();
        memory.copy_to_buffer(0, &mut out).unwrap();
    };
    assert_eq!(allocations(round), 0);
}

#[test]
fn what_was_read_is_sent_on_without_an_allocation() {
    let memory = Memory::zeroed(4096).unwrap();
    let data = came(512);
    let part = Some(MemoryOffset {
        offset: 0,
        length: 512,
    });
    let round = || {
        memory.fill(None, data.clone().into()).unwrap();
        assert_eq!(memory.to_bytes(part).unwrap().as_ptr(), data.as_ptr());
    };
    assert_eq!(allocations(round), 0);
}

#[test]
fn a_copy_of_a_memory_that_nobody_writes_to_allocates_nothing() {
    let (source, destination) = (
        Memory::new(came(4096)).unwrap(),
        Memory::zeroed(4096).unwrap(),
    );
    let round = || destination.copy_from_memory(&source, 0).unwrap();
    assert_eq!(allocations(round), 0);
}

#[test]
fn a_memory_for_one_read_is_one_allocation() {
    let data = came(4096);
    let round = || {
        let memory = Memory::zeroed(65536).unwrap();
        memory.fill(None, data.clone().into()).unwrap();
    };
    assert_eq!(allocations(round), 100);
}
