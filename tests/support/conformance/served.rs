//! Devices behind USB/IP servers of this process.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::runtime::Runtime;
use usbwright::{
    emulator::{Bus, BusId},
    models::Spec,
    protocol::Port,
    remote::{RemoteDevice, RemotePort},
    target::{Device, Wait as _},
};

use super::{Subject, backends::Backend};
use crate::{peer, server::Served};

/// A device of that server, by its bus id.
fn open(server: &str, bus_id: &str) -> RemotePort {
    let device: RemoteDevice = format!("{server}/{bus_id}").parse().unwrap();
    RemotePort::open(&device).unwrap_or_else(|error| panic!("{error}"))
}

/// Plugs devices in, one at a time.
#[derive(Clone)]
struct Socket {
    bus: Bus,
    plugged: Arc<Mutex<Option<BusId>>>,
}

impl Socket {
    fn new(bus: &Bus) -> Self {
        Self {
            bus: bus.clone(),
            plugged: Arc::default(),
        }
    }

    /// Plugs a device in, instead of the one before.
    fn plug(&self, port: Box<dyn Port>) -> BusId {
        self.unplug();
        let bus_id = self.bus.plug(port, None).unwrap();
        *self.plugged.lock().unwrap_or_else(PoisonError::into_inner) = Some(bus_id.clone());
        bus_id
    }

    fn unplug(&self) {
        let mut plugged = self.plugged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bus_id) = plugged.take() {
            self.bus.unplug(&bus_id);
        }
    }
}

/// A device of that spec behind a chain of our servers, the one next to it first. They have to outlive the subject.
pub(crate) fn subject(backend: &'static Backend, spec: &str, servers: &[&Served]) -> Subject {
    let spec: Spec = spec.parse().unwrap();
    let hops = servers
        .iter()
        .map(|it| (Socket::new(&it.bus), it.address.to_string()));
    let hops: Vec<_> = hops.collect();
    let first = hops[0].0.clone();
    let open = move || {
        let mut port = None;
        for (socket, server) in &hops {
            let before = port
                .take()
                .map(|it: RemotePort| Box::new(it) as Box<dyn Port>);
            let before = before.unwrap_or_else(|| Box::new(spec.build(Instant::now()).unwrap()));
            let bus_id = socket.plug(before);
            port = Some(open(server, bus_id.as_str()));
        }
        Device::open(port.unwrap()).wait().unwrap()
    };
    Subject::new(backend, open).unplugged_by(move || first.unplug())
}

/// The device of the crate `usbip`, each time behind a server of its own.
pub(crate) fn peer(backend: &'static Backend, runtime: &Runtime) -> Subject {
    let handle = runtime.handle().clone();
    let open = move || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        listener.set_nonblocking(true).unwrap();
        let _entered = handle.enter();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        handle.spawn(peer::serve(listener));
        Device::open(open(&address, peer::BUS_ID)).wait().unwrap()
    };
    Subject::new(backend, open)
}
