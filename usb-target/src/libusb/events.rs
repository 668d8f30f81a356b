//! The thread that has libusb call back.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusb::{Context, Device, Error, Hotplug, HotplugBuilder, Registration, UsbContext as _};

use super::inbox::{Event, Inbox};

/// How long it rests where libusb can't wait for events.
const REST: Duration = Duration::from_millis(100);

/// A thread that handles a context's events.
#[derive(Debug)]
pub(super) struct EventThread {
    context: Context,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EventThread {
    /// Starts it.
    pub(super) fn start(context: &Context) -> io::Result<Self> {
        let ending = Arc::new(AtomicBool::new(false));
        let (own, seen) = (context.clone(), ending.clone());
        let thread = thread::Builder::new()
            .name("libusb events".to_owned())
            .spawn(move || handle(&own, &seen))?;
        Ok(Self {
            context: context.clone(),
            ending,
            thread: Some(thread),
        })
    }
}

impl Drop for EventThread {
    /// Ends it; no callback comes afterwards.
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        self.context.interrupt_handle_events();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn handle(context: &Context, ending: &AtomicBool) {
    while !ending.load(Ordering::Acquire) {
        match context.handle_events(None) {
            Ok(()) | Err(Error::Interrupted) => {}
            Err(error) => {
                tracing::warn!("libusb can't wait for events: {error}");
                thread::park_timeout(REST);
            }
        }
    }
}

/// Tells an inbox when a device is unplugged.
#[derive(Debug)]
struct Departure {
    bus: u8,
    address: u8,
    inbox: Arc<Inbox>,
}

impl Hotplug<Context> for Departure {
    fn device_arrived(&mut self, _device: Device<Context>) {}

    fn device_left(&mut self, device: Device<Context>) {
        if (device.bus_number(), device.address()) == (self.bus, self.address) {
            self.inbox.push(Event::Gone);
        }
    }
}

/// Has `inbox` told when `device` is unplugged; `None` where libusb does not learn of it.
pub(super) fn watch_departure(
    context: &Context,
    device: &Device<Context>,
    inbox: &Arc<Inbox>,
) -> Option<Registration<Context>> {
    let departure = Departure {
        bus: device.bus_number(),
        address: device.address(),
        inbox: inbox.clone(),
    };
    HotplugBuilder::new()
        .register(context, Box::new(departure))
        .ok()
}
