//! Tasks, for which the engine's own thread waits; tasks and threads at once.

use std::{
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

use usbwright_protocol::Status;

use super::{
    super::wait::Wait, Running, Wire, engine, eventually, first, followers, read, read_until, spawn,
};

/// Runs a task in a runtime of one thread.
fn task<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Running<T> {
    spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    })
}

#[test]
fn for_a_task_the_engine_s_own_thread_waits() {
    for wire in [Wire::with_outside(), Wire::without_outside()] {
        let engine = engine(&wire);
        let waiting = task(async move { first(read(&engine, 1).await) });
        wire.until(|state| state.flying.len() == 1);
        wire.answer(1, 7);
        assert_eq!(waiting.end(), 7);
        let waited = wire.state().waited.clone();
        assert!(waited.iter().all(|name| name == "usb-target"), "{waited:?}");
    }
}

#[test]
fn a_task_and_a_thread_wait_for_one_port() {
    for task_first in [true, false] {
        let wire = Wire::with_outside();
        let engine = engine(&wire);
        let this = Arc::clone(&engine);
        let begin_task = move || task(async move { first(read(&this, 1).await) });
        let this = Arc::clone(&engine);
        let begin_thread = move || spawn(move || first(read(&this, 2).wait()));
        let (waiting, blocked) = if task_first {
            let waiting = begin_task();
            wire.until_led();
            (waiting, begin_thread())
        } else {
            let blocked = begin_thread();
            wire.until_led();
            (begin_task(), blocked)
        };
        wire.until(|state| state.flying.len() == 2);
        wire.answer(2, 2);
        assert_eq!(blocked.end(), 2);
        wire.until_led();
        wire.answer(1, 1);
        assert_eq!(waiting.end(), 1);
        assert_eq!(wire.state().most_waiting, 1);
    }
}

#[test]
fn a_thread_that_followed_the_engine_s_own_waits_outside_when_no_task_waits_any_more() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let this = Arc::clone(&engine);
    let waiting = task(async move { first(read(&this, 1).await) });
    wire.until_led();
    let this = Arc::clone(&engine);
    let blocked = spawn(move || first(read(&this, 2).wait()));
    eventually(|| followers(&engine) == 1);
    wire.answer(1, 1);
    assert_eq!(waiting.end(), 1);
    eventually(|| followers(&engine) == 0);
    wire.answer(2, 2);
    assert_eq!(blocked.end(), 2);
}

#[test]
fn a_time_that_comes_sooner_than_the_others_is_kept_while_the_engine_s_own_thread_waits_outside() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let this = Arc::clone(&engine);
    let patient = task(async move { first(read(&this, 1).await) });
    wire.until_led();
    let until = Instant::now() + Duration::from_millis(20);
    let this = Arc::clone(&engine);
    let hasty = task(async move { read_until(&this, 2, Some(until)).await.status });
    assert_eq!(hasty.end(), Status::TimedOut);
    assert!(Instant::now() >= until);
    wire.answer(1, 1);
    assert_eq!(patient.end(), 1);
}

#[test]
fn a_time_is_kept_while_a_thread_waits_outside() {
    let wire = Wire::with_outside();
    let engine = engine(&wire);
    let this = Arc::clone(&engine);
    let patient = spawn(move || first(read(&this, 1).wait()));
    wire.until_led();
    let until = Instant::now() + Duration::from_millis(20);
    let hasty = read_until(&engine, 2, Some(until)).wait();
    assert_eq!(hasty.status, Status::TimedOut);
    wire.answer(1, 1);
    assert_eq!(patient.end(), 1);
}

#[test]
fn wakers_are_woken_and_dropped_with_no_lock_held() {
    /// Uses the engine whatever is done with it.
    struct Nosy(Arc<super::Engine>);
    impl std::task::Wake for Nosy {
        fn wake(self: Arc<Self>) {
            assert!(self.0.is_connected());
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            assert!(self.0.is_connected());
        }
    }
    let used = spawn(|| {
        let wire = Wire::without_outside();
        let engine = engine(&wire);
        let nosy = || Arc::new(Nosy(Arc::clone(&engine))).into();
        for answered in [true, false] {
            let mut flight = Box::pin(read(&engine, 1));
            for _ in 0..3 {
                let polled = flight.as_mut().poll(&mut Context::from_waker(&nosy()));
                assert!(polled.is_pending());
                let mut idle = Box::pin(engine.idle(super::endpoint(1)));
                assert!(
                    idle.as_mut()
                        .poll(&mut Context::from_waker(&nosy()))
                        .is_pending()
                );
            }
            if answered {
                wire.answer(1, 1);
                assert_eq!(first(flight.wait()), 1);
            }
        }
    });
    used.end();
}
