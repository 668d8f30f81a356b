//! A real device as a port.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use rusb::{Context, Device, DeviceHandle, Registration};
use usbwright_protocol::{
    Class, Completion, DeviceSummary, EndpointAddress, Now, Port, RequestKind, Setup, Status,
    Transfer, TransferId, TransferKind, TransferType, request,
};

use super::{
    LibusbDevice, LibusbError, Selector, device, events,
    events::EventThread,
    inbox::{Event, Inbox},
    open::{self, Opened},
    order::{self, Rest},
    pool::Pool,
    requests::{Change, Outcome, Request, Requests},
    topology::Topology,
    transfer::InFlight,
};

/// How long the system may take to give cancelled transfers back when a port is dropped; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A real device, which the port has for itself: the kernel's drivers are detached while it is there.
///
/// Its transfers are libusb's asynchronous ones. A thread handles libusb's events and wakes the port's owner. The requests that the
/// system has to know of (SET_CONFIGURATION, SET_INTERFACE, CLEAR_FEATURE(ENDPOINT_HALT)) are made by another thread, in their order
/// on endpoint zero; SET_ADDRESS, which belongs to the system, is stalled. Dropping the port takes every transfer back and gives
/// the interfaces back to their drivers.
pub struct LibusbPort {
    told: LibusbDevice,
    identity: Identity,
    topology: Topology,
    flights: HashMap<u64, Flight>,
    numbers: HashMap<TransferId, u64>,
    next_number: u64,
    /// The requests that are being made, the oldest first; without an id, nobody waits for it any more.
    asked: VecDeque<(Option<TransferId>, Request)>,
    /// Transfers that wait for those.
    held: VecDeque<Transfer>,
    ready: VecDeque<Completion>,
    events: VecDeque<Event>,
    connected: bool,
    pool: Pool,
    inbox: Arc<Inbox>,
    // From here on in the order in which they end: the interfaces are given back, then no callback comes any more.
    requests: Requests,
    _event_thread: EventThread,
    departure: Option<Registration<Context>>,
    handle: Arc<DeviceHandle<Context>>,
}

/// What a device descriptor tells that stays as it is.
#[derive(Clone, Copy, Debug)]
struct Identity {
    release: u16,
    class: Class,
    configurations: u8,
}

struct Flight {
    transfer: InFlight,
    /// `None` once the transfer has ended for its submitter.
    id: Option<TransferId>,
    rest: Rest,
}

impl LibusbPort {
    /// Opens the one device that is as `selector` says, detaches the kernel's drivers and claims its interfaces.
    ///
    /// # Errors
    /// Where no device, or more than one, is so, and where it can't be opened or claimed. The messages tell what devices there are,
    /// and what to do.
    pub fn open(selector: &Selector) -> Result<Self, LibusbError> {
        let Opened {
            context,
            device,
            told,
            topology,
            handle,
            claims,
        } = Opened::by(selector)?;
        let identity = Identity::of(&device)
            .map_err(|cause| open::refused("read the descriptor of", &told, cause))?;
        let inbox = Arc::new(Inbox::default());
        let requests =
            Requests::start(handle.clone(), claims, inbox.clone()).map_err(LibusbError::Thread)?;
        let departure = events::watch_departure(&context, &device, &inbox);
        let event_thread = EventThread::start(&context).map_err(LibusbError::Thread)?;
        Ok(Self {
            told,
            identity,
            topology,
            flights: HashMap::new(),
            numbers: HashMap::new(),
            next_number: 0,
            asked: VecDeque::new(),
            held: VecDeque::new(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
            connected: true,
            pool: Pool::default(),
            inbox,
            requests,
            _event_thread: event_thread,
            departure,
            handle,
        })
    }

    /// The device, as a list shows it.
    pub fn device(&self) -> &LibusbDevice {
        &self.told
    }

    fn end(&mut self, id: TransferId, status: Status) {
        self.ready.push_back(Completion::empty(id, status));
    }

    /// Starts a transfer, or keeps it until the requests before it are done.
    fn start(&mut self, transfer: Transfer) {
        if !self.connected {
            return self.end(transfer.id, Status::Disconnected);
        }
        let control = transfer.endpoint.is_control();
        if self.asked.iter().any(|(_, it)| control || it.holds_all()) {
            return self.held.push_back(transfer);
        }
        let Transfer { id, endpoint, kind } = transfer;
        if let TransferKind::Control { setup, .. } = &kind
            && control
        {
            if is_set_address(setup) {
                return self.end(id, Status::Stalled);
            }
            if let Some(request) = Request::of(setup) {
                return self.ask(Some(id), request);
            }
        }
        self.fly(id, endpoint, kind);
    }

    fn ask(&mut self, id: Option<TransferId>, request: Request) {
        self.asked.push_back((id, request));
        self.requests.make(request);
    }

    /// Hands a transfer to libusb.
    fn fly(&mut self, id: TransferId, endpoint: EndpointAddress, kind: TransferKind) {
        let Some(transfer_type) = self.topology.present_type(endpoint) else {
            return self.end(id, Status::NoEndpoint);
        };
        let number = self.next_number;
        let submitted =
            order::order(endpoint, transfer_type, kind, &self.pool).and_then(|(order, rest)| {
                let transfer = InFlight::submit(&self.handle, &self.inbox, number, order)?;
                Ok((transfer, rest))
            });
        match submitted {
            Ok((transfer, rest)) => {
                self.next_number += 1;
                self.numbers.insert(id, number);
                let id = Some(id);
                self.flights.insert(number, Flight { transfer, id, rest });
            }
            Err(status) => {
                self.end(id, status);
                if status == Status::Disconnected {
                    self.leave();
                }
            }
        }
    }

    /// Takes in what has come from the other threads.
    fn collect(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        self.inbox.take(&mut events);
        for event in events.drain(..) {
            match event {
                Event::Returned(number) => self.land(number),
                Event::Answered(outcome) => self.answered(outcome),
                Event::Gone => self.leave(),
            }
        }
        self.events = events;
    }

    fn land(&mut self, number: u64) {
        let Some(Flight { transfer, id, rest }) = self.flights.remove(&number) else {
            return;
        };
        let Some(id) = id else {
            return drop(transfer);
        };
        self.numbers.remove(&id);
        if let Some(ended) = transfer.finish() {
            // Without word of departures this is the only one; but a setting that goes ends its transfers in the same way.
            if ended.status == Status::Disconnected
                && self.departure.is_none()
                && self.asked.is_empty()
            {
                self.connected = false;
            }
            self.ready.push_back(order::completion(id, ended, rest));
        }
    }

    fn answered(&mut self, outcome: Outcome) {
        let Outcome { status, change } = outcome;
        match change {
            Change::None => {}
            Change::Setting { interface, setting } => self.topology.set(interface, setting),
            Change::Topology(topology) => self.topology = topology,
            Change::Gone => self.leave(),
        }
        if let Some((Some(id), _)) = self.asked.pop_front() {
            self.end(id, status);
        }
        for transfer in std::mem::take(&mut self.held) {
            self.start(transfer);
        }
    }

    /// The device is gone; libusb gives its transfers back.
    fn leave(&mut self) {
        self.connected = false;
        for transfer in std::mem::take(&mut self.held) {
            self.end(transfer.id, Status::Disconnected);
        }
    }

    /// Ends every transfer for its submitter, in the order of submission; libusb is asked to give them back.
    fn end_all(&mut self, status: Status) {
        let mut outstanding: Vec<_> = self.flights.iter_mut().collect();
        outstanding.sort_by_key(|(number, _)| **number);
        for (_, flight) in outstanding {
            flight.transfer.cancel();
            if let Some(id) = flight.id.take() {
                self.ready.push_back(Completion::empty(id, status));
            }
        }
        self.numbers.clear();
        let asked = self.asked.iter_mut().filter_map(|(id, _)| id.take());
        let held = self.held.drain(..).map(|transfer| transfer.id);
        let ends = asked.chain(held).map(|id| Completion::empty(id, status));
        self.ready.extend(ends);
    }
}

impl Port for LibusbPort {
    fn summary(&self) -> DeviceSummary {
        DeviceSummary {
            speed: self.told.speed,
            vendor_id: self.told.vendor_id,
            product_id: self.told.product_id,
            device_release: self.identity.release,
            class: self.identity.class,
            configuration: self.topology.configuration,
            configurations: self.identity.configurations,
            interfaces: self.topology.classes(),
        }
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.topology.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, _now: Now) {
        self.start(transfer);
    }

    fn cancel(&mut self, id: TransferId, _now: Instant) {
        if let Some(number) = self.numbers.get(&id) {
            if let Some(flight) = self.flights.get(number) {
                flight.transfer.cancel();
            }
        } else if let Some(place) = self.held.iter().position(|it| it.id == id) {
            self.held.remove(place);
            self.end(id, Status::Cancelled);
        }
    }

    fn reset(&mut self, _now: Instant) {
        self.collect();
        self.end_all(Status::Disconnected);
        if self.connected {
            self.ask(None, Request::Reset);
        }
    }

    fn poll(&mut self, _now: Instant) {
        self.collect();
    }

    fn completion(&mut self) -> Option<Completion> {
        if self.ready.is_empty() {
            self.collect();
        }
        self.ready.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn set_waker(&mut self, waker: Waker) {
        self.inbox.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        self.connected
    }
}

impl Drop for LibusbPort {
    fn drop(&mut self) {
        self.inbox.forget_waker();
        self.end_all(Status::Cancelled);
        let deadline = Instant::now() + PATIENCE;
        while !self.flights.is_empty() && self.inbox.wait_until(deadline) {
            self.collect();
        }
    }
}

impl fmt::Debug for LibusbPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibusbPort")
            .field("device", &self.told)
            .field("outstanding", &self.numbers.len())
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}

impl Identity {
    fn of(device: &Device<Context>) -> Result<Self, rusb::Error> {
        let descriptor = device.device_descriptor()?;
        Ok(Self {
            release: device::release(&descriptor),
            class: device::class(&descriptor),
            configurations: descriptor.num_configurations(),
        })
    }
}

/// Addresses are the system's to give.
fn is_set_address(setup: &Setup) -> bool {
    setup.kind() == RequestKind::Standard && setup.request == request::SET_ADDRESS
}
