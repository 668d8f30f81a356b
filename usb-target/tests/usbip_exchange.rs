//! What a USB/IP client sends, and what it makes of any reply.

mod support;

use bytes::Bytes;
use proptest::{prelude::*, test_runner::RngSeed};
use support::*;
use usbwright_target::{
    protocol::{
        Completion, Direction, IsoPacket, Payload, Status, Transfer, TransferId, TransferKind,
        usbip::urb::{
            Command, DIRECTION_IN, ISO_ASAP, Reply, SubmitReply, ZERO_PACKET, encode_iso_packet,
        },
    },
    usbip::{Exchange, PeerError},
};

fn exchange() -> Exchange {
    Exchange::new(&device(), vec![configuration()])
}

/// An exchange with one transfer under way, and its number.
fn with(transfer: Transfer) -> (Exchange, u32) {
    let mut exchange = exchange();
    exchange.submit(transfer);
    let commands = exchange.take();
    let (submit, _) = submit(&commands);
    (exchange, submit.sequence)
}

fn only(exchange: &mut Exchange) -> Completion {
    let completion = exchange.completion().expect("a transfer has ended");
    assert!(exchange.completion().is_none());
    completion
}

#[test]
fn a_bulk_read_is_as_servers_of_any_kind_expect_it() {
    let mut exchange = exchange();
    exchange.submit(read(7, 0x81, 512));
    let commands = exchange.take();
    let (submit, rest) = submit(&commands);
    assert!(rest.is_empty());
    assert_eq!((submit.device_id, submit.endpoint), (DEVICE_ID, 1));
    assert_eq!(submit.direction, Direction::In);
    assert_eq!((submit.flags, submit.length), (DIRECTION_IN, 512));
    assert_eq!((submit.packets, submit.interval), (0, 0));
    exchange
        .feed(&ended(submit.sequence, 0, 3, b"abc"))
        .unwrap();
    let completion = only(&mut exchange);
    assert_eq!(
        (completion.id, completion.status),
        (TransferId(7), Status::Done)
    );
    assert_eq!(completion.data.to_vec(), b"abc");
    assert_eq!(completion.actual_length, 3);
}

#[test]
fn a_write_carries_all_its_pieces_and_is_whole_where_a_server_tells_no_length() {
    let mut exchange = exchange();
    let mut data = Payload::from(Bytes::from_static(b"ab"));
    data.push(Bytes::from_static(b"cd"));
    let mut transfer = write(1, 1, data);
    if let TransferKind::Out { zero_packet, .. } = &mut transfer.kind {
        *zero_packet = true;
    }
    exchange.submit(transfer);
    let commands = exchange.take();
    let (submit, rest) = submit(&commands);
    assert_eq!(rest, b"abcd");
    assert_eq!((submit.flags, submit.length), (ZERO_PACKET, 4));
    exchange.feed(&ended(submit.sequence, 0, 0, &[])).unwrap();
    assert_eq!(only(&mut exchange).actual_length, 4);
}

#[test]
fn an_interrupt_endpoint_is_known_by_its_interval() {
    let mut exchange = exchange();
    exchange.submit(read(1, 0x82, 8));
    assert_eq!(submit(&exchange.take()).0.interval, 8);
}

#[test]
fn a_control_transfer_asks_for_its_whole_data_stage_and_keeps_what_there_is_room_for() {
    let mut exchange = exchange();
    let setup = [0x80, 6, 0, 1, 0, 0, 18, 0];
    exchange.submit(control(1, setup, Bytes::new(), 8));
    let commands = exchange.take();
    let (submit, _) = submit(&commands);
    assert_eq!((submit.length, submit.setup), (18, setup));
    exchange
        .feed(&ended(submit.sequence, 0, 18, &DEVICE_DESCRIPTOR))
        .unwrap();
    let completion = only(&mut exchange);
    assert_eq!(completion.data.to_vec(), DEVICE_DESCRIPTOR[..8]);
    assert_eq!(completion.actual_length, 8);
}

#[test]
fn what_a_linux_server_would_hang_up_over_is_not_sent() {
    let mut exchange = exchange();
    exchange.submit(control(0, [0, 9, 1, 0, 0, 0, 0, 0], Bytes::new(), 0));
    let sequence = submit(&exchange.take()).0.sequence;
    exchange.feed(&ended(sequence, 0, 0, &[])).unwrap();
    only(&mut exchange);
    let many = vec![(0, 1); 1025];
    for (transfer, status) in [
        (read(1, 0x84, 8), Status::NoEndpoint),
        (read(1, 0x83, 8), Status::NoEndpoint),
        (read(1, 0x01, 8), Status::NoEndpoint),
        (read(1, 0, 8), Status::NoEndpoint),
        (write(1, 0x81, Payload::new()), Status::NoEndpoint),
        (
            isochronous(1, 0x81, Bytes::new(), &[(0, 1)]),
            Status::NoEndpoint,
        ),
        (
            isochronous(1, 0x83, Bytes::new(), &many),
            Status::Unsupported,
        ),
        (
            isochronous(1, 0x03, Bytes::from_static(b"a"), &[(0, 2)]),
            Status::ProtocolError,
        ),
        (
            control(1, [0x40, 1, 0, 0, 0, 0, 4, 0], Bytes::new(), 0),
            Status::ProtocolError,
        ),
        (read(1, 0x81, u32::MAX), Status::Unsupported),
    ] {
        exchange.submit(transfer);
        assert_eq!(only(&mut exchange).status, status);
        assert!(exchange.take().is_empty());
    }
}

#[test]
fn statuses_and_the_data_that_came_with_them_are_told() {
    let (mut exchange, sequence) = with(read(1, 0x81, 8));
    exchange
        .feed(&ended(sequence, -75, 8, b"12345678"))
        .unwrap();
    let completion = only(&mut exchange);
    assert_eq!(completion.status, Status::Overflow);
    assert_eq!(completion.data.to_vec(), b"12345678");
}

#[test]
fn replies_come_in_any_order_and_in_any_pieces() {
    let mut exchange = exchange();
    for id in 1..=3 {
        exchange.submit(read(id, 0x81, 4));
    }
    let commands = exchange.take();
    let numbers: Vec<u32> = commands
        .chunks(48)
        .map(|it| submit(it).0.sequence)
        .collect();
    let replies = [
        ended(numbers[2], 0, 4, b"3333"),
        ended(numbers[0], 0, 2, b"11"),
        ended(numbers[1], 0, 0, b""),
    ]
    .concat();
    let mut got = Vec::new();
    for byte in replies {
        exchange.feed(&[byte]).unwrap();
        got.extend(exchange.completion().map(|it| (it.id.0, it.data.to_vec())));
    }
    assert_eq!(
        got,
        [(3, b"3333".to_vec()), (1, b"11".to_vec()), (2, Vec::new())]
    );
}

#[test]
fn a_transfer_that_was_taken_back_ends_as_cancelled_and_is_asked_for_once() {
    let (mut exchange, sequence) = with(read(1, 0x81, 8));
    exchange.cancel(TransferId(1));
    exchange.cancel(TransferId(1));
    exchange.cancel(TransferId(2));
    let commands = exchange.take();
    let (number, target) = unlink(&commands);
    assert_eq!(target, sequence);
    assert_eq!(commands[8..12], DEVICE_ID.to_be_bytes());
    assert!(exchange.completion().is_none());
    exchange.feed(&unlinked(number, -104)).unwrap();
    let completion = only(&mut exchange);
    assert_eq!(
        (completion.status, completion.actual_length),
        (Status::Cancelled, 0)
    );
}

#[test]
fn a_transfer_that_ended_before_its_unlink_ends_as_it_was() {
    let (mut exchange, sequence) = with(read(1, 0x81, 8));
    exchange.cancel(TransferId(1));
    let (number, _) = unlink(&exchange.take());
    let replies = [ended(sequence, -104, 2, b"ab"), unlinked(number, 0)].concat();
    exchange.feed(&replies).unwrap();
    let completion = only(&mut exchange);
    assert_eq!(completion.status, Status::Cancelled);
    assert_eq!(completion.data.to_vec(), b"ab");
}

#[test]
fn a_server_that_does_not_know_a_transfer_may_answer_it_late_and_loses_no_place_in_the_stream() {
    let (mut exchange, sequence) = with(read(1, 0x81, 8));
    exchange.submit(read(2, 0x81, 8));
    let other = submit(&exchange.take()).0.sequence;
    exchange.cancel(TransferId(1));
    let (number, _) = unlink(&exchange.take());
    exchange.feed(&unlinked(number, 0)).unwrap();
    assert_eq!(only(&mut exchange).status, Status::Cancelled);
    exchange.feed(&ended(sequence, 0, 8, b"too late")).unwrap();
    assert!(exchange.completion().is_none());
    exchange.feed(&ended(other, 0, 4, b"next")).unwrap();
    assert_eq!(only(&mut exchange).data.to_vec(), b"next");
    // It may be answered late, but once.
    let again = exchange.feed(&ended(sequence, 0, 0, &[]));
    assert_eq!(again, Err(PeerError::Unknown(sequence)));
}

#[test]
fn a_reset_ends_everything_and_its_answers_are_swallowed() {
    let (mut exchange, first) = with(read(1, 0x81, 8));
    exchange.submit(read(2, 0x82, 8));
    let second = submit(&exchange.take()).0.sequence;
    exchange.reset().unwrap();
    for id in [1, 2] {
        let completion = exchange.completion().unwrap();
        assert_eq!(
            (completion.id, completion.status),
            (TransferId(id), Status::Disconnected)
        );
    }
    let commands = exchange.take();
    let (first_unlink, target) = unlink(&commands[..48]);
    assert_eq!(target, first);
    let (second_unlink, target) = unlink(&commands[48..96]);
    assert_eq!(target, second);
    let (reset, rest) = submit(&commands[96..]);
    assert_eq!(reset.setup, [0x23, 3, 4, 0, 0, 0, 0, 0]);
    assert!(rest.is_empty());
    let replies = [
        unlinked(first_unlink, -104),
        ended(second, 0, 2, b"ab"),
        unlinked(second_unlink, 0),
        ended(reset.sequence, 0, 0, &[]),
    ];
    exchange.feed(&replies.concat()).unwrap();
    assert!(exchange.completion().is_none());
}

fn iso_reply(sequence: u32, moved: u32, data: &[u8], packets: &[IsoPacket]) -> Vec<u8> {
    let reply = SubmitReply {
        sequence,
        actual_length: moved,
        packets: u32::try_from(packets.len()).unwrap(),
        start_frame: 5,
        error_count: 1,
        status: 0,
    };
    let mut bytes = [&Reply::Submit(reply).encode()[..], data].concat();
    for packet in packets {
        encode_iso_packet(packet, &mut bytes);
    }
    bytes
}

fn moved(offset: u32, length: u32, actual_length: u32, status: Status) -> IsoPacket {
    IsoPacket {
        offset,
        length,
        actual_length,
        status,
    }
}

#[test]
fn isochronous_data_comes_without_gaps_and_each_packet_is_told() {
    let windows = [(0, 8), (8, 8), (16, 8)];
    let mut exchange = exchange();
    exchange.submit(isochronous(1, 0x83, Bytes::new(), &windows));
    let commands = exchange.take();
    let (submit, rest) = submit(&commands);
    assert_eq!((submit.length, submit.packets, submit.interval), (24, 3, 1));
    assert_eq!(submit.flags, DIRECTION_IN | ISO_ASAP);
    assert_eq!(rest.len(), 48);
    assert_eq!(rest[16 + 8..32], [0; 8], "no packet has moved");
    let packets = [
        moved(0, 8, 2, Status::Done),
        moved(8, 8, 0, Status::Missed),
        moved(16, 8, 3, Status::Done),
    ];
    exchange
        .feed(&iso_reply(submit.sequence, 5, b"abcde", &packets))
        .unwrap();
    let completion = only(&mut exchange);
    assert_eq!(completion.data.to_vec(), b"abcde");
    let iso = completion.iso.unwrap();
    assert_eq!((iso.start_frame, iso.error_count), (5, 1));
    assert_eq!(iso.packets, packets);
}

#[test]
fn isochronous_writes_send_the_whole_buffer_before_the_packets() {
    let mut exchange = exchange();
    let data = Bytes::from_static(b"ab..cd..");
    exchange.submit(isochronous(1, 3, data, &[(0, 2), (4, 2)]));
    let commands = exchange.take();
    let (submit, rest) = submit(&commands);
    assert_eq!(submit.length, 8);
    assert_eq!(rest[..8], *b"ab..cd..");
    assert_eq!(rest.len(), 8 + 32);
    let packets = [moved(0, 2, 2, Status::Done), moved(4, 2, 2, Status::Done)];
    exchange
        .feed(&iso_reply(submit.sequence, 4, &[], &packets))
        .unwrap();
    let completion = only(&mut exchange);
    assert_eq!((completion.actual_length, completion.data.len()), (4, 0));
    assert_eq!(completion.iso.unwrap().packets, packets);
}

#[test]
fn isochronous_packets_that_a_server_does_not_speak_of_have_not_moved() {
    let windows = [(0, 8), (8, 8)];
    let (mut exchange, sequence) = with(isochronous(1, 0x83, Bytes::new(), &windows));
    let packets = [moved(0, 8, 1, Status::Done)];
    exchange
        .feed(&iso_reply(sequence, 1, b"a", &packets))
        .unwrap();
    let iso = only(&mut exchange).iso.unwrap();
    assert_eq!(iso.packets[1], moved(8, 8, 0, Status::Missed));
    let (mut exchange, _) = with(isochronous(1, 0x83, Bytes::new(), &windows));
    exchange.cancel(TransferId(1));
    let (number, _) = unlink(&exchange.take());
    exchange.feed(&unlinked(number, -104)).unwrap();
    let iso = only(&mut exchange).iso.unwrap();
    assert_eq!(iso.packets[0], moved(0, 8, 0, Status::Cancelled));
}

#[test]
fn odd_fields_that_some_servers_send_do_not_matter() {
    let (mut exchange, sequence) = with(read(1, 0x81, 8));
    let mut reply = ended(sequence, 0, 2, b"ab");
    // Device, direction and endpoint; start frame, number of packets, error count, and padding.
    reply[8..0x14].fill(0xee);
    reply[0x1c..0x30].fill(0xff);
    exchange.feed(&reply).unwrap();
    assert_eq!(only(&mut exchange).data.to_vec(), b"ab");
    exchange.feed(&unlinked(12345, 77)).unwrap();
    let (mut exchange, sequence) = with(read(1, 0x81, 8));
    exchange.feed(&ended(sequence, 1, 0, &[])).unwrap();
    assert_eq!(only(&mut exchange).status, Status::ProtocolError);
}

#[test]
fn nonsense_ends_the_session_and_every_transfer() {
    let command = Command::Unlink {
        sequence: 1,
        target: 1,
    };
    type Nonsense = fn(u32) -> Vec<u8>;
    let cases: [(Transfer, Nonsense, &str); 6] = [
        (read(1, 0x81, 8), |_| vec![0; 48], "is no reply"),
        (
            read(1, 0x81, 8),
            |it| ended(it + 9, 0, 0, &[]),
            "not under way",
        ),
        (
            read(1, 0x81, 8),
            |it| ended(it, 0, 9, &[]),
            "moved 9 bytes, of 8",
        ),
        (
            write(1, 1, Bytes::from_static(b"ab")),
            |it| ended(it, 0, u32::MAX, &[]),
            "moved -1 bytes, of 2",
        ),
        (
            isochronous(1, 0x83, Bytes::new(), &[(0, 8)]),
            |it| iso_reply(it, 4, b"abcd", &[moved(0, 8, 3, Status::Done)]),
            "of another size than the transfer in all",
        ),
        (
            isochronous(1, 0x83, Bytes::new(), &[(0, 8)]),
            |it| iso_reply(it, 0, &[], &[moved(0, 8, 0, Status::Done); 2]),
            "had 2 isochronous packets, of 1",
        ),
    ];
    for (transfer, nonsense, told) in cases {
        let (mut exchange, sequence) = with(transfer);
        exchange.submit(read(2, 0x81, 8));
        let error = exchange.feed(&nonsense(sequence)).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        for _ in 0..2 {
            assert_eq!(exchange.completion().unwrap().status, Status::Disconnected);
        }
        assert!(exchange.completion().is_none());
    }
    let (mut exchange, _) = with(read(1, 0x81, 8));
    assert!(exchange.feed(&command.encode()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        // The same scripts every time; the fuzz target looks for new ones.
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_transfer_ends_once_whatever_a_server_replies(
        script in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        engine::run(&script);
    }
}

#[path = "usbip_engine/mod.rs"]
mod engine;
