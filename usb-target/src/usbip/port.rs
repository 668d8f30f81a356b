//! A remote device as a [`Port`].

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use tracing::warn;
use usbwright_protocol::{
    Completion, DeviceSummary, EndpointAddress, Now, Outside, Port, Status, Transfer, TransferId,
    TransferType, usbip::operation::ExportedDevice,
};
use usbwright_wire_io::Outbox;

use super::{
    Ended, RemoteDevice, RemoteError,
    describe::{self, Undescribed},
    patience::Patience,
    pump::Pump,
    session::Session,
    window::Window,
    wire::Wire,
};

/// How long a device may take to tell its descriptors.
const PATIENCE: Duration = Duration::from_secs(10);

/// Commands that may wait before they are written without being asked for.
const FULL_COMMANDS: usize = 64;
/// Bytes that may wait so.
const FULL_BYTES: usize = 1 << 20;

/// Why a remote device can't be had.
#[derive(Debug, thiserror::Error)]
pub enum RemotePortError {
    /// It can't be imported.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The system does not let its socket be used.
    #[error("the connection to the USB/IP server can't be used: {0}")]
    Socket(#[from] io::Error),
    /// Its connection ended before it had told its descriptors.
    #[error("device {bus_id} of the USB/IP server can't be described: {cause}")]
    Ended {
        /// The device.
        bus_id: String,
        /// How it ended.
        cause: Ended,
    },
    /// It does not answer.
    #[error(
        "device {bus_id} of the USB/IP server does not tell its descriptors within {} s: is it plugged in, and used by nobody else?",
        PATIENCE.as_secs()
    )]
    Silent {
        /// The device.
        bus_id: String,
    },
}

/// A device that a USB/IP server exports, as a [`Port`].
///
/// What is submitted is written by the next [`poll`](Port::poll), all of it in one gathered write, or before where much of it
/// waits; [`deadline`](Port::deadline) says so. Received data are slices of the buffer that was read into. Whoever drives it either waits for
/// [`outside`](Port::outside) or sets a waker, which starts a thread.
///
/// USB/IP does not tell the types of endpoints: the port reads the device's descriptors itself, and follows SET_CONFIGURATION
/// and SET_INTERFACE as they pass. A transfer to an endpoint that the settings lack ends as [`Status::NoEndpoint`] and is not
/// sent, as Linux' server would close the connection over it.
#[derive(Debug)]
pub struct RemotePort {
    wire: Arc<Wire>,
    session: Session,
    window: Window,
    pump: Option<Pump>,
    connected: bool,
    /// Whether commands have been written since it was last polled.
    wrote: bool,
    /// A time that has passed: when output that waits is due.
    past: Instant,
    /// The device, for messages.
    name: String,
}

impl RemotePort {
    /// Imports a device, and reads its descriptors. It blocks, for 20 s at the most if the server is slow.
    ///
    /// # Errors
    /// Where the device can't be imported or does not tell its descriptors.
    pub fn open(device: &RemoteDevice) -> Result<Self, RemotePortError> {
        let (socket, exported) = device.remote.import(&device.bus_id)?;
        let mut port = Self::new(socket, &exported)?;
        port.name = device.to_string();
        Ok(port)
    }

    /// Takes over the stream socket of a device that has been imported, and reads its descriptors. It blocks, for 10 s at the
    /// most; time in which this process is stopped does not count. A device whose descriptors are malformed is taken nevertheless: the types of its endpoints are unknown.
    ///
    /// # Errors
    /// Where the connection ends, or the device does not answer in time.
    pub fn new(socket: OwnedFd, device: &ExportedDevice) -> Result<Self, RemotePortError> {
        let mut port = Self {
            wire: Wire::new(socket)?,
            session: Session::new(device),
            window: Window::new(),
            pump: None,
            connected: true,
            wrote: false,
            past: Instant::now(),
            name: device.bus_id.clone(),
        };
        let mut patience = Patience::new(PATIENCE, port.past);
        match describe::configurations(&mut port, device, &mut patience) {
            Ok(configurations) => port.session.settings.describe(configurations),
            Err(Undescribed::Late) => {
                return Err(RemotePortError::Silent {
                    bus_id: device.bus_id.clone(),
                });
            }
            Err(Undescribed::Ended(cause)) => {
                return Err(RemotePortError::Ended {
                    bus_id: device.bus_id.clone(),
                    cause,
                });
            }
        }
        Ok(port)
    }

    /// Writes what waits and reads what has come.
    pub(super) fn exchange(&mut self) -> Result<(), Ended> {
        let written = self.write();
        // Just after a command nothing can have come for it. What came before the connection broke is not lost.
        let wrote = std::mem::take(&mut self.wrote) || matches!(written, Ok(true));
        let look = !wrote || written.is_err() || self.wire.is_stuck();
        let taken = self.wire.take(&mut self.session, look);
        written.and(taken)
    }

    /// Writes what waits, as far as there is room; tells whether anything was written.
    fn write(&mut self) -> Result<bool, Ended> {
        let out = &mut self.session.out;
        if out.is_empty() {
            return Ok(false);
        }
        let on_way = self.session.outstanding.payload().saturating_sub(out.len());
        let paused = self.wire.take_paused();
        match self.window.room(on_way, paused) {
            Some(room) => self.wire.write(out, room),
            None => {
                self.wire.hold();
                Ok(false)
            }
        }
    }

    /// Waits for something to [`exchange`](Self::exchange).
    pub(super) fn wait(&self, timeout: Duration) {
        self.wire.wait(Some(timeout));
    }

    /// The device is gone, if it is.
    fn settle(&mut self, exchanged: Result<(), Ended>) {
        let Err(ended) = exchanged else {
            return;
        };
        if self.connected {
            warn!("remote device {} is gone: {ended}", self.name);
        }
        self.connected = false;
        self.wire.hang_up();
        self.session.break_off();
    }
}

impl Port for RemotePort {
    fn summary(&self) -> DeviceSummary {
        self.session.settings.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.session.settings.endpoint(endpoint).transfer_type
    }

    fn submit(&mut self, transfer: Transfer, _: Now) {
        if !self.connected {
            let end = Completion::empty(transfer.id, Status::Disconnected);
            return self.session.completions.push_back(end);
        }
        self.session.submit(transfer);
        if is_full(&self.session.out) && !self.wire.is_stuck() {
            let written = self.write();
            self.wrote |= matches!(written, Ok(true));
            if written.is_err() {
                let exchanged = self.exchange();
                self.settle(exchanged);
            }
        }
    }

    fn cancel(&mut self, id: TransferId, _: Instant) {
        self.session.cancel(id);
    }

    fn reset(&mut self, _: Instant) {
        if self.connected {
            let reset = self.session.reset();
            self.settle(reset.map_err(Ended::from));
        }
    }

    fn poll(&mut self, _: Instant) {
        if self.connected {
            let exchanged = self.exchange();
            self.settle(exchanged);
        }
    }

    fn completion(&mut self) -> Option<Completion> {
        self.session.completions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let waits = self.wire.is_stuck() || self.wire.holds();
        let due = !self.session.out.is_empty() && !waits;
        due.then_some(self.past)
    }

    fn set_waker(&mut self, waker: Waker) {
        match &self.pump {
            Some(pump) => pump.set_waker(waker),
            None => match Pump::start(&self.wire, waker) {
                Ok(pump) => self.pump = Some(pump),
                Err(error) => self.settle(Err(error.into())),
            },
        }
    }

    fn may_wake(&self) -> bool {
        self.connected
    }

    fn outside(&self) -> Option<Arc<dyn Outside>> {
        Some(Arc::clone(&self.wire) as Arc<dyn Outside>)
    }

    fn is_connected(&self) -> bool {
        self.connected
    }
}

/// Whether so much waits that it is better written than kept.
fn is_full(out: &Outbox) -> bool {
    out.messages() >= FULL_COMMANDS || out.len() >= FULL_BYTES
}

impl Drop for RemotePort {
    fn drop(&mut self) {
        self.wire.close();
    }
}
