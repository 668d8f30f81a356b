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

use usbwright::{
    emulator::{
        Bus,
        server::{Limits, serve},
    },
    models::Spec,
    protocol::{
        Direction,
        usbip::urb::{Command, HEADER_SIZE, Submit},
    },
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

/// A client of a Gadget Zero that is served on another thread. It allocates nothing itself once it is warm.
struct Client {
    socket: UnixStream,
    sequence: u32,
    commands: Vec<u8>,
    replies: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let bus = Bus::new();
        let device = "gadget-zero".parse::<Spec>().unwrap().build(Instant::now());
        let bus_id = bus.plug(Box::new(device.unwrap()), None).unwrap();
        let lease = bus.lease(&bus_id, Instant::now()).unwrap();
        let (socket, other_end) = UnixStream::pair().unwrap();
        let other_end = Arc::new(OwnedFd::from(other_end));
        thread::spawn(move || serve(&other_end, lease, Limits::default()));
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

#[test]
fn transfers_in_steady_state_allocate_nothing() {
    let mut client = Client::new();
    for direction in [Direction::In, Direction::Out] {
        for (length, depth) in [(512, 1), (4096, 16), (65536, 4), (1 << 20, 1)] {
            // With more at a time than later, so that no queue has to grow any more.
            client.transfer(direction, length, depth * 4, 50);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            client.transfer(direction, length, depth, 200);
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(
                allocations, 0,
                "{direction}, {length} bytes, {depth} at a time"
            );
        }
    }
}
