//! What a driver may rely on; a vector is the model of a memory object.

use proptest::prelude::*;

use super::*;

fn part(offset: usize, length: usize) -> Option<MemoryOffset> {
    Some(MemoryOffset { offset, length })
}

fn contents(memory: &Memory) -> Vec<u8> {
    let mut buffer = vec![0xEE; memory.size()];
    memory.copy_to_buffer(0, &mut buffer).unwrap();
    buffer
}

fn payload(pieces: &[&'static [u8]]) -> Payload {
    pieces.iter().copied().map(Bytes::from_static).collect()
}

#[test]
fn a_memory_of_no_bytes_is_refused() {
    assert_eq!(Memory::zeroed(0).unwrap_err(), MemoryError::Empty);
    assert_eq!(Memory::new(Bytes::new()).unwrap_err(), MemoryError::Empty);
    assert_eq!(
        Memory::read_only(Payload::new()).unwrap_err().status(),
        NtStatus::INVALID_PARAMETER
    );
}

#[test]
fn a_new_memory_is_all_zeros() {
    let memory = Memory::zeroed(5).unwrap();
    assert_eq!(memory.size(), 5);
    assert_eq!(contents(&memory), [0; 5]);
    assert_eq!(memory.to_bytes(part(1, 3)).unwrap()[..], [0; 3]);
}

#[test]
fn a_clone_is_the_same_memory() {
    let memory = Memory::zeroed(3).unwrap();
    memory.clone().copy_from_buffer(1, b"b").unwrap();
    assert_eq!(contents(&memory), b"\0b\0");
}

#[test]
fn what_a_read_brought_is_not_copied() {
    let memory = Memory::zeroed(8).unwrap();
    let came = Bytes::from(b"abcd".to_vec());
    memory.fill(None, came.clone().into()).unwrap();
    assert_eq!(contents(&memory), b"abcd\0\0\0\0");
    let kept = memory.to_bytes(part(1, 2)).unwrap();
    assert_eq!(kept.as_ptr(), came[1..].as_ptr());
}

#[test]
fn what_a_write_sends_is_not_copied() {
    let memory = Memory::zeroed(4).unwrap();
    memory.copy_from_buffer(0, b"abcd").unwrap();
    let one = memory.to_bytes(None).unwrap();
    let two = memory.to_bytes(part(2, 0)).unwrap();
    assert_eq!(one.as_ptr().wrapping_add(2), two.as_ptr());
    assert_eq!(two, b"cd"[..]);
}

#[test]
fn data_in_several_pieces_goes_through_in_pieces() {
    let memory = Memory::zeroed(6).unwrap();
    memory.fill(None, payload(&[b"ab", b"cd", b"ef"])).unwrap();
    assert_eq!(contents(&memory), b"abcdef");
    let out = memory.payload(part(1, 4)).unwrap();
    assert_eq!(out.pieces(), [&b"b"[..], b"cd", b"e"]);
}

#[test]
fn a_short_read_leaves_what_is_behind_it() {
    let memory = Memory::new(Bytes::from_static(b"abcdef")).unwrap();
    memory.fill(None, payload(&[b"XY"])).unwrap();
    assert_eq!(contents(&memory), b"XYcdef");
    memory.fill(part(4, 0), payload(&[b"Z"])).unwrap();
    assert_eq!(contents(&memory), b"XYcdZf");
    memory.fill(None, Payload::new()).unwrap();
    assert_eq!(contents(&memory), b"XYcdZf");
}

#[test]
fn what_is_on_its_way_stays_as_it_was_when_the_memory_is_written_to() {
    let memory = Memory::new(Bytes::from_static(b"abc")).unwrap();
    let sent = memory.payload(None).unwrap();
    memory.copy_from_buffer(0, b"X").unwrap();
    let again = memory.payload(None).unwrap();
    memory.copy_from_buffer(1, b"Y").unwrap();
    assert_eq!(sent, b"abc"[..]);
    assert_eq!(again, b"Xbc"[..]);
    assert_eq!(contents(&memory), b"XYc");
}

#[test]
fn a_copy_fills_all_of_its_destination() {
    let source = Memory::new(Bytes::from_static(b"abcdef")).unwrap();
    let destination = Memory::zeroed(4).unwrap();
    destination.copy_from_memory(&source, 2).unwrap();
    assert_eq!(contents(&destination), b"cdef");
    source.copy_from_buffer(3, b"XYZ").unwrap();
    assert_eq!(contents(&destination), b"cdef");
    assert_eq!(contents(&source), b"abcXYZ");
}

#[test]
fn a_memory_may_be_copied_to_itself() {
    let memory = Memory::new(Bytes::from_static(b"abc")).unwrap();
    memory.copy_from_memory(&memory, 0).unwrap();
    assert_eq!(contents(&memory), b"abc");
}

#[test]
fn a_source_that_is_too_small_is_told_as_umdf_tells_it() {
    let source = Memory::zeroed(4).unwrap();
    let destination = Memory::new(Bytes::from_static(b"abcd")).unwrap();
    let error = destination.copy_from_memory(&source, 1).unwrap_err();
    assert_eq!(error.status(), NtStatus::BUFFER_TOO_SMALL);
    assert_eq!(
        error.to_string(),
        "4 bytes from byte 1 on are more than the source has, which is 4"
    );
    let error = source.copy_to_buffer(3, &mut [0; 2]).unwrap_err();
    assert_eq!(HResult::from(error), HResult(0xD000_0023));
    let error = source.copy_to_buffer(usize::MAX, &mut [0; 2]).unwrap_err();
    assert_eq!(NtStatus::from(error), NtStatus::BUFFER_TOO_SMALL);
    assert_eq!(contents(&destination), b"abcd");
}

#[test]
fn a_destination_that_is_too_small_is_told_as_umdf_tells_it() {
    let memory = Memory::zeroed(4).unwrap();
    assert_eq!(
        memory.copy_from_buffer(3, b"ab").unwrap_err().to_string(),
        "2 bytes have no room from byte 3 on: the destination ends at 4"
    );
    for error in [
        memory.copy_from_buffer(0, &[1; 5]),
        memory.copy_from_buffer(3, &[1; 2]),
        memory.copy_from_buffer(usize::MAX, &[1; 2]),
        memory.fill(None, payload(&[b"abcde"])),
        memory.fill(part(1, 2), payload(&[b"abc"])),
    ] {
        assert_eq!(error.unwrap_err().status(), NtStatus::INVALID_BUFFER_SIZE);
    }
    assert_eq!(contents(&memory), [0; 4]);
}

#[test]
fn a_read_only_memory_can_be_read_and_sent_but_not_written() {
    let memory = Memory::read_only(Bytes::from_static(b"abc")).unwrap();
    assert!(memory.is_read_only());
    for error in [
        memory.copy_from_buffer(0, b"X"),
        memory.fill(None, payload(&[b"X"])),
        memory.copy_from_memory(&Memory::zeroed(3).unwrap(), 0),
    ] {
        assert_eq!(error, Err(MemoryError::ReadOnly));
    }
    assert_eq!(MemoryError::ReadOnly.status(), NtStatus::ACCESS_VIOLATION);
    assert_eq!(contents(&memory), b"abc");
    assert_eq!(memory.payload(part(1, 1)).unwrap(), b"b"[..]);
}

#[test]
fn a_part_is_within_the_memory_or_refused() {
    for (offset, length, range) in [
        (0, 0, Some(0..8)),
        (3, 0, Some(3..8)),
        (3, 2, Some(3..5)),
        (7, 1, Some(7..8)),
        (8, 0, None),
        (7, 2, None),
        (usize::MAX, 2, None),
    ] {
        let part = MemoryOffset { offset, length };
        assert_eq!(part.range(8).ok(), range, "{part:?}");
    }
    let error = Memory::zeroed(8).unwrap().payload(part(8, 0)).unwrap_err();
    assert_eq!(error.status(), NtStatus::INVALID_PARAMETER);
}

#[test]
fn a_memory_larger_than_there_is_room_for_is_an_error_and_ends_nothing() {
    let memory = Memory::zeroed(usize::MAX).unwrap();
    memory.fill(None, payload(&[b"abc"])).unwrap();
    let error = memory.copy_from_buffer(0, b"X").unwrap_err();
    assert_eq!(error.status(), NtStatus::INSUFFICIENT_RESOURCES);
    assert_eq!(memory.payload(part(0, 3)).unwrap(), b"abc"[..]);
}

#[test]
fn two_threads_may_copy_two_memories_crosswise() {
    let (one, two) = (Memory::zeroed(8).unwrap(), Memory::zeroed(8).unwrap());
    std::thread::scope(|scope| {
        for (to, from) in [(&one, &two), (&two, &one)] {
            scope.spawn(move || (0..1000).for_each(|_| to.copy_from_memory(from, 0).unwrap()));
        }
    });
    assert_eq!(contents(&one), contents(&two));
}

/// What is done to a memory, of which a vector is the model.
#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<u8>),
    Fill(usize, Vec<Vec<u8>>),
    Send(usize, usize),
    Ended,
    Copy,
}

const SIZE: usize = 12;

fn step() -> impl Strategy<Value = Step> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..SIZE + 1);
    prop_oneof![
        (0..SIZE, bytes()).prop_map(|(at, data)| Step::Write(at, data)),
        (0..SIZE, proptest::collection::vec(bytes(), 0..3))
            .prop_map(|(at, pieces)| Step::Fill(at, pieces)),
        proptest::collection::vec(bytes(), 0..3).prop_map(|pieces| Step::Fill(0, pieces)),
        (0..SIZE, 0..SIZE).prop_map(|(at, length)| Step::Send(at, length)),
        Just(Step::Ended),
        Just(Step::Copy),
    ]
}

proptest! {
    #[test]
    fn a_memory_holds_what_was_put_there_and_what_was_sent_does_not_change(
        steps in proptest::collection::vec(step(), 0..30)
    ) {
        let mut memory = Memory::zeroed(SIZE).unwrap();
        let mut model = [0; SIZE];
        let mut sent = Vec::new();
        for step in steps {
            match step {
                Step::Write(at, data) => {
                    let written = memory.copy_from_buffer(at, &data).is_ok();
                    prop_assert_eq!(written, at + data.len() <= SIZE);
                    if written {
                        model[at..][..data.len()].copy_from_slice(&data);
                    }
                }
                Step::Fill(at, pieces) => {
                    let data = pieces.concat();
                    let pieces = pieces.into_iter().map(Bytes::from).collect();
                    let filled = memory.fill(part(at, 0), pieces).is_ok();
                    prop_assert_eq!(filled, at + data.len() <= SIZE);
                    if filled {
                        model[at..][..data.len()].copy_from_slice(&data);
                    }
                }
                Step::Send(at, length) => {
                    let out = memory.payload(part(at, length));
                    prop_assert_eq!(out.is_ok(), at + length <= SIZE);
                    let end = if length == 0 { SIZE } else { at + length };
                    if let Ok(out) = out {
                        sent.push((out, model[at..end].to_vec()));
                    }
                }
                Step::Ended => sent.clear(),
                Step::Copy => {
                    let copy = Memory::zeroed(SIZE).unwrap();
                    copy.copy_from_memory(&memory, 0).unwrap();
                    memory = copy;
                }
            }
            prop_assert_eq!(contents(&memory), &model[..]);
            for (out, as_it_was) in &sent {
                prop_assert_eq!(out, &as_it_was[..]);
            }
        }
    }
}
