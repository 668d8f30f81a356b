//! Transfers that are odd, and what they bring.

use std::time::{Duration, Instant};

use usbwright::emulator::server::Limits;

use crate::support::{
    client::{Client, PATIENCE},
    devices::gadget_zero,
    server::{Place, Served},
    urb::Urb,
};

const STALLED: i32 = -32;
const PROTOCOL_ERROR: i32 = -71;
const OVERFLOW: i32 = -75;
const SHUT_DOWN: i32 = -108;

/// SET_FEATURE(ENDPOINT_HALT) on 0x81, and CLEAR_FEATURE.
const HALT: [u8; 8] = [0x02, 3, 0, 0, 0x81, 0, 0, 0];
const CLEAR: [u8; 8] = [0x02, 1, 0, 0, 0x81, 0, 0, 0];

fn served() -> Served {
    Served::new(Place::V4, vec![gadget_zero()], Limits::default())
}

/// A client of a Gadget Zero: configuration 3 sources and sinks, 2 loops back.
fn configured(served: &Served, configuration: u8) -> Client {
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(configuration);
    client
}

#[test]
fn a_packet_count_means_nothing_where_nothing_is_isochronous() {
    let served = served();
    let mut client = configured(&served, 3);
    for packets in [0, 1, 3, 0xffff, 1_000_000, u32::MAX] {
        for urb in [
            Urb::read(1, 512),
            Urb::write(1, &[1; 512]),
            Urb::read(9, 100),
            Urb::control([0x80, 6, 0, 1, 0, 0, 18, 0], &[]),
        ] {
            let (first, mut bytes) = client.prepare(&urb.clone().with_packets(packets));
            let (second, behind) = client.prepare(&Urb::read(1, 100));
            bytes.extend(behind);
            client.send(&bytes);
            assert_eq!(client.end_of(first).packets, packets);
            assert_eq!(client.end_of(second).actual_length, 100);
        }
    }
}

#[test]
fn a_control_write_keeps_its_data() {
    let served = served();
    let mut client = configured(&served, 3);
    let data: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let write = Urb::control([0x40, 0x5b, 0, 0, 0, 0, 0, 16], &data);
    let ended = client.transfer(&write);
    assert_eq!((ended.status, ended.actual_length), (0, 4096));
    assert_eq!(client.control([0xc0, 0x5c, 0, 0, 0, 0, 0, 16], &[]), data);
    // One that is refused has its data taken off the stream all the same.
    let refused = Urb::control([0x40, 0x77, 0, 0, 0, 0, 100, 0], &[1; 100]);
    assert_eq!(client.transfer(&refused).status, STALLED);
    client.is_quiet();
}

#[test]
fn a_setup_packet_that_contradicts_its_header_is_no_transfer() {
    let served = served();
    let mut client = configured(&served, 3);
    let mut reads = Urb::read(0, 18);
    reads.setup = [0x00, 6, 0, 1, 0, 0, 18, 0];
    let mut writes = Urb::write(0, &[1; 18]);
    writes.setup = [0x80, 6, 0, 1, 0, 0, 18, 0];
    let mut short = Urb::write(0, &[1; 5]);
    short.setup = [0x40, 0x5b, 0, 0, 0, 0, 9, 0];
    for urb in [reads, writes, short] {
        let ended = client.transfer(&urb);
        assert_eq!((ended.status, ended.actual_length), (PROTOCOL_ERROR, 0));
        client.is_quiet();
    }
    // Requests that read, sent as writes: whatever they get, it is no data.
    for request in [0, 6, 8] {
        let write = Urb::control([0x00, request, 0, 1, 0, 0, 2, 0], &[0; 2]);
        assert_eq!(client.transfer(&write).status, STALLED);
        client.is_quiet();
    }
}

#[test]
fn a_write_is_answered_with_its_length_and_no_data() {
    let served = served();
    let mut client = configured(&served, 3);
    for length in [0, 1, 511, 512, 513, 70_000, 1 << 20] {
        let ended = client.transfer(&Urb::write(1, &vec![0; length]));
        assert_eq!((ended.status, ended.actual_length as usize), (0, length));
        client.is_quiet();
    }
}

#[test]
fn what_is_written_to_the_loopback_comes_back_packet_by_packet() {
    let served = served();
    let mut client = configured(&served, 2);
    for length in [1, 512, 1000, 1024, 4096] {
        let data: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        client.transfer(&Urb::write(1, &data));
        // A read of more than there is ends with a short packet, and is not padded; without one it goes on.
        let read = client.submit(&Urb::read(1, 8192));
        if length % 512 == 0 {
            client.is_quiet();
            let end = client.submit(&Urb::write(1, &[]));
            assert_eq!(client.end_of(end).status, 0);
        }
        assert_eq!(client.end_of(read).data, data);
    }
}

#[test]
fn a_zero_length_packet_is_sent_where_the_client_asks_for_it() {
    let served = served();
    let mut client = configured(&served, 2);
    let mut write = Urb::write(1, &[4; 1024]);
    write.flags = 0x40;
    client.transfer(&write);
    assert_eq!(client.transfer(&Urb::read(1, 4096)).actual_length, 1024);
}

#[test]
fn a_packet_that_does_not_fit_is_an_overflow_of_what_does() {
    let served = served();
    let mut client = configured(&served, 2);
    client.transfer(&Urb::write(1, &[6; 512]));
    let ended = client.transfer(&Urb::read(1, 100));
    assert_eq!((ended.status, ended.data), (OVERFLOW, vec![6; 100]));
    client.is_quiet();
}

#[test]
fn descriptors_are_cut_to_what_was_asked_for() {
    let served = served();
    let mut client = configured(&served, 3);
    for length in [1, 8, 9, 18, 64, 255] {
        for kind in 1..=3 {
            let data = client.control([0x80, 6, 0, kind, 0, 0, length, 0], &[]);
            assert!(data.len() <= usize::from(length));
        }
    }
    // The buffer may be smaller than the setup packet says.
    let mut small = Urb::control([0x80, 6, 0, 1, 0, 0, 18, 0], &[]);
    small.length = 5;
    assert_eq!(client.transfer(&small).actual_length, 5);
}

#[test]
fn isochronous_packets_add_up() {
    let served = served();
    let mut client = configured(&served, 3);
    client.set_alternate(1);
    for lengths in [&[1024, 0, 17, 1000][..], &[5; 100], &[0; 3]] {
        let sum: u32 = lengths.iter().sum();
        for urb in [Urb::stream_in(2, lengths), Urb::stream_out(2, lengths)] {
            let ended = client.transfer(&urb);
            assert_eq!((ended.status, ended.actual_length), (0, sum));
            let windows: Vec<(u32, u32)> = ended.iso.iter().map(|it| (it[0], it[1])).collect();
            assert_eq!(windows, urb.windows);
            assert!(ended.iso.iter().all(|it| it[3] == 0));
        }
    }
    // Packets that are larger than the endpoint's fail one by one, and the sum is still right.
    let ended = client.transfer(&Urb::stream_out(2, &[10, 5000, 10]));
    assert_eq!((ended.actual_length, ended.error_count), (20, 1));
    client.is_quiet();
}

#[test]
fn isochronous_data_comes_without_the_gaps_of_its_windows() {
    let served = served();
    let mut client = configured(&served, 3);
    client.set_alternate(1);
    let mut stream = Urb::stream_in(2, &[100, 100, 100]);
    stream.windows = vec![(0, 100), (500, 100), (900, 100)];
    stream.length = 1000;
    let ended = client.transfer(&stream);
    assert_eq!(ended.data.len(), 300);
    assert_eq!(ended.iso[2][..3], [900, 100, 100]);
}

#[test]
fn an_isochronous_transfer_of_no_packets_ends() {
    let served = served();
    let mut client = configured(&served, 3);
    client.set_alternate(1);
    for urb in [Urb::stream_in(2, &[]), Urb::stream_out(2, &[])] {
        let ended = client.transfer(&urb);
        assert_eq!(
            (ended.status, ended.actual_length, ended.packets),
            (0, 0, 0)
        );
    }
    client.is_quiet();
}

#[test]
fn isochronous_packets_take_their_time() {
    let served = served();
    let mut client = configured(&served, 3);
    client.set_alternate(1);
    let start = Instant::now();
    let streams: Vec<u32> = (0..10)
        .map(|_| client.submit(&Urb::stream_in(2, &[64; 80])))
        .collect();
    for stream in streams {
        client.end_of(stream);
    }
    // 800 packets of a microframe each.
    assert!(start.elapsed() >= Duration::from_micros(125) * 800);
}

#[test]
fn isochronous_transfers_where_the_setting_has_none_are_answered() {
    let served = served();
    let mut client = configured(&served, 3);
    let ended = client.transfer(&Urb::stream_in(2, &[64; 4]));
    assert_eq!((ended.status, ended.actual_length), (STALLED, 0));
    let ended = client.transfer(&Urb::stream_out(2, &[64; 4]));
    assert_eq!((ended.status, ended.actual_length), (STALLED, 0));
    client.is_quiet();
}

#[test]
fn a_halt_holds_until_it_is_cleared() {
    let served = served();
    let mut client = configured(&served, 2);
    let waits: Vec<u32> = (0..3).map(|_| client.submit(&Urb::read(1, 512))).collect();
    let halt = client.submit(&Urb::control(HALT, &[]));
    for read in waits {
        assert_eq!(client.end_of(read).status, STALLED);
    }
    assert_eq!(client.end_of(halt).status, 0);
    let status = [0x82, 0, 0, 0, 0x81, 0, 2, 0];
    assert_eq!(client.control(status, &[]), [1, 0]);
    assert_eq!(client.transfer(&Urb::read(1, 512)).status, STALLED);
    client.control(CLEAR, &[]);
    assert_eq!(client.control(status, &[]), [0, 0]);
    client.transfer(&Urb::write(1, b"on"));
    assert_eq!(client.transfer(&Urb::read(1, 512)).data, b"on");
    // A configuration, even the same, clears a halt too.
    client.control(HALT, &[]);
    client.set_configuration(2);
    assert_eq!(client.control(status, &[]), [0, 0]);
}

#[test]
fn a_new_setting_ends_what_waits() {
    let served = served();
    let mut client = configured(&served, 2);
    for request in [[0x00, 9, 2, 0, 0, 0, 0, 0], [0x01, 11, 0, 0, 0, 0, 0, 0]] {
        let read = client.submit(&Urb::read(1, 512));
        let chosen = client.submit(&Urb::control(request, &[]));
        assert_eq!(client.end_of(read).status, SHUT_DOWN);
        assert_eq!(client.end_of(chosen).status, 0);
    }
}

#[test]
fn a_transfer_to_an_endpoint_that_is_not_there_is_answered() {
    let served = served();
    let mut client = configured(&served, 3);
    for endpoint in 3..16 {
        assert_eq!(client.transfer(&Urb::read(endpoint, 64)).status, STALLED);
        let write = Urb::write(endpoint, &[0; 64]);
        assert_eq!(client.transfer(&write).status, STALLED);
    }
    client.set_configuration(0);
    assert_eq!(client.transfer(&Urb::read(1, 64)).status, STALLED);
}

#[test]
fn odd_requests_are_answered() {
    let served = served();
    let mut client = configured(&served, 3);
    for kind in 0..=255u8 {
        for request in 0..16 {
            if kind & 0x1f > 4 || (kind, request) == (0x00, 9) {
                continue;
            }
            for length in [0, 2] {
                let setup = [kind, request, 0, 0xff, 0, 0, length, 0];
                let data = if kind & 0x80 == 0 { length } else { 0 };
                let urb = Urb::control(setup, &vec![0; data.into()]);
                let status = client.transfer(&urb).status;
                assert!([0, STALLED].contains(&status), "{setup:02x?}: {status}");
            }
        }
    }
    client.is_quiet();
}

#[test]
fn commands_may_come_byte_by_byte() {
    let served = served();
    let mut client = configured(&served, 3);
    let (write, bytes) = client.prepare(&Urb::write(1, &[0; 20]));
    for byte in bytes {
        client.send(&[byte]);
    }
    assert_eq!(client.end_of(write).actual_length, 20);
}

#[test]
fn replies_are_not_held_back() {
    let served = served();
    let mut client = configured(&served, 2);
    let start = Instant::now();
    for _ in 0..100 {
        // Two replies, of which the second must not wait for the first one's acknowledgement (40 ms).
        let read = client.submit(&Urb::read(1, 512));
        let write = client.submit(&Urb::write(1, b"x"));
        client.end_of(write);
        client.end_of(read);
    }
    assert!(start.elapsed() < Duration::from_secs(3));
}
