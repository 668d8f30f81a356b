//! The USB device under a stack is unplugged, which the stack learns by itself.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
};

use usbwright_target::{Device, Gone};

use super::StackShared;
use crate::scheduler::Job;

/// How far drivers were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unplugged {
    /// It is plugged in, as far as the stack knows.
    #[default]
    No,
    /// A thread tells them.
    Telling(ThreadId),
    /// All that were there know of it.
    Told,
}

/// Looks whether a stack's device has gone, whenever it may have.
pub(super) struct Watch {
    stack: Weak<StackShared>,
    /// `None` once it has gone, or the stack has.
    gone: Mutex<Option<Gone>>,
}

impl Watch {
    /// Whether it has gone; otherwise this is woken when it has.
    fn has_gone(self: &Arc<Self>) -> bool {
        let waker = Waker::from(Arc::clone(self));
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waits) = &mut *gone else {
            return false;
        };
        Pin::new(waits).poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
    }

    /// Watches it no more.
    fn end(&self) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = gone.take();
        drop(gone);
        drop(ended);
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Some(stack) = self.stack.upgrade() {
            stack.scheduler.post(None, self);
        }
    }
}

impl Job for Watch {
    fn run(self: Arc<Self>) {
        let stack = self.stack.upgrade();
        if let Some(stack) = stack.filter(|_| self.has_gone()) {
            self.end();
            stack.tell_unplugged();
            stack.remove_later();
        }
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl StackShared {
    /// Watches the USB device from now on, until the stack goes.
    pub(super) fn watch(self: &Arc<Self>, usb: &Device) {
        let watch = Arc::new(Watch {
            stack: Arc::downgrade(self),
            gone: Mutex::new(Some(usb.gone())),
        });
        self.state().watch = Some(Arc::clone(&watch));
        // Where it has gone already, it is told in its turn.
        if watch.has_gone() {
            watch.wake();
        }
    }

    pub(super) fn watch_no_more(&self) {
        let watch = self.state().watch.take();
        if let Some(watch) = watch {
            watch.end();
        }
    }

    /// Tells every driver that its device was unplugged, the highest first, unless they were told or the stack goes already. They know of it when this returns, but
    /// where one of them has called.
    pub(super) fn tell_unplugged(&self) {
        let mut state = self.state();
        if state.pnp.is_gone() {
            return;
        }
        if state.unplugged != Unplugged::No {
            drop(state);
            return self.wait_until_told();
        }
        state.unplugged = Unplugged::Telling(thread::current().id());
        drop(state);
        for device in self.devices_from_above() {
            self.tell(&device, "surprise_removal", &|it, device| {
                it.surprise_removal(device);
                Ok(())
            });
        }
        self.state().unplugged = Unplugged::Told;
        self.scheduler.nudge();
    }

    /// Waits while another thread tells the drivers that the device was unplugged: they learn of it before it is removed, or not at all.
    pub(super) fn wait_until_told(&self) {
        let me = thread::current().id();
        self.wait_until(|| match self.state().unplugged {
            Unplugged::Telling(by) => by == me,
            Unplugged::No | Unplugged::Told => true,
        });
    }
}
