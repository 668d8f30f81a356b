//! The whole way: an application of a reflector, and a driver's port with a service at it.

use std::{os::fd::OwnedFd, process::Stdio, sync::mpsc, time::Duration};

use bytes::Bytes;
use rustix::net::{RecvFlags, recv};
use tempfile::TempDir;
use usbwright_ports::{
    Callbacks, Connection, Deadline, Filter, NameSpace, PortOptions, Sent, ServerPort,
};
use usbwright_reflector::{
    IoOutcome,
    application::{Device, DirectBuffer, Io, OpenOptions},
    status::NtStatus,
};

use super::{
    Passage, WayError,
    parts::{NAME, Part, Running, pair},
};
use crate::bench::{cell::Cell, run::keep_in_flight, sample::Sample};

/// Bytes of the memory that is shared.
const SHARED: usize = 1 << 20;
/// How long something may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// An application with the device open, and a driver with a connection to a service.
pub(super) struct Ours {
    device: Device,
    shared: Shared,
    payload: Vec<u8>,
    driver: Driver,
    /// Closed, the reflector ends.
    _control: OwnedFd,
    _reflector: Running,
    _folder: TempDir,
}

/// Memory that an application shares with its device's host.
pub(super) struct Shared(DirectBuffer);

impl Shared {
    /// Copies bytes there.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), WayError> {
        let written = self.0.write(0, bytes);
        written.map_err(WayError::setup("the shared memory is too small"))
    }
}

impl Ours {
    pub(super) fn start() -> Result<Self, WayError> {
        let folder = tempfile::tempdir()?;
        let (control, its) = pair()?;
        let reflector = Running::start(Part::Reflector, folder.path(), its, Stdio::null())?;
        let ready = recv(&control, &mut [0; 8], RecvFlags::empty());
        if ready.map_err(std::io::Error::from)?.0 == 0 {
            return Err(WayError::Ended);
        }
        let name = NAME.parse().map_err(WayError::setup("the device's name"))?;
        let options = OpenOptions::new(name).name_space(NameSpace::at(folder.path()));
        let opened = options.timeout(PATIENCE).open();
        let device = opened.map_err(WayError::setup("the device can't be opened"))?;
        let buffer = device.direct_buffer(SHARED);
        let buffer = buffer.map_err(WayError::setup("there is no shared memory"))?;
        Ok(Self {
            shared: Shared(buffer),
            payload: vec![0x5A; SHARED],
            driver: Driver::start()?,
            device,
            _control: control,
            _reflector: reflector,
            _folder: folder,
        })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn run(
        &self,
        passage: Passage,
        cell: &Cell,
        duration: Duration,
    ) -> Result<Sample, WayError> {
        if passage == Passage::Message {
            return self.driver.run(cell, duration);
        }
        let length = cell.size as usize;
        let whole = |ended: IoOutcome| match (ended.status, ended.information) {
            (NtStatus::SUCCESS, moved) if moved == length => Ok(moved),
            (_, moved) => Err(WayError::Request {
                what: passage,
                moved,
                length,
                why: ended.error().to_string(),
            }),
        };
        let begin = || self.begin(passage, length);
        keep_in_flight(cell, duration, begin, |io| whole(io.wait()))
    }

    fn begin(&self, passage: Passage, length: usize) -> Result<Io, WayError> {
        let buffer = &self.shared.0;
        Ok(match passage {
            Passage::DirectWrite => {
                self.shared.write(&self.payload)?;
                self.device.write_direct(buffer, 0..length, 0)
            }
            Passage::DirectRead => self.device.read_direct(buffer, 0..length, 0),
            _ => self.device.read(length),
        })
    }
}

/// A driver's port, and a service that is connected.
struct Driver {
    connection: Connection,
    _service: Running,
    _port: ServerPort,
    _filter: Filter,
    _folder: TempDir,
}

/// Hands on who connects.
struct Accepting(mpsc::Sender<Connection>);

impl Callbacks for Accepting {
    type Session = ();

    fn connect(&self, connection: &Connection, _context: &[u8]) -> Result<(), NtStatus> {
        let _ = self.0.send(connection.clone());
        Ok(())
    }
}

impl Driver {
    fn start() -> Result<Self, WayError> {
        let folder = tempfile::tempdir()?;
        let (connections, connected) = mpsc::channel();
        let filter = Filter::new()?;
        let name = NAME.parse().map_err(WayError::setup("the port's name"))?;
        let options = PortOptions::new(name).name_space(NameSpace::at(folder.path()));
        let port = filter.create_port(options, Accepting(connections));
        let port = port.map_err(WayError::setup("the port can't be made"))?;
        let (_, its) = pair()?;
        let service = Running::start(Part::Service, folder.path(), its, Stdio::null())?;
        let connection = connected.recv_timeout(PATIENCE);
        Ok(Self {
            connection: connection.map_err(|_| WayError::Ended)?,
            _service: service,
            _port: port,
            _filter: filter,
            _folder: folder,
        })
    }

    fn run(&self, cell: &Cell, duration: Duration) -> Result<Sample, WayError> {
        let length = cell.size as usize;
        let message = Bytes::from(vec![0x5A; length]);
        keep_in_flight(
            cell,
            duration,
            || Ok(message.clone()),
            |message| {
                let connection = &self.connection;
                let sent = connection.send_message(message, Some(length), Deadline::Never);
                match sent.wait() {
                    Ok(Sent::Replied(reply)) if reply.data.len() == length => Ok(length),
                    _ => Err(WayError::Ended),
                }
            },
        )
    }
}
