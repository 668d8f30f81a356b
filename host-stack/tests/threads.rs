//! Real threads: applications, a worker and a device's own thread at once.

mod support;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use support::{broken, driver, filter};
use usbwright_host_stack::{
    Cancelable, Device, DeviceCallbacks, DeviceInit, Driver, Handle, PowerState, Queue, Request,
    RequestCompletionParams, SendOptions, SentIoAction, Stack, Threads, Timeout,
    status::{HResult, NtStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{self, Message, ReaderConfig, Wait},
};
use usbwright_models::Spec;

/// Requests of each application's thread.
const ROUNDS: usize = 3_000;
/// So long the test may take; it fails then.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test in a thread of its own, and fails where it does not end.
fn bounded(test: impl FnOnce() + Send + 'static) {
    let (ended, ends) = mpsc::channel();
    let running = thread::spawn(move || {
        test();
        ended.send(()).unwrap();
    });
    match ends.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("something waits for ever"),
        _ => running.join().unwrap(),
    }
}

/// A device whose requests a thread of its own ends, as long as the stack has it.
fn device() -> (impl Driver, thread::JoinHandle<usize>) {
    let (begin, begun) = mpsc::channel::<Cancelable>();
    let work = move || {
        let mut ended = 0;
        for marked in begun {
            if let Ok(request) = marked.unmark() {
                let length = request.output(1).map_or(0, |it| it.len());
                request.complete_with_information(NtStatus::SUCCESS, length);
                ended += 1;
            }
        }
        ended
    };
    let begin = Mutex::new(Some(begin));
    let driver = driver(move |device| {
        let begin = begin.lock().unwrap().take().unwrap();
        let queue = device.sequential_queue().default_queue();
        let handler = move |_: &Queue, request: Request| {
            let give_up = |request: Request| request.complete(NtStatus::CANCELLED);
            begin
                .send(request.mark_cancelable(Arc::new(give_up)))
                .unwrap();
        };
        queue.on_default(handler).create().map(drop)
    });
    (driver, thread::spawn(work))
}

/// What a filter does with the requests that it gets, each in its turn.
fn pass(turn: usize, mut request: Request) {
    let device = request.device();
    let target = device.default_target().clone();
    let long = SendOptions::new().timeout(Timeout::After(LIMIT));
    request.format_using_current_type();
    match turn % 4 {
        0 => {
            let (request, params) = request.send(&target, long).unwrap().wait();
            request.complete_with_information(params.status(), params.information());
        }
        1 => {
            let told = |request: Request, params: &RequestCompletionParams| {
                request.complete_with_information(params.status(), params.information());
            };
            request.send_then(&target, long, Arc::new(told)).unwrap();
        }
        2 => request.send_and_forget(&target).unwrap(),
        _ => device.spawn(async move {
            let (request, params) = request.send(&target, long).unwrap().await;
            request.complete_with_information(params.status(), params.information());
        }),
    }
}

/// Reads, waits for most, and takes some back.
fn use_it(handle: &Handle) -> usize {
    let mut well = 0;
    for round in 0..ROUNDS {
        let (read, other) = (handle.read(4), handle.read(8));
        if round % 3 == 0 {
            other.cancel();
        }
        let read = read.wait();
        assert_eq!((read.status, read.information), (NtStatus::SUCCESS, 4));
        if round % 5 == 0 {
            drop(other);
            continue;
        }
        let other = other.wait();
        match other.status {
            NtStatus::SUCCESS => well += 1,
            status => assert_eq!((status, round % 3), (NtStatus::CANCELLED, 0)),
        }
    }
    well
}

#[test]
fn threads_that_use_one_stack_at_once_have_all_their_requests_end_once() {
    bounded(|| {
        let (lower, ends) = device();
        let turns = Arc::new(AtomicUsize::new(0));
        let upper = filter(move |device| {
            let turns = Arc::clone(&turns);
            let queue = device.parallel_queue().default_queue();
            queue
                .on_default(move |_, request| {
                    pass(turns.fetch_add(1, Ordering::Relaxed), request);
                })
                .create()
                .map(drop)
        });
        let stack = Stack::builder()
            .driver("device", lower)
            .driver("filter", upper)
            .threads(Threads::Worker)
            .start()
            .unwrap();
        let users: Vec<_> = (0..3)
            .map(|_| {
                let handle = stack.open_and_wait().unwrap();
                thread::spawn(move || use_it(&handle))
            })
            .collect();
        let well: usize = users.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(broken(&stack), []);
        stack.remove().unwrap();
        drop(stack);
        assert!(ends.join().unwrap() >= well + 3 * ROUNDS);
    });
}

#[test]
fn a_queue_that_is_stopped_and_started_under_load_loses_nothing() {
    bounded(|| {
        let (lower, ends) = device();
        let stack = Stack::builder()
            .driver("device", lower)
            .threads(Threads::Worker)
            .start()
            .unwrap();
        let user = {
            let handle = stack.open_and_wait().unwrap();
            thread::spawn(move || use_it(&handle))
        };
        let mut sleeps = 0;
        while !user.is_finished() {
            stack.suspend().unwrap();
            stack.resume().unwrap();
            sleeps += 1;
            thread::yield_now();
        }
        user.join().unwrap();
        assert!(sleeps > 0);
        assert_eq!(broken(&stack), []);
        drop(stack);
        assert!(ends.join().unwrap() >= ROUNDS);
    });
}

#[test]
fn an_application_gets_its_answer_from_a_stack_that_always_has_something_to_do() {
    bounded(|| {
        let busy = Arc::new(AtomicBool::new(true));
        let keeps = Arc::clone(&busy);
        let alone = driver(move |device| {
            let keeps = Arc::clone(&keeps);
            device.spawn(poll_fn(move |cx| {
                if !keeps.load(Ordering::Relaxed) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }));
            let queue = device.parallel_queue().default_queue();
            queue
                .on_default(|_, request| request.complete(NtStatus::SUCCESS))
                .create()
                .map(drop)
        });
        let stack = Stack::builder().driver("busy", alone).start().unwrap();
        let handle = stack.open_and_wait().unwrap();
        for _ in 0..100 {
            assert_eq!(handle.read(1).wait().status, NtStatus::SUCCESS);
        }
        busy.store(false, Ordering::Relaxed);
    });
}

/// Reads all the time what its device sends.
#[derive(Clone, Default)]
struct Listener {
    pipe: Arc<OnceLock<UsbTargetPipe>>,
    heard: Arc<AtomicUsize>,
}

impl DeviceCallbacks for Listener {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let mut pipes = UsbTargetDevice::new(device)?.interfaces()[0].pipes();
        pipes.retain(UsbTargetPipe::is_in);
        let pipe = pipes.remove(0);
        let heard = Arc::clone(&self.heard);
        let on_message = move |_: &UsbTargetPipe, _: Message| {
            heard.fetch_add(1, Ordering::Relaxed);
        };
        pipe.configure_continuous_reader(ReaderConfig::new(512), on_message, None)?;
        let _ = self.pipe.set(pipe);
        Ok(())
    }

    fn d0_entry(&self, _: &Device, _: PowerState) -> Result<(), HResult> {
        self.pipe.get().unwrap().target().start()
    }

    fn d0_exit(&self, _: &Device, _: PowerState) -> Result<(), HResult> {
        let target = self.pipe.get().unwrap().target();
        target.stop(SentIoAction::CancelSentIo)
    }
}

impl Driver for Listener {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(self.clone());
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_default(|_, request| request.complete(NtStatus::SUCCESS));
        queue.create()?;
        Ok(device)
    }
}

#[test]
fn a_reader_whose_device_always_has_more_lets_others_go_on() {
    bounded(|| {
        let spec: Spec = "gadget-zero,pattern=2".parse().unwrap();
        let port = spec.build(Instant::now()).unwrap();
        let usb = usb_target::Device::open(port).wait().unwrap();
        let listener = Listener::default();
        let stack = Stack::builder()
            .usb_device(usb)
            .driver("listener", listener.clone())
            .start()
            .unwrap();
        let handle = stack.open_and_wait().unwrap();
        for _ in 0..100 {
            assert_eq!(handle.read(1).wait().status, NtStatus::SUCCESS);
        }
        while listener.heard.load(Ordering::Relaxed) < 1000 {
            thread::yield_now();
        }
        drop(handle);
        stack.remove().unwrap();
        let heard = listener.heard.load(Ordering::Relaxed);
        assert_eq!(listener.heard.load(Ordering::Relaxed), heard);
    });
}

/// Tells that it was woken, and goes on once it may.
struct HeldUp {
    woken: mpsc::Sender<()>,
    goes_on: Mutex<mpsc::Receiver<()>>,
}

impl Wake for HeldUp {
    fn wake(self: Arc<Self>) {
        self.woken.send(()).unwrap();
        self.goes_on.lock().unwrap().recv().unwrap();
    }
}

#[test]
fn a_request_that_is_being_completed_as_its_device_goes_was_not_kept() {
    bounded(|| {
        let (take, taken) = mpsc::channel();
        let take = Mutex::new(take);
        let driver = driver(move |device| {
            let take = take.lock().unwrap().clone();
            let queue = device.parallel_queue().default_queue();
            let handler = move |_: &Queue, request: Request| take.send(request).unwrap();
            queue.on_default(handler).create().map(drop)
        });
        let stack = Stack::builder().driver("kept", driver).start().unwrap();
        let handle = stack.open_and_wait().unwrap();
        let mut read = handle.read(1);
        let (woken, is_woken) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let held_up = HeldUp {
            woken,
            goes_on: Mutex::new(goes_on),
        };
        let waker = Waker::from(Arc::new(held_up));
        assert!(
            Pin::new(&mut read)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let request = taken.recv().unwrap();
        let completes = thread::spawn(move || request.complete(NtStatus::SUCCESS));
        is_woken.recv().unwrap();
        stack.surprise_remove();
        assert_eq!(stack.violations(), []);
        go_on.send(()).unwrap();
        completes.join().unwrap();
        assert_eq!(read.wait().status, NtStatus::SUCCESS);
    });
}
