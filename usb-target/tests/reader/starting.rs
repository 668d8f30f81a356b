//! Starting and stopping, from anywhere, while somebody waits for a message.

use std::{pin::pin, thread};

use usbwright_target::{ReaderConfig, Wait};

use super::{PACKET, bytes, message, started, stopped};
use crate::support::{Bench, bounded, data, now, pending};

#[test]
fn a_reader_does_not_start_by_itself() {
    let bench = Bench::new();
    let mut reader = stopped(&bench);
    bench.script.sends("early");
    pending(pin!(reader.next()));
    assert_eq!(bench.pending(), 0);
    reader.start();
    assert_eq!(bytes(&mut reader), b"early");
}

#[test]
fn stop_returns_when_nothing_is_pending_and_is_no_failure() {
    let bench = Bench::new();
    let mut reader = started(&bench).on_failure(|failure| panic!("{failure}"));
    pending(pin!(reader.next()));
    assert_eq!(bench.pending(), 2);
    now(reader.handle().stop());
    assert_eq!(bench.pending(), 0);
    pending(pin!(reader.next()));
    assert_eq!(bench.pending(), 0);
}

#[test]
fn a_stop_and_start_while_nobody_waits_is_no_failure() {
    let bench = Bench::new();
    let mut reader = started(&bench).on_failure(|failure| panic!("{failure}"));
    pending(pin!(reader.next()));
    now(reader.handle().stop());
    reader.start();
    bench.script.sends("on");
    assert_eq!(bytes(&mut reader), b"on");
}

#[test]
fn messages_that_came_before_a_stop_can_still_be_taken() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    for first in 0..4 {
        bench.script.sends(data(first, 9));
    }
    assert_eq!(bytes(&mut reader), data(0, 9));
    now(reader.handle().stop());
    assert_eq!(bytes(&mut reader), data(1, 9));
    assert_eq!(bytes(&mut reader), data(2, 9));
    pending(pin!(reader.next()));
    reader.start();
    assert_eq!(bytes(&mut reader), data(3, 9));
}

#[test]
fn what_a_stop_cuts_off_of_a_message_comes_before_the_rest() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    bench.script.sends(data(0, PACKET));
    pending(pin!(reader.next()));
    now(reader.handle().stop());
    let part = message(&mut reader);
    assert_eq!((part.data().len(), part.is_whole()), (PACKET, false));
    reader.start();
    bench.script.sends("rest");
    assert_eq!(bytes(&mut reader), b"rest");
}

#[test]
fn a_handle_of_a_dropped_reader_does_nothing() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let config = ReaderConfig::new(PACKET);
    let old = pipe.reader(config).unwrap().handle();
    old.start();
    assert!(!old.is_running());
    bench.script.sends("plain");
    assert_eq!(now(pipe.read(PACKET)).data.to_vec(), b"plain");
    let mut reader = pipe.reader(config).unwrap();
    reader.start();
    pending(pin!(reader.next()));
    now(old.stop());
    assert!(reader.handle().is_running());
    assert_eq!(bench.pending(), 2);
}

#[test]
fn another_thread_stops_and_starts_while_one_waits() {
    let bench = Bench::new();
    let mut reader = started(&bench).on_failure(|failure| panic!("{failure}"));
    let (handle, script) = (reader.handle(), bench.script.clone());
    bench.script.sends(data(0, 9));
    let other = thread::spawn(move || {
        for first in 1..100 {
            handle.stop().wait();
            script.sends(data(first, 9));
            handle.start();
        }
    });
    bounded(move || {
        for first in 0..100 {
            assert_eq!(
                reader.next().wait().unwrap().data().to_vec(),
                data(first, 9)
            );
        }
        other.join().unwrap();
    });
}

#[test]
fn another_task_stops_and_starts_while_one_waits() {
    let bench = Bench::new();
    let mut reader = started(&bench).on_failure(|failure| panic!("{failure}"));
    let (handle, script) = (reader.handle(), bench.script.clone());
    bench.script.sends(data(0, 9));
    bounded(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let other = tokio::spawn(async move {
                for first in 1..100 {
                    handle.stop().await;
                    script.sends(data(first, 9));
                    handle.start();
                    tokio::task::yield_now().await;
                }
            });
            for first in 0..100 {
                let message = reader.next().await.unwrap();
                assert_eq!(message.data().to_vec(), data(first, 9));
            }
            other.await.unwrap();
        });
    });
}

#[test]
fn many_threads_stop_and_start_at_once() {
    let bench = Bench::new();
    let mut reader = started(&bench).on_failure(|failure| panic!("{failure}"));
    let handle = reader.handle();
    let others = (0..3).map(|_| {
        let handle = handle.clone();
        thread::spawn(move || {
            for _ in 0..200 {
                handle.stop().wait();
                handle.start();
            }
        })
    });
    let others: Vec<_> = others.collect();
    let script = bench.script.clone();
    bounded(move || {
        for first in 0..200 {
            script.sends(data(first, 9));
            assert_eq!(
                reader.next().wait().unwrap().data().to_vec(),
                data(first, 9)
            );
        }
        others.into_iter().for_each(|it| it.join().unwrap());
    });
}
