//! Drivers and stacks for tests.
#![allow(dead_code, reason = "not every test file needs all of it")]

pub(crate) mod own;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use usbwright_host_stack::{
    Cancelable, Device, DeviceCallbacks, DeviceInit, Driver, Handle, IoTarget, Queue, Request,
    Rule, SendOptions, Stack, StackBuilder, Threads, status::HResult, status::NtStatus,
    usb_target::ManualClock,
};

/// A driver that is made of a closure.
pub(crate) struct Made<F> {
    is_filter: bool,
    make: F,
}

impl<F: Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static> Driver for Made<F> {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        if self.is_filter {
            init.set_filter();
        }
        let device = init.create(());
        (self.make)(&device)?;
        Ok(device)
    }
}

/// A function driver, whose queues a closure makes.
pub(crate) fn driver<F: Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static>(
    make: F,
) -> Made<F> {
    let is_filter = false;
    Made { is_filter, make }
}

/// A filter, whose queues a closure makes.
pub(crate) fn filter<F: Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static>(
    make: F,
) -> Made<F> {
    let is_filter = true;
    Made { is_filter, make }
}

/// A driver whose device has callbacks, and a manual queue as its context.
pub(crate) struct With<C>(pub(crate) C);

impl<C: DeviceCallbacks + Clone> Driver for With<C> {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(self.0.clone());
        let queue = device.manual_queue().default_queue();
        let queue = queue.on_stop(|_, notice| notice.acknowledge()).create()?;
        device.assign_context(queue).map_err(|_| HResult::FAIL)?;
        Ok(device)
    }
}

/// A stack that is about to be built, without a thread of its own, and its clock.
pub(crate) fn builder() -> (StackBuilder, ManualClock) {
    let clock = ManualClock::new();
    let builder = Stack::builder().threads(Threads::None).clock(clock.clone());
    (builder, clock)
}

/// A stack of one driver.
pub(crate) fn alone(
    make: impl Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static,
) -> (Stack, Handle) {
    let stack = builder().0.driver("alone", driver(make)).start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    (stack, handle)
}

/// A filter above a [slow](Slow) device.
pub(crate) struct Pair {
    pub(crate) stack: Stack,
    pub(crate) handle: Handle,
    pub(crate) clock: ManualClock,
    pub(crate) slow: Slow,
}

impl Pair {
    /// With a filter whose queues a closure makes.
    pub(crate) fn new(
        make: impl Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static,
    ) -> Self {
        let (builder, clock) = builder();
        let slow = Slow::default();
        let stack = builder
            .driver("slow", slow.driver())
            .driver("filter", filter(make))
            .start()
            .unwrap();
        let handle = stack.open_and_wait().unwrap();
        Self {
            stack,
            handle,
            clock,
            slow,
        }
    }

    /// With a filter that keeps what comes.
    pub(crate) fn keeping(kept: &Kept) -> Self {
        let kept = kept.clone();
        Self::new(move |device| kept.queue(device).map(drop))
    }

    /// The target of the filter: the slow device.
    pub(crate) fn target(&self) -> IoTarget {
        self.filter().default_target().clone()
    }

    /// The filter's device.
    pub(crate) fn filter(&self) -> Device {
        self.stack.devices().pop().unwrap()
    }
}

/// Requests that a driver keeps, the oldest first.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<VecDeque<Request>>>);

impl Kept {
    pub(crate) fn keep(&self, request: Request) {
        self.0.lock().unwrap().push_back(request);
    }

    pub(crate) fn next(&self) -> Option<Request> {
        self.0.lock().unwrap().pop_front()
    }

    /// The oldest, which there is.
    pub(crate) fn take(&self) -> Request {
        self.next().expect("the driver has a request")
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// A parallel default queue whose requests are kept, while the device sleeps and when it goes.
    pub(crate) fn queue(&self, device: &Device) -> Result<Queue, HResult> {
        let kept = self.clone();
        let queue = device.parallel_queue().default_queue();
        queue
            .on_default(move |_, request| kept.keep(request))
            .on_stop(|_, notice| notice.acknowledge())
            .create()
    }
}

/// A device that does nothing before it is told to, and gives up what is cancelled.
#[derive(Clone, Default)]
pub(crate) struct Slow {
    marked: Arc<Mutex<VecDeque<Cancelable>>>,
    /// Bytes that had moved of what is cancelled.
    pub(crate) moved: Arc<AtomicUsize>,
    /// Requests that have come.
    pub(crate) seen: Arc<AtomicUsize>,
}

impl Slow {
    pub(crate) fn driver(&self) -> impl Driver {
        let slow = self.clone();
        driver(move |device| slow.queue(device, true))
    }

    /// Makes the device's default queue.
    pub(crate) fn queue(&self, device: &Device, power_managed: bool) -> Result<(), HResult> {
        let slow = self.clone();
        let queue = device.parallel_queue().default_queue();
        queue
            .power_managed(power_managed)
            .allow_zero_length(true)
            .on_default(move |_, request| slow.take_in(request))
            .create()
            .map(drop)
    }

    fn take_in(&self, request: Request) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        let moved = Arc::clone(&self.moved);
        let on_cancel = move |request: Request| {
            request.complete_with_information(NtStatus::CANCELLED, moved.load(Ordering::Relaxed));
        };
        let marked = request.mark_cancelable(Arc::new(on_cancel));
        self.marked.lock().unwrap().push_back(marked);
    }

    /// The oldest request that was not cancelled.
    pub(crate) fn next(&self) -> Option<Request> {
        loop {
            let marked = self.marked.lock().unwrap().pop_front()?;
            if let Ok(request) = marked.unmark() {
                return Some(request);
            }
        }
    }

    /// Ends the oldest. Tells whether there was one.
    pub(crate) fn end(&self, status: NtStatus, information: usize) -> bool {
        let next = self.next();
        next.map(|it| it.complete_with_information(status, information))
            .is_some()
    }

    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }
}

/// Sends a request on as it came, and completes it as it ends.
pub(crate) fn pass_on(mut request: Request, options: SendOptions) {
    let target = request.device().default_target().clone();
    request.format_using_current_type();
    let told = |request: Request, params: &usbwright_host_stack::RequestCompletionParams| {
        request.complete_with_information(params.status(), params.information());
    };
    if let Err(error) = request.send_then(&target, options, Arc::new(told)) {
        error.complete();
    }
}

/// The rules that were broken.
pub(crate) fn broken(stack: &Stack) -> Vec<Rule> {
    stack.violations().iter().map(|it| it.rule).collect()
}
