//! The floor: a server with no USB in it, which does the least that any server has to do for a transfer.
//!
//! One thread for a connection; one large read, and one gathered write of canned replies to all that came with it. It keeps
//! no state of transfers, endpoints or devices, takes any OUT payload without looking at it and answers any IN transfer
//! with zeros. It has a Gadget Zero's descriptors, so that Linux configures it as one.

use std::{
    io::IoSlice,
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::Arc,
    thread,
    time::Instant,
};

use bytes::Bytes;
use rustix::net::{RecvFlags, recv};

use super::client::{ClientError, send};
use crate::{
    emulator::server::{Address, widen},
    models::{BuildError, Spec},
    protocol::{
        Direction, Port, Speed,
        descriptor::Descriptors,
        request,
        usbip::{
            errno::EPIPE,
            operation::{BUS_ID_SIZE, ExportedDevice, ReplyStatus, Request},
            urb::{Command, HEADER_SIZE, Reply, Submit, SubmitReply},
        },
    },
};

/// The bus id of the floor's device.
pub const BUS_ID: &str = "1-1";

/// Bytes read at a time.
const READ: usize = 256 << 10;
/// The largest piece of a gathered write.
const PIECE: usize = 256 << 10;
/// Pieces in one gathered write: as many as Linux takes.
const PIECES: usize = 1024;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// What the floor answers.
#[derive(Clone, Debug)]
pub struct Floor {
    /// What the device is, for whoever imports it.
    pub device: ExportedDevice,
    descriptors: Descriptors,
}

impl Floor {
    /// A floor that looks like a Gadget Zero at `speed`.
    ///
    /// # Errors
    /// Where a Gadget Zero can't run at that speed.
    pub fn new(speed: Speed) -> Result<Self, BuildError> {
        let spec: Spec = format!("gadget-zero,speed={speed}")
            .parse()
            .expect("a model and a parameter that there are");
        let device = spec.build(Instant::now())?;
        Ok(Self {
            device: ExportedDevice {
                path: "/sys/devices/usbwright/floor".into(),
                bus_id: BUS_ID.into(),
                bus_number: 1,
                device_number: 1,
                summary: device.summary(),
            },
            descriptors: device.descriptors().clone(),
        })
    }

    /// Listens at an address, and serves every connection on a thread of its own until the process ends. Returns where it
    /// listens.
    ///
    /// # Errors
    /// Where the address can't be listened at.
    pub fn listen(self, address: &Address) -> std::io::Result<Address> {
        let floor = Arc::new(self);
        match address {
            Address::Tcp(at) => {
                let listener = TcpListener::bind(at)?;
                let bound = Address::Tcp(listener.local_addr()?);
                let accept = move || listener.accept().map(|(stream, _)| tcp(stream));
                thread::spawn(move || floor.accept(accept));
                Ok(bound)
            }
            Address::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                let accept = move || listener.accept().map(|(stream, _)| unix(stream));
                thread::spawn(move || floor.accept(accept));
                Ok(address.clone())
            }
        }
    }

    fn accept(self: Arc<Self>, accept: impl Fn() -> std::io::Result<OwnedFd>) {
        while let Ok(socket) = accept() {
            let floor = Arc::clone(&self);
            thread::spawn(move || {
                // How a client leaves is its own affair.
                let _ = floor.import(&socket).and_then(|()| floor.serve(&socket));
            });
        }
    }

    /// Answers an import, whatever device it names.
    fn import(&self, socket: &OwnedFd) -> Result<(), ClientError> {
        let mut request = [0; 8 + BUS_ID_SIZE];
        let mut have = 0;
        while have < request.len() {
            let (count, _) = recv(socket, &mut request[have..], RecvFlags::empty())?;
            if count == 0 {
                return Err(ClientError::Closed);
            }
            have += count;
        }
        let mut reply = Request::Import.encode_reply(ReplyStatus::Ok).to_vec();
        self.device.encode(&mut reply);
        send(socket, &mut [IoSlice::new(&reply)])
    }

    /// Serves an imported device until its client leaves.
    ///
    /// # Errors
    /// When the client has left, or broken the protocol.
    pub fn serve(&self, socket: &OwnedFd) -> Result<(), ClientError> {
        let mut input = vec![0; READ];
        let mut have = 0;
        // Bytes of an OUT payload that are still to come, and the command that they belong to.
        let mut skip = 0;
        let mut unanswered = None;
        let mut replies = Replies::default();
        loop {
            let (count, _) = recv(socket, &mut input[have..], RecvFlags::empty())?;
            if count == 0 {
                return Ok(());
            }
            have += count;
            let mut start = skip.min(have);
            skip -= start;
            if skip == 0
                && let Some(command) = unanswered.take()
            {
                self.answer(&command, &mut replies);
            }
            while let Some(header) = input[start..have].first_chunk::<HEADER_SIZE>() {
                start += HEADER_SIZE;
                let command = Command::decode(header)?;
                let payload = payload(&command);
                let part = payload.min(have - start);
                start += part;
                skip = payload - part;
                if skip > 0 {
                    unanswered = Some(command);
                } else {
                    self.answer(&command, &mut replies);
                }
            }
            input.copy_within(start..have, 0);
            have -= start;
            replies.send(socket)?;
        }
    }

    /// Answers a command that has come as a whole.
    fn answer(&self, command: &Command, replies: &mut Replies) {
        let submit = match *command {
            Command::Submit(submit) => submit,
            Command::Unlink { sequence, .. } => {
                let reply = Reply::Unlink {
                    sequence,
                    status: 0,
                };
                return replies.push(&reply.encode(), Body::Zeros(0));
            }
        };
        let (status, length, body) = match submit.direction {
            _ if submit.endpoint == 0 => self.control(&submit),
            Direction::In => (0, submit.length, Body::Zeros(submit.length as usize)),
            Direction::Out => (0, submit.length, Body::Zeros(0)),
        };
        let reply = SubmitReply {
            sequence: submit.sequence,
            status,
            actual_length: length,
            packets: submit.packets,
            ..SubmitReply::default()
        };
        replies.push(&Reply::Submit(reply).encode(), body);
    }

    fn control(&self, submit: &Submit) -> (i32, u32, Body) {
        let setup = submit.setup();
        if submit.direction == Direction::Out {
            return (0, submit.length, Body::Zeros(0));
        }
        if setup.request != request::GET_DESCRIPTOR {
            return (0, submit.length, Body::Zeros(submit.length as usize));
        }
        let (kind, index) = setup.descriptor();
        match self.descriptors.get(kind, index, setup.index) {
            Some(data) => {
                let data = data.slice(..data.len().min(submit.length as usize));
                (0, u32::try_from(data.len()).unwrap_or(0), Body::Data(data))
            }
            None => (-EPIPE, 0, Body::Zeros(0)),
        }
    }
}

fn tcp(stream: TcpStream) -> OwnedFd {
    let _ = stream.set_nodelay(true);
    stream.into()
}

fn unix(stream: UnixStream) -> OwnedFd {
    widen(&stream);
    stream.into()
}

/// The bytes that follow a command's header.
fn payload(command: &Command) -> usize {
    match command {
        Command::Submit(submit) if submit.direction == Direction::Out => submit.length as usize,
        _ => 0,
    }
}

/// What follows a reply's header.
enum Body {
    Zeros(usize),
    Data(Bytes),
}

/// Replies that wait for the next gathered write.
#[derive(Default)]
struct Replies {
    heads: Vec<u8>,
    /// For each stretch of `heads` its end, and the zeros that follow it.
    pieces: Vec<(usize, usize)>,
}

impl Replies {
    fn push(&mut self, header: &[u8; HEADER_SIZE], body: Body) {
        self.heads.extend_from_slice(header);
        let zeros = match body {
            Body::Zeros(count) => count,
            Body::Data(data) => {
                self.heads.extend_from_slice(&data);
                0
            }
        };
        let piece = (self.heads.len(), zeros);
        match self.pieces.last_mut() {
            Some(last) if last.1 == 0 => *last = piece,
            _ => self.pieces.push(piece),
        }
    }

    /// Writes all that waits.
    fn send(&mut self, socket: &OwnedFd) -> Result<(), ClientError> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        let mut start = 0;
        for (end, zeros) in &self.pieces {
            if count + 1 + zeros.div_ceil(PIECE) > PIECES {
                send(socket, &mut slices[..count])?;
                count = 0;
            }
            slices[count] = IoSlice::new(&self.heads[start..*end]);
            count += 1;
            start = *end;
            let mut rest = *zeros;
            while rest > 0 {
                let part = rest.min(PIECE);
                if count == PIECES {
                    send(socket, &mut slices)?;
                    count = 0;
                }
                slices[count] = IoSlice::new(&ZEROS[..part]);
                count += 1;
                rest -= part;
            }
        }
        send(socket, &mut slices[..count])?;
        self.heads.clear();
        self.pieces.clear();
        Ok(())
    }
}
