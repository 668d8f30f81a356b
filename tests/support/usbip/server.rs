//! A server in this process.

use tempfile::TempDir;
use tokio::runtime::Runtime;
use usbwright::emulator::{
    Bus, EmulatedDevice,
    server::{Address, Limits, Server},
};

/// What kind of socket a server listens at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    V4,
    V6,
    Unix,
}

/// A server of some devices; dropping it stops it.
pub(crate) struct Served {
    pub(crate) bus: Bus,
    pub(crate) address: Address,
    server: Option<Server>,
    runtime: Runtime,
    _directory: TempDir,
}

impl Served {
    pub(crate) fn new(place: Place, devices: Vec<EmulatedDevice>, limits: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let wanted = match place {
            Place::V4 => "127.0.0.1:0".parse().unwrap(),
            Place::V6 => "[::1]:0".parse().unwrap(),
            Place::Unix => Address::Unix(directory.path().join("socket")),
        };
        let bus = Bus::new();
        for device in devices {
            bus.plug(Box::new(device), None).unwrap();
        }
        let mut server = Server::new(bus.clone(), limits);
        let address = runtime.block_on(server.listen(&wanted)).unwrap();
        Self {
            bus,
            address,
            server: Some(server),
            runtime,
            _directory: directory,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}
