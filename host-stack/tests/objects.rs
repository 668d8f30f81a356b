//! What belongs to a device, how long that lives, and in which order it goes.

mod life_support;

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, Memory, Queue, Stack, Threads,
    status::{HResult, NtStatus},
    usb_target::ManualClock,
};

use life_support::{Does, Log, Recorder, builder, started};

/// Notes when it is dropped.
struct Dropped(&'static str, Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.1.note(format!("{} dropped", self.0));
    }
}

/// A driver whose objects all note when they go, and hold on to each other in circles.
struct Circles(Log, Dropped);

struct Callbacks {
    log: Log,
    _dropped: Dropped,
    device: Mutex<Option<Device>>,
}

impl DeviceCallbacks for Callbacks {
    fn cleanup(&self, _device: &Device) {
        self.log.note("device cleanup");
    }

    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        *self.device.lock().unwrap() = Some(device.clone());
        Ok(())
    }
}

impl Driver for Circles {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let log = self.0.clone();
        let dropped = |name| Dropped(name, log.clone());
        let device = init.create(Callbacks {
            log: log.clone(),
            _dropped: dropped("callbacks"),
            device: Mutex::default(),
        });
        let _ = device.assign_context((dropped("device context"), device.clone()));
        for (name, context, cleanup) in [
            ("handlers 1", "context 1", "cleanup 1"),
            ("handlers 2", "context 2", "cleanup 2"),
        ] {
            let (held, inner) = (dropped(name), device.clone());
            let cleanup_log = log.clone();
            let queue = device.parallel_queue().power_managed(false);
            let queue = queue.on_default(move |_, _request| {
                let _ = (&held, &inner);
            });
            let queue = queue.on_cleanup(move |_| cleanup_log.note(cleanup));
            let queue = queue.create()?;
            let _ = queue.assign_context((dropped(context), queue.clone()));
        }
        let held = (dropped("future"), device.clone());
        device.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        Ok(device)
    }

    fn deinitialize(&self) {
        self.0.note(format!("deinitialize before {}", self.1.0));
    }
}

#[test]
fn children_go_before_their_device_and_the_driver_last_whoever_holds_on_to_them() {
    let log = Log::default();
    let driver = Circles(log.clone(), Dropped("driver", log.clone()));
    let stack = Stack::builder()
        .driver("test", driver)
        .threads(Threads::None);
    let stack = stack.start().unwrap();
    stack.run();
    let device = stack.devices().remove(0);
    stack.remove().unwrap();
    assert_eq!(
        log.take(),
        [
            "future dropped",
            "cleanup 2",
            "context 2 dropped",
            "handlers 2 dropped",
            "cleanup 1",
            "context 1 dropped",
            "handlers 1 dropped",
            "device cleanup",
            "device context dropped",
            "callbacks dropped",
        ]
    );
    drop((stack, device));
    assert_eq!(log.take(), ["deinitialize before driver", "driver dropped"]);
}

#[test]
fn what_a_driver_has_made_goes_though_the_stack_failed_and_no_callback_is_called() {
    let log = Log::default();
    let driver = Circles(log.clone(), Dropped("driver", log.clone()));
    let bad = Recorder::new(&Log::default()).does("d0_exit", Does::Panic);
    let stack = builder(bad).driver("top", driver).start().unwrap();
    stack.suspend().unwrap_err();
    drop(stack);
    let told = log.take();
    let dropped = told.iter().filter(|it| it.ends_with("dropped")).count();
    assert_eq!((dropped, told.len()), (8, 8), "{told:?}");
    assert_eq!(told.last().unwrap(), "driver dropped");
}

#[test]
fn an_object_has_one_context_in_all_its_life() {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log), &log);
    let device = stack.devices().remove(0);
    assert_eq!(device.context::<u32>(), None);
    assert_eq!(device.assign_context(1_u32), Ok(()));
    assert_eq!(device.assign_context("second"), Err("second"));
    assert_eq!(device.context::<u32>().as_deref(), Some(&1));
    assert_eq!(device.context::<String>(), None);
    stack.remove().unwrap();
    assert_eq!(device.context::<u32>(), None);
    assert_eq!(device.assign_context(3_u32), Err(3));
}

#[test]
fn a_queue_has_a_context_of_its_own() {
    let log = Log::default();
    let place: Arc<Mutex<Option<Queue>>> = Arc::default();
    let made = Arc::clone(&place);
    let driver = Recorder::new(&log).with(move |device, _| {
        let queue = device.manual_queue().create()?;
        assert_eq!(queue.assign_context(7_u8), Ok(()));
        assert_eq!(queue.assign_context(8_u8), Err(8));
        *made.lock().unwrap() = Some(queue);
        Ok(())
    });
    let (stack, _) = started(driver, &log);
    let queue = place.lock().unwrap().take().unwrap();
    assert_eq!(queue.context::<u8>().as_deref(), Some(&7));
    stack.remove().unwrap();
    assert_eq!(queue.context::<u8>(), None);
}

#[test]
fn a_timer_calls_its_driver_once_when_its_time_has_come() {
    let log = Log::default();
    let (stack, clock) = started(Recorder::new(&log), &log);
    let device = stack.devices().remove(0);
    let after = |seconds| {
        let log = log.clone();
        device.after(Duration::from_secs(seconds), move |_| {
            log.note(format!("{seconds} s"));
        })
    };
    let _timers = [after(3), after(1)];
    drop(after(2));
    let _never = device.after(Duration::MAX, |_| ());
    clock.advance(Duration::from_millis(999));
    assert_eq!(log.take(), [""; 0]);
    clock.advance(Duration::from_secs(60));
    assert_eq!(log.take(), ["1 s", "3 s"]);
}

#[test]
fn a_timer_does_not_outlive_its_device() {
    let log = Log::default();
    let clock = ManualClock::new();
    let stack = builder(Recorder::new(&log)).clock(clock.clone());
    let stack = stack.start().unwrap();
    let held = Arc::new(());
    let kept: Weak<()> = Arc::downgrade(&held);
    let timer = stack.devices()[0].after(Duration::from_secs(1), move |_| drop(held));
    stack.remove().unwrap();
    assert!(kept.upgrade().is_none());
    clock.advance(Duration::from_secs(1));
    drop(timer);
}

#[test]
fn memory_that_a_driver_keeps_outlives_its_request_and_belongs_to_no_other() {
    let log = Log::default();
    let kept: Arc<Mutex<Vec<Memory>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    let driver = Recorder::new(&log).with(move |device, _| {
        let keeps = Arc::clone(&keeps);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| {
            let output = request.output(4).unwrap();
            output.memory().copy_from_buffer(0, b"data").unwrap();
            keeps.lock().unwrap().push(output.memory().clone());
            request.complete_with_information(NtStatus::SUCCESS, 4);
        });
        queue.create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let first = handle.read(4).wait();
    let memory = kept.lock().unwrap().pop().unwrap();
    memory.copy_from_buffer(0, b"late").unwrap();
    assert_eq!(&first.data[..], b"data");
    assert_eq!(&handle.read(4).wait().data[..], b"data");
    drop((handle, stack));
    assert_eq!(&memory.to_bytes(None).unwrap()[..], b"late");
}
