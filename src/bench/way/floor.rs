//! Bare exchanges: the same processes, sockets and threads as on the whole way, and nothing that is done with what comes.

use std::{io, os::fd::OwnedFd, path::Path, process::Stdio, sync::Arc, thread, time::Duration};

use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::{
    Passage, WayError,
    parts::{Part, Running, pair},
};
use crate::bench::{cell::Cell, run::keep_in_flight, sample::Sample};

/// What the reflector's packets have before their data, in bytes.
const HEADER: usize = 64;
/// The longest packet here.
const LONGEST: usize = HEADER + 512;

/// The floor's processes.
pub(super) struct Floor {
    way: End,
    mirror: End,
    memory: Vec<u8>,
}

/// An end of a socket, and the process at its other end.
struct End {
    socket: OwnedFd,
    _process: Running,
}

impl End {
    fn start(part: Part) -> io::Result<Self> {
        let (socket, its) = pair()?;
        let process = Running::start(part, Path::new("/"), its, Stdio::null())?;
        Ok(Self {
            socket,
            _process: process,
        })
    }

    /// Sends a packet, of `length` bytes, for an answer of `back`.
    fn ask(&self, length: usize, back: usize) -> Result<(), WayError> {
        let mut packet = [0; LONGEST];
        packet[..8].copy_from_slice(&(back as u64).to_le_bytes());
        let sent = send(&self.socket, &packet[..length], SendFlags::NOSIGNAL);
        sent.map(drop).map_err(|it| io::Error::from(it).into())
    }

    fn hear(&self, back: usize) -> Result<(), WayError> {
        let mut buffer = [0; LONGEST];
        let received = recv(&self.socket, &mut buffer, RecvFlags::empty());
        match received.map_err(io::Error::from)?.0 {
            length if length == back => Ok(()),
            _ => Err(WayError::Ended),
        }
    }
}

impl Floor {
    pub(super) fn start() -> Result<Self, WayError> {
        let memory = vec![0x5A; 1 << 20];
        Ok(Self {
            way: End::start(Part::Relay)?,
            mirror: End::start(Part::Mirror)?,
            memory,
        })
    }

    pub(super) fn run(
        &mut self,
        passage: Passage,
        cell: &Cell,
        duration: Duration,
        shared: &super::ours::Shared,
    ) -> Result<Sample, WayError> {
        let length = cell.size as usize;
        let (end, ask, back) = match passage {
            Passage::Read | Passage::Reads => (&self.way, HEADER, HEADER + length),
            Passage::DirectWrite | Passage::DirectRead => (&self.way, HEADER, HEADER),
            Passage::Message => (&self.mirror, length, length),
        };
        let copies = matches!(passage, Passage::DirectWrite | Passage::DirectRead);
        keep_in_flight(
            cell,
            duration,
            || {
                if copies {
                    shared.write(&self.memory)?;
                }
                end.ask(ask, back)
            },
            |()| end.hear(back).map(|()| length),
        )
    }
}

/// Hands packets on to a process behind it, with a thread each way, as the reflector has.
pub(super) fn relay(from: OwnedFd) -> Result<(), WayError> {
    let from = Arc::new(from);
    let echo = End::start(Part::Echo)?;
    let to = Arc::new(echo.socket);
    let (back_from, back_to) = (Arc::clone(&to), Arc::clone(&from));
    thread::spawn(move || hand_on(&back_from, &back_to));
    hand_on(&from, &to);
    Ok(())
}

/// Hands packets on as long as there are both ends.
fn hand_on(from: &OwnedFd, to: &OwnedFd) {
    let mut buffer = [0; LONGEST];
    while let Ok((length @ 1.., _)) = recv(from, &mut buffer, RecvFlags::empty())
        && send(to, &buffer[..length], SendFlags::NOSIGNAL).is_ok()
    {}
}

/// Answers each packet with as many bytes as it asks for, as long as there is another end.
pub(super) fn echo(end: &OwnedFd) {
    let mut buffer = [0; LONGEST];
    while let Ok((1.., _)) = recv(end, &mut buffer, RecvFlags::empty()) {
        let [first, second, ..] = buffer;
        let back = usize::from(u16::from_le_bytes([first, second])).min(LONGEST);
        if send(end, &buffer[..back], SendFlags::NOSIGNAL).is_err() {
            break;
        }
    }
}
