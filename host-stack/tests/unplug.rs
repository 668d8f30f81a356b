//! The USB device is unplugged, and its stack learns of it by itself: drivers are told once, in the documented order, whatever goes on.

mod dice;
mod life_support;
mod usb_support;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, Handle, PnpState, SendOptions, Stack,
    StackBuilder, Threads,
    status::{HResult, NtStatus, Win32Error},
    usb::UsbTargetDevice,
    usb_target::{self, ManualClock, Options, Wait, protocol::Setup},
};
use usbwright_models::Spec;

use crate::{
    dice::try_all,
    life_support::{Log, Recorder, three, until},
    usb_support::{BULK_IN, Behind, PACKET, Rig, Wire, room},
};

/// What a device is told that goes, from D0.
const GOES: [&str; 6] = [
    "self_managed_io_suspend",
    "d0_exit to D3Final",
    "release_hardware",
    "self_managed_io_flush",
    "self_managed_io_cleanup",
    "cleanup",
];

/// A USB device, and what unplugs it.
fn usb(clock: &ManualClock) -> (usb_target::Device, Wire) {
    let wire = Wire::default();
    let spec = "gadget-zero".parse::<Spec>().unwrap();
    let port = Behind {
        inner: spec.build(clock.now()).unwrap(),
        wire: wire.clone(),
    };
    let options = Options::new().configuration(3).clock(clock.clone());
    (options.open(port).wait().unwrap(), wire)
}

/// Has the host look.
fn look(usb: &usb_target::Device) {
    let _ = usb
        .control(Setup::from_bytes([0x80, 0, 0, 0, 0, 0, 2, 0]), vec![])
        .wait();
}

/// A stack over a USB device.
struct Bench {
    stack: Stack,
    usb: usb_target::Device,
    wire: Wire,
}

impl Bench {
    fn over(builder: StackBuilder) -> Self {
        let clock = ManualClock::new();
        let (usb, wire) = usb(&clock);
        let builder = builder.usb_device(usb.clone()).clock(clock);
        let stack = builder.start().unwrap();
        Self { stack, usb, wire }
    }

    /// With a driver that writes down what it is told.
    fn noting(log: &Log, threads: Threads) -> Self {
        let builder = Stack::builder().driver("test", Recorder::new(log));
        let bench = Self::over(builder.threads(threads));
        log.take();
        bench
    }

    /// Unplugs the device, of which the host learns as it looks.
    fn unplug(&self) {
        self.wire.unplug();
        look(&self.usb);
    }

    /// Unplugs it, of which the host learns as of anything from outside.
    fn pull(&self) {
        self.wire.unplug();
        self.wire.wake();
    }
}

fn bounded<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let it = run();
        let _ = done.send(());
        it
    });
    match ended.recv_timeout(Duration::from_secs(30)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn an_unplugged_device_takes_its_stack_along_highest_driver_first() {
    let log = Log::default();
    let bench = Bench::over(three(&log));
    log.take();
    bench.unplug();
    assert_eq!(bench.stack.state(), PnpState::Started, "nobody has run it");
    bench.stack.run();
    assert_eq!(bench.stack.state(), PnpState::Removed);
    let told = log.take();
    let drivers = ["top", "mid", "low"];
    let first = drivers.map(|it| format!("{it}: surprise_removal"));
    assert_eq!(told[..3], first);
    let then = drivers.map(|name| GOES.map(|it| format!("{name}: {it}")));
    assert_eq!(told[3..], then.concat());
}

#[test]
fn drivers_are_told_once_whoever_else_tells_them() {
    let log = Log::default();
    let bench = Bench::noting(&log, Threads::None);
    bench.unplug();
    bench.stack.surprise_remove();
    bench.stack.surprise_remove();
    bench.stack.run();
    bench.stack.remove().unwrap();
    assert_eq!(log.count("surprise_removal"), 1);
    assert_eq!(log.take()[1..], GOES);
}

#[test]
fn a_device_that_is_unplugged_in_its_sleep_or_while_it_is_stopped_goes_on_from_there() {
    for (is_stopped, done) in [(false, 2), (true, 3)] {
        let log = Log::default();
        let bench = Bench::noting(&log, Threads::None);
        match is_stopped {
            false => bench.stack.suspend().unwrap(),
            true => bench.stack.stop().unwrap(),
        }
        log.take();
        bench.unplug();
        bench.stack.run();
        let told = log.take();
        assert_eq!(told[0], "surprise_removal");
        assert_eq!(told[1..], GOES[done..]);
    }
}

#[test]
fn a_stack_that_is_being_removed_is_not_told_of_the_unplugging() {
    let log = Log::default();
    let bench = Bench::noting(&log, Threads::None);
    bench.stack.remove().unwrap();
    bench.unplug();
    bench.stack.run();
    assert_eq!(log.count("surprise_removal"), 0);
}

#[test]
fn a_device_that_is_unplugged_before_its_stack_starts_is_told_when_it_has() {
    let clock = ManualClock::new();
    let (usb, wire) = usb(&clock);
    wire.unplug();
    let log = Log::default();
    let builder = Stack::builder().driver("test", Recorder::new(&log));
    let builder = builder.threads(Threads::None).clock(clock);
    let stack = builder.usb_device(usb).start().unwrap();
    stack.run();
    assert_eq!(stack.state(), PnpState::Removed);
    assert_eq!(log.count("surprise_removal"), 1);
}

#[test]
fn a_stack_with_a_thread_goes_though_nobody_asks_anything_of_it() {
    let log = Log::default();
    let bench = Bench::noting(&log, Threads::Worker);
    bench.pull();
    until(|| log.has("cleanup"));
    until(|| bench.stack.state() == PnpState::Removed);
    assert_eq!(log.take()[1..], GOES);
}

#[test]
fn whoever_waits_for_a_stack_without_a_thread_has_it_go() {
    let log = Log::default();
    let keeps = Recorder::new(&log).with(|device, _| {
        let queue = device.manual_queue().default_queue();
        queue.create().map(drop)
    });
    let builder = Stack::builder().driver("test", keeps);
    let bench = Bench::over(builder.threads(Threads::None));
    let handle = bench.stack.open_and_wait().unwrap();
    let read = handle.read(1);
    let stack = bench.stack.clone();
    let waits = thread::spawn(move || read.wait().error());
    bench.pull();
    let error = bounded(move || waits.join().unwrap());
    // It waited in the queue.
    assert_eq!(error, Win32Error::from_nt(NtStatus::CANCELLED));
    assert_eq!(log.count("surprise_removal"), 1);
    drop(handle);
    stack.run();
    assert_eq!(stack.state(), PnpState::Removed);
}

#[test]
fn what_is_outstanding_ends_as_the_device_is_gone_before_drivers_are_told() {
    let rig = Rig::new(0);
    let memory = room(PACKET);
    let sent = rig.read(BULK_IN, &memory);
    rig.wire.unplug();
    rig.poke();
    let (_, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::DEVICE_NOT_CONNECTED);
    rig.stack.run();
    assert_eq!(rig.stack.state(), PnpState::Removed);
}

/// Reads from the device for whoever reads, and waits for that within the callback.
struct Waiting;

impl DeviceCallbacks for Waiting {}

impl Driver for Waiting {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(Self);
        let usb = Arc::<Mutex<Option<UsbTargetDevice>>>::default();
        let queue = device.sequential_queue().default_queue();
        queue
            .on_read(move |queue, mut request, length| {
                let mut usb = usb.lock().unwrap();
                let usb = usb.get_or_insert_with(|| UsbTargetDevice::new(&queue.device()).unwrap());
                let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
                let window = request.output(length).unwrap();
                pipe.format_for_read_into(&mut request, window).unwrap();
                let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
                let (request, params) = sent.wait();
                request.complete(params.status());
            })
            .create()?;
        Ok(device)
    }
}

#[test]
fn a_driver_that_waits_within_a_callback_is_not_waited_for_in_its_own_thread() {
    for threads in [Threads::None, Threads::Worker] {
        let builder = Stack::builder().driver("waiting", Waiting).threads(threads);
        let bench = Bench::over(builder);
        let handle: Handle = bench.stack.open_and_wait().unwrap();
        let waits = thread::spawn(move || handle.read(PACKET).wait().status);
        until(|| bench.wire.pending(BULK_IN) == 1);
        bench.pull();
        let status = bounded(move || waits.join().unwrap());
        assert_eq!(status, NtStatus::DEVICE_NOT_CONNECTED);
        until(|| {
            bench.stack.run();
            bench.stack.state() == PnpState::Removed
        });
        assert_eq!(bench.stack.violations(), []);
    }
}

#[test]
fn a_stack_that_has_gone_lets_go_of_its_device() {
    let clock = ManualClock::new();
    let spec = "gadget-zero".parse::<Spec>().unwrap();
    let alive = Arc::new(());
    let port = Behind {
        inner: spec.build(clock.now()).unwrap(),
        wire: Wire::default().kept(&alive),
    };
    let usb = Options::new()
        .clock(clock.clone())
        .open(port)
        .wait()
        .unwrap();
    let log = Log::default();
    let builder = Stack::builder()
        .driver("test", Recorder::new(&log))
        .clock(clock);
    let stack = builder
        .threads(Threads::None)
        .usb_device(usb)
        .start()
        .unwrap();
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(stack);
    // A thread that drives the device may be in the middle of that.
    let begin = Instant::now();
    while Arc::strong_count(&alive) > 1 {
        assert!(begin.elapsed() < Duration::from_secs(60), "it is kept");
        thread::yield_now();
    }
}

/// Checks that a driver was told each thing once at the most, and of the unplugging before the rest if at all.
fn check(told: &[String]) {
    let place = |name: &str| told.iter().position(|it| it.starts_with(name));
    for it in GOES.iter().chain(&["surprise_removal"]) {
        let times = told.iter().filter(|told| told == it).count();
        assert!(times <= 1, "{it} in {told:?}");
    }
    let places = GOES.map(|it| place(it).unwrap_or_else(|| panic!("{it} is not in {told:?}")));
    assert!(places.is_sorted(), "{told:?}");
    if let Some(surprise) = place("surprise_removal") {
        assert!(surprise < place("cleanup").unwrap(), "{told:?}");
    }
}

#[test]
fn an_unplugging_that_races_with_an_orderly_removal_is_told_once_and_in_its_place() {
    try_all("an unplugging is told once", |seed, mut dice| {
        let log = Log::default();
        let bench = Bench::noting(&log, Threads::Seeded(seed));
        let handle = bench.stack.open_and_wait().unwrap();
        let mut pulled = false;
        for _ in 0..6 {
            match dice.roll(6) {
                0 if !pulled => {
                    pulled = true;
                    bench.unplug();
                }
                1 => {
                    // A stack that was unplugged may be gone.
                    let _ = bench.stack.suspend();
                }
                2 => {
                    let _ = bench.stack.resume();
                }
                3 if dice.roll(3) == 0 => bench.stack.remove().unwrap(),
                4 => drop(handle.read(1)),
                _ => bench.stack.run(),
            }
        }
        match dice.roll(3) {
            0 => bench.unplug(),
            1 => bench.stack.surprise_remove(),
            _ => bench.stack.remove().unwrap(),
        }
        bench.stack.run();
        assert_eq!(bench.stack.state(), PnpState::Removed);
        let told = log.take();
        let ups = told.iter().filter(|it| it.starts_with("d0_entry")).count();
        if ups == 0 && !told.iter().any(|it| it == "d0_exit to D3") {
            check(&told);
        }
        assert!(told.iter().filter(|it| *it == "surprise_removal").count() <= 1);
        assert_eq!(told.iter().filter(|it| *it == "cleanup").count(), 1);
        assert_eq!(told.last().unwrap(), "cleanup");
    });
}

#[test]
fn threads_that_unplug_and_remove_at_once_have_each_driver_told_once() {
    for _ in 0..200 {
        let log = Log::default();
        let bench = Bench::noting(&log, Threads::Worker);
        thread::scope(|scope| {
            scope.spawn(|| bench.pull());
            scope.spawn(|| bench.stack.remove().unwrap());
        });
        until(|| bench.stack.state() == PnpState::Removed && log.has("cleanup"));
        check(&log.take());
    }
}
