//! A thread that wakes a port's waker, for drivers that do not wait for the port's outside themselves.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    thread,
};

use usbwright_protocol::Outside;

use super::wire::Wire;

/// Whom the thread wakes. It ends when the port is gone.
#[derive(Debug)]
pub(super) struct Pump(Arc<Mutex<Waker>>);

impl Pump {
    /// Starts the thread.
    pub(super) fn start(wire: &Arc<Wire>, waker: Waker) -> io::Result<Self> {
        let waker = Arc::new(Mutex::new(waker));
        let pump = Self(Arc::clone(&waker));
        let wire = Arc::clone(wire);
        thread::Builder::new()
            .name("usb/ip reader".to_owned())
            .spawn(move || run(&wire, &waker))?;
        Ok(pump)
    }

    /// Has it wake another waker from now on.
    pub(super) fn set_waker(&self, waker: Waker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }
}

/// Waits, wakes, and waits for the poll that is due then, before it looks again.
fn run(wire: &Wire, waker: &Mutex<Waker>) {
    loop {
        let polls = wire.polls();
        wire.wait(None);
        if wire.is_closed() {
            return;
        }
        let waker = waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        waker.wake();
        wire.wait_polled(polls);
    }
}
