//! What holds of a device's life in whatever order things are done: seeds decide. And with real threads.

mod dice;
mod life_support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    Device, IdleSettings, Io, Request, RequestId, Stack, StayAwake, StopAction, StopNotice,
    Threads,
    status::{HResult, NtStatus},
    usb_target::ManualClock,
};

use dice::{Dice, try_all};
use life_support::{Log, Recorder};

/// What a driver keeps of its queue's requests.
#[derive(Default)]
struct Kept(Mutex<Vec<Request>>);

impl Kept {
    fn take(&self, id: Option<RequestId>) -> Option<Request> {
        let mut kept = self.0.lock().unwrap();
        let place = kept.iter().position(|it| id.is_none_or(|id| it.id() == id));
        place.map(|place| kept.swap_remove(place))
    }

    fn complete_one(&self) {
        if let Some(request) = self.take(None) {
            request.complete(NtStatus::SUCCESS);
        }
    }

    /// Answers a notice in one way or another.
    fn answer(&self, notice: StopNotice, way: usize) {
        let request = self.take(Some(notice.request()));
        match (request, way) {
            (Some(request), 0) if notice.action() == StopAction::Suspend => {
                notice.requeue(request).unwrap();
            }
            (Some(request), 1) if notice.action() == StopAction::Suspend => {
                self.0.lock().unwrap().push(request);
                notice.acknowledge();
            }
            (Some(request), _) => request.complete(NtStatus::SUCCESS),
            (None, _) => {}
        }
    }
}

/// A driver that keeps reads for a while, and whose device sleeps after a second.
fn keeping(log: &Log, kept: &Arc<Kept>, seed: u64) -> Recorder {
    let kept = Arc::clone(kept);
    Recorder::new(log).with(move |device: &Device, log: &Log| -> Result<(), HResult> {
        let (reads, stops) = (Arc::clone(&kept), Arc::clone(&kept));
        let (read, resumed, dice) = (log.clone(), log.clone(), Mutex::new(Dice(seed)));
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |queue, request, _| {
            assert!(queue.device().is_in_d0(), "it is delivered in D0 only");
            read.note("on_read");
            reads.0.lock().unwrap().push(request);
        });
        let queue = queue.on_stop(move |_, notice| {
            let way = dice.lock().unwrap().roll(3);
            stops.answer(notice, way);
        });
        queue
            .on_resume(move |_, _| resumed.note("on_resume"))
            .create()?;
        device.assign_idle(IdleSettings {
            timeout: Duration::from_secs(1),
            wake: true,
            ..IdleSettings::default()
        })
    })
}

/// Checks that each callback comes where it may, and that what was begun is undone.
fn check(told: &[String]) {
    let (mut prepared, mut entered, mut begun, mut runs, mut armed) =
        (false, false, false, false, false);
    let flip = |flag: &mut bool, to: bool, it: &str| {
        assert_ne!(std::mem::replace(flag, to), to, "{it} in {told:?}");
    };
    for it in told {
        match it.split(' ').next().unwrap() {
            "prepare_hardware" => flip(&mut prepared, true, it),
            "release_hardware" => flip(&mut prepared, false, it),
            "d0_entry" => {
                assert!(prepared, "{told:?}");
                flip(&mut entered, true, it);
            }
            "d0_exit" => {
                assert!(!runs, "{told:?}");
                flip(&mut entered, false, it);
            }
            "self_managed_io_init" => {
                flip(&mut begun, true, it);
                flip(&mut runs, true, it);
            }
            "self_managed_io_restart" => {
                assert!(begun && entered, "{told:?}");
                flip(&mut runs, true, it);
            }
            "self_managed_io_suspend" => flip(&mut runs, false, it),
            "arm_wake" => flip(&mut armed, true, it),
            "disarm_wake" => flip(&mut armed, false, it),
            "on_read" | "on_resume" => assert!(entered, "{told:?}"),
            _ => {}
        }
    }
    assert!(!prepared && !entered && !runs, "{told:?}");
    let end = [
        "self_managed_io_flush",
        "self_managed_io_cleanup",
        "cleanup",
        "deinitialize",
    ];
    assert_eq!(told[told.len() - 4..], end);
}

/// Does something to a stack.
fn act(
    stack: &Stack,
    clock: &ManualClock,
    kept: &Kept,
    awake: &mut Option<StayAwake>,
    what: usize,
) {
    match what {
        0 => kept.complete_one(),
        1 => stack.suspend().unwrap(),
        2 => stack.resume().unwrap(),
        3 => stack.stop().unwrap(),
        4 => stack.restart().unwrap(),
        5 => clock.advance(Duration::from_millis(1100)),
        6 => stack.signal_wake(),
        7 => *awake = stack.devices().first().map(Device::stop_idle),
        8 => *awake = None,
        _ => stack.run(),
    }
}

#[test]
fn whatever_becomes_of_a_device_what_it_begins_is_undone_and_what_was_asked_of_it_ends() {
    try_all("what becomes of a device", |seed, mut dice| {
        let (log, kept, clock) = (Log::default(), Arc::<Kept>::default(), ManualClock::new());
        let stack = Stack::builder()
            .driver("test", keeping(&log, &kept, seed))
            .threads(Threads::Seeded(seed))
            .clock(clock.clone())
            .start()
            .unwrap();
        let handle = stack.open_and_wait().unwrap();
        let (mut asked, mut awake) = (Vec::new(), None);
        for _ in 0..16 {
            match dice.roll(13) {
                0..=2 => asked.push(handle.read(1)),
                what => act(&stack, &clock, &kept, &mut awake, what - 3),
            }
        }
        match dice.roll(2) {
            0 => stack.remove().unwrap(),
            _ => stack.surprise_remove(),
        }
        assert!(asked.iter().all(Io::has_ended));
        assert_eq!(stack.violations(), []);
        drop((awake, handle, stack));
        check(&log.take());
    });
}

#[test]
fn threads_that_change_a_stacks_state_wait_for_one_another() {
    let (log, kept) = (Log::default(), Arc::<Kept>::default());
    let driver = keeping(&log, &kept, 1);
    let stack = Stack::builder().driver("test", driver).start().unwrap();
    let done = AtomicBool::new(false);
    let rounds = |change: fn(&Stack)| {
        for _ in 0..200 {
            change(&stack);
        }
    };
    thread::scope(|scope| {
        let changers = [
            scope.spawn(|| rounds(|it| it.suspend().unwrap())),
            scope.spawn(|| rounds(|it| it.resume().unwrap())),
            scope.spawn(|| rounds(|it| it.stop().unwrap())),
            scope.spawn(|| rounds(|it| it.restart().unwrap())),
        ];
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                kept.complete_one();
                thread::yield_now();
            }
        });
        let handle = loop {
            match stack.open_and_wait() {
                Ok(handle) => break handle,
                Err(_) => thread::yield_now(),
            }
        };
        let reads: Vec<Io> = (0..100).map(|_| handle.read(1)).collect();
        changers.into_iter().for_each(|it| it.join().unwrap());
        stack.resume().unwrap();
        stack.restart().unwrap();
        for read in reads {
            assert_eq!(read.wait().status, NtStatus::SUCCESS);
        }
        done.store(true, Ordering::Relaxed);
    });
    stack.remove().unwrap();
    assert_eq!(stack.violations(), []);
    drop(stack);
    check(&log.take());
}
