//! Everything that a driver is told on a device's way through its life, in the order that UMDF documents: with queues, requests, files and wake-up.

mod life_support;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    Handle, IdleSettings, Io, OpenOptions, PnpState, Queue, Request, RequestType, Stack,
    StopAction, StopNotice,
    status::{NtStatus, Win32Error},
    usb_target::ManualClock,
};

use life_support::{Log, Recorder, started, three, until};

type Kept = Arc<Mutex<Vec<Request>>>;

/// What a queue does that keeps what it delivers, goes on with it in D0 again, and ends it when the device goes.
struct Keeps {
    name: &'static str,
    log: Log,
    kept: Kept,
}

impl Keeps {
    fn new(name: &'static str, log: &Log) -> Arc<Self> {
        Arc::new(Self {
            name,
            log: log.clone(),
            kept: Kept::default(),
        })
    }

    fn stop(&self, notice: StopNotice) {
        self.log
            .note(format!("{} on_stop {:?}", self.name, notice.action()));
        match notice.action() {
            StopAction::Suspend => notice.acknowledge(),
            StopAction::Purge => {
                let request = self.kept.lock().unwrap().pop().unwrap();
                request.complete(NtStatus::DEVICE_REMOVED);
            }
        }
    }
}

/// A driver with a power-managed queue for reads, and another queue for writes.
fn driver(log: &Log) -> Recorder {
    let driver = Recorder::new(log).with_files();
    driver.with(|device, log| {
        for (kind, name) in [
            (RequestType::Read, "managed"),
            (RequestType::Write, "other"),
        ] {
            let keeps = Keeps::new(name, log);
            let [takes, stops, resumes] = [(); 3].map(|()| Arc::clone(&keeps));
            let queue = device.parallel_queue().takes(kind);
            let queue = queue.power_managed(kind == RequestType::Read);
            queue
                .on_default(move |_: &Queue, request| takes.kept.lock().unwrap().push(request))
                .on_stop(move |_, notice| stops.stop(notice))
                .on_resume(move |_, _| resumes.log.note(format!("{name} on_resume")))
                .create()?;
        }
        device.assign_idle(IdleSettings {
            wake: true,
            ..IdleSettings::default()
        })
    })
}

/// A device of which a driver has a read and a write.
struct Bench {
    stack: Stack,
    log: Log,
    clock: ManualClock,
    _handle: Handle,
    asked: [Io; 2],
}

fn bench() -> Bench {
    let log = Log::default();
    let (stack, clock) = started(driver(&log), &log);
    let handle = stack.open(&OpenOptions::new().name("file")).wait().unwrap();
    let asked = [handle.read(1), handle.write(&b"1"[..])];
    Bench {
        stack,
        log,
        clock,
        _handle: handle,
        asked,
    }
}

const GOES: [&str; 8] = [
    "release_hardware",
    "managed on_stop Purge",
    "self_managed_io_flush",
    "other on_stop Purge",
    "cleanup_file file",
    "close_file file",
    "self_managed_io_cleanup",
    "cleanup",
];

impl Bench {
    /// The device goes, as the rest of what was told tells.
    #[track_caller]
    fn goes(self, told: &[String]) {
        assert_eq!(told, GOES);
        for io in self.asked {
            assert_eq!(io.wait().error(), Win32Error::DEVICE_REMOVED);
        }
        assert_eq!(self.stack.violations(), []);
    }
}

#[test]
fn a_device_is_suspended_and_resumed_in_the_documented_order() {
    let bench = bench();
    bench.stack.suspend().unwrap();
    assert_eq!(
        bench.log.take(),
        [
            "self_managed_io_suspend",
            "managed on_stop Suspend",
            "d0_exit to D3",
        ]
    );
    bench.stack.resume().unwrap();
    assert_eq!(
        bench.log.take(),
        [
            "d0_entry from D3",
            "managed on_resume",
            "self_managed_io_restart",
        ]
    );
}

#[test]
fn a_device_is_stopped_and_started_again_in_the_documented_order() {
    let bench = bench();
    bench.stack.stop().unwrap();
    assert_eq!(
        bench.log.take(),
        [
            "query_stop",
            "self_managed_io_suspend",
            "managed on_stop Suspend",
            "d0_exit to D3Final",
            "release_hardware",
        ]
    );
    bench.stack.restart().unwrap();
    assert_eq!(
        bench.log.take(),
        [
            "prepare_hardware",
            "d0_entry from D3Final",
            "managed on_resume",
            "self_managed_io_restart",
        ]
    );
}

#[test]
fn a_device_is_removed_in_the_documented_order() {
    let bench = bench();
    bench.stack.remove().unwrap();
    let told = bench.log.take();
    assert_eq!(
        told[..4],
        [
            "query_remove",
            "self_managed_io_suspend",
            "managed on_stop Suspend",
            "d0_exit to D3Final",
        ]
    );
    bench.goes(&told[4..]);
}

#[test]
fn a_device_that_is_unplugged_in_d0_goes_in_the_documented_order() {
    let bench = bench();
    bench.stack.surprise_remove();
    let told = bench.log.take();
    assert_eq!(
        told[..4],
        [
            "surprise_removal",
            "self_managed_io_suspend",
            "managed on_stop Suspend",
            "d0_exit to D3Final",
        ]
    );
    bench.goes(&told[4..]);
}

#[test]
fn a_device_that_is_unplugged_while_the_system_sleeps_goes_on_from_its_sleep() {
    let bench = bench();
    bench.stack.suspend().unwrap();
    bench.log.take();
    bench.stack.surprise_remove();
    let told = bench.log.take();
    assert_eq!(told[0], "surprise_removal");
    bench.goes(&told[1..]);
}

#[test]
fn a_device_that_is_unplugged_while_it_is_stopped_has_released_its_hardware_already() {
    let bench = bench();
    bench.stack.stop().unwrap();
    bench.log.take();
    bench.stack.surprise_remove();
    let told = bench.log.take();
    assert_eq!(told[0], "surprise_removal");
    assert_eq!(told[1..], GOES[1..]);
}

#[test]
fn a_device_idles_wakes_and_is_unplugged_armed_in_the_documented_order() {
    let log = Log::default();
    let (stack, clock) = started(driver(&log), &log);
    let idle = ["self_managed_io_suspend", "arm_wake", "d0_exit to D3"];
    clock.advance(Duration::from_secs(5));
    assert_eq!(log.take(), idle);
    stack.signal_wake();
    assert_eq!(
        log.take(),
        [
            "d0_entry from D3",
            "wake_triggered",
            "disarm_wake",
            "self_managed_io_restart",
        ]
    );
    clock.advance(Duration::from_secs(5));
    assert_eq!(log.take(), idle);
    stack.surprise_remove();
    assert_eq!(
        log.take(),
        [
            "surprise_removal",
            "release_hardware",
            "self_managed_io_flush",
            "self_managed_io_cleanup",
            "cleanup",
        ]
    );
}

#[test]
fn a_request_keeps_the_device_awake_until_it_has_ended() {
    let bench = bench();
    bench.clock.advance(Duration::from_secs(100));
    assert_eq!(bench.log.take(), [""; 0]);
    assert_eq!(bench.stack.state(), PnpState::Started);
    bench.asked[0].cancel();
    assert!(!bench.asked[0].has_ended(), "it is not marked");
}

#[test]
fn a_driver_is_told_that_its_device_was_unplugged_while_that_waits_for_what_it_has() {
    let log = Log::default();
    let (kept, notices) = (Kept::default(), Arc::new(Mutex::new(Vec::new())));
    let (keep, note) = (Arc::clone(&kept), Arc::clone(&notices));
    let driver = Recorder::new(&log).with(move |device, log| {
        let (keep, note, log) = (Arc::clone(&keep), Arc::clone(&note), log.clone());
        let queue = device.parallel_queue().default_queue();
        queue
            .on_read(move |_, request, _| keep.lock().unwrap().push(request))
            .on_stop(move |_, notice| {
                log.note(format!("on_stop {:?}", notice.action()));
                note.lock().unwrap().push(notice);
            })
            .create()
            .map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    let (sleeps, goes) = (stack.clone(), stack.clone());
    let suspended = thread::spawn(move || sleeps.suspend());
    until(|| !notices.lock().unwrap().is_empty());
    let removed = thread::spawn(move || goes.surprise_remove());
    until(|| log.has("surprise_removal"));
    assert_eq!(
        log.take(),
        [
            "self_managed_io_suspend",
            "on_stop Suspend",
            "surprise_removal"
        ]
    );
    let request = kept.lock().unwrap().pop().unwrap();
    request.complete(NtStatus::SUCCESS);
    let _ = suspended.join().unwrap();
    removed.join().unwrap();
    assert_eq!(
        log.take(),
        [
            "d0_exit to D3",
            "release_hardware",
            "self_managed_io_flush",
            "self_managed_io_cleanup",
            "cleanup",
        ]
    );
    assert_eq!(read.wait().error(), Win32Error::SUCCESS);
}

#[test]
fn a_stack_of_three_that_was_stopped_starts_from_below() {
    let log = Log::default();
    let stack = three(&log).start().unwrap();
    stack.stop().unwrap();
    log.take();
    stack.restart().unwrap();
    let begins = |name| {
        let told = [
            "prepare_hardware",
            "d0_entry from D3Final",
            "self_managed_io_restart",
        ];
        told.map(|it| format!("{name}: {it}"))
    };
    assert_eq!(log.take(), ["low", "mid", "top"].map(begins).concat());
}
