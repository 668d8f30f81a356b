//! Threads that block: one waits outside, the others follow, and none is forgotten.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
};

use super::{
    super::wait::Wait, Lazy, Wire, endpoint, engine, eventually, first, followers, read, spawn,
};

#[test]
fn a_thread_that_waits_outside_takes_what_comes() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let waiting = spawn(move || first(read(&engine, 1).wait()));
    wire.until_led();
    wire.answer(1, 7);
    assert_eq!(waiting.end(), 7);
}

#[test]
fn a_thread_is_woken_by_the_engine_s_own_where_there_is_no_way_to_wait_outside() {
    let wire = Wire::without_outside();
    let engine = engine(&wire);
    let waiting = spawn(move || first(read(&engine, 1).wait()));
    wire.until(|state| state.flying.len() == 1);
    wire.answer(1, 7);
    assert_eq!(waiting.end(), 7);
}

#[test]
fn of_two_threads_one_waits_outside_and_the_other_when_that_has_gone() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let this = Arc::clone(&engine);
    let leader = spawn(move || first(read(&this, 1).wait()));
    wire.until_led();
    let this = Arc::clone(&engine);
    let follower = spawn(move || first(read(&this, 2).wait()));
    eventually(|| followers(&engine) == 1);
    wire.answer(1, 1);
    assert_eq!(leader.end(), 1);
    wire.until_led();
    wire.answer(2, 2);
    assert_eq!(follower.end(), 2);
    assert_eq!(wire.state().most_waiting, 1);
    assert_eq!(followers(&engine), 0);
}

#[test]
fn whoever_waits_outside_hands_out_what_comes_for_others() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let this = Arc::clone(&engine);
    let leader = spawn(move || first(read(&this, 1).wait()));
    wire.until_led();
    let this = Arc::clone(&engine);
    let follower = spawn(move || first(read(&this, 2).wait()));
    eventually(|| followers(&engine) == 1);
    wire.answer(2, 2);
    assert_eq!(follower.end(), 2);
    wire.until_led();
    wire.answer(1, 1);
    assert_eq!(leader.end(), 1);
}

#[test]
fn a_thread_that_does_something_else_within_its_call_leaves_the_lead_to_another() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let (go, gone) = mpsc::channel::<()>();
    let this = Arc::clone(&engine);
    let leader = spawn(move || {
        let busy = async {
            let came = read(&this, 1).await;
            gone.recv().unwrap();
            first(came)
        };
        busy.wait()
    });
    wire.until_led();
    let this = Arc::clone(&engine);
    let follower = spawn(move || first(read(&this, 2).wait()));
    eventually(|| followers(&engine) == 1);
    wire.answer(1, 1);
    wire.answer(2, 2);
    assert_eq!(follower.end(), 2);
    go.send(()).unwrap();
    assert_eq!(leader.end(), 1);
}

#[test]
fn a_thread_that_turns_to_another_device_leaves_the_lead_to_another() {
    let (one, other) = (Wire::with_outside(), Wire::with_outside());
    let (here, there) = (engine(&one), engine(&other));
    let this = Arc::clone(&here);
    let leader = spawn(move || {
        let both = async { (read(&this, 1).await, read(&there, 1).await) };
        first(both.wait().1)
    });
    one.until_led();
    let this = Arc::clone(&here);
    let follower = spawn(move || first(read(&this, 2).wait()));
    eventually(|| followers(&here) == 1);
    one.answer(1, 1);
    other.until_led();
    one.answer(2, 2);
    assert_eq!(follower.end(), 2);
    other.answer(1, 3);
    assert_eq!(leader.end(), 3);
    // The thread waits for each device itself.
    let names = [one.state().waited.clone(), other.state().waited.clone()].concat();
    assert!(!names.contains(&"usb-target".to_owned()));
}

#[test]
fn a_thread_waits_for_two_devices_at_once() {
    for answered_first in [0, 1] {
        let wires = [Wire::with_outside(), Wire::with_outside()];
        let [here, there] = [engine(&wires[0]), engine(&wires[1])];
        let both = spawn(move || {
            let both = async { tokio::join!(read(&here, 1), read(&there, 1)) };
            let (one, other) = both.wait();
            (first(one), first(other))
        });
        wires.iter().for_each(Wire::until_led);
        wires[answered_first].answer(1, 5);
        wires[1 - answered_first].answer(1, 5);
        assert_eq!(both.end(), (5, 5));
    }
}

#[test]
fn a_future_that_is_not_polled_again_is_driven_all_the_same() {
    let (one, other) = (Wire::with_outside(), Wire::with_outside());
    let (here, there) = (engine(&one), engine(&other));
    let both = spawn(move || {
        let second = async { (read(&there, 1).await, read(&there, 1).await) };
        let both = async { tokio::join!(Lazy::new(read(&here, 1)), Lazy::new(second)) };
        first(both.wait().0)
    });
    one.until_led();
    other.until_led();
    other.answer(1, 1);
    other.until(|state| state.flying.len() == 1);
    one.answer(1, 9);
    other.answer(1, 1);
    assert_eq!(both.end(), 9);
}

#[test]
fn a_future_that_is_not_polled_again_by_the_next_call_is_driven_all_the_same() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let waiting = spawn(move || {
        let mut slow = Lazy::new(read(&engine, 1));
        let mut quick = Lazy::new(read(&engine, 2));
        let earlier = async {
            tokio::select! {
                biased;
                came = &mut slow => first(came),
                came = &mut quick => first(came),
            }
        };
        (earlier.wait(), first(slow.wait()))
    });
    wire.until(|state| state.flying.len() == 2);
    wire.answer(2, 2);
    // The call is over that waited for both, and nobody of the next one has asked for the other.
    wire.until(|state| state.waiting == 1 && state.waited.ends_with(&["usb-target".to_owned()]));
    wire.answer(1, 1);
    assert_eq!(waiting.end(), (2, 1));
}

#[test]
fn a_waker_that_is_woken_while_its_thread_waits_outside_ends_that_wait() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let (send, receive) = tokio::sync::oneshot::channel();
    let waiting = spawn(move || {
        let either = async {
            tokio::select! {
                _ = read(&engine, 1) => None,
                heard = receive => heard.ok(),
            }
        };
        either.wait()
    });
    wire.until_led();
    send.send(5).unwrap();
    assert_eq!(waiting.end(), Some(5));
}

#[test]
fn a_waker_that_is_woken_while_its_thread_follows_ends_that_wait() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let this = Arc::clone(&engine);
    let leader = spawn(move || first(read(&this, 1).wait()));
    wire.until_led();
    let (send, receive) = tokio::sync::oneshot::channel();
    let this = Arc::clone(&engine);
    let follower = spawn(move || {
        let either = async {
            tokio::select! {
                _ = read(&this, 2) => None,
                heard = receive => heard.ok(),
            }
        };
        either.wait()
    });
    eventually(|| followers(&engine) == 1);
    send.send(5).unwrap();
    assert_eq!(follower.end(), Some(5));
    wire.answer(1, 1);
    assert_eq!(leader.end(), 1);
}

#[test]
fn a_call_within_a_call_waits_for_its_own() {
    let (one, other) = (Wire::with_outside(), Wire::with_outside());
    let (here, there) = (engine(&one), engine(&other));
    let waiting = spawn(move || {
        let outer = async {
            let before = first(read(&here, 1).await);
            let same = first(read(&here, 2).wait());
            let within = first(read(&there, 1).wait());
            (before, same, within, first(read(&here, 3).await))
        };
        outer.wait()
    });
    for (wire, number) in [(&one, 1), (&one, 2), (&other, 1), (&one, 3)] {
        wire.until(|state| state.flying.iter().any(|(_, it)| *it == endpoint(number)));
        wire.until_led();
        wire.answer(number, number);
    }
    assert_eq!(waiting.end(), (1, 2, 1, 3));
}

#[test]
fn a_future_that_panics_leaves_the_engine_to_others() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let this = Arc::clone(&engine);
    let panicking = spawn(move || {
        let panics = async {
            read(&this, 1).await;
            panic!("laid down by the test");
        };
        let caught = catch_unwind(AssertUnwindSafe(|| panics.wait()));
        assert!(caught.is_err());
        first(read(&this, 1).wait())
    });
    wire.until_led();
    let this = Arc::clone(&engine);
    let follower = spawn(move || first(read(&this, 2).wait()));
    eventually(|| followers(&engine) == 1);
    wire.answer(1, 1);
    wire.until(|state| state.flying.len() == 2);
    wire.answer(2, 2);
    assert_eq!(follower.end(), 2);
    wire.answer(1, 3);
    assert_eq!(panicking.end(), 3);
}
