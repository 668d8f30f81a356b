//! The client: one thread that keeps so many transfers in flight, with few system calls and no copies of its own.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg},
    time::{ClockId, clock_gettime},
};

use super::{cell::Cell, run::Run, sample::Sample};
use crate::{
    host_stack::status::Win32Error,
    protocol::{
        Direction,
        usbip::urb::{Command, CommandError, HEADER_SIZE, Reply, ReplyError, Submit},
    },
    target::TransferFailed,
};

/// Bytes read at a time.
const READ: usize = 256 << 10;
/// Transfers sent in one call: as many headers and payloads as a gathered write takes.
const BATCH: usize = 512;
/// How long the server may take for anything.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a measurement ended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection broke, or the server did not answer.
    #[error("the connection to the server broke: {0}")]
    Broken(#[from] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server did not answer.
    #[error("the server did not answer for {} s", TIMEOUT.as_secs())]
    Silent,
    /// The server's answer can't be understood.
    #[error("the server's answer can't be understood: {0}")]
    Garbled(#[from] ReplyError),
    /// What the floor was asked can't be understood.
    #[error("the floor's client can't be understood: {0}")]
    Asked(#[from] CommandError),
    /// More than one transfer was to be in flight.
    #[error("libusb's blocking calls have one transfer in flight: use --depth 1")]
    OneAtATime,
    /// A transfer by libusb failed.
    #[error("a transfer by libusb failed: {0}")]
    Libusb(#[from] rusb::Error),
    /// A transfer through a pipe failed.
    #[error("a transfer failed: {0}")]
    Pipe(TransferFailed),
    /// A request through a host stack failed.
    #[error("a request failed: {0}")]
    Request(#[from] Win32Error),
    /// The server answered what was not asked.
    #[error("the server answered transfer {0}, which was not in flight")]
    Unasked(u32),
    /// A transfer failed.
    #[error(
        "transfer {sequence} ended with status {status} after {moved} of {length} bytes: the device has to be a Gadget Zero that sends and takes whatever it is asked to"
    )]
    Failed {
        /// Its number.
        sequence: u32,
        /// Its status, a negative error number of Linux.
        status: i32,
        /// Bytes moved.
        moved: u32,
        /// Bytes asked for.
        length: u32,
    },
}

impl From<rustix::io::Errno> for ClientError {
    fn from(errno: rustix::io::Errno) -> Self {
        match errno {
            rustix::io::Errno::AGAIN => Self::Silent,
            errno => Self::Broken(errno.into()),
        }
    }
}

/// The endpoints that a cell uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Endpoints {
    /// The number of the source.
    pub(super) input: u8,
    /// The number of the sink.
    pub(super) output: u8,
}

/// A device that has been imported, and configured, to be measured.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    device_id: u32,
    pub(super) endpoints: Endpoints,
    sequence: u32,
    /// Transfers in flight, the oldest first, with when they were submitted.
    flying: VecDeque<(u32, Instant)>,
    headers: Vec<[u8; HEADER_SIZE]>,
    payload: Vec<u8>,
    input: Box<[u8]>,
}

impl Client {
    /// Takes an imported device's socket over. Which endpoints are used is to be said before a run.
    pub(super) fn new(socket: OwnedFd, device_id: u32) -> io::Result<Self> {
        let timeout = Some(TIMEOUT);
        socket2::SockRef::from(&socket).set_read_timeout(timeout)?;
        Ok(Self {
            socket,
            device_id,
            endpoints: Endpoints::default(),
            sequence: 0,
            flying: VecDeque::new(),
            headers: Vec::new(),
            payload: Vec::new(),
            input: vec![0; READ].into_boxed_slice(),
        })
    }

    /// Does a control transfer without OUT data, and returns what came.
    pub(super) fn control(&mut self, setup: [u8; 8]) -> Result<Vec<u8>, ClientError> {
        let direction = match setup[0] & 0x80 {
            0 => Direction::Out,
            _ => Direction::In,
        };
        let length = u16::from_le_bytes([setup[6], setup[7]]);
        self.transfer(direction, 0, length.into(), setup)
    }

    /// Does one transfer that sends nothing, and returns what came.
    fn transfer(
        &mut self,
        direction: Direction,
        endpoint: u8,
        length: u32,
        setup: [u8; 8],
    ) -> Result<Vec<u8>, ClientError> {
        self.sequence = self.sequence.wrapping_add(1);
        let submit = Submit {
            sequence: self.sequence,
            device_id: self.device_id,
            direction,
            endpoint,
            flags: 0,
            length,
            packets: 0,
            interval: 0,
            setup,
        };
        let command = Command::Submit(submit).encode();
        send(&self.socket, &mut [IoSlice::new(&command)])?;
        let mut header = [0; HEADER_SIZE];
        self.receive_exactly(&mut header)?;
        let reply = match Reply::decode(&header)? {
            Reply::Submit(reply) if reply.sequence == self.sequence => reply,
            Reply::Submit(reply) => return Err(ClientError::Unasked(reply.sequence)),
            Reply::Unlink { sequence, .. } => return Err(ClientError::Unasked(sequence)),
        };
        if reply.status != 0 || reply.actual_length > length {
            return Err(ClientError::Failed {
                sequence: reply.sequence,
                status: reply.status,
                moved: reply.actual_length,
                length,
            });
        }
        let came = match direction {
            Direction::In => reply.actual_length as usize,
            Direction::Out => 0,
        };
        let mut data = vec![0; came];
        self.receive_exactly(&mut data)?;
        Ok(data)
    }

    /// Makes the payload of transfers to the sink. A sink that checks expects what the source sends, so it is asked.
    fn prepare(&mut self, cell: &Cell) -> Result<(), ClientError> {
        if cell.direction == Direction::In || self.payload.len() == cell.size as usize {
            return Ok(());
        }
        self.payload = self.transfer(Direction::In, self.endpoints.input, cell.size, [0; 8])?;
        if self.payload.len() == cell.size as usize {
            return Ok(());
        }
        Err(ClientError::Failed {
            sequence: self.sequence,
            status: 0,
            moved: u32::try_from(self.payload.len()).unwrap_or(u32::MAX),
            length: cell.size,
        })
    }

    fn receive_exactly(&self, mut into: &mut [u8]) -> Result<(), ClientError> {
        while !into.is_empty() {
            let (count, _) = recv(&self.socket, &mut *into, RecvFlags::empty())?;
            if count == 0 {
                return Err(ClientError::Closed);
            }
            into = &mut into[count..];
        }
        Ok(())
    }

    /// Runs a cell for as long as `duration`, and then until what is in flight has ended.
    ///
    /// # Errors
    /// Where the server breaks off, or a transfer fails.
    pub fn run(&mut self, cell: &Cell, duration: Duration) -> Result<Sample, ClientError> {
        self.observe(cell, duration, None)
    }

    /// Runs a cell. With a period, the sample's latencies are how far the time between two completions is from it.
    pub(super) fn observe(
        &mut self,
        cell: &Cell,
        duration: Duration,
        period: Option<Duration>,
    ) -> Result<Sample, ClientError> {
        self.prepare(cell)?;
        let cpu = thread_cpu();
        let mut run = Run::new(duration, period, cell);
        self.submit(cell, cell.depth as usize, run.now)?;
        let mut parser = Parser {
            header: [0; HEADER_SIZE],
            have: 0,
            payload: 0,
        };
        while !self.flying.is_empty() {
            let (count, _) = recv(&self.socket, &mut self.input[..], RecvFlags::empty())?;
            if count == 0 {
                return Err(ClientError::Closed);
            }
            run.stamp();
            let ended = parser.parse(&self.input[..count], cell, &mut self.flying, &mut run)?;
            if !cell.pause.is_zero() && self.flying.is_empty() {
                run.pause(cell.pause);
            }
            if run.now < run.until {
                self.submit(cell, ended, run.now)?;
            }
        }
        Ok(run.finish(thread_cpu().saturating_sub(cpu)))
    }

    /// Submits so many transfers with as few calls as can be.
    fn submit(&mut self, cell: &Cell, count: usize, now: Instant) -> Result<(), ClientError> {
        let endpoint = match cell.direction {
            Direction::In => self.endpoints.input,
            Direction::Out => self.endpoints.output,
        };
        let mut rest = count;
        while rest > 0 {
            let batch = rest.min(BATCH);
            rest -= batch;
            self.headers.clear();
            for _ in 0..batch {
                self.sequence = self.sequence.wrapping_add(1);
                let submit = Submit {
                    sequence: self.sequence,
                    device_id: self.device_id,
                    direction: cell.direction,
                    endpoint,
                    flags: 0,
                    length: cell.size,
                    packets: 0,
                    interval: 0,
                    setup: [0; 8],
                };
                self.headers.push(Command::Submit(submit).encode());
                self.flying.push_back((self.sequence, now));
            }
            self.flush(cell.direction)?;
        }
        Ok(())
    }

    fn flush(&self, direction: Direction) -> Result<(), ClientError> {
        if direction == Direction::In {
            return send(
                &self.socket,
                &mut [IoSlice::new(self.headers.as_flattened())],
            );
        }
        let mut slices = [IoSlice::new(&[]); 2 * BATCH];
        for (pair, header) in slices.chunks_mut(2).zip(&self.headers) {
            pair[0] = IoSlice::new(header);
            pair[1] = IoSlice::new(&self.payload);
        }
        send(&self.socket, &mut slices[..2 * self.headers.len()])
    }
}

/// Writes all of `slices`.
pub(super) fn send(socket: &impl AsFd, slices: &mut [IoSlice<'_>]) -> Result<(), ClientError> {
    let mut slices = slices;
    while !slices.is_empty() {
        let written = sendmsg(
            socket,
            slices,
            &mut SendAncillaryBuffer::default(),
            SendFlags::NOSIGNAL,
        )?;
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}

/// Takes replies apart as they come, in whatever pieces.
struct Parser {
    header: [u8; HEADER_SIZE],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of payload that are yet to come of the transfer whose header has.
    payload: usize,
}

impl Parser {
    /// Takes `input`, and tells how many transfers have ended with it.
    fn parse(
        &mut self,
        mut input: &[u8],
        cell: &Cell,
        flying: &mut VecDeque<(u32, Instant)>,
        run: &mut Run,
    ) -> Result<usize, ClientError> {
        let mut ended = 0;
        loop {
            if self.have < HEADER_SIZE {
                let part = input.len().min(HEADER_SIZE - self.have);
                self.header[self.have..][..part].copy_from_slice(&input[..part]);
                self.have += part;
                input = &input[part..];
                if self.have < HEADER_SIZE {
                    return Ok(ended);
                }
                self.payload = self.announced(cell)?;
            }
            let part = input.len().min(self.payload);
            self.payload -= part;
            input = &input[part..];
            if self.payload > 0 {
                return Ok(ended);
            }
            self.have = 0;
            ended += 1;
            run.ended(self.take(flying)?, cell.size);
        }
    }

    /// The payload that the header announces, if it tells of a transfer that went well.
    fn announced(&self, cell: &Cell) -> Result<usize, ClientError> {
        match Reply::decode(&self.header)? {
            Reply::Submit(reply) if reply.status == 0 && reply.actual_length == cell.size => {
                Ok(match cell.direction {
                    Direction::In => cell.size as usize,
                    Direction::Out => 0,
                })
            }
            Reply::Submit(reply) => Err(ClientError::Failed {
                sequence: reply.sequence,
                status: reply.status,
                moved: reply.actual_length,
                length: cell.size,
            }),
            Reply::Unlink { sequence, .. } => Err(ClientError::Unasked(sequence)),
        }
    }

    /// When the transfer that has ended was submitted.
    fn take(&self, flying: &mut VecDeque<(u32, Instant)>) -> Result<Instant, ClientError> {
        let sequence = u32::from_be_bytes([
            self.header[4],
            self.header[5],
            self.header[6],
            self.header[7],
        ]);
        let place = flying.iter().position(|(number, _)| *number == sequence);
        let found = place.and_then(|place| flying.remove(place));
        found
            .map(|(_, submitted)| submitted)
            .ok_or(ClientError::Unasked(sequence))
    }
}

pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
