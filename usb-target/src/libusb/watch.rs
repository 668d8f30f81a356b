//! Real devices as they come and go.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use rusb::{Context, Device, Error, Hotplug, HotplugBuilder, Registration, UsbContext as _};

use super::{LibusbDevice, LibusbError, device};

/// How often the devices are looked at where libusb does not tell of them.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A device that has come or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there now. On Linux its file may still be without the permissions that udev gives it.
    Arrived(LibusbDevice),
    /// It is gone.
    Left(LibusbDevice),
}

/// Changes as they happen, hubs left out; those that are there already come first, as arrivals.
///
/// [`next`](Iterator::next) blocks until there is one; it gives `None` once a [`WatchStop`] has stopped it.
#[derive(Debug)]
pub struct Watch {
    changes: Receiver<Change>,
    stop: WatchStop,
    thread: Option<JoinHandle<()>>,
}

/// Ends a [`Watch`], from any thread.
#[derive(Clone, Debug)]
pub struct WatchStop {
    stopping: Arc<AtomicBool>,
    context: Context,
    thread: Thread,
}

impl WatchStop {
    /// Ends it: it gives the changes that it has, and then no more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.context.interrupt_handle_events();
        self.thread.unpark();
    }
}

/// Watches the real devices.
///
/// # Errors
/// Where the system has no USB.
pub fn watch() -> Result<Watch, LibusbError> {
    let context = Context::new().map_err(LibusbError::NoUsb)?;
    let (sender, changes) = channel();
    let stopping = Arc::new(AtomicBool::new(false));
    let mut watcher = Watcher {
        context: context.clone(),
        known: HashMap::new(),
        sender,
        stopping: stopping.clone(),
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let registered = HotplugBuilder::new()
        .enumerate(true)
        .register(&context, Box::new(Notes(seen.clone())));
    let thread = thread::Builder::new()
        .name("libusb watch".to_owned())
        .spawn(move || match registered {
            Ok(registration) => watcher.listen(&seen, registration),
            Err(_) => watcher.poll(),
        })
        .map_err(LibusbError::Thread)?;
    let stop = WatchStop {
        stopping,
        context,
        thread: thread.thread().clone(),
    };
    Ok(Watch {
        changes,
        stop,
        thread: Some(thread),
    })
}

impl Watch {
    /// What ends it.
    pub fn stopper(&self) -> WatchStop {
        self.stop.clone()
    }
}

impl Iterator for Watch {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        self.changes.recv().ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What libusb has told: a device, and whether it is there. It is looked at later, as no device may be opened in a callback.
type Seen = Mutex<Vec<(Device<Context>, bool)>>;

struct Notes(Arc<Seen>);

impl Notes {
    fn note(&self, device: Device<Context>, present: bool) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push((device, present));
    }
}

impl Hotplug<Context> for Notes {
    fn device_arrived(&mut self, device: Device<Context>) {
        self.note(device, true);
    }

    fn device_left(&mut self, device: Device<Context>) {
        self.note(device, false);
    }
}

/// The thread of a watch.
struct Watcher {
    context: Context,
    /// The devices that were told of, by bus and address.
    known: HashMap<(u8, u8), LibusbDevice>,
    sender: Sender<Change>,
    stopping: Arc<AtomicBool>,
}

impl Watcher {
    /// Passes on what libusb tells.
    fn listen(&mut self, seen: &Seen, registration: Registration<Context>) {
        loop {
            let changes = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
            for (device, present) in changes {
                self.take(&device, present);
            }
            if self.stopping.load(Ordering::Acquire) {
                return drop(registration);
            }
            match self.context.handle_events(None) {
                Ok(()) | Err(Error::Interrupted) => {}
                Err(error) => {
                    tracing::warn!("libusb can't wait for devices: {error}");
                    thread::park_timeout(POLL_INTERVAL);
                }
            }
        }
    }

    fn take(&mut self, device: &Device<Context>, present: bool) {
        let place = (device.bus_number(), device.address());
        if !present {
            self.leave(place);
        } else if !device::is_hub(device)
            && let Ok(told) = LibusbDevice::of(device)
        {
            self.arrive(told);
        }
    }

    /// Looks from time to time.
    fn poll(&mut self) {
        while !self.stopping.load(Ordering::Acquire) {
            match device::present(&self.context) {
                Ok(present) => self.compare(present.into_iter().map(|(_, told)| told).collect()),
                Err(error) => tracing::warn!("{error}"),
            }
            thread::park_timeout(POLL_INTERVAL);
        }
    }

    fn compare(&mut self, present: Vec<LibusbDevice>) {
        let gone = self.known.iter().filter(|(_, it)| !present.contains(it));
        let gone: Vec<_> = gone.map(|(place, _)| *place).collect();
        for place in gone {
            self.leave(place);
        }
        for device in present {
            self.arrive(device);
        }
    }

    fn arrive(&mut self, device: LibusbDevice) {
        let place = (device.bus, device.address);
        if self.known.insert(place, device.clone()).is_none() {
            let _ = self.sender.send(Change::Arrived(device)); // nobody may be there to hear it
        }
    }

    fn leave(&mut self, place: (u8, u8)) {
        if let Some(device) = self.known.remove(&place) {
            let _ = self.sender.send(Change::Left(device));
        }
    }
}
