//! Many reads and writes of one pipe at once.

use usbwright_target::{PipePolicy, Wait, protocol::Status};

use crate::support::{Answer, Bench, LARGEST, PACKET, Polled, ScriptedPort, bytes, data, failure};

#[test]
fn reads_are_served_in_the_order_of_their_first_polls() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let lengths = [PACKET, 3, PACKET, 2 * PACKET, 1, PACKET];
    let mut reads = lengths.map(|length| Polled::begin(pipe.read(length)));
    let sent = [&b"a"[..], b"bc", b"d", b"e", b"f", b"g"];
    bench.answers(sent.map(Answer::sends));
    let mut came: [Option<Vec<u8>>; 6] = Default::default();
    // Whoever is asked first, the last one here, gets nothing before its turn.
    while came.iter().any(Option::is_none) {
        for (read, came) in reads.iter_mut().zip(&mut came).rev() {
            if came.is_none() {
                *came = read.poll().map(data);
            }
        }
    }
    assert_eq!(came.map(Option::unwrap), sent);
}

#[test]
fn reads_do_not_overtake_each_other_where_something_was_kept() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let first = Polled::begin(pipe.read(1));
    let second = Polled::begin(pipe.read(PACKET));
    let mut third = Polled::begin(pipe.read(PACKET));
    bench.answers([Answer::sends(b"abc"), Answer::sends(b"def")]);
    assert_eq!(data(first.end()), b"a");
    assert!(third.poll().is_none(), "it is not its turn");
    assert_eq!(data(second.end()), b"bc");
    assert_eq!(data(third.end()), b"def");
}

#[test]
fn whole_reads_are_on_their_way_side_by_side() {
    let port = ScriptedPort::new();
    let pipe = port.source(PipePolicy::default());
    let reads = [(); 3].map(|()| Polled::begin(pipe.read(PACKET)));
    assert_eq!(port.lengths(), [PACKET; 3]);
    drop(reads);
}

#[test]
fn a_long_write_is_not_interleaved_with_others() {
    let bench = Bench::new();
    let pipe = bench.sink(PipePolicy::default());
    bench
        .script
        .with(|it| it.taking = crate::support::Taking::Only(PACKET));
    let long = Polled::begin(pipe.write(bytes(6 * LARGEST)));
    let short = Polled::begin(pipe.write(bytes(3)));
    bench
        .script
        .with(|it| it.taking = crate::support::Taking::All);
    bench.poke();
    let mut both = Polled::new(async { (long.0.await, short.0.await) });
    assert!(both.poll().is_some());
    let written = bench.script.with(|it| it.written());
    assert!(written == [bytes(6 * LARGEST), bytes(3)].concat());
}

#[test]
fn an_abort_ends_those_that_wait_for_their_turn_as_well() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let reads = [1, PACKET, 1].map(|length| Polled::begin(pipe.read(length)));
    pipe.abort().wait();
    for read in reads {
        assert_eq!(failure(read.end()).0, Status::Cancelled);
    }
}

#[test]
fn an_abort_does_not_wait_for_reads_that_begin_afterwards() {
    let port = ScriptedPort::new();
    let pipe = port.source(PipePolicy::default());
    let before = Polled::begin(pipe.read(PACKET));
    let abort = Polled::begin(pipe.abort());
    let mut after = Polled::begin(pipe.read(PACKET));
    port.end(0, Status::Cancelled, bytes(0));
    abort.end();
    assert_eq!(failure(before.end()).0, Status::Cancelled);
    assert!(after.poll().is_none());
}

#[test]
fn a_read_that_is_dropped_while_it_waits_for_its_turn_lets_the_next_one_have_it() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let first = Polled::begin(pipe.read(1));
    drop(Polled::begin(pipe.read(1)));
    let third = Polled::begin(pipe.read(1));
    bench.answers([Answer::sends(b"a"), Answer::sends(b"b")]);
    assert_eq!(data(first.end()), b"a");
    assert_eq!(data(third.end()), b"b");
}
