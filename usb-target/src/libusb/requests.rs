//! The requests that the operating system has to know of: a thread makes them by libusb's blocking calls, one after the other.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use rusb::{Context, DeviceHandle, Error};
use usbwright_protocol::{
    EndpointAddress, Feature, Recipient, RequestKind, Setup, Status, request,
};

use super::{
    claims::Claims,
    inbox::{Event, Inbox},
    status,
    topology::Topology,
};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// SET_CONFIGURATION.
    Configuration(u8),
    /// SET_INTERFACE.
    Setting { interface: u8, setting: u8 },
    /// CLEAR_FEATURE(ENDPOINT_HALT).
    ClearHalt(EndpointAddress),
    /// A bus reset.
    Reset,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// How the request ended.
    pub(super) status: Status,
    /// What is different now.
    pub(super) change: Change,
}

/// What a request has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that a port knows.
    None,
    /// The setting of an interface.
    Setting { interface: u8, setting: u8 },
    /// All interfaces.
    Topology(Topology),
    /// The device is gone.
    Gone,
}

impl Request {
    /// The request that a setup packet makes, if the system has to know of it.
    pub(super) fn of(setup: &Setup) -> Option<Self> {
        if setup.kind() != RequestKind::Standard || setup.length != 0 {
            return None;
        }
        let [value, _] = setup.value.to_le_bytes();
        match (setup.request, setup.recipient()) {
            (request::SET_CONFIGURATION, Recipient::Device) => Some(Self::Configuration(value)),
            (request::SET_INTERFACE, Recipient::Interface) => Some(Self::Setting {
                interface: setup.interface(),
                setting: value,
            }),
            (request::CLEAR_FEATURE, Recipient::Endpoint)
                if setup.feature() == Some(Feature::EndpointHalt)
                    && !setup.endpoint().is_control() =>
            {
                Some(Self::ClearHalt(setup.endpoint()))
            }
            _ => None,
        }
    }

    /// Whether no transfer at all may start before it is done.
    pub(super) fn holds_all(self) -> bool {
        matches!(self, Self::Configuration(_) | Self::Reset)
    }
}

/// The thread that makes requests. It has the interfaces, and gives them back as it ends.
#[derive(Debug)]
pub(super) struct Requests {
    sender: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Requests {
    /// Starts the thread; each request ends as [`Event::Answered`].
    pub(super) fn start(
        handle: Arc<DeviceHandle<Context>>,
        claims: Claims,
        inbox: Arc<Inbox>,
    ) -> io::Result<Self> {
        let (sender, requests) = channel();
        let maker = Maker { handle, claims };
        let thread = thread::Builder::new()
            .name("libusb requests".to_owned())
            .spawn(move || maker.run(&requests, &inbox))?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    /// Makes a request after those before it.
    pub(super) fn make(&self, request: Request) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(request); // the thread lives as long as the sender
        }
    }
}

impl Drop for Requests {
    /// Waits until the present request is done and the interfaces are given back.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Maker {
    handle: Arc<DeviceHandle<Context>>,
    claims: Claims,
}

impl Maker {
    fn run(mut self, requests: &Receiver<Request>, inbox: &Inbox) {
        while let Ok(request) = requests.recv() {
            let outcome = self.make(request);
            inbox.push(Event::Answered(outcome));
        }
    }

    fn make(&mut self, request: Request) -> Outcome {
        let (result, change) = match request {
            Request::Configuration(value) => {
                let result = self.claims.set_configuration(value);
                (result, self.look())
            }
            Request::Setting { interface, setting } => {
                let result = self.handle.set_alternate_setting(interface, setting);
                (result, Change::Setting { interface, setting })
            }
            Request::ClearHalt(endpoint) => (self.handle.clear_halt(endpoint.byte()), Change::None),
            Request::Reset => match self.handle.reset() {
                // The device came back as another one, if at all.
                Err(Error::NotFound) => (Err(Error::NoDevice), Change::Gone),
                result => (result, self.look()),
            },
        };
        if let Err(error) = result {
            tracing::debug!(?request, "the system refused a request: {error}");
        }
        let change = match (result, change) {
            (Err(Error::NoDevice), _) => Change::Gone,
            (Err(_), Change::Setting { .. }) => Change::None,
            (_, change) => change,
        };
        let status = status::of_request(result);
        Outcome { status, change }
    }

    /// Reads the configuration anew, and claims what is not claimed of it.
    fn look(&mut self) -> Change {
        let topology = match Topology::of(&self.handle.device()) {
            Ok(topology) => topology,
            Err(Error::NoDevice) => return Change::Gone,
            Err(error) => {
                tracing::warn!("the active configuration can't be read: {error}");
                return Change::None;
            }
        };
        let missing = topology.interfaces().filter(|it| !self.claims.has(*it));
        let missing: Vec<_> = missing.collect();
        match self.claims.claim(missing.into_iter()) {
            Err((_, Error::NoDevice)) => Change::Gone,
            result => {
                if let Err((interface, error)) = result {
                    tracing::warn!("interface {interface} can't be claimed: {error}");
                }
                Change::Topology(topology)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: [u8; 8]) -> Option<Request> {
        Request::of(&Setup::from_bytes(bytes))
    }

    #[test]
    fn the_system_makes_the_requests_that_change_what_it_knows() {
        assert_eq!(
            of([0, 9, 3, 0, 0, 0, 0, 0]),
            Some(Request::Configuration(3))
        );
        assert_eq!(
            of([1, 11, 2, 0, 5, 0, 0, 0]),
            Some(Request::Setting {
                interface: 5,
                setting: 2
            })
        );
        let endpoint = EndpointAddress::from_byte(0x81);
        assert_eq!(
            of([2, 1, 0, 0, 0x81, 0, 0, 0]),
            Some(Request::ClearHalt(endpoint))
        );
    }

    #[test]
    fn all_others_go_to_the_device() {
        for bytes in [
            [0x80, 6, 0, 1, 0, 0, 18, 0],
            [2, 3, 0, 0, 0x81, 0, 0, 0],
            [2, 1, 0, 0, 0, 0, 0, 0],
            [0, 1, 1, 0, 0, 0, 0, 0],
            [0x40, 9, 3, 0, 0, 0, 0, 0],
            [0x21, 11, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(of(bytes), None, "{bytes:?}");
        }
    }
}
