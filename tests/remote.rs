//! Devices behind a USB/IP server, used from here: our own server, another one, and ours twice in a row.

#[path = "../benches/support/peer.rs"]
mod peer;

use std::{path::PathBuf, time::Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};
use usbwright::{
    emulator::{
        Bus,
        server::{Address, Limits, Server},
    },
    protocol::{Setup, Status, TransferType},
    remote::{Remote, RemoteDevice, RemotePort},
    source::Source,
    target::{Bulk, Device, In, Interface, Interrupt, Isochronous, Out, Wait},
};

/// A server of ours with one device, at a TCP port and a UNIX socket.
struct Host {
    runtime: Runtime,
    server: Option<Server>,
    tcp: Remote,
    unix: Remote,
    _folder: TempDir,
}

impl Host {
    fn new(spec: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bus = Bus::new();
        let device = spec.parse::<Source>().unwrap().open(Instant::now());
        bus.plug(device.unwrap(), None).unwrap();
        let mut server = Server::new(bus, Limits::default());
        let folder = tempfile::tempdir().unwrap();
        let socket: PathBuf = folder.path().join("socket");
        let tcp = "127.0.0.1:0".parse().unwrap();
        let tcp = runtime.block_on(async {
            server.listen(&Address::Unix(socket.clone())).await.unwrap();
            server.listen(&tcp).await.unwrap()
        });
        Self {
            runtime,
            server: Some(server),
            tcp: tcp.to_string().parse().unwrap(),
            unix: Remote::Unix(socket),
            _folder: folder,
        }
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open(remote: &Remote) -> Device {
    let device = RemoteDevice {
        remote: remote.clone(),
        bus_id: "1-1".to_owned(),
    };
    let port = RemotePort::open(&device).unwrap();
    Device::open(port).wait().unwrap()
}

/// Moves data of many sizes both ways.
fn move_bulk(interface: &Interface, sizes: &[usize]) {
    let source = interface.first::<Bulk, In>().unwrap();
    let sink = interface.first::<Bulk, Out>().unwrap();
    for &size in sizes {
        let read = source.read(size).wait().ok().unwrap();
        assert_eq!(read.length, size);
        let written = sink.write(Bytes::from(vec![0; size])).wait().ok().unwrap();
        assert_eq!(written.length, size);
    }
}

const SIZES: [usize; 6] = [1, 512, 4096, 65536, 1 << 20, 5_000_000];

/// Uses all that a Gadget Zero has.
fn use_all(remote: &Remote) {
    let device = open(remote);
    let interface = device.interface(0).wait().unwrap();
    move_bulk(&interface, &SIZES);
    queue_many(&interface);
    let refused = device.control(
        Setup::from_bytes([0xc0, 0x77, 0, 0, 0, 0, 4, 0]),
        Bytes::new(),
    );
    assert_eq!(refused.wait().status(), Some(Status::Stalled));
    interface.set_alternate(1).wait().unwrap();
    let periodic = interface.first::<Isochronous, In>().unwrap();
    assert_eq!(periodic.transfer_type(), TransferType::Isochronous);
    let received = periodic.receive(8).wait().ok().unwrap();
    assert!(received.length > 0);
    interface.set_alternate(2).wait().unwrap();
    let interrupt = interface.first::<Interrupt, In>().unwrap();
    assert!(interrupt.read(64).wait().ok().unwrap().length > 0);
}

/// Keeps transfers in flight, and takes the last of them back.
fn queue_many(interface: &Interface) {
    let mut queue = interface.first::<Bulk, In>().unwrap().queue();
    for _ in 0..64 {
        queue.read(8192).unwrap();
    }
    for _ in 0..32 {
        let (_, read) = queue.next().wait().unwrap();
        assert_eq!(read.ok().unwrap().length, 8192);
    }
    queue.cancel_all();
    while queue.next().wait().is_some() {}
}

#[test]
fn a_device_of_our_server_is_used_over_tcp() {
    use_all(&Host::new("gadget-zero").tcp);
}

#[test]
fn a_device_of_our_server_is_used_over_a_unix_socket_at_super_speed() {
    use_all(&Host::new("gadget-zero,speed=super").unix);
}

#[test]
fn a_device_is_exported_again_by_a_second_server() {
    let first = Host::new("gadget-zero");
    let second = Host::new(&format!("remote,host={},busid=1-1", first.tcp));
    let listed = second.unix.list().unwrap();
    assert_eq!(listed[0].summary.vendor_id, 0x0525);
    for remote in [&second.unix, &second.tcp] {
        use_all(remote);
    }
    let Remote::Unix(path) = &first.unix else {
        panic!("it is a UNIX socket");
    };
    drop(second);
    let second = Host::new(&format!("remote,unix={},busid=1-1", path.display()));
    use_all(&second.tcp);
}

#[test]
fn a_device_whose_first_server_ends_is_unplugged_from_the_second() {
    let mut first = Host::new("gadget-zero");
    let second = Host::new(&format!("remote,host={},busid=1-1", first.tcp));
    let device = open(&second.unix);
    let interface = device.interface(0).wait().unwrap();
    move_bulk(&interface, &[4096]);
    first.stop();
    let source = interface.first::<Bulk, In>().unwrap();
    assert!(source.read(4096).wait().ok().is_err());
}

#[test]
fn a_device_of_the_crate_usbips_server_is_used() {
    let runtime = Runtime::new().unwrap();
    let address = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(peer::serve(listener));
        address
    });
    let remote: Remote = address.to_string().parse().unwrap();
    assert_eq!(remote.list().unwrap()[0].bus_id, peer::BUS_ID);
    {
        let device = open(&remote);
        let interface = device.interface(0).wait().unwrap();
        move_bulk(&interface, &[1, 512, 65536, 1 << 20]);
        queue_many(&interface);
    }
    let second = Host::new(&format!("remote,host={remote},busid=1-1"));
    let device = open(&second.unix);
    let interface = device.interface(0).wait().unwrap();
    move_bulk(&interface, &[1, 512, 65536]);
}
