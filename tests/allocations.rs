//! The data path allocates nothing once it runs.
#![allow(
    unsafe_code,
    reason = "an allocator that counts has to implement an unsafe trait; it hands every call on to the system's"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use bytes::Bytes;
use usbwright::{
    emulator::{
        Bus,
        server::{Limits, serve},
    },
    models::Spec,
    protocol::{
        Direction, EndpointAddress, Now, Outside, Port, Setup, Status, Transfer, TransferId,
        TransferKind,
        usbip::{
            operation::ExportedDevice,
            urb::{Command, HEADER_SIZE, Submit},
        },
    },
    remote::RemotePort,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each call is the system allocator's own, with the caller's arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// A Gadget Zero that is served on another thread: the client's socket, and what an import tells.
fn gadget_zero() -> (UnixStream, ExportedDevice) {
    let bus = Bus::new();
    let device = "gadget-zero".parse::<Spec>().unwrap().build(Instant::now());
    let bus_id = bus.plug(Box::new(device.unwrap()), None).unwrap();
    let lease = bus.lease(&bus_id, Instant::now()).unwrap();
    let description = lease.description().clone();
    let (socket, other_end) = UnixStream::pair().unwrap();
    let other_end = Arc::new(OwnedFd::from(other_end));
    thread::spawn(move || serve(&other_end, lease, Limits::default()));
    (socket, description)
}

/// A client of a Gadget Zero that is served on another thread. It allocates nothing itself once it is warm.
struct Client {
    socket: UnixStream,
    sequence: u32,
    commands: Vec<u8>,
    replies: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let (socket, _) = gadget_zero();
        let mut client = Self {
            socket,
            sequence: 0,
            commands: Vec::new(),
            replies: Vec::new(),
        };
        client.queue(Direction::Out, 0, 0, [0, 9, 3, 0, 0, 0, 0, 0]);
        client.run(HEADER_SIZE);
        client
    }

    fn queue(&mut self, direction: Direction, endpoint: u8, length: u32, setup: [u8; 8]) {
        self.sequence += 1;
        let submit = Submit {
            sequence: self.sequence,
            device_id: 0x10001,
            direction,
            endpoint,
            flags: 0,
            length,
            packets: 0,
            interval: 0,
            setup,
        };
        self.commands.extend(Command::Submit(submit).encode());
        if direction == Direction::Out {
            let end = self.commands.len() + length as usize;
            self.commands.resize(end, 0);
        }
    }

    /// Sends what is queued, and reads so many bytes of replies.
    fn run(&mut self, replies: usize) {
        self.socket.write_all(&self.commands).unwrap();
        self.commands.clear();
        self.replies.resize(replies, 0);
        self.socket.read_exact(&mut self.replies).unwrap();
    }

    /// Moves `depth` transfers at a time, `rounds` times.
    fn transfer(&mut self, direction: Direction, length: u32, depth: usize, rounds: usize) {
        let payload = match direction {
            Direction::In => length as usize,
            Direction::Out => 0,
        };
        for _ in 0..rounds {
            for _ in 0..depth {
                self.queue(direction, 1, length, [0; 8]);
            }
            self.run(depth * (HEADER_SIZE + payload));
        }
    }
}

/// The port of a Gadget Zero that is served on another thread.
struct Remote {
    port: RemotePort,
    outside: Arc<dyn Outside>,
    data: Bytes,
    next: u64,
}

impl Remote {
    fn new() -> Self {
        let (socket, device) = gadget_zero();
        let port = RemotePort::new(socket.into(), &device).unwrap();
        let outside = port.outside().unwrap();
        let mut remote = Self {
            port,
            outside,
            data: Bytes::from(vec![0; 1 << 20]),
            next: 0,
        };
        let set_configuration = TransferKind::Control {
            setup: Setup::from_bytes([0, 9, 3, 0, 0, 0, 0, 0]),
            data: Bytes::new(),
            room: 0,
        };
        remote.submit(EndpointAddress::CONTROL, set_configuration);
        remote.finish(0, 1);
        remote
    }

    fn submit(&mut self, endpoint: EndpointAddress, kind: TransferKind) {
        self.next += 1;
        let id = TransferId(self.next);
        let transfer = Transfer { id, endpoint, kind };
        self.port.submit(transfer, Now::SYSTEM);
    }

    fn finish(&mut self, length: u32, count: usize) {
        let now = Instant::now();
        let mut ended = 0;
        loop {
            self.port.poll(now);
            while let Some(completion) = self.port.completion() {
                assert_eq!(completion.status, Status::Done);
                assert_eq!(completion.actual_length, length);
                ended += 1;
            }
            if ended == count {
                return;
            }
            self.outside.wait(None);
        }
    }

    /// Moves `depth` transfers at a time, `rounds` times.
    fn transfer(&mut self, direction: Direction, length: u32, depth: usize, rounds: usize) {
        for _ in 0..rounds {
            for _ in 0..depth {
                let kind = match direction {
                    Direction::In => TransferKind::In { length },
                    Direction::Out => TransferKind::Out {
                        data: self.data.slice(..length as usize).into(),
                        zero_packet: false,
                    },
                };
                self.submit(EndpointAddress::new(1, direction), kind);
            }
            self.finish(length, depth);
        }
    }
}

/// What is given is to move so many transfers of a length at a time, so many times, without an allocation.
fn allocates_nothing(who: &str, mut transfer: impl FnMut(Direction, u32, usize, usize)) {
    for direction in [Direction::In, Direction::Out] {
        for (length, depth) in [(512, 1), (4096, 16), (65536, 4), (1 << 20, 1)] {
            // With more at a time than later, so that no queue has to grow any more.
            transfer(direction, length, depth * 4, 50);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            transfer(direction, length, depth, 200);
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(
                allocations, 0,
                "{who}: {direction}, {length} bytes, {depth} at a time"
            );
        }
    }
}

/// One test, as all threads of this process are counted.
#[test]
fn transfers_in_steady_state_allocate_nothing() {
    let mut client = Client::new();
    allocates_nothing("the server", |direction, length, depth, rounds| {
        client.transfer(direction, length, depth, rounds);
    });
    let mut remote = Remote::new();
    allocates_nothing("a remote port", |direction, length, depth, rounds| {
        remote.transfer(direction, length, depth, rounds);
    });
}
