//! What comes out of a reader: each transfer is a message, in order, and nothing is lost.

use std::pin::pin;

use usbwright_target::{Queue, ReaderConfig, Wait};

use super::{PACKET, bytes, message, started};
use crate::support::{Bench, bounded, data, now, pending};

#[test]
fn a_buffer_has_the_message_between_header_and_trailer_of_zeroes() {
    let bench = Bench::new();
    let config = ReaderConfig {
        header: 3,
        trailer: 2,
        ..ReaderConfig::new(PACKET)
    };
    let mut reader = bench.pipe().reader(config).unwrap();
    reader.start();
    bench.script.sends("abcd");
    bench.script.sends("");
    assert_eq!(&message(&mut reader).into_buffer()[..], b"\0\0\0abcd\0\0");
    assert_eq!(&message(&mut reader).into_buffer()[..], b"\0\0\0\0\0");
}

#[test]
fn a_read_of_zero_bytes_is_a_message() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    bench.script.sends("");
    bench.script.sends("a");
    let empty = message(&mut reader);
    assert!(empty.data().is_empty() && empty.is_whole());
    assert_eq!(bytes(&mut reader), b"a");
}

#[test]
fn a_message_survives_later_reads() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    for first in 0..20 {
        bench.script.sends(data(first, 700));
    }
    let kept: Vec<_> = (0..20).map(|_| message(&mut reader)).collect();
    drop((reader, bench));
    for (first, message) in (0..20).zip(kept) {
        assert_eq!(message.into_data().into_bytes(), data(first, 700));
    }
}

#[test]
fn messages_come_in_the_order_in_which_they_were_sent() {
    for pending in [1, 2, 10] {
        let bench = Bench::new();
        let config = ReaderConfig {
            pending,
            ..ReaderConfig::new(PACKET)
        };
        let mut reader = bench.pipe().reader(config).unwrap();
        reader.start();
        (0..100).for_each(|first| bench.script.sends(data(first, 9)));
        for first in 0..100 {
            assert_eq!(
                message(&mut reader).into_data().into_bytes(),
                data(first, 9)
            );
        }
    }
}

#[test]
fn a_message_ends_where_its_length_is_reached() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    bench.script.sends(data(0, 2 * PACKET + 5));
    assert_eq!(bytes(&mut reader).len(), 2 * PACKET);
    assert_eq!(bytes(&mut reader).len(), 5);
}

#[test]
fn while_no_message_is_taken_only_so_many_are_read_as_reads_are_pending() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    (0..9).for_each(|first| bench.script.sends(data(first, 9)));
    assert_eq!(bytes(&mut reader), data(0, 9));
    assert_eq!(bench.script.state().steps.len(), 6);
}

#[test]
fn to_drop_the_next_message_s_future_loses_nothing() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    for first in 0..50 {
        pending(pin!(reader.next()));
        bench.script.sends(data(first, 9));
        assert_eq!(bounded_next(&mut reader), data(first, 9));
    }
}

/// A message that is on its way, by the thread that drives the device.
fn bounded_next(reader: &mut usbwright_target::ContinuousReader) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let next =
        async { tokio::time::timeout(std::time::Duration::from_secs(30), reader.next()).await };
    let message = runtime.block_on(next).expect("it comes").unwrap();
    message.into_data().to_vec()
}

#[test]
fn what_a_dropped_reader_had_read_is_for_the_next_read() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let mut reader = pipe.reader(ReaderConfig::new(2 * PACKET)).unwrap();
    reader.start();
    for first in 0..4 {
        bench.script.sends(data(first, 9));
    }
    assert_eq!(bytes(&mut reader), data(0, 9));
    // Two are held by the reader, and the fourth by the device.
    drop(reader);
    for first in 1..4 {
        assert_eq!(now(pipe.read(PACKET)).data.to_vec(), data(first, 9));
    }
}

#[test]
fn what_a_dropped_reader_had_of_a_message_is_for_the_next_read() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let mut reader = pipe.reader(ReaderConfig::new(2 * PACKET)).unwrap();
    reader.start();
    bench.script.sends(data(0, PACKET));
    pending(pin!(reader.next()));
    drop(reader);
    bench.script.sends("rest");
    let read = now(pipe.read(4 * PACKET)).data.to_vec();
    assert_eq!(read, [&data(0, PACKET)[..], b"rest"].concat());
}

#[test]
fn what_a_read_had_left_over_is_a_reader_s_first_message() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    bench.script.sends("left over");
    bench.script.sends("new");
    assert_eq!(now(pipe.read(5)).data.to_vec(), b"left ");
    let mut reader = pipe.reader(ReaderConfig::new(PACKET)).unwrap();
    reader.start();
    assert_eq!(bytes(&mut reader), b"over");
    assert_eq!(bytes(&mut reader), b"new");
}

#[test]
fn what_a_reader_had_left_over_is_the_next_reader_s_first_message() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let config = ReaderConfig::new(PACKET);
    for first in 0..6 {
        bench.script.sends(data(first, 9));
    }
    for first in 0..6 {
        let mut reader = pipe.reader(config).unwrap();
        reader.start();
        assert_eq!(bytes(&mut reader), data(first, 9));
    }
}

#[test]
fn a_thread_waits_for_messages_while_another_has_the_device_send_them() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    let script = bench.script.clone();
    pending(pin!(reader.next()));
    let sender = std::thread::spawn(move || {
        (0..200).for_each(|first| script.sends(data(first, 33)));
    });
    bounded(move || {
        for first in 0..200 {
            assert_eq!(
                reader.next().wait().unwrap().data().to_vec(),
                data(first, 33)
            );
        }
    });
    sender.join().unwrap();
}

#[test]
fn a_queue_of_the_pipe_is_read_from_beside_no_reader() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let mut queue: Queue<_, _> = pipe.queue();
    queue.read(PACKET).unwrap();
    bench.script.sends("queued");
    bench.nudge();
    let (_, ended) = now(queue.next()).unwrap();
    assert_eq!(ended.data.to_vec(), b"queued");
}
