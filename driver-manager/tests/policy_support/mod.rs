//! A policy, and a clock that stands still.

use std::time::{Duration, Instant};

use usbwright_driver_manager::{
    policy::{
        Action, DebugMode, DeviceKey, Fate, Fault, HostFailure, HostKey, Policy, Pool, Terms,
    },
    record::{Operation, Problem},
};

pub(crate) struct Bench {
    pub(crate) policy: Policy,
    pub(crate) now: Instant,
    plugged: u64,
}

/// What a package grants that says nothing else.
pub(crate) fn alone() -> Terms {
    Terms::new(&Default::default(), None)
}

pub(crate) fn pooled(name: &str) -> Terms {
    Terms::new(&Default::default(), Some(Pool(name.into())))
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(DebugMode::default())
    }

    pub(crate) fn with(debug: DebugMode) -> Self {
        Self {
            policy: Policy::new(debug),
            now: Instant::now(),
            plugged: 0,
        }
    }

    pub(crate) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.policy.action()).collect()
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.now += time;
        self.policy.tick(self.now);
    }

    pub(crate) fn plug(&mut self, terms: Terms) -> DeviceKey {
        self.plugged += 1;
        let key = DeviceKey(self.plugged);
        self.policy.arrived(key, terms, self.now);
        key
    }

    pub(crate) fn ready(&mut self, host: HostKey) {
        self.policy.ready(host, self.now);
    }

    /// Plugs a device in, and does what is wanted of its host.
    pub(crate) fn run(&mut self, terms: Terms) -> DeviceKey {
        let key = self.plug(terms);
        self.settle();
        key
    }

    pub(crate) fn unplug(&mut self, key: DeviceKey) {
        self.policy.departed(key, self.now);
        self.settle();
    }

    /// Does what is wanted, as hosts do that have no fault.
    pub(crate) fn settle(&mut self) {
        while let Some(action) = self.policy.action() {
            match action {
                Action::Start { host, .. } => self.ready(host),
                Action::Build { host, device } => self.policy.built(host, device),
                Action::TearDown { host, device, .. } => {
                    self.policy.torn_down(host, device, self.now);
                }
                Action::End { host } => self.policy.gone(host, None, self.now),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn begin(&mut self, device: DeviceKey, number: u64, operation: Operation) -> bool {
        let host = self.policy.host_of(device).unwrap();
        let what = (number, operation);
        self.policy.begun(host, device, what, self.now)
    }

    pub(crate) fn progress(&mut self, device: DeviceKey) {
        let host = self.policy.host_of(device).unwrap();
        self.policy.progressed(host, device, self.now);
    }

    /// A host is gone; what is told of it.
    pub(crate) fn gone(&mut self, host: HostKey) -> HostFailure {
        let fault = Fault::new(Problem::HostFailure);
        self.policy.gone(host, Some(fault), self.now);
        match self.policy.action() {
            Some(Action::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// A device's host dies, and nobody knows why.
    pub(crate) fn die(&mut self, device: DeviceKey) -> HostFailure {
        let host = self.policy.host_of(device).unwrap();
        self.gone(host)
    }

    /// A device's driver has its host killed.
    pub(crate) fn blame(&mut self, device: DeviceKey) -> HostFailure {
        let host = self.policy.host_of(device).unwrap();
        let fault = Fault {
            device: Some(device),
            ..Fault::new(Problem::HostFailure)
        };
        self.policy.fault(host, fault);
        assert_eq!(self.policy.action(), Some(Action::Kill { host }));
        self.gone(host)
    }

    /// The same as [`die`](Self::die): what becomes of the device.
    pub(crate) fn crash(&mut self, device: DeviceKey) -> Fate {
        let fates = self.die(device).fates;
        fates.iter().find(|(it, _)| *it == device).unwrap().1
    }
}
