//! A driver that would wait for itself within one of its callbacks gets an error, is reported, and its stack works on.

use std::{
    sync::{Arc, Mutex, OnceLock, mpsc},
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    ChangeError, Device, DeviceCallbacks, DeviceInit, DeviceNames, Driver, Handle,
    LockingConstraint, Memory, OpenError, OpenOptions, PnpState, PowerState, Queue, RemoteTarget,
    Request, RequestType, Rule, SendOptions, Stack, Threads, Violation,
    status::{HResult, NtStatus, Win32Error},
};

const DEADLOCK: Win32Error = Win32Error::POSSIBLE_DEADLOCK;

/// What a driver does with the first read; those that come of that it completes.
type Does = dyn Fn(&Queue) + Send + Sync;

/// What it does as its device comes to D0.
type Enters = dyn Fn() + Send;

/// A driver whose device is named `self`.
#[derive(Clone)]
struct Own {
    locking: LockingConstraint,
    is_sequential: bool,
    /// It is asked when it is opened.
    has_doors: bool,
    does: Arc<Mutex<Option<Box<Does>>>>,
    enters: Arc<Mutex<Option<Box<Enters>>>>,
}

impl DeviceCallbacks for Own {
    fn d0_entry(&self, _: &Device, _: PowerState) -> Result<(), HResult> {
        let enters = self.enters.lock().unwrap().take();
        if let Some(enters) = enters {
            enters();
        }
        Ok(())
    }
}

impl Driver for Own {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_locking_constraint(self.locking);
        let device = init.create(self.clone());
        device.create_symbolic_link("self")?;
        let queue = match self.is_sequential {
            true => device.sequential_queue(),
            false => device.parallel_queue(),
        };
        let does = Arc::clone(&self.does);
        queue
            .default_queue()
            .on_read(move |queue, request: Request, _| {
                let first = does.lock().unwrap().take();
                if let Some(does) = first {
                    does(queue);
                }
                request.complete(NtStatus::SUCCESS);
            })
            .create()?;
        if self.has_doors {
            let doors = device.parallel_queue().takes(RequestType::Create);
            doors
                .on_create(|_, request, _| request.complete(NtStatus::SUCCESS))
                .create()?;
        }
        Ok(device)
    }
}

/// A stack of that driver.
struct Bench {
    driver: Own,
    names: DeviceNames,
    stack: Stack,
}

impl Bench {
    fn new(threads: Threads, made: impl FnOnce(&mut Own)) -> Self {
        let mut driver = Own {
            locking: LockingConstraint::DeviceLevel,
            is_sequential: false,
            has_doors: false,
            does: Arc::default(),
            enters: Arc::default(),
        };
        made(&mut driver);
        let names = DeviceNames::new();
        let builder = Stack::builder().threads(threads).names(&names);
        let stack = builder.driver("own", driver.clone()).start().unwrap();
        Self {
            driver,
            names,
            stack,
        }
    }

    /// What the driver does within its callback for the next read; the read ends well, and so does the one after it.
    #[track_caller]
    fn within<T: Send + 'static>(&self, does: impl Fn(&Queue) -> T + Send + Sync + 'static) -> T {
        let (tells, told) = mpsc::channel();
        *self.driver.does.lock().unwrap() = Some(Box::new(move |queue| {
            let _ = tells.send(does(queue));
        }));
        let handle = self.stack.open_and_wait().unwrap();
        bounded(move || {
            for _ in 0..2 {
                assert_eq!(handle.read(1).wait().status, NtStatus::SUCCESS);
            }
        });
        assert_eq!(self.stack.state(), PnpState::Started);
        told.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    /// Opens the device, as anybody may who knows its name.
    fn opener(&self) -> impl Fn() -> Result<Handle, Win32Error> + Send + Sync + 'static {
        let names = self.names.clone();
        move || names.open("self", &OpenOptions::new()).unwrap().wait()
    }

    /// The reports say that the driver has waited within a callback, for this.
    #[track_caller]
    fn reports(&self, objects: &[&str]) {
        let report = |object: &&str| Violation {
            driver: "own".into(),
            object: (*object).to_owned(),
            rule: Rule::WaitWithin,
        };
        let expected: Vec<_> = objects.iter().map(report).collect();
        assert_eq!(self.stack.violations(), expected);
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

const THREADS: [Threads; 3] = [Threads::None, Threads::Worker, Threads::Seeded(7)];
const IN_OWN_QUEUE: &str = "a request in a queue of driver own";

#[test]
fn a_driver_that_waits_for_its_own_device_in_a_serialised_callback_gets_an_error() {
    for threads in THREADS {
        let bench = Bench::new(threads, |_| ());
        let open = bench.opener();
        let ended = bench.within(move |_| open().unwrap().read(1).wait().error());
        assert_eq!(ended, DEADLOCK);
        bench.reports(&[IN_OWN_QUEUE]);
    }
}

#[test]
fn a_driver_that_waits_for_its_own_sequential_queue_gets_an_error_though_it_is_not_serialised() {
    for threads in THREADS {
        let bench = Bench::new(threads, |it| {
            it.locking = LockingConstraint::None;
            it.is_sequential = true;
        });
        let open = bench.opener();
        let ended = bench.within(move |_| {
            let handle = open().unwrap();
            // The second wait of a callback is looked at as well as the first.
            [handle.read(1).wait().error(), handle.read(1).wait().error()]
        });
        assert_eq!(ended, [DEADLOCK; 2]);
        bench.reports(&[IN_OWN_QUEUE; 2]);
    }
}

#[test]
fn a_driver_may_wait_for_its_own_device_where_that_goes_on_meanwhile() {
    for threads in THREADS {
        let bench = Bench::new(threads, |it| it.locking = LockingConstraint::None);
        let open = bench.opener();
        let ended = bench.within(move |_| open().unwrap().read(1).wait().error());
        assert_eq!(ended, Win32Error::SUCCESS);
        bench.reports(&[]);
    }
}

#[test]
fn a_driver_that_waits_for_its_own_consent_to_be_opened_gets_an_error() {
    for threads in THREADS {
        let bench = Bench::new(threads, |it| it.has_doors = true);
        let open = bench.opener();
        let opened = bench.within(move |_| open().map(drop));
        assert_eq!(opened, Err(DEADLOCK));
        bench.reports(&[IN_OWN_QUEUE]);
    }
}

#[test]
fn a_remote_target_for_the_driver_s_own_device_is_not_opened_in_a_serialised_callback() {
    for threads in THREADS {
        let bench = Bench::new(threads, |it| it.has_doors = true);
        let opened = bench.within(|queue| {
            let target = RemoteTarget::new(&queue.device(), ()).unwrap();
            target.open("self", &OpenOptions::new())
        });
        assert_eq!(opened, Err(OpenError::Refused(DEADLOCK)));
        bench.reports(&[IN_OWN_QUEUE]);
    }
}

#[test]
fn a_synchronous_send_to_a_target_that_the_driver_serves_itself_ends_with_an_error() {
    for threads in THREADS {
        let bench = Bench::new(threads, |_| ());
        let device = bench.stack.devices().pop().unwrap();
        let target = RemoteTarget::new(&device, ()).unwrap();
        target.open("self", &OpenOptions::new()).unwrap();
        let status = bench.within(move |queue| {
            let mut request = queue.device().create_request();
            let to = target.target();
            let memory = Memory::zeroed(1).unwrap();
            to.format_for_read(&mut request, Some(&memory), None, 0)
                .unwrap();
            let (_, params) = request.send(to, SendOptions::new()).unwrap().wait();
            params.status()
        });
        let deadlock = NtStatus::from_hresult(DEADLOCK.into());
        assert_eq!(NtStatus::from_hresult(status), deadlock);
        bench.reports(&[IN_OWN_QUEUE]);
    }
}

#[test]
fn a_driver_that_waits_for_its_power_managed_queue_as_its_device_comes_to_d0_gets_an_error() {
    for threads in THREADS {
        let bench = Bench::new(threads, |_| ());
        let handle = bench.stack.open_and_wait().unwrap();
        let told = Arc::new(OnceLock::new());
        bench.stack.suspend().unwrap();
        let (waits, tells) = (handle.clone(), Arc::clone(&told));
        *bench.driver.enters.lock().unwrap() = Some(Box::new(move || {
            let _ = tells.set(waits.read(1).wait().error());
        }));
        let stack = bench.stack.clone();
        bounded(move || stack.resume()).unwrap();
        assert_eq!(told.get(), Some(&DEADLOCK));
        bench.reports(&[IN_OWN_QUEUE]);
        assert_eq!(handle.read(1).wait().status, NtStatus::SUCCESS);
    }
}

#[test]
fn a_stack_s_state_is_not_changed_within_a_callback_and_that_is_reported() {
    for threads in THREADS {
        let bench = Bench::new(threads, |_| ());
        let stack = Arc::new(Mutex::new(Some(bench.stack.clone())));
        let its = Arc::clone(&stack);
        let refused = bench.within(move |_| {
            let stack = its.lock().unwrap().take().unwrap();
            let changes = [
                Stack::suspend,
                Stack::resume,
                Stack::stop,
                Stack::restart,
                Stack::remove,
            ];
            changes.map(|change| change(&stack))
        });
        assert_eq!(refused, [const { Err(ChangeError::Within) }; 5]);
        bench.reports(&["the stack's state, in a queue's callback"; 5]);
    }
}

#[test]
fn a_stack_s_state_is_not_changed_within_a_power_callback_either() {
    let bench = Bench::new(Threads::None, |_| ());
    let (stack, told) = (bench.stack.clone(), Arc::new(OnceLock::new()));
    let tells = Arc::clone(&told);
    *bench.driver.enters.lock().unwrap() = Some(Box::new(move || {
        let _ = tells.set(stack.stop());
    }));
    bench.stack.suspend().unwrap();
    bench.stack.resume().unwrap();
    assert_eq!(told.get(), Some(&Err(ChangeError::Within)));
    bench.reports(&["the stack's state, in d0_entry"]);
}

#[test]
fn d0_is_not_waited_for_within_a_callback_of_a_device_that_is_not_there() {
    let bench = Bench::new(Threads::None, |_| ());
    let (stack, told) = (bench.stack.clone(), Arc::new(OnceLock::new()));
    let tells = Arc::clone(&told);
    *bench.driver.enters.lock().unwrap() = Some(Box::new(move || {
        let awake = stack.devices()[0].stop_idle();
        let _ = tells.set(awake.wait_for_d0());
    }));
    bench.stack.suspend().unwrap();
    bench.stack.resume().unwrap();
    assert_eq!(told.get(), Some(&Err(DEADLOCK.into())));
    bench.reports(&["D0"]);
}
