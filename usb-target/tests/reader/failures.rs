//! Failures: what is told when, what is begun anew and when, and what is given up.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use usbwright_target::{
    ContinuousReader, ReaderConfig, ReaderFailure, TransferError, Wait,
    protocol::{Setup, Status, request},
};

use super::{PACKET, bytes, message, started, stopped};
use crate::support::{BULK, Bench, data, now, pending};

pub(crate) fn failed(error: impl Into<TransferError>, retries: u32) -> ReaderFailure {
    ReaderFailure {
        address: BULK,
        error: error.into(),
        retries,
    }
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Failures, each with what was pending as it was told.
type Told = Arc<Mutex<Vec<(ReaderFailure, usize)>>>;

/// A started reader whose failures are noted with what is pending then, and are decided so.
pub(crate) fn deciding(bench: &Bench, decide: bool) -> (ContinuousReader, Told) {
    let told = Arc::<Mutex<Vec<_>>>::default();
    let (note, port) = (Arc::clone(&told), bench.port.clone());
    let reader = started(bench).on_failure(move |failure| {
        note.lock()
            .unwrap()
            .push((failure.clone(), port.pending(BULK)));
        decide
    });
    (reader, told)
}

#[test]
fn a_failure_is_told_once_with_nothing_pending() {
    let bench = Bench::new();
    let config = ReaderConfig {
        pending: 10,
        ..ReaderConfig::new(PACKET)
    };
    let port = bench.port.clone();
    let told = Arc::<Mutex<Vec<_>>>::default();
    let note = Arc::clone(&told);
    let mut reader = bench
        .pipe()
        .reader(config)
        .unwrap()
        .on_failure(move |failure| {
            note.lock()
                .unwrap()
                .push((failure.clone(), port.pending(BULK)));
            true
        });
    reader.start();
    bench.script.stalls();
    pending(pin!(reader.next()));
    assert_eq!(*told.lock().unwrap(), [(failed(Status::Stalled, 0), 0)]);
    assert_eq!(bench.pending(), 10);
}

#[test]
fn true_resets_the_pipe_and_reads_on() {
    let bench = Bench::new();
    let (mut reader, told) = deciding(&bench, true);
    bench.script.sends("before");
    bench.script.stalls();
    bench.script.sends("after");
    assert_eq!(bytes(&mut reader), b"before");
    assert_eq!(bytes(&mut reader), b"after");
    assert_eq!(told.lock().unwrap().len(), 1);
    assert_eq!(bench.script.state().cleared, [BULK]);
    assert!(reader.handle().is_running());
}

#[test]
fn without_a_decision_the_reader_goes_on_by_itself() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    bench.script.stalls();
    bench.script.sends("after");
    assert_eq!(bytes(&mut reader), b"after");
}

#[test]
fn false_leaves_the_reader_off_and_the_pipe_to_plain_reads() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let mut reader = pipe
        .reader(ReaderConfig::new(PACKET))
        .unwrap()
        .on_failure(|_| false);
    reader.start();
    bench.script.stalls();
    bench.script.sends("after");
    assert_eq!(now(reader.next()).unwrap_err(), failed(Status::Stalled, 0));
    assert!(!reader.handle().is_running());
    assert_eq!(bench.pending(), 0);
    pending(pin!(reader.next()));
    assert_eq!(bench.script.cleared(), 0);
    assert!(now(pipe.reset()).error.is_none());
    assert_eq!(now(pipe.read(PACKET)).data.to_vec(), b"after");
}

#[test]
fn a_reader_that_was_left_off_can_be_started_again() {
    let bench = Bench::new();
    let mut decisions = [false, true].into_iter();
    let mut reader = started(&bench).on_failure(move |_| decisions.next().unwrap());
    bench.script.stalls();
    bench.script.sends("after");
    assert!(now(reader.next()).is_err());
    reader.start();
    // The endpoint is still halted: the reader fails again, and is to reset it now.
    assert_eq!(bytes(&mut reader), b"after");
}

/// Has the pipe fail, and checks how long it takes until the reader begins anew.
pub(crate) fn fails_and_waits(bench: &Bench, reader: &mut ContinuousReader, time: Duration) {
    let cleared = bench.script.cleared();
    bench.script.stalls();
    bench.nudge();
    if !time.is_zero() {
        pending(pin!(reader.next()));
        assert_eq!(bench.pending(), 0);
        bench.clock.advance(time - Duration::from_nanos(1));
        pending(pin!(reader.next()));
        assert_eq!(bench.script.cleared(), cleared, "before {time:?}");
        bench.clock.advance(Duration::from_nanos(1));
    }
    pending(pin!(reader.next()));
    assert_eq!(bench.script.cleared(), cleared + 1, "after {time:?}");
    assert_eq!(bench.pending(), 2);
}

#[test]
fn retries_come_at_once_then_after_10_ms_doubling_to_a_second() {
    let bench = Bench::new();
    let config = ReaderConfig {
        retries: 20,
        ..ReaderConfig::new(PACKET)
    };
    let mut reader = bench.pipe().reader(config).unwrap();
    reader.start();
    for pause in [0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000] {
        fails_and_waits(&bench, &mut reader, millis(pause));
    }
}

#[test]
fn the_count_of_retries_starts_anew_after_a_message() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    for pause in [0, 10, 20, 40] {
        fails_and_waits(&bench, &mut reader, millis(pause));
    }
    bench.script.sends("message");
    bench.nudge();
    assert_eq!(bytes(&mut reader), b"message");
    fails_and_waits(&bench, &mut reader, Duration::ZERO);
    fails_and_waits(&bench, &mut reader, millis(10));
}

#[test]
fn a_failure_after_the_last_retry_is_an_error() {
    let bench = Bench::new();
    let config = ReaderConfig {
        retries: 2,
        ..ReaderConfig::new(PACKET)
    };
    let mut reader = bench.pipe().reader(config).unwrap();
    reader.start();
    fails_and_waits(&bench, &mut reader, Duration::ZERO);
    fails_and_waits(&bench, &mut reader, millis(10));
    bench.script.stalls();
    bench.nudge();
    let failure = now(reader.next()).unwrap_err();
    assert_eq!(failure, failed(Status::Stalled, 2));
    assert_eq!(
        failure.to_string(),
        "reading endpoint 0x81 failed: it stalled (after 2 retries)"
    );
    assert!(!reader.handle().is_running());
}

#[test]
fn a_reader_that_was_given_up_has_all_its_retries_when_it_is_started_again() {
    let bench = Bench::new();
    let config = ReaderConfig {
        retries: 1,
        ..ReaderConfig::new(PACKET)
    };
    let mut reader = bench.pipe().reader(config).unwrap();
    for _ in 0..3 {
        reader.start();
        bench.script.stalls();
        pending(pin!(reader.next()));
        bench.script.stalls();
        bench.nudge();
        assert_eq!(now(reader.next()).unwrap_err(), failed(Status::Stalled, 1));
        clear_halt(&bench);
    }
    reader.start();
    bench.script.sends("well again");
    assert_eq!(bytes(&mut reader), b"well again");
}

/// Clears the endpoint's halt behind the reader's back, as another program part may.
fn clear_halt(bench: &Bench) {
    let clear = Setup {
        request_type: 0x02,
        request: request::CLEAR_FEATURE,
        index: BULK.byte().into(),
        ..Setup::default()
    };
    let cleared = now(bench.device.control(clear, Vec::new()));
    assert!(cleared.error.is_none());
}

#[test]
fn with_no_retries_the_first_failure_is_an_error() {
    let bench = Bench::new();
    let config = ReaderConfig {
        retries: 0,
        ..ReaderConfig::new(PACKET)
    };
    let mut reader = bench.pipe().reader(config).unwrap();
    reader.start();
    bench.script.stalls();
    assert_eq!(now(reader.next()).unwrap_err(), failed(Status::Stalled, 0));
}

#[test]
fn what_came_of_a_message_before_it_failed_is_a_message_that_is_not_whole() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    bench.script.sends(data(0, PACKET));
    bench.script.stalls();
    bench.script.sends("after");
    let part = message(&mut reader);
    assert!(!part.is_whole());
    assert_eq!(part.data().to_vec(), data(0, PACKET));
    let after = message(&mut reader);
    assert!(after.is_whole());
    assert_eq!(after.data().to_vec(), b"after");
}

#[test]
fn messages_of_a_reader_that_failed_can_still_be_taken() {
    let bench = Bench::new();
    let (mut reader, told) = deciding(&bench, false);
    bench.script.sends("one");
    bench.script.sends("two");
    bench.script.stalls();
    assert_eq!(bytes(&mut reader), b"one");
    assert_eq!(bytes(&mut reader), b"two");
    assert!(told.lock().unwrap().is_empty());
    assert!(now(reader.next()).is_err());
}

#[test]
fn a_failure_while_it_stops_is_told_and_the_reader_stays_off() {
    let bench = Bench::new();
    let (mut reader, told) = deciding(&bench, true);
    pending(pin!(reader.next()));
    bench.script.stalls();
    bench.nudge();
    now(reader.handle().stop());
    pending(pin!(reader.next()));
    assert_eq!(told.lock().unwrap().len(), 1);
    assert!(!reader.handle().is_running());
    assert_eq!((bench.pending(), bench.script.cleared()), (0, 1));
    reader.start();
    bench.script.sends("on");
    assert_eq!(bytes(&mut reader), b"on");
}

#[test]
fn reads_that_somebody_takes_back_are_no_failure() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let mut reader = pipe
        .reader(ReaderConfig::new(PACKET))
        .unwrap()
        .on_failure(|failure| panic!("{failure}"));
    reader.start();
    pending(pin!(reader.next()));
    now(pipe.abort());
    pending(pin!(reader.next()));
    assert_eq!(bench.pending(), 2);
    assert!(now(pipe.reset()).error.is_none());
    bench.script.sends("on");
    assert_eq!(bytes(&mut reader), b"on");
}

#[test]
fn the_decision_may_stop_the_reader() {
    let bench = Bench::new();
    let reader = stopped(&bench);
    let handle = reader.handle();
    let mut reader = reader.on_failure(move |_| {
        handle.stop().wait();
        true
    });
    reader.start();
    bench.script.stalls();
    pending(pin!(reader.next()));
    assert!(!reader.handle().is_running());
    assert_eq!((bench.pending(), bench.script.cleared()), (0, 1));
}

#[test]
fn the_decision_may_start_the_reader_and_what_it_tells_holds() {
    let bench = Bench::new();
    for decision in [true, false] {
        let reader = stopped(&bench);
        let handle = reader.handle();
        let mut reader = reader.on_failure(move |_| {
            handle.start();
            decision
        });
        reader.start();
        bench.script.stalls();
        match decision {
            true => pending(pin!(reader.next())),
            false => assert!(now(reader.next()).is_err()),
        }
        assert_eq!(reader.handle().is_running(), decision);
    }
}

#[test]
fn to_drop_the_next_message_s_future_while_it_recovers_loses_nothing() {
    let bench = Bench::new();
    let (mut reader, told) = deciding(&bench, true);
    bench.script.stalls();
    pending(pin!(reader.next()));
    bench.script.sends(data(0, 9));
    bench.script.stalls();
    bench.script.stalls();
    bench.nudge();
    assert_eq!(bytes(&mut reader), data(0, 9));
    bench.script.sends(data(1, 9));
    bench.nudge();
    for _ in 0..5 {
        pending(pin!(reader.next()));
    }
    assert_eq!(told.lock().unwrap().len(), 3);
    bench.clock.advance(millis(10));
    assert_eq!(bytes(&mut reader), data(1, 9));
    assert_eq!(told.lock().unwrap().len(), 3);
}
