//! Devices come and go, hosts answer, die and hang, in random order: what holds in each.

#[path = "../../host-stack/tests/dice/mod.rs"]
mod dice;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use dice::{Dice, try_all};
use usbwright_driver_manager::{
    manager::Change,
    policy::{
        Action, DebugMode, DeviceKey, Fate, Fault, HostKey, HostStage, Policy, Pool, Stage, Terms,
    },
    record::{Operation, Problem},
};

/// A policy, and the hosts as they are.
struct World {
    policy: Policy,
    now: Instant,
    plugged: u64,
    /// What each host that runs was asked for, and has not answered.
    hosts: BTreeMap<HostKey, Vec<Action>>,
    killed: BTreeSet<HostKey>,
    /// How often each device was started again, after its last failure was forgotten.
    restarts: BTreeMap<DeviceKey, (u32, Instant)>,
    is_finished: bool,
}

const RESTARTS: u32 = 5;
const RESET: Duration = Duration::from_mins(30);

impl World {
    fn new() -> Self {
        Self {
            policy: Policy::new(DebugMode::default()),
            now: Instant::now(),
            plugged: 0,
            hosts: BTreeMap::new(),
            killed: BTreeSet::new(),
            restarts: BTreeMap::new(),
            is_finished: false,
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.roll(10) {
            0 => self.plug(dice),
            1 => {
                if let Some(device) = pick(dice, self.policy.devices()) {
                    self.policy.departed(device, self.now);
                }
            }
            2..=5 => self.answer(dice),
            6 => {
                if let Some(host) = pick(dice, self.hosts.keys().copied()) {
                    self.die(host);
                }
            }
            7 => {
                if let Some(host) = pick(dice, self.hosts.keys().copied()) {
                    self.policy.fault(host, Fault::new(Problem::BadReply));
                }
            }
            8 => self.operate(dice),
            _ => {
                self.now += Duration::from_secs(dice.roll(90) as u64);
                if dice.roll(20) == 0 {
                    self.now += RESET;
                }
                self.policy.tick(self.now);
            }
        }
        self.act();
        self.check();
    }

    fn plug(&mut self, dice: &mut Dice) {
        self.plugged += 1;
        let pool = ["p", "q"].get(dice.roll(3)).map(|it| Pool((*it).into()));
        let terms = Terms::new(&Default::default(), pool);
        self.policy
            .arrived(DeviceKey(self.plugged), terms, self.now);
    }

    /// A host answers what it was asked first.
    fn answer(&mut self, dice: &mut Dice) {
        let Some(key) = pick(dice, self.hosts.keys().copied()) else {
            return;
        };
        let asked = self.hosts.get_mut(&key).unwrap();
        if asked.is_empty() {
            return;
        }
        match asked.remove(0) {
            Action::Start { host, .. } => self.policy.ready(host, self.now),
            Action::Build { host, device } if dice.roll(8) == 0 => {
                self.policy.refused(host, device, self.now);
            }
            Action::Build { host, device } => self.policy.built(host, device),
            Action::TearDown { host, device, .. } => self.policy.torn_down(host, device, self.now),
            Action::Change { host, device, .. } => assert!(self.policy.changed(host, device)),
            Action::End { host } => {
                self.hosts.remove(&host);
                self.policy.gone(host, None, self.now);
            }
            other => panic!("{other:?}"),
        }
    }

    fn operate(&mut self, dice: &mut Dice) {
        let Some(device) = pick(dice, self.policy.devices()) else {
            return;
        };
        let Some(host) = self.policy.host_of(device) else {
            return;
        };
        let number = dice.roll(3) as u64;
        match dice.roll(4) {
            0 => {
                let what = (number, Operation::Cancel);
                assert!(self.policy.begun(host, device, what, self.now));
            }
            1 => self.policy.ended(host, device, number),
            2 => {
                // One that does not run, or is changed already, is not asked.
                let _ = self.policy.change(device, Change::Suspend, self.now);
            }
            _ => self.policy.progressed(host, device, self.now),
        }
    }

    fn die(&mut self, host: HostKey) {
        self.hosts.remove(&host);
        let fault = Fault::new(Problem::HostFailure);
        self.policy.gone(host, Some(fault), self.now);
    }

    /// Does what is wanted, as far as that is up to the manager.
    fn act(&mut self) {
        while let Some(action) = self.policy.action() {
            match &action {
                Action::Start { host, .. } => {
                    assert!(self.hosts.insert(*host, vec![action]).is_none());
                }
                Action::Build { host, .. }
                | Action::TearDown { host, .. }
                | Action::Change { host, .. }
                | Action::End { host } => {
                    assert!(!self.killed.contains(host), "{action:?} for a killed host");
                    let asked = self.hosts.get_mut(host).expect("the host is there");
                    asked.push(action);
                }
                Action::Kill { host } => {
                    assert!(self.killed.insert(*host), "{host:?} was killed twice");
                    // A killed host answers nothing more.
                    self.hosts.get_mut(host).expect("the host is there").clear();
                }
                Action::Failed(failure) => {
                    for (device, fate) in &failure.fates {
                        self.count(*device, *fate);
                    }
                }
                Action::Finished { left } => {
                    assert!(left.is_empty() && !self.is_finished);
                    self.is_finished = true;
                }
            }
        }
    }

    /// No device starts again more often than it may.
    fn count(&mut self, device: DeviceKey, fate: Fate) {
        let now = self.now;
        let (count, last) = self.restarts.entry(device).or_insert((0, now));
        if now - *last >= RESET {
            *count = 0;
        }
        match fate {
            Fate::Alone { left } => {
                *last = now;
                *count += 1;
                assert!(*count <= RESTARTS + 2 && left <= RESTARTS);
            }
            Fate::Pooled { left } => assert!(left > RESTARTS),
            Fate::Offline => assert!(*count >= RESTARTS, "{device:?} is offline early"),
            Fate::Gone => {}
        }
    }

    fn check(&self) {
        let mut members = BTreeMap::new();
        for (host, stage, devices) in self.policy.hosts() {
            assert!(self.hosts.contains_key(&host), "{host:?} is not there");
            assert_eq!(stage == HostStage::Killed, self.killed.contains(&host));
            for device in devices {
                assert_eq!(
                    members.insert(*device, host),
                    None,
                    "{device:?} is twice there"
                );
            }
        }
        for device in self.policy.devices() {
            let host = members.remove(&device);
            assert_eq!(self.policy.host_of(device), host, "{device:?}");
            let needs = !matches!(
                self.policy.stage(device),
                Some(Stage::Refused | Stage::Offline)
            );
            assert_eq!(host.is_some(), needs, "{device:?}");
        }
        assert!(
            members.is_empty(),
            "hosts have devices that are gone: {members:?}"
        );
    }

    /// Everything ends, whatever was under way.
    fn end(mut self, dice: &mut Dice) {
        self.policy.end(Duration::from_secs(10), self.now);
        self.act();
        for _ in 0..dice.roll(20) {
            self.answer(dice);
            self.act();
        }
        self.now += Duration::from_secs(10);
        self.policy.tick(self.now);
        self.act();
        for host in self.hosts.keys().copied().collect::<Vec<_>>() {
            assert!(self.killed.contains(&host), "{host:?} lives on");
            self.die(host);
            self.act();
        }
        assert!(self.is_finished);
        assert_eq!(self.policy.devices().count(), 0);
        assert_eq!(self.policy.deadline(), None);
    }
}

fn pick<T>(dice: &mut Dice, from: impl Iterator<Item = T>) -> Option<T> {
    let mut all: Vec<T> = from.collect();
    (!all.is_empty()).then(|| {
        let place = dice.roll(all.len());
        all.swap_remove(place)
    })
}

#[test]
fn every_device_has_one_host_none_restarts_too_often_and_all_of_it_ends() {
    try_all("the policy of hosts", |_, mut dice| {
        let mut world = World::new();
        for _ in 0..60 {
            world.step(&mut dice);
        }
        world.end(&mut dice);
    });
}

#[test]
fn nothing_is_late_once_the_time_was_told() {
    try_all("the deadlines of hosts", |_, mut dice| {
        let mut world = World::new();
        for _ in 0..40 {
            world.step(&mut dice);
            world.policy.tick(world.now);
            world.act();
            assert!(world.policy.deadline().is_none_or(|it| it > world.now));
        }
    });
}
