//! The device goes, and whoever waits for that is told, though nothing is outstanding.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use usbwright_protocol::Status;

use super::{
    super::{gone::Gone, wait::Wait},
    Engine, Wire, engine, eventually, read, spawn,
};

fn gone(engine: &Arc<Engine>) -> Gone {
    Gone::new(Arc::clone(engine))
}

/// Polls it once, and tells whether it has ended.
fn has_ended(gone: &mut Gone) -> bool {
    let polled = pin!(gone).poll(&mut Context::from_waker(Waker::noop()));
    polled == Poll::Ready(())
}

#[test]
fn an_unplugging_is_told_without_a_thread_that_waits_for_it() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let mut first = gone(&engine);
    assert!(!has_ended(&mut first));
    let waits = gone(&engine);
    let waiting = spawn(move || waits.wait());
    eventually(|| !engine.state().mourners.is_empty());
    wire.go();
    waiting.end();
    assert!(has_ended(&mut first));
    assert!(has_ended(&mut gone(&engine)), "it is told again");
    assert_eq!(wire.state().waited, [""; 0], "nobody has waited outside");
}

#[test]
fn an_unplugging_is_told_by_a_port_that_wakes_its_host() {
    let wire = Wire::without_outside();
    let engine = engine(&wire);
    let waits = gone(&engine);
    let waiting = spawn(move || waits.wait());
    eventually(|| !engine.state().mourners.is_empty());
    wire.go();
    waiting.end();
}

#[test]
fn a_thread_that_waits_for_a_transfer_outside_learns_of_the_unplugging_and_tells_the_others() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let mut waits = gone(&engine);
    assert!(!has_ended(&mut waits));
    let this = Arc::clone(&engine);
    let reading = spawn(move || read(&this, 1).wait().status);
    wire.until_led();
    wire.go();
    assert_eq!(reading.end(), Status::Disconnected);
    assert!(has_ended(&mut waits));
}

#[test]
fn who_waits_no_more_is_forgotten() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let mut waits = gone(&engine);
    assert!(!has_ended(&mut waits));
    assert!(!has_ended(&mut waits), "polled twice, it waits once");
    drop(waits);
    assert!(engine.state().mourners.is_empty());
    assert_eq!(Arc::strong_count(&engine), 1);
    wire.go();
}
