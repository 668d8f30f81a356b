//! What runs in the lab, on a Gadget Zero that a kernel has.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::Arc,
    task::Wake,
    thread::{self, Thread},
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright::protocol::{
    Completion, Direction, EndpointAddress, IsoPacket, Now, Payload, Port as _, Setup, Speed,
    Status, Transfer, TransferId, TransferKind, TransferType,
};
use usbwright_target::libusb::{self, Change, LibusbError, LibusbPort, Selector};

const ZERO: &str = "id=0525:a4a0";
const BULK_IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
const BULK_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
const ISO_IN: EndpointAddress = EndpointAddress::new(2, Direction::In);
const ISO_OUT: EndpointAddress = EndpointAddress::new(2, Direction::Out);
const INTERRUPT_IN: EndpointAddress = EndpointAddress::new(3, Direction::In);
/// How long anything may take; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host's side of a port, which waits for completions.
struct Host {
    port: LibusbPort,
    next: u64,
    ended: HashMap<TransferId, Completion>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Host {
    fn open() -> Self {
        Self::of(&ZERO.parse().unwrap())
    }

    fn of(selector: &Selector) -> Self {
        let mut port = LibusbPort::open(selector).unwrap_or_else(|error| panic!("{error}"));
        port.set_waker(Arc::new(Unpark(thread::current())).into());
        Self {
            port,
            next: 0,
            ended: HashMap::new(),
        }
    }

    fn submit(&mut self, endpoint: EndpointAddress, kind: TransferKind) -> TransferId {
        let id = TransferId(self.next);
        self.next += 1;
        self.port
            .submit(Transfer { id, endpoint, kind }, Now::SYSTEM);
        id
    }

    fn ended(&mut self, id: TransferId) -> Completion {
        let limit = Instant::now() + PATIENCE;
        loop {
            self.port.poll(Instant::now());
            while let Some(completion) = self.port.completion() {
                let again = self.ended.insert(completion.id, completion);
                assert!(again.is_none(), "{again:?} ended twice");
            }
            if let Some(completion) = self.ended.remove(&id) {
                return completion;
            }
            let left = limit.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{id:?} does not end: {:?}", self.port);
            thread::park_timeout(left);
        }
    }

    fn control(&mut self, bytes: [u8; 8]) -> Completion {
        let setup = Setup::from_bytes(bytes);
        let (data, room) = (Bytes::new(), u32::from(setup.length));
        let kind = TransferKind::Control { setup, data, room };
        let id = self.submit(EndpointAddress::CONTROL, kind);
        self.ended(id)
    }

    fn request(&mut self, bytes: [u8; 8]) -> Status {
        self.control(bytes).status
    }

    fn set_interface(&mut self, setting: u8) {
        let status = self.request([1, 11, setting, 0, 0, 0, 0, 0]);
        assert_eq!(status, Status::Done, "setting {setting}");
    }

    /// Moves 512 bytes of zeros, either way.
    fn attempt(&mut self, endpoint: EndpointAddress) -> Status {
        let kind = match endpoint.direction() {
            Direction::In => TransferKind::In { length: 512 },
            Direction::Out => out(&[&[0; 512]]),
        };
        let id = self.submit(endpoint, kind);
        self.ended(id).status
    }

    fn read(&mut self, endpoint: EndpointAddress, length: u32) -> Completion {
        let id = self.submit(endpoint, TransferKind::In { length });
        self.ended(id)
    }
}

fn out(pieces: &[&'static [u8]]) -> TransferKind {
    let mut data = Payload::new();
    for piece in pieces {
        data.push(Bytes::from_static(piece));
    }
    TransferKind::Out {
        data,
        zero_packet: false,
    }
}

fn packets(count: u32, length: u32) -> Vec<IsoPacket> {
    let packet = |place| IsoPacket {
        offset: place * length,
        length,
        ..IsoPacket::default()
    };
    (0..count).map(packet).collect()
}

/// The driver of the device's interface, as sysfs tells it.
fn driver(path: &str) -> Option<String> {
    let link = PathBuf::from(format!("/sys/bus/usb/devices/{path}:3.0/driver"));
    let target = fs::read_link(link).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

#[test]
#[ignore = "runs in the lab"]
fn a_device_is_found_and_described() {
    let devices = libusb::list().unwrap();
    let [device] = &devices[..] else {
        panic!("{devices:?}")
    };
    assert_eq!(device.product.as_deref(), Some("Gadget Zero"));
    let serial = device.serial.clone().unwrap();
    for text in [
        format!("path={}", device.path),
        format!("bus={},address={}", device.bus, device.address),
        format!("{ZERO},serial={serial}"),
    ] {
        let mut host = Host::of(&text.parse().unwrap());
        let summary = host.port.summary();
        assert_eq!(
            (summary.vendor_id, summary.product_id, summary.speed),
            (0x0525, 0xa4a0, Speed::High)
        );
        assert_eq!((summary.configuration, summary.configurations), (3, 2));
        assert_eq!(summary.interfaces.len(), 1);
        let descriptor = host.control([0x80, 6, 0, 1, 0, 0, 64, 0]);
        assert_eq!(
            (descriptor.status, descriptor.actual_length),
            (Status::Done, 18)
        );
        assert_eq!(descriptor.data.to_vec()[8..12], [0x25, 0x05, 0xa0, 0xa4]);
    }
    let missing = LibusbPort::open(&"id=1d6b:0104".parse().unwrap());
    let told = missing.unwrap_err().to_string();
    assert!(told.contains(&format!("{device}")), "{told}");
    let _taken = Host::open();
    let again = LibusbPort::open(&ZERO.parse().unwrap());
    assert!(matches!(again, Err(LibusbError::InUse { .. })), "{again:?}");
}

#[test]
#[ignore = "runs in the lab"]
fn many_bulk_transfers_are_in_flight_both_ways() {
    static ZEROS: [u8; 65536] = [0; 65536];
    let mut host = Host::open();
    let lengths = [1, 511, 512, 4096, 65536].iter().cycle().copied();
    let lengths: Vec<usize> = lengths.take(64).collect();
    for _ in 0..10 {
        let mut outstanding = Vec::new();
        for length in &lengths {
            let whole = &ZEROS[..*length];
            let (first, last) = whole.split_at(length / 2);
            let room = TransferKind::In {
                length: *length as u32,
            };
            outstanding.push((
                whole,
                host.submit(BULK_IN, room),
                host.submit(BULK_OUT, out(&[whole])),
                host.submit(BULK_OUT, out(&[first, last])),
            ));
        }
        for (whole, read, written, in_two_pieces) in outstanding {
            let read = host.ended(read);
            assert_eq!(
                (read.status, read.data.to_vec()),
                (Status::Done, whole.to_vec())
            );
            for id in [written, in_two_pieces] {
                let written = host.ended(id);
                assert_eq!(written.status, Status::Done);
                assert_eq!(written.actual_length as usize, whole.len());
                assert!(written.data.is_empty());
            }
        }
    }
}

#[test]
#[ignore = "runs in the lab"]
fn a_transfer_is_taken_back() {
    let mut host = Host::open();
    // A loopback that was sent nothing has nothing to send.
    assert_eq!(host.request([0, 9, 2, 0, 0, 0, 0, 0]), Status::Done);
    let waiting: Vec<_> = (0..8)
        .map(|_| host.submit(BULK_IN, TransferKind::In { length: 512 }))
        .collect();
    for id in waiting.iter().rev() {
        host.port.cancel(*id, Instant::now());
        assert_eq!(host.ended(*id).status, Status::Cancelled);
    }
    host.port.cancel(waiting[0], Instant::now());
    let read = host.submit(BULK_IN, TransferKind::In { length: 512 });
    let written = host.submit(BULK_OUT, out(&[b"looped"]));
    assert_eq!(host.ended(written).status, Status::Done);
    assert_eq!(host.ended(read).data.to_vec(), b"looped");
}

#[test]
#[ignore = "runs in the lab"]
fn a_halted_endpoint_stalls_until_it_is_cleared() {
    let mut host = Host::open();
    for endpoint in [BULK_IN, BULK_OUT] {
        let byte = endpoint.byte();
        assert_eq!(host.attempt(endpoint), Status::Done);
        assert_eq!(host.request([2, 3, 0, 0, byte, 0, 0, 0]), Status::Done);
        assert_eq!(host.attempt(endpoint), Status::Stalled);
        let status = host.control([0x82, 0, 0, 0, byte, 0, 2, 0]);
        assert_eq!(status.data.to_vec(), [1, 0]);
        assert_eq!(host.request([2, 1, 0, 0, byte, 0, 0, 0]), Status::Done);
        assert_eq!(host.attempt(endpoint), Status::Done);
    }
}

#[test]
#[ignore = "runs in the lab"]
fn alternate_settings_bring_interrupt_and_isochronous_endpoints() {
    let mut host = Host::open();
    assert_eq!(
        host.port.transfer_type(ISO_IN),
        Some(TransferType::Isochronous)
    );
    assert_eq!(host.read(INTERRUPT_IN, 64).status, Status::NoEndpoint);
    host.set_interface(2);
    let read = host.read(INTERRUPT_IN, 64);
    assert_eq!((read.status, read.actual_length), (Status::Done, 64));
    host.set_interface(1);
    for (endpoint, data) in [(ISO_IN, Bytes::new()), (ISO_OUT, vec![0; 8 * 1024].into())] {
        let packets = packets(8, 1024);
        let kind = TransferKind::Isochronous { data, packets };
        let ids: Vec<_> = (0..4)
            .map(|_| host.submit(endpoint, kind.clone()))
            .collect();
        for id in ids {
            let moved = host.ended(id);
            let outcome = moved.iso.unwrap();
            assert_eq!(
                (moved.status, outcome.error_count, moved.actual_length),
                (Status::Done, 0, 8192),
                "{endpoint}"
            );
            let inward = endpoint.direction() == Direction::In;
            assert_eq!(moved.data.len(), if inward { 8192 } else { 0 });
        }
    }
    host.set_interface(0);
    assert_eq!(host.read(ISO_IN, 64).status, Status::NoEndpoint);
    let refused = host.request([1, 11, 7, 0, 0, 0, 0, 0]);
    assert_eq!(refused, Status::Stalled);
    assert_eq!(host.read(BULK_IN, 512).status, Status::Done);
}

#[test]
#[ignore = "runs in the lab"]
fn configurations_change_under_the_port() {
    let mut host = Host::open();
    let setup = Setup::from_bytes([0, 9, 2, 0, 0, 0, 0, 0]);
    let kind = TransferKind::Control {
        setup,
        data: Bytes::new(),
        room: 0,
    };
    let set = host.submit(EndpointAddress::CONTROL, kind);
    // What is submitted behind it waits for it.
    let written = host.submit(BULK_OUT, out(&[b"after"]));
    let asked = host.control([0x80, 8, 0, 0, 0, 0, 1, 0]);
    assert_eq!(asked.data.to_vec(), [2]);
    assert_eq!(host.ended(set).status, Status::Done);
    assert_eq!(host.ended(written).status, Status::Done);
    assert_eq!(host.read(BULK_IN, 512).data.to_vec(), b"after");
    assert_eq!(host.port.summary().configuration, 2);
    assert_eq!(host.request([0, 9, 0, 0, 0, 0, 0, 0]), Status::Done);
    assert_eq!(host.read(BULK_IN, 512).status, Status::NoEndpoint);
    assert_eq!(host.request([0, 9, 9, 0, 0, 0, 0, 0]), Status::Stalled);
    drop(host);
    let host = Host::open();
    assert_eq!(host.port.summary().configuration, 3, "it is as it was");
}

#[test]
#[ignore = "runs in the lab"]
fn what_no_device_may_be_asked_is_refused() {
    let mut host = Host::open();
    assert_eq!(host.request([0, 5, 9, 0, 0, 0, 0, 0]), Status::Stalled);
    assert_eq!(host.read(BULK_OUT, 512).status, Status::NoEndpoint);
    let nowhere = EndpointAddress::new(9, Direction::In);
    assert_eq!(host.read(nowhere, 512).status, Status::NoEndpoint);
    assert_eq!(host.read(BULK_IN, u32::MAX).status, Status::NoMemory);
    let long = host.control([0x80, 6, 0, 2, 0, 0, 0xff, 0xff]);
    assert_eq!(long.status, Status::Done, "all of a descriptor");
    let long = host.request([0xc0, 0x5c, 0, 0, 0, 0, 0xff, 0xff]);
    assert_eq!(long, Status::Unsupported);
    let setup = Setup::from_bytes([0x80, 6, 0, 1, 0, 0, 18, 0]);
    let kind = TransferKind::Control {
        setup,
        data: Bytes::new(),
        room: 8,
    };
    let id = host.submit(EndpointAddress::CONTROL, kind);
    let short = host.ended(id);
    assert_eq!(
        (short.status, short.data.len()),
        (Status::Overflow, 8),
        "no more than there is room for"
    );
}

#[test]
#[ignore = "runs in the lab"]
fn a_reset_ends_what_is_outstanding() {
    let mut host = Host::open();
    assert_eq!(host.request([0, 9, 2, 0, 0, 0, 0, 0]), Status::Done);
    let waiting: Vec<_> = (0..8)
        .map(|_| host.submit(BULK_IN, TransferKind::In { length: 512 }))
        .collect();
    host.port.reset(Instant::now());
    for id in waiting {
        assert_eq!(host.ended(id).status, Status::Disconnected);
    }
    let written = host.submit(BULK_OUT, out(&[b"afterwards"]));
    assert_eq!(host.ended(written).status, Status::Done);
    assert_eq!(host.read(BULK_IN, 512).data.to_vec(), b"afterwards");
    assert!(host.port.is_connected());
}

#[test]
#[ignore = "runs in the lab"]
fn the_kernels_driver_is_there_again_afterwards() {
    let path = libusb::list().unwrap().remove(0).path;
    assert_eq!(driver(&path).as_deref(), Some("usbtest"));
    let mut host = Host::open();
    assert_eq!(driver(&path).as_deref(), Some("usbfs"));
    host.set_interface(1);
    for _ in 0..8 {
        host.submit(BULK_IN, TransferKind::In { length: 65536 });
    }
    drop(host);
    assert_eq!(driver(&path).as_deref(), Some("usbtest"));
}

#[test]
#[ignore = "runs in the lab"]
fn fifty_ports_leave_no_thread_and_no_file_behind() {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    let counts = || (count("/proc/self/task"), count("/proc/self/fd"));
    let before = counts();
    for _ in 0..50 {
        let mut host = Host::open();
        for _ in 0..8 {
            host.submit(BULK_IN, TransferKind::In { length: 65536 });
        }
        drop(host);
    }
    assert_eq!(counts(), before);
}

#[test]
#[ignore = "runs in the lab"]
fn a_vanishing_device_ends_its_transfers() {
    let mut host = Host::open();
    assert_eq!(host.request([0, 9, 2, 0, 0, 0, 0, 0]), Status::Done);
    let waiting: Vec<_> = (0..8)
        .map(|_| host.submit(BULK_IN, TransferKind::In { length: 512 }))
        .collect();
    println!("outstanding");
    for id in waiting {
        assert_eq!(host.ended(id).status, Status::Disconnected);
    }
    let limit = Instant::now() + PATIENCE;
    while host.port.is_connected() {
        assert!(Instant::now() < limit, "{:?}", host.port);
        thread::park_timeout(limit - Instant::now());
        host.port.poll(Instant::now());
    }
    assert_eq!(host.read(BULK_IN, 512).status, Status::Disconnected);
    host.port.reset(Instant::now());
}

#[test]
#[ignore = "runs in the lab"]
fn devices_come_and_go() {
    let mut changes = libusb::watch().unwrap();
    let stopper = changes.stopper();
    println!("watching");
    let Some(Change::Arrived(arrived)) = changes.next() else {
        panic!("no arrival")
    };
    assert_eq!((arrived.vendor_id, arrived.product_id), (0x0525, 0xa4a0));
    assert_eq!(arrived.product.as_deref(), Some("Gadget Zero"));
    println!("arrived");
    assert_eq!(changes.next(), Some(Change::Left(arrived)));
    let waiting = thread::spawn(move || changes.next());
    stopper.stop();
    assert_eq!(waiting.join().unwrap(), None);
}
