//! What becomes of devices whose hosts fail, when time is a test's.

mod policy_support;

use std::time::Duration;

use policy_support::{Bench, alone, pooled};
use usbwright_driver_manager::{
    manager::Change,
    policy::{Action, DebugMode, DeviceKey, Fate, Fault, HostKey, NotChanged, Removal, Stage},
    record::{DetectedBy, Operation, Problem},
};

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_device_has_a_host_started_and_its_stack_built_there() {
    let mut bench = Bench::new();
    let device = bench.plug(alone());
    let host = HostKey(1);
    assert_eq!(bench.actions(), [Action::Start { host, device }]);
    bench.ready(host);
    assert_eq!(bench.actions(), [Action::Build { host, device }]);
    assert_eq!(bench.policy.stage(device), Some(Stage::Building));
    bench.policy.built(host, device);
    assert_eq!(bench.policy.stage(device), Some(Stage::Running));
    assert_eq!(bench.policy.deadline(), None);
}

#[test]
fn an_own_host_is_restarted_five_times_and_then_the_device_is_offline() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    for left in (0..5).rev() {
        assert_eq!(bench.crash(device), Fate::Alone { left });
        bench.settle();
        assert_eq!(bench.policy.stage(device), Some(Stage::Running));
    }
    assert_eq!(bench.crash(device), Fate::Offline);
    assert_eq!(bench.policy.stage(device), Some(Stage::Offline));
    assert_eq!(bench.policy.hosts().count(), 0);
}

#[test]
fn restarts_are_counted_anew_after_thirty_minutes_without_a_failure() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    for _ in 0..5 {
        bench.crash(device);
        bench.settle();
    }
    bench.advance(30 * MINUTE);
    assert_eq!(bench.crash(device), Fate::Alone { left: 4 });
    bench.settle();
    bench.advance(30 * MINUTE - Duration::from_nanos(1));
    assert_eq!(bench.crash(device), Fate::Alone { left: 3 });
}

#[test]
fn a_device_that_is_plugged_in_anew_starts_from_nothing() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    for _ in 0..6 {
        bench.crash(device);
        bench.settle();
    }
    bench.unplug(device);
    assert_eq!(bench.policy.stage(device), None);
    let again = bench.run(alone());
    assert_eq!(bench.policy.stage(again), Some(Stage::Running));
    assert_eq!(bench.policy.restarts_left(again), Some(5));
}

#[test]
fn a_pooled_host_that_fails_has_all_its_devices_restarted_in_the_pool() {
    let mut bench = Bench::new();
    let devices = [bench.run(pooled("p")), bench.run(pooled("p"))];
    assert_eq!(bench.policy.hosts().count(), 1);
    let failure = bench.die(devices[0]);
    let fate = Fate::Pooled { left: 6 };
    assert_eq!(failure.fates, devices.map(|device| (device, fate)));
    bench.settle();
    assert_eq!(bench.policy.hosts().count(), 1);
    for device in devices {
        assert_eq!(bench.policy.stage(device), Some(Stage::Running));
    }
}

#[test]
fn the_device_that_fails_a_second_time_gets_a_host_of_its_own_and_its_neighbours_do_not() {
    let mut bench = Bench::new();
    let (bad, good) = (bench.run(pooled("p")), bench.run(pooled("p")));
    bench.blame(bad);
    bench.settle();
    let failure = bench.blame(bad);
    assert_eq!(failure.cause, Some(bad));
    assert_eq!(
        failure.fates,
        [
            (bad, Fate::Alone { left: 5 }),
            (good, Fate::Pooled { left: 7 })
        ]
    );
    bench.settle();
    assert_ne!(bench.policy.host_of(bad), bench.policy.host_of(good));
    for left in (0..5).rev() {
        assert_eq!(bench.crash(bad), Fate::Alone { left });
        bench.settle();
        assert_eq!(bench.policy.stage(good), Some(Stage::Running));
    }
    assert_eq!(bench.crash(bad), Fate::Offline);
    assert_eq!(bench.policy.stage(good), Some(Stage::Running));
}

#[test]
fn where_nobody_can_tell_who_has_killed_a_pooled_host_it_counts_for_all_its_devices() {
    let mut bench = Bench::new();
    let (one, other) = (bench.run(pooled("p")), bench.run(pooled("p")));
    bench.die(one);
    bench.settle();
    let failure = bench.die(one);
    let alone = Fate::Alone { left: 5 };
    assert_eq!(failure.fates, [(one, alone), (other, alone)]);
    bench.settle();
    assert_eq!(bench.policy.hosts().count(), 2);
}

#[test]
fn devices_of_different_pools_share_no_host() {
    let mut bench = Bench::new();
    let (one, other) = (bench.run(pooled("p")), bench.run(pooled("q")));
    assert_ne!(bench.policy.host_of(one), bench.policy.host_of(other));
}

#[test]
fn plug_and_play_has_sixty_seconds_and_then_the_host_is_killed() {
    let mut bench = Bench::new();
    let device = bench.plug(alone());
    let host = HostKey(1);
    bench.ready(host);
    bench.actions();
    bench.advance(Duration::from_millis(59_999));
    assert_eq!(bench.actions(), []);
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.actions(), [Action::Kill { host }]);
    let failure = bench.gone(host);
    assert_eq!(failure.problem, Problem::HostTimeout);
    assert_eq!(failure.operation, Operation::Pnp);
    assert_eq!(failure.cause, Some(device));
    assert_eq!(failure.fates, [(device, Fate::Alone { left: 4 })]);
}

#[test]
fn a_host_that_never_tells_what_it_is_is_killed() {
    let mut bench = Bench::new();
    bench.plug(alone());
    bench.actions();
    bench.advance(MINUTE);
    assert_eq!(bench.actions(), [Action::Kill { host: HostKey(1) }]);
    assert_eq!(bench.gone(HostKey(1)).operation, Operation::Init);
}

#[test]
fn progress_of_the_driver_extends_the_deadline_and_that_of_another_driver_does_not() {
    let mut bench = Bench::new();
    let (slow, other) = (bench.run(pooled("p")), bench.run(pooled("p")));
    let host = bench.policy.host_of(slow).unwrap();
    assert!(bench.begin(slow, 1, Operation::Cancel));
    for _ in 0..10 {
        bench.advance(Duration::from_secs(50));
        bench.progress(slow);
    }
    assert_eq!(bench.actions(), []);
    bench.progress(other);
    bench.advance(Duration::from_secs(30));
    bench.progress(other);
    bench.advance(Duration::from_secs(30));
    assert_eq!(bench.actions(), [Action::Kill { host }]);
    let failure = bench.gone(host);
    assert_eq!(
        (failure.operation, failure.cause),
        (Operation::Cancel, Some(slow))
    );
}

#[test]
fn what_has_ended_in_time_has_no_deadline() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    let host = bench.policy.host_of(device).unwrap();
    assert!(bench.begin(device, 1, Operation::Close));
    assert!(bench.policy.deadline().is_some());
    bench.policy.ended(host, device, 1);
    assert_eq!(bench.policy.deadline(), None);
}

#[test]
fn a_host_has_room_for_so_many_operations_and_no_more() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    let most = usbwright_driver_manager::policy::MOST_OPERATIONS as u64;
    assert!((0..most).all(|number| bench.begin(device, number, Operation::Cancel)));
    assert!(!bench.begin(device, most, Operation::Cancel));
}

#[test]
fn a_host_that_talks_nonsense_is_ended_as_a_bad_reply() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    let host = bench.policy.host_of(device).unwrap();
    let fault = Fault {
        detail: "what is no message".to_owned(),
        ..Fault::new(Problem::BadReply)
    };
    bench.policy.fault(host, fault);
    assert_eq!(bench.actions(), [Action::Kill { host }]);
    let failure = bench.gone(host);
    assert_eq!(failure.problem, Problem::BadReply);
    assert_eq!(failure.detected_by, DetectedBy::DriverManager);
    assert_eq!(failure.detail, "what is no message");
}

#[test]
fn a_driver_that_refuses_its_device_is_not_asked_again_and_its_neighbours_go_on() {
    let mut bench = Bench::new();
    let good = bench.run(pooled("p"));
    let device = bench.plug(pooled("p"));
    let host = bench.policy.host_of(device).unwrap();
    bench.actions();
    bench.policy.refused(host, device, bench.now);
    assert_eq!(bench.policy.stage(device), Some(Stage::Refused));
    assert_eq!(bench.actions(), []);
    bench.unplug(good);
    assert_eq!(bench.policy.hosts().count(), 0);
    assert_eq!(bench.policy.stage(device), Some(Stage::Refused));
}

#[test]
fn an_unplugged_device_is_taken_down_and_its_host_ends_when_that_was_the_last_one() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    let host = HostKey(1);
    bench.policy.departed(device, bench.now);
    let removal = Removal::Surprise;
    assert_eq!(
        bench.actions(),
        [Action::TearDown {
            host,
            device,
            removal
        }]
    );
    bench.policy.torn_down(host, device, bench.now);
    assert_eq!(bench.actions(), [Action::End { host }]);
    bench.policy.gone(host, None, bench.now);
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.policy.devices().count(), 0);
}

#[test]
fn a_device_unplugged_while_its_stack_is_built_is_taken_down_all_the_same() {
    let mut bench = Bench::new();
    let device = bench.plug(alone());
    let host = HostKey(1);
    bench.ready(host);
    bench.actions();
    bench.policy.departed(device, bench.now);
    // The host had built it before it heard of that.
    bench.policy.built(host, device);
    assert_eq!(bench.policy.stage(device), Some(Stage::Leaving));
    bench.policy.torn_down(host, device, bench.now);
    assert_eq!(bench.policy.devices().count(), 0);
}

#[test]
fn a_device_that_is_about_to_go_is_not_restarted() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    bench.policy.departed(device, bench.now);
    bench.actions();
    assert_eq!(bench.gone(HostKey(1)).fates, [(device, Fate::Gone)]);
    assert_eq!(bench.policy.devices().count(), 0);
    assert_eq!(bench.actions(), []);
}

#[test]
fn all_ends_in_order_and_what_does_not_is_killed_after_the_grace() {
    let mut bench = Bench::new();
    let (good, bad) = (bench.run(alone()), bench.run(alone()));
    bench.policy.end(Duration::from_secs(10), bench.now);
    let removal = Removal::Orderly;
    let down = |device: DeviceKey| Action::TearDown {
        host: HostKey(device.0),
        device,
        removal,
    };
    assert_eq!(bench.actions(), [down(good), down(bad)]);
    bench.policy.torn_down(HostKey(1), good, bench.now);
    assert_eq!(bench.actions(), [Action::End { host: HostKey(1) }]);
    bench.policy.gone(HostKey(1), None, bench.now);
    bench.advance(Duration::from_secs(10));
    assert_eq!(bench.actions(), [Action::Kill { host: HostKey(2) }]);
    assert_eq!(bench.gone(HostKey(2)).problem, Problem::HostTimeout);
    assert_eq!(bench.actions(), [Action::Finished { left: vec![] }]);
}

#[test]
fn a_host_that_even_a_kill_does_not_end_is_told_of_and_not_waited_for() {
    let mut bench = Bench::new();
    bench.run(alone());
    bench.policy.end(Duration::from_secs(10), bench.now);
    bench.advance(Duration::from_secs(10));
    bench.advance(Duration::from_secs(5));
    let last = bench.actions().pop();
    assert_eq!(
        last,
        Some(Action::Finished {
            left: vec![HostKey(1)]
        })
    );
}

#[test]
fn whoever_looks_for_mistakes_has_no_restarts_no_pool_and_no_deadlines() {
    let mut bench = Bench::with(DebugMode {
        no_restarts: true,
        no_pooling: true,
        no_deadlines: true,
    });
    let (one, other) = (bench.run(pooled("p")), bench.run(pooled("p")));
    assert_ne!(bench.policy.host_of(one), bench.policy.host_of(other));
    assert!(bench.begin(one, 1, Operation::Power));
    assert_eq!(bench.policy.deadline(), None);
    assert_eq!(bench.crash(other), Fate::Offline);
}

#[test]
fn a_change_is_asked_of_a_stack_that_runs_and_of_no_other_and_one_at_a_time() {
    let mut bench = Bench::new();
    let device = bench.plug(alone());
    let change = |bench: &mut Bench| bench.policy.change(device, Change::Suspend, bench.now);
    assert_eq!(change(&mut bench), Err(NotChanged::NotRunning));
    bench.settle();
    assert_eq!(change(&mut bench), Ok(()));
    let host = HostKey(1);
    let asked = Action::Change {
        host,
        device,
        change: Change::Suspend,
    };
    assert_eq!(bench.actions(), [asked]);
    assert_eq!(change(&mut bench), Err(NotChanged::Underway));
    assert!(bench.policy.changed(host, device));
    assert!(!bench.policy.changed(host, device), "nothing was asked");
    assert_eq!(change(&mut bench), Ok(()));
    bench.policy.departed(device, bench.now);
    assert_eq!(change(&mut bench), Err(NotChanged::NotRunning));
}

#[test]
fn a_host_that_does_not_end_a_change_is_killed_when_its_time_is_up() {
    let mut bench = Bench::new();
    let device = bench.run(alone());
    bench
        .policy
        .change(device, Change::Suspend, bench.now)
        .unwrap();
    bench.actions();
    bench.advance(Duration::from_secs(59));
    bench.progress(device);
    bench.advance(Duration::from_secs(59));
    assert_eq!(bench.actions(), []);
    bench.advance(Duration::from_secs(1));
    let host = HostKey(1);
    assert_eq!(bench.actions(), [Action::Kill { host }]);
    let failure = bench.gone(host);
    let told = (failure.problem, failure.operation, failure.cause);
    let expected = (Problem::HostTimeout, Operation::Power, Some(device));
    assert_eq!(told, expected);
}
