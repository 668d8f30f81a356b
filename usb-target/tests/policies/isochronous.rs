//! Isochronous pipes: packets in their (micro)frames.

use bytes::Bytes;
use usbwright_target::{In, Isochronous, Out, TransferError, Wait, protocol::Status};

use crate::support::{Answer, Bench, Polled, bytes, refusal};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.interface.set_alternate(1).wait().unwrap();
    bench
}

#[test]
fn packets_are_received_each_with_its_end() {
    let bench = bench();
    let pipe = bench.interface.first::<Isochronous, In>().unwrap();
    bench.answers([
        Answer::sends(b"abc"),
        Answer::NotYet,
        Answer::Sends(bytes(1000)),
    ]);
    let read = Polled::begin(pipe.receive(3));
    bench.advance(10);
    let ended = read.end().ok().unwrap();
    let packets = ended.iso.clone().unwrap().packets;
    let lengths: Vec<_> = packets.iter().map(|it| it.actual_length).collect();
    assert_eq!(lengths, [3, 0, 1000]);
    assert_eq!(ended.data.to_vec(), [&b"abc"[..], &bytes(1000)].concat());
}

#[test]
fn packets_are_sent_one_in_each_interval() {
    let bench = bench();
    let pipe = bench.interface.first::<Isochronous, Out>().unwrap();
    let packets = [bytes(1000), Bytes::new(), bytes(7)];
    let sent = Polled::begin(pipe.send(&packets));
    bench.advance(10);
    assert_eq!(sent.end().ok().unwrap().length, 1007);
    assert_eq!(bench.script.with(|it| it.taken.clone()), packets);
}

#[test]
fn more_packets_or_bytes_than_there_may_be_are_refused() {
    let bench = bench();
    let source = bench.interface.first::<Isochronous, In>().unwrap();
    let sink = bench.interface.first::<Isochronous, Out>().unwrap();
    for length in [1025, usize::MAX] {
        let refused = TransferError::TooLong { length, most: 1024 };
        assert_eq!(refusal(source.receive(length).wait()), refused);
    }
    let (length, most) = (1001, 1000);
    let refused = TransferError::TooLong { length, most };
    assert_eq!(refusal(sink.send(&[bytes(length)]).wait()), refused);
    let (length, most) = (1025, 1024);
    let refused = TransferError::TooLong { length, most };
    assert_eq!(refusal(sink.send(&vec![bytes(1); length]).wait()), refused);
}

#[test]
fn no_packets_are_an_end_at_once() {
    let bench = bench();
    let source = bench.interface.first::<Isochronous, In>().unwrap();
    let sink = bench.interface.first::<Isochronous, Out>().unwrap();
    for mut call in [Polled::new(source.receive(0)), Polled::new(sink.send(&[]))] {
        let mut ended = call.poll();
        if ended.is_none() {
            bench.advance(10);
            ended = call.poll();
        }
        assert_eq!(ended.unwrap().ok().unwrap().length, 0);
    }
}

#[test]
fn packets_that_are_taken_back_are_told_one_by_one() {
    let bench = bench();
    let pipe = bench.interface.first::<Isochronous, In>().unwrap();
    bench
        .script
        .with(|it| it.always = Some(Answer::sends(b"ab")));
    let read = Polled::begin(pipe.receive(10));
    bench.advance(4);
    pipe.abort().wait();
    let ended = read.end();
    assert!(ended.ended(Status::Cancelled));
    let packets = ended.iso.unwrap().packets;
    assert_eq!(packets.len(), 10);
    assert!(packets.iter().all(|it| it.status == Status::Cancelled));
}
