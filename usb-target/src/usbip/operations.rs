//! The operation phase, as a client has it: what a server exports, and importing from it.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use socket2::{SockRef, Socket};
use usbwright_protocol::usbip::operation::{
    DEVICE_SIZE, ExportedDevice, HEADER_SIZE, OperationError, ReplyStatus, Request, encode_bus_id,
};
use usbwright_wire_io::widen;

use super::{
    Remote,
    patience::{Patience, SLICE},
};

/// How long a server may take to be reached, and to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Devices that a server may list: one of Linux has far fewer.
const DEVICES_MOST: u32 = 1 << 16;

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It can't be reached.
    #[error("can't reach a USB/IP server at {remote}: {cause}")]
    Unreachable {
        /// Where it was sought.
        remote: Remote,
        /// Why not.
        cause: io::Error,
    },
    /// The connection broke, or there was no answer in time.
    #[error("the server at {remote} {}", broken(cause))]
    Broken {
        /// Where it is.
        remote: Remote,
        /// How it broke.
        cause: io::Error,
    },
    /// It speaks something else.
    #[error("the server at {remote} can't be understood: {cause}")]
    Protocol {
        /// Where it is.
        remote: Remote,
        /// What is wrong with its answer.
        cause: OperationError,
    },
    /// It refused the list.
    #[error("the server at {remote} tells no devices: {status}")]
    NoList {
        /// Where it is.
        remote: Remote,
        /// What it answered.
        status: ReplyStatus,
    },
    /// It lists more than can be meant.
    #[error("the server at {remote} lists {count} devices, more than any has ({DEVICES_MOST})")]
    TooMany {
        /// Where it is.
        remote: Remote,
        /// How many it says there are.
        count: u32,
    },
    /// It refused a device.
    #[error(
        "can't import {bus_id} from {remote}: {status} (`usbwright list {remote}` tells what there is)"
    )]
    NotImported {
        /// Where it is.
        remote: Remote,
        /// The device.
        bus_id: String,
        /// What it answered.
        status: ReplyStatus,
    },
    /// It gave a device that was not asked for.
    #[error("the server at {remote} gave {given} where {asked} was asked for")]
    OtherDevice {
        /// Where it is.
        remote: Remote,
        /// The device it gave.
        given: String,
        /// The device that was asked for.
        asked: String,
    },
}

fn broken(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let seconds = TIMEOUT.as_secs();
            format!("did not answer within {seconds} s: is it a USB/IP server?")
        }
        io::ErrorKind::UnexpectedEof => {
            "ended the connection before it had answered: is it a USB/IP server?".to_owned()
        }
        _ => format!("went away: {cause}"),
    }
}

impl Remote {
    /// The devices that the server exports. It blocks, for 20 s at the most if the server is slow; time in which this process is stopped does
    /// not count.
    ///
    /// # Errors
    /// Where it can't be reached or understood, does not answer in time, or refuses.
    pub fn list(&self) -> Result<Vec<ExportedDevice>, RemoteError> {
        self.list_within(TIMEOUT)
    }

    /// The devices, if all of them are told in that time.
    fn list_within(&self, patience: Duration) -> Result<Vec<ExportedDevice>, RemoteError> {
        let mut link = Link::open(self, patience)?;
        link.send(&Request::List.encode())?;
        match link.status(Request::List)? {
            ReplyStatus::Ok => {}
            status => {
                return Err(RemoteError::NoList {
                    remote: self.clone(),
                    status,
                });
            }
        }
        let count = u32::from_be_bytes(link.receive()?);
        if count > DEVICES_MOST {
            let remote = self.clone();
            return Err(RemoteError::TooMany { remote, count });
        }
        (0..count).map(|_| link.device_with_interfaces()).collect()
    }

    /// Imports a device: from then on the socket carries its transfers. It blocks as [`list`](Self::list) does.
    ///
    /// # Errors
    /// Where the server can't be reached or understood, does not answer in time, or refuses.
    pub fn import(&self, bus_id: &str) -> Result<(OwnedFd, ExportedDevice), RemoteError> {
        let mut link = Link::open(self, TIMEOUT)?;
        link.send(&[&Request::Import.encode()[..], &encode_bus_id(bus_id)].concat())?;
        match link.status(Request::Import)? {
            ReplyStatus::Ok => {}
            status => {
                return Err(RemoteError::NotImported {
                    remote: self.clone(),
                    bus_id: bus_id.to_owned(),
                    status,
                });
            }
        }
        let device = link.device()?;
        if device.bus_id != bus_id {
            return Err(RemoteError::OtherDevice {
                remote: self.clone(),
                given: device.bus_id,
                asked: bus_id.to_owned(),
            });
        }
        Ok((link.into_socket()?, device))
    }
}

/// A connection in its operation phase.
struct Link<'a> {
    remote: &'a Remote,
    socket: Socket,
    /// What is left of the time that the whole answer may take.
    patience: Patience,
}

impl<'a> Link<'a> {
    fn open(remote: &'a Remote, patience: Duration) -> Result<Self, RemoteError> {
        let opened = match remote {
            Remote::Tcp { host, port } => connect_tcp(host, *port).map(Socket::from),
            Remote::Unix(path) => UnixStream::connect(path).map(|stream| {
                widen(&stream);
                Socket::from(stream)
            }),
        };
        let link = opened.and_then(|socket| {
            socket.set_read_timeout(Some(SLICE))?;
            socket.set_write_timeout(Some(TIMEOUT))?;
            Ok(Self {
                remote,
                socket,
                patience: Patience::new(patience, Instant::now()),
            })
        });
        link.map_err(|cause| RemoteError::Unreachable {
            remote: remote.clone(),
            cause,
        })
    }

    fn broken(&self) -> impl FnOnce(io::Error) -> RemoteError {
        let remote = self.remote.clone();
        |cause| RemoteError::Broken { remote, cause }
    }

    fn misunderstood(&self) -> impl FnOnce(OperationError) -> RemoteError {
        let remote = self.remote.clone();
        |cause| RemoteError::Protocol { remote, cause }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.socket.write_all(bytes).map_err(self.broken())
    }

    fn receive<const N: usize>(&mut self) -> Result<[u8; N], RemoteError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map_err(self.broken())?;
        Ok(bytes)
    }

    /// Reads until `bytes` are full: a server that sends one now and then has no more time than another.
    fn fill(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.patience.next(Instant::now()).is_none() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.socket.read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => bytes = &mut bytes[count..],
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn status(&mut self, request: Request) -> Result<ReplyStatus, RemoteError> {
        let header = self.receive::<HEADER_SIZE>()?;
        request.decode_reply(&header).map_err(self.misunderstood())
    }

    fn device(&mut self) -> Result<ExportedDevice, RemoteError> {
        let bytes = self.receive::<DEVICE_SIZE>()?;
        ExportedDevice::decode(&bytes).map_err(self.misunderstood())
    }

    fn device_with_interfaces(&mut self) -> Result<ExportedDevice, RemoteError> {
        let mut device = self.device()?;
        for class in &mut device.summary.interfaces {
            *class = ExportedDevice::decode_interface(self.receive()?);
        }
        Ok(device)
    }

    /// The bare socket, which waits as long as it takes again.
    fn into_socket(self) -> Result<OwnedFd, RemoteError> {
        let patient = self.socket.set_read_timeout(None);
        patient
            .and_then(|()| self.socket.set_write_timeout(None))
            .map_err(self.broken())?;
        Ok(self.socket.into())
    }
}

/// Whether nothing has come yet.
fn is_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Connects to the first address of a host that answers.
fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_keepalive(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, sync::mpsc::channel, thread};

    use usbwright_protocol::{Class, DeviceSummary, Speed};

    use super::*;

    /// What `ask` says of a server that answers its first request so and hangs up.
    fn told<T>(answer: Vec<u8>, ask: impl FnOnce(&Remote) -> Result<T, RemoteError>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; HEADER_SIZE]).unwrap();
            stream.write_all(&answer).unwrap();
        });
        let remote = Remote::Unix(path);
        let error = ask(&remote).err().unwrap().to_string();
        server.join().unwrap();
        error.replace(&remote.to_string(), "SERVER")
    }

    #[test]
    fn what_a_server_answers_amiss_is_told() {
        let refused = Request::Import.encode_reply(ReplyStatus::NoDevice);
        assert_eq!(
            told(refused.to_vec(), |it| it.import("9-9")),
            "can't import 9-9 from SERVER: the server has no such device (`usbwright list SERVER` tells what there is)"
        );
        let refused = Request::List.encode_reply(ReplyStatus::Refused);
        assert_eq!(
            told(refused.to_vec(), Remote::list),
            "the server at SERVER tells no devices: the server refused the request"
        );
        assert!(told(b"HTTP/1.1 400".to_vec(), Remote::list).starts_with(
            "the server at SERVER can't be understood: the peer speaks version 0x4854"
        ));
        let mut cut = Request::List.encode_reply(ReplyStatus::Ok).to_vec();
        cut.extend(1u32.to_be_bytes());
        assert_eq!(
            told(cut, Remote::list),
            "the server at SERVER ended the connection before it had answered: is it a USB/IP server?"
        );
    }

    #[test]
    fn a_list_of_more_devices_than_there_can_be_is_refused() {
        let mut many = Request::List.encode_reply(ReplyStatus::Ok).to_vec();
        many.extend(u32::MAX.to_be_bytes());
        assert_eq!(
            told(many, Remote::list),
            "the server at SERVER lists 4294967295 devices, more than any has (65536)"
        );
    }

    #[test]
    fn a_server_that_sends_a_byte_now_and_then_is_not_waited_for_longer_than_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let (over, is_over) = channel::<()>();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; HEADER_SIZE]).unwrap();
            let mut answer = Request::List.encode_reply(ReplyStatus::Ok).to_vec();
            answer.extend([0, 0, 1, 0].into_iter().chain([0; 1 << 10]));
            for byte in answer {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                let _ = is_over.recv_timeout(Duration::from_millis(20));
            }
        });
        let remote = Remote::Unix(path);
        let listed = remote.list_within(Duration::from_millis(400));
        let Err(RemoteError::Broken { cause, .. }) = listed else {
            panic!("{listed:?}");
        };
        assert_eq!(cause.kind(), io::ErrorKind::TimedOut);
        drop(over);
        server.join().unwrap();
    }

    #[test]
    fn a_device_that_was_not_asked_for_is_refused() {
        let device = ExportedDevice {
            path: String::new(),
            bus_id: "1-1".to_owned(),
            bus_number: 1,
            device_number: 1,
            summary: DeviceSummary {
                speed: Speed::High,
                vendor_id: 0x0525,
                product_id: 0xa4a0,
                device_release: 0,
                class: Class::VENDOR,
                configuration: 1,
                configurations: 1,
                interfaces: Vec::new(),
            },
        };
        let mut answer = Request::Import.encode_reply(ReplyStatus::Ok).to_vec();
        device.encode(&mut answer);
        assert_eq!(
            told(answer, |it| it.import("1-2")),
            "the server at SERVER gave 1-1 where 1-2 was asked for"
        );
    }
}
