//! Transfers that nobody waits for, that are taken back, or that do not come back.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use usbwright_protocol::{Status, TransferKind};

use super::{
    super::{ManualClock, wait::Wait},
    Engine, Flight, Wire, endpoint, engine, first, read, read_until, spawn,
};
use crate::pipe::Kept;

fn poll(future: impl Future) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    pin!(future).poll(&mut cx).is_ready()
}

fn manual(wire: &Wire) -> (Arc<Engine>, ManualClock) {
    let clock = ManualClock::new();
    let port = Box::new(wire.clone());
    (Engine::new(port, clock.clone().into()), clock)
}

#[test]
fn a_transfer_whose_future_is_dropped_is_taken_back() {
    let wire = Wire::without_outside();
    let engine = engine(&wire);
    drop(read(&engine, 1));
    assert_eq!(wire.state().cancelled.len(), 1);
    assert!(poll(engine.idle(endpoint(1))));
}

#[test]
fn what_a_transfer_brings_whose_future_was_dropped_is_kept() {
    let wire = Wire::without_outside();
    wire.state().is_deaf = true;
    let (engine, _clock) = manual(&wire);
    let kept = Arc::new(Kept::new(64));
    for late in [false, true] {
        let kind = TransferKind::In { length: 64 };
        let mut flight = Flight::new(&engine, Some(&kept), endpoint(1), kind, None);
        assert!(!poll(&mut flight));
        if late {
            drop(flight);
            wire.answer(1, 1);
        } else {
            wire.answer(1, 1);
            engine.drive();
            drop(flight);
        }
        engine.drive();
        let (data, ended) = kept.take(64, false);
        assert_eq!((data.to_vec(), ended), (vec![1], true));
        assert!(kept.has_nothing());
    }
}

#[test]
fn an_endpoint_with_nothing_outstanding_is_idle_at_once() {
    let wire = Wire::without_outside();
    let engine = engine(&wire);
    let other = read(&engine, 2);
    engine.cancel_all(endpoint(1));
    assert!(poll(engine.idle(endpoint(1))));
    assert!(!poll(engine.idle(endpoint(2))));
    drop(other);
}

#[test]
fn a_thread_takes_back_what_another_one_waits_for() {
    for wire in [Wire::with_outside(), Wire::without_outside()] {
        let engine = engine(&wire);
        let this = Arc::clone(&engine);
        let waiting = spawn(move || read(&this, 1).wait().status);
        wire.until(|state| state.flying.len() == 1);
        engine.cancel_all(endpoint(1));
        engine.idle(endpoint(1)).wait();
        assert_eq!(waiting.end(), Status::Cancelled);
    }
}

#[test]
fn whoever_waits_for_an_endpoint_to_be_idle_is_woken_when_the_last_transfer_has_come_back() {
    for wire in [Wire::with_outside(), Wire::without_outside()] {
        wire.state().is_deaf = true;
        let engine = engine(&wire);
        let flights: Vec<_> = (0..3).map(|_| read(&engine, 1)).collect();
        let this = Arc::clone(&engine);
        engine.cancel_all(endpoint(1));
        let waiting = spawn(move || this.idle(endpoint(1)).wait());
        (0..3).for_each(|_| wire.answer(1, 1));
        waiting.end();
        flights
            .into_iter()
            .for_each(|it| assert_eq!(first(it.wait()), 1));
    }
}

#[test]
fn a_transfer_that_does_not_come_back_is_given_up_after_a_second() {
    let wire = Wire::without_outside();
    wire.state().is_deaf = true;
    let (engine, clock) = manual(&wire);
    let mut flight = read(&engine, 1);
    let mut late = read_until(&engine, 2, Some(clock.now() + Duration::from_millis(10)));
    engine.cancel_all(endpoint(1));
    assert!(!poll(engine.idle(endpoint(1))));
    clock.advance(Duration::from_millis(999));
    assert!(!poll(&mut flight));
    clock.advance(Duration::from_millis(1));
    assert_eq!(flight.wait().status, Status::Cancelled);
    assert!(poll(engine.idle(endpoint(1))));
    assert!(!poll(&mut late));
    clock.advance(Duration::from_millis(10));
    assert_eq!(late.wait().status, Status::TimedOut);
}

#[test]
fn what_comes_after_that_is_nobody_s() {
    let wire = Wire::without_outside();
    wire.state().is_deaf = true;
    let (engine, clock) = manual(&wire);
    let given_up = wire.clone();
    drop(read(&engine, 1));
    let (id, _) = given_up.state().flying[0];
    clock.advance(Duration::from_secs(1));
    assert!(poll(engine.idle(endpoint(1))));
    // The next transfer has the same slot.
    let mut flight = read(&engine, 1);
    wire.arrive(wire.state(), id, 1);
    engine.drive();
    assert!(!poll(&mut flight));
    wire.state().flying.remove(0);
    wire.answer(1, 2);
    engine.drive();
    assert_eq!(first(flight.wait()), 2);
}

#[test]
fn timers_of_transfers_that_have_ended_take_bounded_memory() {
    let wire = Wire::without_outside();
    let (engine, clock) = manual(&wire);
    let until = Some(clock.now() + Duration::from_secs(5));
    for _ in 0..10_000 {
        let mut flight = read_until(&engine, 1, until);
        assert!(!poll(&mut flight));
        wire.answer(1, 1);
        engine.drive();
        assert_eq!(first(flight.wait()), 1);
    }
    let timers = engine.state().timers.len();
    assert!(timers < 100, "{timers}");
}

#[test]
fn the_time_that_a_transfer_was_given_is_of_no_interest_once_it_has_ended() {
    let wire = Wire::without_outside();
    let (engine, clock) = manual(&wire);
    let until = Some(clock.now() + Duration::from_secs(5));
    let mut flight = read_until(&engine, 1, until);
    assert!(!poll(&mut flight));
    wire.answer(1, 1);
    engine.drive();
    assert_eq!(first(flight.wait()), 1);
    engine.drive();
    assert_eq!(engine.state().deadline(), None);
}

#[test]
fn whoever_asks_again_and_again_whether_an_endpoint_is_idle_takes_bounded_memory() {
    let wire = Wire::without_outside();
    wire.state().is_deaf = true;
    let (engine, _) = manual(&wire);
    let flight = read(&engine, 1);
    engine.cancel_all(endpoint(1));
    let mut idle = Box::pin(engine.idle(endpoint(1)));
    for _ in 0..1000 {
        assert!(!poll(&mut idle));
    }
    let tasks = engine.state().slots.tasks();
    assert_eq!(tasks, 1);
    drop(flight);
}

#[test]
fn a_time_too_far_away_is_never() {
    let (engine, _) = manual(&Wire::without_outside());
    assert_eq!(engine.after(Some(Duration::MAX)), None);
}
