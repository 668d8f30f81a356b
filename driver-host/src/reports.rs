//! What a host tells its manager of its own accord, from any thread.

use std::{panic, sync::Arc, thread};

use tracing::debug;
use usbwright_host_control::{Channel, FromHost, Report, clip};
use usbwright_host_stack::StackEvent;

/// The way to the manager. Clones lead the same way.
#[derive(Clone, Debug)]
pub(crate) struct Reports(Arc<Channel>);

impl Reports {
    pub(crate) fn new(channel: &Arc<Channel>) -> Self {
        Self(Arc::clone(channel))
    }

    /// Tells something; waits where the manager has not read what was told before. Where it is gone, the process is about to end.
    pub(crate) fn tell(&self, message: &FromHost) {
        if let Err(error) = self.0.send(message, &[], true) {
            debug!("the manager was not told something: {error}");
        }
    }

    /// Tells of what goes wrong in a stack.
    pub(crate) fn observe(&self, stack: u64, event: StackEvent<'_>) {
        let report = |text: String| Report {
            stack,
            text: clip(&text),
        };
        match event {
            StackEvent::RuleBroken(it) => self.tell(&FromHost::RuleBroken(report(it.to_string()))),
            StackEvent::Failed(it) => self.tell(&FromHost::Failed(report(it.to_string()))),
            _ => {}
        }
    }

    /// Tells of each panic from now on, besides what was done about them before.
    pub(crate) fn watch_panics(&self) {
        let before = panic::take_hook();
        let reports = self.clone();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let text = format!(
                "thread {}: {info}",
                thread.name().unwrap_or("without a name")
            );
            reports.tell(&FromHost::Panicked(Report {
                stack: 0,
                text: clip(&text),
            }));
            before(info);
        }));
    }
}
