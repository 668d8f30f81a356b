//! Whole servers side by side, over sockets: ours and that of the crate `usbip`, each with a Gadget Zero, driven by one client.

#[path = "support/client.rs"]
mod client;
#[allow(dead_code, reason = "other benches use the rest of it")]
#[path = "support/commands.rs"]
mod commands;
#[path = "support/peer.rs"]
mod peer;

use std::{
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use tokio::{net::TcpListener, runtime::Runtime};
use usbwright::{
    emulator::{
        Bus,
        server::{Address, Limits, Server},
    },
    models::Spec,
    protocol::Direction,
};

use self::client::Client;

fn main() {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let unix = directory.path().join("socket");
    let peer = runtime.block_on(serve_peer());
    let (server, tcp) = runtime.block_on(serve_ours(&unix));
    let mut clients = [
        ("usbwright, TCP", tcp_client(tcp, "1-1")),
        ("usbwright, UNIX", unix_client(&unix, "1-2")),
        ("usbip crate, TCP", tcp_client(peer, peer::BUS_ID)),
    ];
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(30)
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for direction in [Direction::In, Direction::Out] {
        for length in [512, 4096] {
            let mut group = criterion.benchmark_group(format!("bulk {direction} {length}"));
            group.throughput(Throughput::Bytes(length.into()));
            for (name, client) in &mut clients {
                group.bench_function(*name, |bencher| {
                    bencher.iter_custom(|count| {
                        let start = Instant::now();
                        client.transfer(direction, length, count);
                        start.elapsed()
                    });
                });
            }
        }
    }
    criterion.final_summary();
    drop(clients);
    runtime.block_on(server.stop());
}

/// Our server with two devices, and where it listens besides the UNIX socket.
async fn serve_ours(unix: &Path) -> (Server, SocketAddr) {
    let bus = Bus::new();
    for _ in 0..2 {
        let spec = "gadget-zero,pattern=2".parse::<Spec>().unwrap();
        let device = spec.build(Instant::now()).unwrap();
        bus.plug(Box::new(device), None).unwrap();
    }
    let mut server = Server::new(bus, Limits::default());
    server.listen(&Address::Unix(unix.into())).await.unwrap();
    let tcp = "127.0.0.1:0".parse().unwrap();
    match server.listen(&tcp).await.unwrap() {
        Address::Tcp(address) => (server, address),
        Address::Unix(_) => unreachable!("a TCP address was asked for"),
    }
}

/// The peer's server; where it listens.
async fn serve_peer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(peer::serve(listener));
    address
}

fn tcp_client(address: SocketAddr, bus_id: &str) -> Client {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    Client::attach(Box::new(socket), bus_id)
}

fn unix_client(path: &Path, bus_id: &str) -> Client {
    let socket = UnixStream::connect(path).unwrap();
    Client::attach(Box::new(socket), bus_id)
}
