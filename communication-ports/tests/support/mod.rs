//! A driver with a port, for tests.
#![allow(dead_code, unreachable_pub)]

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_ports::{
    Callbacks, Client, Clock, ConnectError, Connection, Ended, Filter, NameSpace, PortName,
    PortOptions, ServerPort, status::NtStatus,
};

/// How long a test waits before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

type OnConnect = dyn Fn(&Connection, &[u8]) -> Result<(), NtStatus> + Send + Sync;
type OnMessage = dyn Fn(&[u8], usize) -> Result<Bytes, NtStatus> + Send + Sync;

/// What a driver does when it is called back; it tells the test of everything.
pub struct Driver {
    pub connect: Box<OnConnect>,
    pub message: Box<OnMessage>,
    told: Sender<Told>,
}

/// What a driver was told.
#[derive(Debug)]
pub enum Told {
    Connected(Connection, Vec<u8>),
    Disconnected(Ended),
}

impl Callbacks for Driver {
    type Session = ();

    fn connect(&self, connection: &Connection, context: &[u8]) -> Result<(), NtStatus> {
        (self.connect)(connection, context)?;
        let told = Told::Connected(connection.clone(), context.to_vec());
        self.told.send(told).map_err(|_| NtStatus::DEVICE_NOT_READY)
    }

    fn message(&self, (): &mut (), message: &[u8], capacity: usize) -> Result<Bytes, NtStatus> {
        (self.message)(message, capacity)
    }

    fn disconnect(&self, (): (), why: &Ended) {
        let _ = self.told.send(Told::Disconnected(why.clone()));
    }
}

/// A driver that accepts everybody and has no message callback, and the test's ear.
pub fn driver() -> (Driver, Receiver<Told>) {
    let (told, hears) = channel();
    let driver = Driver {
        connect: Box::new(|_, _| Ok(())),
        message: Box::new(|_, _| Err(NtStatus::NOT_SUPPORTED)),
        told,
    };
    (driver, hears)
}

/// A driver's filter with one port in a name space of its own.
pub struct Setup {
    pub space: NameSpace,
    pub filter: Filter,
    pub port: Option<ServerPort>,
    pub told: Receiver<Told>,
    pub directory: Arc<tempfile::TempDir>,
}

pub fn name() -> PortName {
    "ScannerPort".parse().unwrap()
}

impl Setup {
    /// A port that accepts many.
    pub fn new() -> Self {
        Self::with(
            Clock::System,
            |_| {},
            |options| options.max_connections(100),
        )
    }

    pub fn clocked(clock: impl Into<Clock>) -> Self {
        Self::with(clock, |_| {}, |options| options.max_connections(100))
    }

    pub fn with(
        clock: impl Into<Clock>,
        change: impl FnOnce(&mut Driver),
        choose: impl FnOnce(PortOptions) -> PortOptions,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let space = NameSpace::at(directory.path().join("ports"));
        let (mut driver, told) = driver();
        change(&mut driver);
        let filter = Filter::with_clock(clock).unwrap();
        let options = choose(PortOptions::new(name()).name_space(space.clone()));
        let port = filter.create_port(options, driver).unwrap();
        Self {
            space,
            filter,
            port: Some(port),
            told,
            directory: Arc::new(directory),
        }
    }

    pub fn try_connect(&self) -> Result<Client, ConnectError> {
        Client::connect(&self.space, &name(), b"")
    }

    /// A connection, as both ends have it.
    pub fn connect(&self) -> (Client, Connection) {
        let client = self.try_connect().unwrap();
        (client, self.connected().0)
    }

    /// The next connection that the driver is told of, and its context.
    pub fn connected(&self) -> (Connection, Vec<u8>) {
        loop {
            match self.told.recv_timeout(PATIENCE) {
                Ok(Told::Connected(connection, context)) => return (connection, context),
                Ok(Told::Disconnected(_)) => {}
                Err(_) => panic!("no connection"),
            }
        }
    }

    /// Why the next connection ended that the driver is told of.
    pub fn disconnected(&self) -> Ended {
        loop {
            match self.told.recv_timeout(PATIENCE) {
                Ok(Told::Disconnected(why)) => return why,
                Ok(Told::Connected(..)) => {}
                Err(_) => panic!("no disconnection"),
            }
        }
    }
}

/// Waits for something that is about to be so.
pub fn until(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "it never comes: {what}");
        std::thread::yield_now();
    }
}
