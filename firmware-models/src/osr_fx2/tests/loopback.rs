//! Endpoints 6 and 8.

use proptest::prelude::*;

use super::*;

/// Writes packets of that data, one by one, and tells how many were taken.
fn taken(host: &mut Host, data: &[u8], packets: usize) -> usize {
    for _ in 0..packets {
        host.write(LOOP_OUT, data.to_vec(), false);
    }
    std::iter::from_fn(|| host.ended())
        .inspect(|completion| assert_eq!(completion.status, Status::Done))
        .count()
}

#[test]
fn four_packets_of_any_size_are_taken_without_a_read_and_the_fifth_waits() {
    for size in [0, 1, 64, 511, 512] {
        let mut host = host();
        assert_eq!(taken(&mut host, &vec![7; size], 5), 4, "{size} bytes");
    }
    let mut host = Host::new("osr-fx2,speed=full", 1);
    assert_eq!(taken(&mut host, &[7; 64], 6), 4);
}

#[test]
fn a_long_write_waits_after_its_fourth_packet() {
    let mut host = host();
    let data: Vec<u8> = (0..5 * 512).map(|i| (i / 512) as u8).collect();
    let written = host.write(LOOP_OUT, data, false);
    assert!(host.ended().is_none());
    host.device.cancel(written, host.now);
    let completion = host.ended().unwrap();
    assert_eq!(
        (completion.status, completion.actual_length),
        (Status::Cancelled, 4 * 512)
    );
}

#[test]
fn a_read_makes_room_for_the_packet_that_waits() {
    let mut host = host();
    assert_eq!(taken(&mut host, b"x", 5), 4);
    let read = host.read(LOOP_IN, 512);
    let ends: Vec<_> = std::iter::from_fn(|| host.ended()).collect();
    assert_eq!(ends.len(), 2);
    assert!(
        ends.iter()
            .any(|end| end.id == read && end.data.to_vec() == b"x")
    );
}

#[test]
fn a_read_waits_until_there_is_a_packet() {
    let mut host = host();
    let read = host.read(LOOP_IN, 512);
    assert!(host.ended().is_none());
    host.write(LOOP_OUT, &b"late"[..], false);
    let ends: Vec<_> = std::iter::from_fn(|| host.ended()).collect();
    assert!(
        ends.iter()
            .any(|end| end.id == read && end.data.to_vec() == b"late")
    );
}

#[test]
fn packets_keep_their_boundaries_and_one_without_data_is_a_packet() {
    let mut host = host();
    host.write(LOOP_OUT, vec![1; 512], true);
    host.write(LOOP_OUT, vec![2; 10], false);
    host.write(LOOP_OUT, Vec::new(), false);
    assert_eq!(std::iter::from_fn(|| host.ended()).count(), 3);
    // The read ends with the packet that has no data; then one that is short, and another that has none.
    assert_eq!(host.got(LOOP_IN, 4096), [1; 512]);
    assert_eq!(host.got(LOOP_IN, 4096), [2; 10]);
    assert_eq!(host.got(LOOP_IN, 4096), []);
}

#[test]
fn a_read_with_no_room_for_a_packet_overflows() {
    let mut host = host();
    assert_eq!(taken(&mut host, b"hello", 1), 1);
    host.read(LOOP_IN, 2);
    assert_eq!(host.ended().unwrap().status, Status::Overflow);
}

#[test]
fn setting_the_configuration_and_a_reset_empty_the_loopback() {
    let mut host = host();
    for reset in [false, true] {
        assert_eq!(taken(&mut host, b"old", 5), 4);
        if reset {
            host.device.reset(host.now);
        }
        // The write that waited ends before the request for the configuration.
        let _ = host.control([0, 9, 1, 0, 0, 0, 0, 0], Vec::new());
        while host.ended().is_some() {}
        let read = host.read(LOOP_IN, 512);
        assert!(host.ended().is_none());
        host.device.cancel(read, host.now);
        assert_eq!(host.ended().unwrap().status, Status::Cancelled);
    }
}

proptest! {
    #[test]
    fn whatever_is_written_comes_back_in_the_same_packets_in_order(
        writes in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..1600), any::<bool>()), 1..12),
        reads_first in any::<bool>(),
    ) {
        let mut host = host();
        let mut expected = Vec::new();
        for (data, zero_packet) in &writes {
            expected.extend(data.chunks(512).map(<[u8]>::to_vec));
            // A packet without data follows full ones where it is asked for, and is all there is of a write without data.
            if data.is_empty() || (*zero_packet && data.len().is_multiple_of(512)) {
                expected.push(Vec::new());
            }
        }
        if reads_first {
            expected.iter().for_each(|_| { host.read(LOOP_IN, 512); });
        }
        for (data, zero_packet) in &writes {
            host.write(LOOP_OUT, data.clone(), *zero_packet);
        }
        if !reads_first {
            expected.iter().for_each(|_| { host.read(LOOP_IN, 512); });
        }
        let ends: Vec<_> = std::iter::from_fn(|| host.ended()).collect();
        prop_assert_eq!(ends.len(), writes.len() + expected.len());
        prop_assert!(ends.iter().all(|end| end.status == Status::Done));
        let reads = if reads_first { 0..expected.len() } else { writes.len()..ends.len() };
        // The configuration's request had the first number.
        let is_read = |id: u64| reads.contains(&(id as usize - 2));
        let came: Vec<_> = ends
            .iter()
            .filter(|end| is_read(end.id.0))
            .map(|end| end.data.to_vec())
            .collect();
        prop_assert_eq!(came, expected);
    }
}
