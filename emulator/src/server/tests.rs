//! Servers and sessions over real sockets: how they end, and whom they let in.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, Mutex},
    task::Waker,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use usbwright_protocol::{
    Completion, DeviceSummary, EndpointAddress, Now, Port, Transfer, TransferId, TransferType,
    usbip::{
        operation::{DEVICE_SIZE, HEADER_SIZE, Request, encode_bus_id},
        urb::{Command, HEADER_SIZE as URB_HEADER, Submit},
    },
};

use super::*;
use crate::{EmulatedDevice, counters::DeviceCounters, testing::waiting_device};

/// How long a test waits before it fails.
const LIMIT: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn listen(runtime: &Runtime, server: &mut Server) -> SocketAddr {
    let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
    match runtime.block_on(server.listen(&address)).unwrap() {
        Address::Tcp(bound) => bound,
        Address::Unix(_) => panic!("it listens elsewhere"),
    }
}

/// Sends a request and reads so many bytes of the reply.
fn ask(address: SocketAddr, request: &[u8], reply: usize) -> (TcpStream, Vec<u8>) {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(request).unwrap();
    let mut bytes = vec![0; reply];
    client.read_exact(&mut bytes).unwrap();
    (client, bytes)
}

#[test]
fn a_server_that_is_dropped_ends_its_sessions() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bus = Bus::new();
    let (device, _) = waiting_device(Instant::now());
    let bus_id = bus.plug(Box::new(device), None).unwrap();
    let mut server = Server::new(bus, Limits::default());
    let address = listen(&runtime, &mut server);
    let import = [
        &Request::Import.encode()[..],
        &encode_bus_id(bus_id.as_str()),
    ];
    let import = import.concat();
    let imports = move || ask(address, &import, HEADER_SIZE + DEVICE_SIZE);
    let (mut client, _) =
        runtime.block_on(async { tokio::task::spawn_blocking(imports).await.unwrap() });
    // Nothing of it runs any more when it learns of that.
    drop(server);
    drop(runtime);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn as_many_visitors_as_there_may_be_are_let_in_at_every_address() {
    let runtime = runtime();
    let limits = Limits {
        visitors: 1,
        ..Limits::default()
    };
    let mut server = Server::new(Bus::new(), limits);
    let addresses = [(); 2].map(|()| listen(&runtime, &mut server));
    for address in addresses.into_iter().rev() {
        ask(address, &Request::List.encode(), HEADER_SIZE + 4);
    }
}

/// A device that notes which configuration it is counted to have, each time that it is told whom to wake.
struct Noting {
    device: EmulatedDevice,
    counters: Arc<Mutex<Option<Arc<DeviceCounters>>>>,
    noted: Arc<Mutex<Vec<u8>>>,
}

impl Port for Noting {
    fn summary(&self) -> DeviceSummary {
        self.device.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.device.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        self.device.submit(transfer, now);
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        self.device.cancel(id, now);
    }

    fn reset(&mut self, now: Instant) {
        self.device.reset(now);
    }

    fn poll(&mut self, now: Instant) {
        self.device.poll(now);
    }

    fn completion(&mut self) -> Option<Completion> {
        self.device.completion()
    }

    fn deadline(&self) -> Option<Instant> {
        self.device.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        if let Some(counters) = &*self.counters.lock().unwrap() {
            self.noted.lock().unwrap().push(counters.configuration());
        }
        self.device.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        self.device.is_connected()
    }
}

#[test]
fn what_a_session_counts_is_settled_before_another_can_have_the_device() {
    let now = Instant::now();
    let (counters, noted) = (Arc::default(), Arc::default());
    let port = Noting {
        device: waiting_device(now).0,
        counters: Arc::clone(&counters),
        noted: Arc::clone(&noted),
    };
    let bus = Bus::new();
    bus.count();
    let bus_id = bus.plug(Box::new(port), None).unwrap();
    *counters.lock().unwrap() = bus.devices()[0].counters.clone();
    let lease = bus.lease(&bus_id, now).unwrap();
    let (mut client, socket) = UnixStream::pair().unwrap();
    let set_configuration = Submit {
        sequence: 1,
        device_id: lease.description().device_id(),
        direction: usbwright_protocol::Direction::Out,
        endpoint: 0,
        flags: 0,
        length: 0,
        packets: 0,
        interval: 0,
        setup: [0, 9, 1, 0, 0, 0, 0, 0],
    };
    let command = Command::Submit(set_configuration).encode();
    client.write_all(&command).unwrap();
    let server = std::thread::spawn(move || {
        let socket = Arc::new(OwnedFd::from(socket));
        serve(&socket, lease, Limits::default())
    });
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.read_exact(&mut [0; URB_HEADER]).unwrap();
    let counters = bus.devices()[0].counters.clone().unwrap();
    assert_eq!(counters.configuration(), 1);
    drop(client);
    assert!(matches!(server.join().unwrap(), Ended::Closed));
    // Told of the session's waker as it began, and of nobody's before the device was given back.
    assert_eq!(*noted.lock().unwrap(), [0, 0]);
}
