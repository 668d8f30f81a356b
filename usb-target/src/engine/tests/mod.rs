//! The engine with a port whose every completion is a test's doing.

mod blocking;
mod gone;
mod line;
mod mixed;
mod schedules;
mod transfers;
mod wire;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use usbwright_protocol::{Completion, EndpointAddress, TransferKind};

use self::wire::Wire;
use super::{Clock, Engine, Flight};

/// So long a test waits before it fails.
const LONG: Duration = Duration::from_secs(30);

fn endpoint(number: u8) -> EndpointAddress {
    EndpointAddress::new(number, usbwright_protocol::Direction::In)
}

fn engine(wire: &Wire) -> Arc<Engine> {
    Engine::new(Box::new(wire.clone()), Clock::System)
}

/// A read of up to 64 bytes.
fn read(engine: &Engine, number: u8) -> Flight<'_> {
    read_until(engine, number, None)
}

fn read_until(engine: &Engine, number: u8, until: Option<Instant>) -> Flight<'_> {
    let kind = TransferKind::In { length: 64 };
    Flight::new(engine, None, endpoint(number), kind, until)
}

/// What came first of it.
fn first(ended: Completion) -> u8 {
    ended.data.into_bytes()[0]
}

/// A thread that has to end.
struct Running<T>(thread::JoinHandle<T>, mpsc::Receiver<()>);

fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Running<T> {
    let (ended, end) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ended = ended;
        run()
    });
    Running(thread, end)
}

impl<T> Running<T> {
    #[track_caller]
    fn end(self) -> T {
        match self.1.recv_timeout(LONG) {
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the thread is blocked"),
            _ => self.0.join().unwrap(),
        }
    }
}

/// Waits until something is so.
#[track_caller]
fn eventually(mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < LONG, "it does not happen");
        thread::yield_now();
    }
}

/// How many threads wait for their turn to wait outside.
fn followers(engine: &Engine) -> usize {
    engine.state().followers.len()
}

/// Polls its future only when that has been woken, as sets of many futures do.
struct Lazy<F> {
    future: std::pin::Pin<Box<F>>,
    bell: Arc<Bell>,
}

struct Bell {
    rung: AtomicBool,
    listener: Mutex<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.listener.lock().unwrap().wake_by_ref();
    }
}

impl<F: Future> Lazy<F> {
    fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            bell: Arc::new(Bell {
                rung: AtomicBool::new(true),
                listener: Mutex::new(Waker::noop().clone()),
            }),
        }
    }
}

impl<F: Future> Future for Lazy<F> {
    type Output = F::Output;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.bell.listener.lock().unwrap().clone_from(cx.waker());
        if !self.bell.rung.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.bell));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}
