//! Drivers that panic wherever they can: in the callbacks of queues, as what they have made is dropped, as they are unloaded. Each brings down its own stack at the
//! most, is reported, and the stack beside it works on.

mod life_support;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, PnpState, RequestType, Rule, Stack, Threads,
    Timer,
    status::{HResult, Win32Error},
};

use life_support::{Log, Neighbour, Recorder, rules, started};

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("{} panics as it is dropped", self.0);
        }
    }
}

/// Puts something into a device that panics as it is dropped.
type Puts = fn(&Device, &Mutex<Option<Timer>>);

#[test]
fn whatever_panics_as_it_is_dropped_is_reported_and_the_rest_goes_nevertheless() {
    let puts: [(&str, Puts); 6] = [
        ("its context was dropped", |device, _| {
            let _ = device.assign_context(Bomb("a context"));
        }),
        ("a queue's handlers were dropped", |device, _| {
            let queue = device.manual_queue().create().unwrap();
            let _ = queue.assign_context(Bomb("a context"));
        }),
        ("a queue's handlers were dropped", |device, _| {
            let bomb = Bomb("a handler");
            let queue = device.parallel_queue().on_default(move |_, request| {
                let _ = &bomb;
                request.complete(HResult::OK);
            });
            queue.create().unwrap();
        }),
        ("a future or a timer was dropped", |device, _| {
            let (bomb, sleep) = (Bomb("a future"), device.sleep(Duration::from_secs(1)));
            device.spawn(async move {
                let _ = sleep.await;
                drop(bomb);
            });
        }),
        ("a future or a timer was dropped", |device, place| {
            let bomb = Bomb("a timer");
            let timer = device.after(Duration::from_secs(1), move |_| drop(bomb));
            *place.lock().unwrap() = Some(timer);
        }),
        ("a queue's cleanup", |device, _| {
            let queue = device.manual_queue();
            let queue = queue.on_cleanup(|_| panic!("on purpose"));
            queue.create().unwrap();
        }),
    ];
    for (callback, put) in puts {
        let neighbour = Neighbour::new();
        let (log, seen) = (Log::default(), Arc::new(()));
        let (held, gone) = (Arc::clone(&seen), Arc::downgrade(&seen));
        drop(seen);
        let held = Mutex::new(Some(held));
        let place: Arc<Mutex<Option<Timer>>> = Arc::default();
        let timers = Arc::clone(&place);
        let driver = Recorder::new(&log).with(move |device, _| {
            let queue = device.manual_queue().default_queue();
            queue
                .create()?
                .assign_context(held.lock().unwrap().take())
                .unwrap();
            put(device, &timers);
            Ok(())
        });
        let (stack, _) = started(driver, &log);
        let handle = stack.open_and_wait().unwrap();
        let read = handle.read(1);
        stack.run();
        stack.remove().unwrap();
        assert_eq!(rules(&stack), [Rule::Panic], "{callback}");
        let object = &stack.violations()[0].object;
        assert!(object.starts_with(callback), "{object}");
        assert_ne!(read.wait().error(), Win32Error::SUCCESS);
        assert!(gone.upgrade().is_none(), "{callback}");
        drop((stack, handle));
        neighbour.works();
    }
}

#[test]
fn a_driver_that_panics_as_it_is_unloaded_or_dropped_harms_nobody() {
    struct Bad(Bomb, bool);
    impl Driver for Bad {
        fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
            Ok(init.create(()))
        }
        fn deinitialize(&self) {
            assert!(!self.1, "{} panics as it is unloaded", self.0.0);
        }
    }
    for unloading in [true, false] {
        let neighbour = Neighbour::new();
        let stack = Stack::builder().driver("bad", Bad(Bomb("a driver"), unloading));
        let stack = stack.threads(Threads::None).start().unwrap();
        drop(stack);
        neighbour.works();
    }
}

#[test]
fn callbacks_of_a_device_that_panic_as_they_are_dropped_are_reported() {
    struct Bad;
    struct Callbacks {
        _bomb: Bomb,
    }
    impl DeviceCallbacks for Callbacks {}
    impl Driver for Bad {
        fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
            let _bomb = Bomb("callbacks");
            Ok(init.create(Callbacks { _bomb }))
        }
    }
    let neighbour = Neighbour::new();
    let stack = Stack::builder().driver("bad", Bad);
    let stack = stack.threads(Threads::None).start().unwrap();
    stack.remove().unwrap();
    assert_eq!(rules(&stack), [Rule::Panic]);
    drop(stack);
    neighbour.works();
}

/// Makes a queue whose callback panics.
type Makes = fn(&Device) -> Result<(), HResult>;

#[test]
fn every_callback_of_a_queue_may_panic_and_brings_down_its_own_stack_alone() {
    let makes: [Makes; 5] = [
        |device| {
            let queue = device.parallel_queue().default_queue();
            let queue = queue.on_read(|_, _request, _| panic!("on purpose"));
            queue.create().map(drop)
        },
        |device| {
            let queue = device.parallel_queue().default_queue();
            let queue = queue.on_default(|_, _request| panic!("on purpose"));
            queue.create().map(drop)
        },
        |device| {
            let queue = device.sequential_queue().default_queue();
            let queue = queue.on_device_control(|_, _request, _| panic!("on purpose"));
            queue.create().map(drop)
        },
        |device| {
            let queue = device.parallel_queue().takes(RequestType::Create);
            let queue = queue.on_create(|_, _request, _| panic!("on purpose"));
            queue.create().map(drop)
        },
        |device| {
            let canceled = device.manual_queue();
            let canceled = canceled.on_canceled(|_, _request| panic!("on purpose"));
            let canceled = canceled.create()?;
            let queue = device.parallel_queue().default_queue();
            let queue = queue
                .on_default(move |_, request| request.forward(&canceled).map_err(drop).unwrap());
            queue.create().map(drop)
        },
    ];
    for make in makes {
        let neighbour = Neighbour::new();
        let log = Log::default();
        let driver = Recorder::new(&log).with(move |device, _| make(device));
        let (stack, _) = started(driver, &log);
        let code = usbwright_host_stack::ControlCode(0x0022_2000);
        if let Ok(handle) = stack.open_and_wait() {
            for io in [handle.read(1), handle.control(code, &b""[..], 0)] {
                io.cancel();
                assert_ne!(io.wait().error(), Win32Error::SUCCESS);
            }
        }
        assert_eq!(stack.state(), PnpState::Failed);
        assert_eq!(rules(&stack), [Rule::Panic]);
        drop(stack);
        neighbour.works();
    }
}
