//! A driver that writes down which of its callbacks are called, and fails or panics in one of them where a test wants it to.

#![allow(dead_code)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, File, Handle, PowerState, Rule, Stack,
    StackBuilder, Threads,
    status::{HResult, NtStatus, Win32Error},
    usb_target::ManualClock,
};

/// What was called, in its order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    /// What was called since this was asked last.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// How many entries begin so.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        let entries = self.0.lock().unwrap();
        entries
            .iter()
            .filter(|it| it.starts_with(beginning))
            .count()
    }

    pub(crate) fn has(&self, entry: &str) -> bool {
        self.0.lock().unwrap().iter().any(|it| it == entry)
    }
}

/// What a callback does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Fail,
    Panic,
}

type Add = Arc<dyn Fn(&Device, &Log) -> Result<(), HResult> + Send + Sync>;

/// The driver.
#[derive(Clone)]
pub(crate) struct Recorder {
    prefix: String,
    log: Log,
    does: Option<(&'static str, Does)>,
    /// Whether `does` counts already.
    armed: Arc<AtomicBool>,
    is_filter: bool,
    /// It notes what becomes of files, too.
    notes_files: bool,
    add: Add,
}

impl Recorder {
    pub(crate) fn new(log: &Log) -> Self {
        Self {
            prefix: String::new(),
            log: log.clone(),
            does: None,
            armed: Arc::new(AtomicBool::new(true)),
            is_filter: false,
            notes_files: false,
            add: Arc::new(|_, _| Ok(())),
        }
    }

    /// Its notes begin with its name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.prefix = format!("{name}: ");
        self
    }

    pub(crate) fn filter(mut self) -> Self {
        self.is_filter = true;
        self
    }

    /// Its notes tell of files, too.
    pub(crate) fn with_files(mut self) -> Self {
        self.notes_files = true;
        self
    }

    /// A callback fails or panics.
    pub(crate) fn does(mut self, callback: &'static str, does: Does) -> Self {
        self.does = Some((callback, does));
        self
    }

    /// It does so only once the test says so.
    pub(crate) fn armed_by(mut self, armed: &Arc<AtomicBool>) -> Self {
        self.armed = Arc::clone(armed);
        self
    }

    /// Makes the device's queues.
    pub(crate) fn with(
        mut self,
        add: impl Fn(&Device, &Log) -> Result<(), HResult> + Send + Sync + 'static,
    ) -> Self {
        self.add = Arc::new(add);
        self
    }

    fn called(&self, callback: &str, argument: &str) -> Result<(), HResult> {
        self.log
            .note(format!("{}{callback}{argument}", self.prefix));
        let armed = self.armed.load(Ordering::Relaxed);
        match self.does.filter(|(it, _)| armed && *it == callback) {
            Some((_, Does::Fail)) => Err(NtStatus::UNSUCCESSFUL.into()),
            Some((_, Does::Panic)) => panic!("{callback} panics on purpose"),
            None => Ok(()),
        }
    }
}

impl Driver for Recorder {
    fn initialize(&self) -> Result<(), HResult> {
        self.called("initialize", "")
    }

    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        self.called("device_add", "")?;
        if self.is_filter {
            init.set_filter();
        }
        let device = init.create(self.clone());
        (self.add)(&device, &self.log)?;
        Ok(device)
    }

    fn deinitialize(&self) {
        let _ = self.called("deinitialize", "");
    }
}

macro_rules! noted {
    ($($name:ident)*) => {
        $(fn $name(&self, _device: &Device) -> Result<(), HResult> {
            self.called(stringify!($name), "")
        })*
    };
}

macro_rules! noted_only {
    ($($name:ident)*) => {
        $(fn $name(&self, _device: &Device) {
            let _ = self.called(stringify!($name), "");
        })*
    };
}

impl DeviceCallbacks for Recorder {
    noted!(prepare_hardware release_hardware self_managed_io_init self_managed_io_restart self_managed_io_suspend query_remove query_stop arm_wake arm_wake_from_sleep);
    noted_only!(d0_entry_failed self_managed_io_flush self_managed_io_cleanup surprise_removal disarm_wake wake_triggered disarm_wake_from_sleep wake_from_sleep_triggered cleanup);

    fn cleanup_file(&self, _device: &Device, file: &File) {
        if self.notes_files {
            let _ = self.called("cleanup_file", &format!(" {}", file.name()));
        }
    }

    fn close_file(&self, _device: &Device, file: &File) {
        if self.notes_files {
            let _ = self.called("close_file", &format!(" {}", file.name()));
        }
    }

    fn d0_entry(&self, device: &Device, from: PowerState) -> Result<(), HResult> {
        assert!(!device.is_in_d0());
        self.called("d0_entry", &format!(" from {from:?}"))
    }

    fn d0_exit(&self, _device: &Device, to: PowerState) -> Result<(), HResult> {
        self.called("d0_exit", &format!(" to {to:?}"))
    }
}

/// A stack of one driver, without a thread of its own.
pub(crate) fn builder(driver: Recorder) -> StackBuilder {
    Stack::builder()
        .driver("test", driver)
        .threads(Threads::None)
}

/// Three drivers, one above the other.
pub(crate) fn three(log: &Log) -> StackBuilder {
    let named = |name| Recorder::new(log).named(name).filter();
    Stack::builder()
        .driver("low", Recorder::new(log).named("low"))
        .driver("mid", named("mid"))
        .driver("top", named("top"))
        .threads(Threads::None)
}

/// A stack of one driver that starts, and its clock; what was called until then is forgotten.
pub(crate) fn started(driver: Recorder, log: &Log) -> (Stack, ManualClock) {
    let clock = ManualClock::new();
    let stack = builder(driver).clock(clock.clone()).start().unwrap();
    log.take();
    (stack, clock)
}

/// Waits for what another thread does; it fails where that takes long.
pub(crate) fn until(ready: impl Fn() -> bool) {
    let late = Instant::now() + Duration::from_secs(30);
    while !ready() {
        assert!(Instant::now() < late, "it does not come");
        thread::yield_now();
    }
}

/// A stack that works.
pub(crate) struct Neighbour(Handle);

impl Neighbour {
    pub(crate) fn new() -> Self {
        let works = |device: &Device, _: &Log| {
            let queue = device.parallel_queue().default_queue();
            let queue =
                queue.on_default(|_, request| request.complete_with_information(HResult::OK, 1));
            queue.create().map(drop)
        };
        let log = Log::default();
        let (stack, _) = started(Recorder::new(&log).with(works), &log);
        Self(stack.open_and_wait().unwrap())
    }

    #[track_caller]
    pub(crate) fn works(&self) {
        let read = self.0.read(1).wait();
        assert_eq!((read.error(), read.information), (Win32Error::SUCCESS, 1));
    }
}

/// The rules that drivers have broken.
pub(crate) fn rules(stack: &Stack) -> Vec<Rule> {
    stack.violations().iter().map(|it| it.rule).collect()
}
