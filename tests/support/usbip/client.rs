//! A client on a socket of its own. Every wait has a deadline; every reply is checked as the kernel checks it.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    time::{Duration, Instant},
};

use socket2::{Domain, SockAddr, Socket, Type};
use usbwright::emulator::server::Address;

use super::{
    urb::{Urb, unlink},
    vhci::{Answer, Ended, Vhci, word},
};

/// How long a reply may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Close,
    /// At once, and what is under way is lost: a TCP reset.
    Reset,
    /// It says that nothing more comes, and still reads.
    HalfClose,
}

impl Death {
    pub(crate) const ALL: [Self; 3] = [Self::Close, Self::Reset, Self::HalfClose];
}

/// A device as an import's reply describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) bus_id: String,
    pub(crate) device_id: u32,
    pub(crate) speed: u32,
    pub(crate) interfaces: u8,
}

/// A client.
pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) vhci: Vhci,
    input: Vec<u8>,
    next: u32,
}

impl Client {
    pub(crate) fn connect(address: &Address) -> Self {
        let (domain, address) = match address {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path).unwrap()),
        };
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        socket.connect(&address).unwrap();
        if domain != Domain::UNIX {
            // As the kernel's tools do.
            socket.set_tcp_nodelay(true).unwrap();
        }
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            vhci: Vhci::default(),
            input: Vec::new(),
            next: 1,
        }
    }

    /// A client that has the device, which may be given back just now by the client before.
    pub(crate) fn attach(address: &Address, bus_id: &str, patience: Duration) -> Self {
        let deadline = Instant::now() + patience;
        loop {
            let mut client = Self::connect(address);
            match client.import(bus_id) {
                Ok(_) => return client,
                Err(2) => assert!(Instant::now() < deadline, "{bus_id} is still in use"),
                Err(status) => panic!("import of {bus_id}: {status}"),
            }
        }
    }

    /// The next submit gets this number.
    pub(crate) fn count_from(&mut self, sequence: u32) {
        self.next = sequence;
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends to a server that may close the connection meanwhile.
    pub(crate) fn send_in_vain(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    pub(crate) fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The devices that may be imported: bus ids, and the classes of their interfaces.
    pub(crate) fn list(&mut self) -> Vec<(String, Vec<[u8; 3]>)> {
        self.send(&[0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0]);
        let header = self.read_exactly(12);
        assert_eq!(header[..8], [0x01, 0x11, 0x00, 0x05, 0, 0, 0, 0]);
        let device = |_| {
            let device = self.read_exactly(312);
            let interfaces = self.read_exactly(4 * usize::from(device[311]));
            let classes = interfaces.chunks(4).map(|it| [it[0], it[1], it[2]]);
            (name(&device[256..288]), classes.collect())
        };
        (0..word(&header, 8)).map(device).collect()
    }

    /// Asks for a device; the status where it is refused.
    pub(crate) fn import(&mut self, bus_id: &str) -> Result<Imported, u32> {
        self.send(&import_request(bus_id.as_bytes()));
        let header = self.read_exactly(8);
        assert_eq!(header[..4], [0x01, 0x11, 0x00, 0x03]);
        match word(&header, 4) {
            0 => {}
            status => return Err(status),
        }
        let device = self.read_exactly(312);
        Ok(Imported {
            bus_id: name(&device[256..288]),
            device_id: word(&device, 288) << 16 | word(&device, 292),
            speed: word(&device, 296),
            interfaces: device[311],
        })
    }

    /// Notes a transfer under a fresh number; its bytes are not sent yet.
    pub(crate) fn prepare(&mut self, urb: &Urb) -> (u32, Vec<u8>) {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        self.vhci.submitted(sequence, urb.submitted());
        (sequence, urb.bytes(sequence))
    }

    pub(crate) fn prepare_unlink(&mut self, target: u32) -> (u32, Vec<u8>) {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        self.vhci.unlinked(sequence, target);
        (sequence, unlink(sequence, target))
    }

    pub(crate) fn submit(&mut self, urb: &Urb) -> u32 {
        let (sequence, bytes) = self.prepare(urb);
        self.send(&bytes);
        sequence
    }

    pub(crate) fn unlink(&mut self, target: u32) -> u32 {
        let (sequence, bytes) = self.prepare_unlink(target);
        self.send(&bytes);
        sequence
    }

    /// The next reply.
    pub(crate) fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.vhci.receive(&mut self.input) {
                return answer;
            }
            let mut bytes = [0; 64 << 10];
            match self.socket.read(&mut bytes) {
                Ok(0) => panic!("the server has closed the connection"),
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// The next reply, which is this transfer's end.
    #[track_caller]
    pub(crate) fn end_of(&mut self, sequence: u32) -> Ended {
        match self.answer() {
            Answer::Ended(ended) if ended.sequence == sequence => ended,
            other => panic!("{other:?} in place of the end of {sequence}"),
        }
    }

    /// The end of this transfer, where others that are done may end before it.
    #[track_caller]
    pub(crate) fn end_among(&mut self, sequence: u32, others: &[u32]) -> Ended {
        loop {
            match self.answer() {
                Answer::Ended(ended) if ended.sequence == sequence => return ended,
                Answer::Ended(ended) if others.contains(&ended.sequence) => {
                    assert_eq!(ended.status, 0);
                }
                other => panic!("{other:?} in place of the end of {sequence}"),
            }
        }
    }

    /// The next reply, which answers this unlink; its status.
    #[track_caller]
    pub(crate) fn unlinked(&mut self, sequence: u32) -> i32 {
        match self.answer() {
            Answer::Unlinked {
                sequence: number,
                status,
            } if number == sequence => status,
            other => panic!("{other:?} in place of the answer to unlink {sequence}"),
        }
    }

    /// Submits a transfer and waits for its end, which no other reply comes before.
    #[track_caller]
    pub(crate) fn transfer(&mut self, urb: &Urb) -> Ended {
        let sequence = self.submit(urb);
        self.end_of(sequence)
    }

    /// A control transfer that is to succeed; its data.
    #[track_caller]
    pub(crate) fn control(&mut self, setup: [u8; 8], data: &[u8]) -> Vec<u8> {
        let ended = self.transfer(&Urb::control(setup, data));
        assert_eq!(ended.status, 0, "{setup:02x?}");
        ended.data
    }

    #[track_caller]
    pub(crate) fn set_configuration(&mut self, value: u8) {
        self.control([0x00, 9, value, 0, 0, 0, 0, 0], &[]);
    }

    #[track_caller]
    pub(crate) fn set_alternate(&mut self, value: u8) {
        self.control([0x01, 11, value, 0, 0, 0, 0, 0], &[]);
    }

    /// Nothing has come and nothing is on its way: a request that is sent now is answered next.
    #[track_caller]
    pub(crate) fn is_quiet(&mut self) {
        self.control([0x80, 0, 0, 0, 0, 0, 2, 0], &[]);
        assert!(self.input.is_empty());
    }

    /// Waits until the server has closed the connection, and tells how many bytes came before.
    #[track_caller]
    pub(crate) fn wait_for_close(&mut self) -> usize {
        let mut bytes = vec![0; 64 << 10];
        let mut count = 0;
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return count,
                Ok(more) => count += more,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return count,
                Err(error) => panic!("the server does not close the connection: {error}"),
            }
        }
    }

    pub(crate) fn die(mut self, death: Death) {
        match death {
            Death::Close => {}
            Death::Reset => self.socket.set_linger(Some(Duration::ZERO)).unwrap(),
            Death::HalfClose => {
                self.socket.shutdown(Shutdown::Write).unwrap();
                self.wait_for_close();
            }
        }
    }
}

/// An import's bytes; a name of 32 bytes leaves no room for the NUL.
pub(crate) fn import_request(bus_id: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0];
    bytes.extend_from_slice(bus_id);
    bytes.resize(40, 0);
    bytes
}

fn name(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8(field[..end].to_vec()).unwrap()
}
