//! The system sleeps and wakes, and stacks are stopped for a while.

use std::time::Duration;

use usbwright_driver_manager::{
    manager::{Change, ChangeOutcome},
    record::{EventKind, Operation, Problem},
};

use crate::bench::{Bench, Packaged};

fn driver(driver: &str) -> Bench {
    let bench = Bench::with(&Packaged {
        driver,
        ..Packaged::default()
    });
    bench.plug();
    bench.started();
    bench
}

fn change(bench: &Bench, change: Change) -> Vec<ChangeOutcome> {
    bench.manager.observer().change(None, change)
}

/// How a change has ended: without an error, or with one that has this in it.
#[track_caller]
fn ends(bench: &Bench, asked: Change, error: Option<&str>) {
    let outcomes = change(bench, asked);
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes[0].device, "1-1");
    match (&outcomes[0].error, error) {
        (None, None) => {}
        (Some(told), Some(error)) if told.contains(error) => {}
        (told, _) => panic!("{asked}: {told:?}"),
    }
}

pub(crate) fn stacks_sleep_and_wake_and_their_drivers_are_told() {
    let bench = driver("fine");
    let before = bench.view().hosts[0].operations;
    ends(&bench, Change::Suspend, None);
    let asleep = bench.view().hosts[0].operations;
    assert!(asleep > before, "the driver was not called");
    ends(&bench, Change::Resume, None);
    assert!(bench.view().hosts[0].operations > asleep);
    let begun = bench.next(EventKind::OperationBegun);
    assert_eq!(begun.event.detail, "suspend");
    bench.next(EventKind::OperationEnded);
    assert_eq!(bench.next(EventKind::OperationBegun).event.detail, "resume");
}

pub(crate) fn a_device_is_reset_while_its_stack_is_stopped_and_not_otherwise() {
    let bench = driver("fine");
    ends(&bench, Change::Reset, Some("stop the stack before"));
    ends(&bench, Change::Stop, None);
    ends(&bench, Change::Suspend, Some("as it is Stopped"));
    ends(&bench, Change::Reset, None);
    ends(&bench, Change::Restart, None);
    ends(&bench, Change::Suspend, None);
}

pub(crate) fn only_the_device_that_is_named_is_asked_and_an_unknown_one_is_told() {
    let bench = driver("fine");
    let other = bench.plug();
    bench.started();
    let observer = bench.manager.observer();
    let outcomes = observer.change(Some("1-2"), Change::Suspend);
    assert_eq!(outcomes.len(), 1);
    assert_eq!((&*outcomes[0].device, &outcomes[0].error), ("1-2", &None));
    let outcomes = observer.change(Some("1-3"), Change::Suspend);
    let told = outcomes[0].error.clone().unwrap();
    assert!(told.starts_with("there is no such device"), "{told}");
    assert_eq!(observer.change(None, Change::Resume).len(), 2);
    assert_eq!(bench.state(other).as_deref(), Some("running"));
}

pub(crate) fn a_driver_that_does_not_wake_costs_its_host_and_runs_anew() {
    let bench = driver("tired");
    ends(&bench, Change::Suspend, None);
    ends(&bench, Change::Resume, Some("d0_entry"));
    let record = bench.failure();
    assert_eq!(record.problem, Problem::HostFailure);
    assert_eq!(record.cause.as_deref(), Some("1-1"));
    bench.started();
    ends(&bench, Change::Suspend, None);
}

pub(crate) fn who_waits_for_a_change_is_told_that_the_host_died_over_it() {
    let bench = driver("drops-dead");
    ends(&bench, Change::Suspend, Some("its host has failed"));
    assert_eq!(bench.failure().problem, Problem::HostFailure);
    bench.started();
}

pub(crate) fn a_driver_that_never_falls_asleep_is_killed_when_its_time_is_up() {
    let bench = driver("wakeful");
    let before = bench.view().hosts[0].operations;
    let observer = bench.manager.observer();
    let asks = std::thread::spawn(move || observer.change(None, Change::Suspend));
    bench.until(|it| it.hosts[0].operations > before);
    bench.advance(Duration::from_mins(1));
    let outcomes = asks.join().unwrap();
    assert!(outcomes[0].error.is_some());
    let record = bench.failure();
    let told = (record.problem, record.operation);
    assert_eq!(told, (Problem::HostTimeout, Operation::Power));
}
