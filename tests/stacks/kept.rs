//! A driver that keeps what it is asked for, and can't be told to stop: what its device waits for, and how long.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use usbwright::{
    source::Source,
    stack::{Applications, Devices},
};
use usbwright_driver_manager::{
    manager::{Change, Channels, Manager, Settings, View},
    package::{HostCheck, Package},
    policy::DeviceKey,
    record::{EventKind, Exit, FailureRecord, Operation, Problem},
};
use usbwright_host_stack::{
    AccessRights, Control, ControlCode, Device as StackDevice, DeviceInit, Driver, Method, Request,
    RequestType, status::HResult, usb_target::ManualClock,
};
use usbwright_reflector::{
    NameSpace, SecurityDescriptor,
    application::{Device, Io},
    status::Win32Error,
};

use crate::bench::{Bench, PATIENCE, package};

const MINUTE: Duration = Duration::from_mins(1);
const MOMENT: Duration = Duration::from_millis(1);

const fn code(function: u16) -> ControlCode {
    ControlCode::new(0x22, function, Method::Buffered, AccessRights::Any)
}

/// A read that the driver keeps, as a record tells it.
const OUTSTANDING: &str = "read 0x0, 0 bytes in, 1 out: outstanding";

/// Ends once as many reads are kept as its four bytes of input tell.
const AWAIT: ControlCode = code(0x801);
/// Completes all that is kept.
const RELEASE: ControlCode = code(0x802);

/// The driver. It keeps reads, of a queue that is power-managed and has no `on_stop`.
#[derive(Clone, Default)]
pub(crate) struct Keeper(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    reads: Vec<Request>,
    awaited: Option<(usize, Request)>,
}

impl Keeper {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, request: Request) {
        self.kept().reads.push(request);
        self.tell();
    }

    fn control(&self, request: Request, control: Control) {
        if control.code == AWAIT {
            let count = request.input(4).unwrap().payload().into_bytes();
            let count = u32::from_le_bytes(count[..4].try_into().unwrap());
            self.kept().awaited = Some((count as usize, request));
            return self.tell();
        }
        let kept = std::mem::take(&mut self.kept().reads);
        kept.into_iter().for_each(|it| it.complete(HResult::OK));
        request.complete(HResult::OK);
    }

    fn tell(&self) {
        let mut kept = self.kept();
        let count = kept.reads.len();
        let awaited = kept.awaited.take_if(|(awaited, _)| count >= *awaited);
        drop(kept);
        if let Some((_, request)) = awaited {
            request.complete(HResult::OK);
        }
    }
}

impl Driver for Keeper {
    fn device_add(&self, init: DeviceInit) -> Result<StackDevice, HResult> {
        let device = init.create(());
        let [reads, controls] = [(); 2].map(|()| self.clone());
        device
            .parallel_queue()
            .default_queue()
            .on_read(move |_, request, _| reads.read(request))
            .create()?;
        // What it is told while its device leaves D0.
        let queue = device.parallel_queue().takes(RequestType::DeviceControl);
        queue
            .power_managed(false)
            .on_device_control(move |_, request, control| controls.control(request, control))
            .create()?;
        Ok(device)
    }
}

/// Begins so many reads, and waits until the driver has them.
fn keep_many(device: &Device, count: u32) -> Vec<Io> {
    let reads = (0..count).map(|_| device.read(1)).collect();
    let all = device.control(AWAIT, count.to_le_bytes().to_vec(), 0);
    assert_eq!(all.timeout(PATIENCE).wait().error(), Win32Error::SUCCESS);
    reads
}

fn keep(device: &Device) -> Io {
    keep_many(device, 1).pop().unwrap()
}

pub(crate) fn a_stop_waits_until_what_the_driver_has_is_completed() {
    let bench = Bench::with(&package("keeper", ""));
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    let board = bench.open("osr-fx2").unwrap();
    for (stop, start) in [("stop", "restart"), ("suspend", "resume")] {
        let read = keep(&board);
        thread::scope(|scope| {
            let stopped = scope.spawn(|| run.stack(&[stop, "osr-fx2"]));
            run.wait_for(&format!("host 1 has begun an operation: {stop}"));
            assert!(!read.has_ended());
            let _released = board.control(RELEASE, "", 0).wait().ok().unwrap();
            assert_eq!(read.wait().error(), Win32Error::SUCCESS);
            assert_eq!(stopped.join().unwrap(), "");
        });
        run.stack(&[start, "osr-fx2"]);
    }
    let events = run.stack(&["events"]);
    assert!(!events.contains("10110"), "{events}");
}

/// A manager in this process, whose time is the test's, and a board of its with a request that the driver keeps.
struct Managed {
    manager: Manager,
    clock: ManualClock,
    bench: Bench,
    _devices: Devices,
}

impl Managed {
    fn start() -> Self {
        let bench = Bench::with(&package("keeper", "restarts = 1"));
        let space = NameSpace::at(bench.path("devices"));
        let access = SecurityDescriptor::owner_and_root();
        let applications = Arc::new(Applications::start(space, access, None).unwrap());
        let clock = ManualClock::new();
        let settings = Settings {
            channels: Some(Arc::clone(&applications) as Arc<dyn Channels>),
            clock: clock.clone().into(),
            ..Settings::default()
        };
        let file = bench.path("fx2.toml");
        let package = Package::load(Path::new(&file), HostCheck::Required).unwrap();
        let manager = Manager::start(vec![package], settings).unwrap();
        applications.tell(manager.plug());
        let mut devices = Devices::new(manager.plug());
        let board: Source = "osr-fx2".parse().unwrap();
        devices.add("osr-fx2", &board).unwrap();
        let managed = Self {
            manager,
            clock,
            bench,
            _devices: devices,
        };
        managed.until(|it| it.devices[0].state == "running");
        managed
    }

    #[track_caller]
    fn until(&self, mut holds: impl FnMut(&View) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(&self.manager.view()) {
            assert!(Instant::now() < until, "{:?}", self.manager.view());
        }
    }

    /// Opens the board, as soon as the reflector has it.
    fn open(&self) -> Device {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.bench.open("osr-fx2") {
                Ok(board) => return board,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        }
    }

    /// What a host has said so far.
    fn messages(&self) -> u64 {
        self.manager.view().hosts[0].messages
    }

    /// Lets a minute pass from when the host has told so much more, and tells what is recorded then.
    fn time_is_up(&self, messages: u64) -> FailureRecord {
        self.until(|it| it.hosts[0].messages >= messages);
        self.clock.advance(MINUTE - MOMENT);
        assert_eq!(self.manager.view().hosts[0].state, "ready");
        self.clock.advance(MOMENT);
        self.manager.view();
        self.failure()
    }

    fn failure(&self) -> FailureRecord {
        let until = Instant::now() + PATIENCE;
        let mut seen = 0;
        while Instant::now() < until {
            for entry in self.manager.journal().wait_after(seen, PATIENCE) {
                seen = entry.number;
                if entry.event.kind == EventKind::HostFailed {
                    return *entry.event.record.clone().unwrap();
                }
            }
        }
        panic!("nothing has failed");
    }
}

pub(crate) fn a_thousand_requests_end_with_the_host_that_has_them_and_the_next_one_is_free() {
    let managed = Managed::start();
    let board = managed.open();
    let reads = keep_many(&board, 1000);
    let host = i32::try_from(managed.manager.view().hosts[0].pid).unwrap();
    kill_process(Pid::from_raw(host).unwrap(), Signal::KILL).unwrap();
    let gone = Win32Error::DRIVER_PROCESS_TERMINATED;
    for read in reads {
        assert_eq!(read.wait().error(), gone);
    }
    let record = managed.failure();
    assert_eq!(record.problem, Problem::HostFailure);
    assert_eq!(record.exit, Exit::Signal(9));
    let outstanding = record.last_requests.iter();
    let outstanding = outstanding.filter(|it| *it == OUTSTANDING);
    assert!(outstanding.count() > 0, "{:?}", record.last_requests);
    managed.until(|it| it.devices[0].starts == 2 && it.devices[0].state == "running");
    assert_eq!(board.read(1).wait().error(), gone, "it is of the old host");
    let again = managed.open();
    assert!(keep_many(&again, 1000).iter().all(|it| !it.has_ended()));
}

/// How the host is recorded that was killed, as its driver has let the time for this pass.
#[track_caller]
fn is_late(record: &FailureRecord, operation: Operation) {
    assert_eq!(record.problem, Problem::HostTimeout);
    assert_eq!(record.operation, operation);
    assert_eq!(record.exit, Exit::Signal(9));
    assert_eq!(record.cause.as_deref(), Some("osr-fx2"));
    let last = &record.last_requests;
    assert!(last.iter().any(|it| it == OUTSTANDING), "{last:?}");
}

pub(crate) fn a_driver_that_completes_nothing_costs_its_host_when_its_time_to_stop_is_up() {
    for (change, operation) in [
        (Change::Stop, Operation::Pnp),
        (Change::Suspend, Operation::Power),
    ] {
        let managed = Managed::start();
        let board = managed.open();
        let read = keep(&board);
        let before = managed.messages();
        let observer = managed.manager.observer();
        let asks = thread::spawn(move || observer.change(None, change));
        // `self_managed_io_suspend` begins and ends.
        let record = managed.time_is_up(before + 2);
        is_late(&record, operation);
        assert!(asks.join().unwrap()[0].error.is_some());
        let gone = Win32Error::DRIVER_PROCESS_TERMINATED;
        assert_eq!(read.wait().error(), gone);
        managed.until(|it| it.devices[0].starts == 2 && it.devices[0].state == "running");
        let again = managed.open();
        assert!(!keep(&again).has_ended());
    }
}

pub(crate) fn an_unplugged_board_whose_driver_completes_nothing_is_gone_when_its_time_is_up() {
    let managed = Managed::start();
    let board = managed.open();
    let read = keep(&board);
    let view = managed.manager.view();
    let (device, host) = (view.devices[0].key, view.hosts[0].pid);
    let before = managed.messages();
    managed.manager.plug().departed(DeviceKey(device));
    // `surprise_removal` and `self_managed_io_suspend` begin and end.
    let record = managed.time_is_up(before + 4);
    is_late(&record, Operation::Pnp);
    managed.until(|it| it.devices.is_empty() && it.hosts.is_empty());
    assert!(!Path::new(&format!("/proc/{host}")).exists());
    assert_eq!(read.wait().error(), Win32Error::DEVICE_REMOVED);
    let left = fs::read_dir(managed.bench.path("devices")).unwrap();
    let names = left.filter(|it| it.as_ref().unwrap().file_name() == "osr-fx2");
    assert_eq!(names.count(), 0, "its name is gone");
}
