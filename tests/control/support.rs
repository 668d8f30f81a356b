//! A server that is controlled, and its clients.

use std::{os::unix::net::UnixStream, path::Path, process::Command, sync::Arc};

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use usbwright::{
    control::{Client, ClientError, ControlAddress, Devices, Event, Line, Listener, Request},
    emulator::{
        Bus,
        server::{Limits, Server},
    },
    remote::{RemoteDevice, RemotePort},
    target::{Device, Wait},
};

/// A server that is controlled.
pub(crate) struct Controlled {
    pub(crate) address: ControlAddress,
    pub(crate) served_at: String,
    pub(crate) devices: Devices,
    pub(crate) client: Client,
    pub(crate) listener: Listener,
    _server: Server,
    _runtime: Runtime,
    pub(crate) folder: TempDir,
}

impl Controlled {
    pub(crate) fn new(specs: &[&str]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address: ControlAddress = format!("unix:{}/control", folder.path().display())
            .parse()
            .unwrap();
        let bus = Bus::new();
        let devices = Devices::new(bus.clone(), runtime.handle().clone());
        for spec in specs {
            devices.plug(&spec.parse().unwrap()).unwrap();
        }
        let server = Server::new(bus, Limits::default());
        let mut server = server.observed_by(Arc::new(devices.clone()));
        let listen = "127.0.0.1:0".parse().unwrap();
        let served_at = runtime
            .block_on(server.listen(&listen))
            .unwrap()
            .to_string();
        let entered = runtime.enter();
        let listener = Listener::bind(&address, &devices).unwrap();
        drop(entered);
        Self {
            client: Client::connect(&address).unwrap(),
            address,
            served_at,
            devices,
            listener,
            _server: server,
            folder,
            _runtime: runtime,
        }
    }

    pub(crate) fn ask(&mut self, request: Value) -> Result<Value, String> {
        let request: Request = serde_json::from_value(request).unwrap();
        match self.client.request(&Line::of(request)) {
            Ok(answer) => Ok(answer),
            Err(ClientError::Refused(refused)) => Err(refused),
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) fn refused(&mut self, request: Value) -> String {
        self.ask(request).unwrap_err()
    }

    /// Has a host attach a device and configure it.
    pub(crate) fn attach(&self, device: &str) -> Device {
        let device = RemoteDevice {
            remote: self.served_at.parse().unwrap(),
            bus_id: device.to_owned(),
        };
        Device::open(RemotePort::open(&device).unwrap())
            .wait()
            .unwrap()
    }

    /// A connection that is told of everything, from the beginning.
    pub(crate) fn watch(&self) -> Watch {
        let mut client = Client::connect(&self.address).unwrap();
        let line = Line::of(Request::Events { follow: true });
        let past = client.request(&line).unwrap();
        let past: Vec<Event> = serde_json::from_value(past).unwrap();
        Watch {
            past: past.into_iter(),
            client,
        }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(self.address.path()).unwrap()
    }
}

pub(crate) struct Watch {
    past: std::vec::IntoIter<Event>,
    pub(crate) client: Client,
}

impl Watch {
    pub(crate) fn next(&mut self) -> Event {
        let past = self.past.next();
        past.unwrap_or_else(|| self.client.event().unwrap())
    }
}

pub(crate) fn plugged(device: &str, spec: &str, speed: &str) -> Event {
    Event::Plugged {
        device: device.to_owned(),
        spec: spec.to_owned(),
        speed: speed.to_owned(),
    }
}

pub(crate) fn unplugged(device: &str) -> Event {
    let device = device.to_owned();
    Event::Unplugged { device }
}

/// Runs the command, and gives its exit code and what it printed: on stdout, and on stderr.
pub(crate) fn usbwright(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_usbwright"))
        .args(arguments)
        .env_remove("USBWRIGHT_CONTROL")
        .env_remove("XDG_RUNTIME_DIR")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}
