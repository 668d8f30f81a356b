//! A host and a firmware that both do what a string of bytes tells them, and the promises of a device that hold meanwhile.
//!
//! The property tests and the fuzz target run the same engine: [`run`] panics where a promise is broken.

mod firmware;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{
        Completion, Direction, EndpointAddress, IsoPacket, Port, Setup, Speed, Status, Transfer,
        TransferId, TransferKind,
    },
};

use self::firmware::{Driven, INTERRUPT_PACKET, Shared};

/// Standard requests that change what the endpoints are: configurations, settings, halts.
const REQUESTS: [[u8; 8]; 20] = [
    [0x00, 9, 1, 0, 0, 0, 0, 0],
    [0x00, 9, 1, 0, 0, 0, 0, 0],
    [0x00, 9, 7, 0, 0, 0, 0, 0],
    [0x00, 9, 0, 0, 0, 0, 0, 0],
    [0x00, 9, 9, 0, 0, 0, 0, 0],
    [0x01, 11, 1, 0, 0, 0, 0, 0],
    [0x01, 11, 1, 0, 0, 0, 0, 0],
    [0x01, 11, 0, 0, 0, 0, 0, 0],
    [0x01, 11, 0, 0, 1, 0, 0, 0],
    [0x01, 11, 5, 0, 0, 0, 0, 0],
    [0x02, 3, 0, 0, 0x81, 0, 0, 0],
    [0x02, 3, 0, 0, 0x01, 0, 0, 0],
    [0x02, 3, 0, 0, 0x82, 0, 0, 0],
    [0x02, 1, 0, 0, 0x81, 0, 0, 0],
    [0x02, 1, 0, 0, 0x01, 0, 0, 0],
    [0x02, 1, 0, 0, 0x83, 0, 0, 0],
    [0x82, 0, 0, 0, 0x81, 0, 2, 0],
    [0x82, 12, 0, 0, 0x82, 0, 2, 0],
    [0x80, 6, 0, 2, 0, 0, 255, 0],
    [0x81, 10, 0, 0, 0, 0, 1, 0],
];

/// Endpoints that a host tries: those that the device has in some setting, some that it never has.
const ENDPOINTS: [u8; 10] = [0x81, 0x01, 0x81, 0x01, 0x82, 0x02, 0x83, 0x03, 0x8f, 0x04];

/// Does what `script` tells, and checks every promise on the way.
pub(crate) fn run(script: &[u8]) {
    let mut host = Host::new(script);
    while let Some(action) = host.shared.next() {
        host.act(action);
    }
    host.leave();
}

/// What a host remembers of a transfer until it ends.
struct Submitted {
    endpoint: EndpointAddress,
    /// The most that may move, in bytes.
    length: usize,
    reads: bool,
    /// What is written.
    data: Bytes,
    packets: Option<Vec<IsoPacket>>,
    /// How many service opportunities of interrupt endpoints had passed.
    opportunities: u32,
}

struct Host {
    shared: Shared,
    device: EmulatedDevice,
    origin: Instant,
    now: Instant,
    next: u64,
    outstanding: BTreeMap<TransferId, Submitted>,
    /// The outstanding transfers of each endpoint, in order.
    queues: BTreeMap<EndpointAddress, VecDeque<TransferId>>,
}

/// What the host has just done, and so which ends it may see out of order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Submitted(TransferId),
    Cancelled(TransferId),
    Other,
}

impl Host {
    fn new(script: &[u8]) -> Self {
        let shared = Shared::new(script);
        let speeds = [Speed::High, Speed::Full, Speed::Super, Speed::High];
        let speed = speeds[usize::from(shared.byte()) % speeds.len()];
        let now = Instant::now();
        let device = EmulatedDevice::new(Driven(shared.clone()), speed, now);
        let mut host = Self {
            shared,
            device: device.expect("the device is sound"),
            origin: now,
            now,
            next: 0,
            outstanding: BTreeMap::new(),
            queues: BTreeMap::new(),
        };
        host.request(REQUESTS[0]);
        host
    }

    fn act(&mut self, action: u8) {
        match action % 16 {
            0..=2 => self.read(),
            3..=5 => self.write(),
            6 | 7 => self.isochronous(),
            8 | 9 => {
                let choice = usize::from(self.shared.byte());
                self.request(REQUESTS[choice % REQUESTS.len()]);
            }
            10 => self.any_request(),
            11 => self.cancel(),
            12 | 13 => self.wait(),
            14 => self.shared.ring(),
            _ => match self.shared.byte() {
                0..32 => {
                    self.device.reset(self.now);
                    self.collect(Done::Other);
                    assert!(self.outstanding.is_empty(), "a reset ends every transfer");
                    self.request(REQUESTS[0]);
                }
                32..36 => {
                    self.device.unplug();
                    self.collect(Done::Other);
                }
                _ => self.wait(),
            },
        }
    }

    fn endpoint(&self) -> EndpointAddress {
        let choice = usize::from(self.shared.byte()) % ENDPOINTS.len();
        EndpointAddress::from_byte(ENDPOINTS[choice])
    }

    fn read(&mut self) {
        let endpoint = self.endpoint();
        let length = self.shared.length();
        let kind = TransferKind::In {
            length: u32::try_from(length).unwrap(),
        };
        self.submit(endpoint, kind, length, true, Bytes::new());
    }

    fn write(&mut self) {
        let endpoint = self.endpoint();
        let data = self.shared.data(self.shared.length());
        let kind = TransferKind::Out {
            data: data.clone().into(),
            zero_packet: self.shared.byte().is_multiple_of(2),
        };
        self.submit(endpoint, kind, data.len(), false, data);
    }

    /// Packets that follow each other in the buffer, with or without gaps; sometimes past its end.
    fn isochronous(&mut self) {
        let endpoint = self.endpoint();
        let (count, stride) = (self.shared.byte() % 12, self.shared.length() % 1500);
        let gap = usize::from(self.shared.byte() % 3);
        let packets: Vec<IsoPacket> = (0..usize::from(count))
            .map(|i| IsoPacket {
                offset: u32::try_from(i * (stride + gap)).unwrap(),
                length: u32::try_from(stride).unwrap(),
                // A host may have left anything here.
                actual_length: 77,
                status: Status::Missed,
            })
            .collect();
        let reads = endpoint.direction() == Direction::In;
        let length = usize::from(count) * (stride + gap);
        let held = length.saturating_sub(usize::from(self.shared.byte() == 0));
        let data = self.shared.data(if reads { 0 } else { held });
        let kind = TransferKind::Isochronous {
            data: data.clone(),
            packets,
        };
        self.submit(endpoint, kind, length, reads, data);
    }

    fn request(&mut self, setup: [u8; 8]) {
        let setup = Setup::from_bytes(setup);
        self.control(setup, 0, setup.length.into());
    }

    /// A request of any eight bytes, with a data stage that may be of another length than it says.
    fn any_request(&mut self) {
        let mut setup = Setup::from_bytes(std::array::from_fn(|_| self.shared.byte()));
        setup.length %= 600;
        let mut data = match setup.direction() {
            Direction::In => 0,
            Direction::Out => usize::from(setup.length),
        };
        let mut room = usize::from(setup.length);
        match self.shared.byte() {
            0..16 => data += 1,
            16..32 => room /= 2,
            _ => {}
        }
        self.control(setup, data, room);
    }

    fn control(&mut self, setup: Setup, data: usize, room: usize) {
        let data = self.shared.data(data);
        let reads = setup.direction() == Direction::In;
        let length = if reads { room } else { data.len() };
        let kind = TransferKind::Control {
            setup,
            data: data.clone(),
            room: u32::try_from(room).unwrap(),
        };
        self.submit(EndpointAddress::CONTROL, kind, length, reads, data);
    }

    fn submit(
        &mut self,
        endpoint: EndpointAddress,
        kind: TransferKind,
        length: usize,
        reads: bool,
        data: Bytes,
    ) {
        self.next += 1;
        let id = TransferId(self.next);
        let packets = match &kind {
            TransferKind::Isochronous { packets, .. } => Some(packets.clone()),
            _ => None,
        };
        let submitted = Submitted {
            endpoint,
            length,
            reads,
            data,
            packets,
            opportunities: self.opportunities(),
        };
        self.outstanding.insert(id, submitted);
        self.queues.entry(endpoint).or_default().push_back(id);
        self.device
            .submit(Transfer { id, endpoint, kind }, self.now.into());
        self.collect(Done::Submitted(id));
    }

    fn cancel(&mut self) {
        let count = self.outstanding.len();
        let choice = usize::from(self.shared.byte());
        let id = match self.outstanding.keys().nth(choice % (count + 1)) {
            Some(id) => *id,
            None => TransferId(self.next + 9),
        };
        self.device.cancel(id, self.now);
        self.collect(Done::Cancelled(id));
        assert!(
            !self.outstanding.contains_key(&id),
            "a transfer that is taken back ends at once"
        );
    }

    fn wait(&mut self) {
        self.now += match self.shared.byte() {
            0 => Duration::ZERO,
            short @ 1..200 => Duration::from_micros(u64::from(short) * 25),
            long => Duration::from_millis(u64::from(long)),
        };
        self.poll();
    }

    fn poll(&mut self) {
        self.device.poll(self.now);
        self.collect(Done::Other);
        let deadline = self.device.deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now),
            "after a poll nothing is due any more"
        );
    }

    fn collect(&mut self, done: Done) {
        let was_connected = self.shared.note_connected(self.device.is_connected());
        let mut ended = 0;
        while let Some(completion) = self.device.completion() {
            ended += 1;
            assert!(
                was_connected || completion.status == Status::Disconnected,
                "nothing but a disconnection comes from a device that is gone"
            );
            self.end(&completion, done);
        }
        if !self.device.is_connected() {
            assert!(self.outstanding.is_empty(), "{ended} ended, others did not");
            assert_eq!(self.device.deadline(), None, "a device that is gone waits");
        }
    }

    fn end(&mut self, completion: &Completion, done: Done) {
        let id = completion.id;
        let submitted = self.outstanding.remove(&id);
        let submitted = submitted.expect("a transfer ends once, and only if it was submitted");
        let queue = self.queues.entry(submitted.endpoint).or_default();
        let place = queue.iter().position(|queued| *queued == id).unwrap();
        queue.remove(place);
        match completion.status {
            Status::Cancelled => assert!(done == Done::Cancelled(id), "taken back unasked"),
            Status::NoEndpoint => assert!(done == Done::Submitted(id), "refused too late"),
            _ => assert_eq!(place, 0, "{completion:?} ended before its turn"),
        }
        let moved = completion.actual_length as usize;
        assert!(moved <= submitted.length, "{moved} bytes are too many");
        if submitted.reads {
            assert_eq!(completion.data.len(), moved);
            assert!(completion.data.pieces().iter().all(|it| !it.is_empty()));
        } else {
            assert!(
                completion.data.pieces().is_empty(),
                "data where the host writes"
            );
        }
        if submitted.endpoint.number() == 3 && completion.status != Status::NoEndpoint {
            let opportunities = self.opportunities() - submitted.opportunities;
            let most = opportunities as usize * INTERRUPT_PACKET;
            assert!(moved <= most, "{moved} bytes in {opportunities} intervals");
            let ran = completion.status == Status::Done;
            assert!(!ran || opportunities > 0, "ended before its interval began");
        }
        self.check_packets(completion, &submitted);
        if self.device.is_connected() && !submitted.endpoint.is_control() {
            self.check_data(completion, &submitted);
        }
    }

    /// How many service opportunities of the interrupt endpoints have passed: one each 4 frames or 8 microframes.
    fn opportunities(&self) -> u32 {
        let interval = match self.device.descriptors().speed() {
            Speed::Low | Speed::Full => Duration::from_millis(4),
            _ => Duration::from_millis(1),
        };
        let passed = (self.now - self.origin).as_nanos() / interval.as_nanos();
        u32::try_from(passed).unwrap()
    }

    fn check_packets(&self, completion: &Completion, submitted: &Submitted) {
        let Some(before) = &submitted.packets else {
            return assert!(completion.iso.is_none());
        };
        let Some(iso) = &completion.iso else {
            // The firmware has panicked with the packets in its hands.
            return assert_eq!(completion.status, Status::Disconnected);
        };
        assert_eq!(iso.packets.len(), before.len());
        let mut sum = 0;
        for (packet, before) in iso.packets.iter().zip(before) {
            assert_eq!(
                (packet.offset, packet.length),
                (before.offset, before.length)
            );
            assert!(packet.actual_length <= packet.length);
            sum += packet.actual_length;
        }
        assert_eq!(sum, completion.actual_length);
        let failed = iso.packets.iter().filter(|it| it.status != Status::Done);
        assert_eq!(iso.error_count as usize, failed.count());
    }

    /// Every byte that moved is the one that was sent, and none is lost or made up.
    fn check_data(&self, completion: &Completion, submitted: &Submitted) {
        let moved = completion.actual_length as usize;
        let passed = self.shared.passed(submitted.endpoint, moved);
        if submitted.reads {
            assert_eq!(completion.data.to_vec(), passed, "{completion:?}");
        } else if let Some(iso) = &completion.iso {
            let sent = iso.packets.iter().filter(|it| it.status == Status::Done);
            let sent = sent.flat_map(|it| {
                let start = it.offset as usize;
                &submitted.data[start..start + it.length as usize]
            });
            assert!(sent.eq(&passed), "{completion:?}");
        } else {
            assert_eq!(submitted.data[..moved], passed, "{completion:?}");
        }
    }

    /// After a reset nothing is left, however the sequence went.
    fn leave(mut self) {
        self.poll();
        self.device.reset(self.now);
        self.collect(Done::Other);
        assert!(self.outstanding.is_empty());
        self.now += Duration::from_secs(3600);
        self.device.poll(self.now);
        assert!(self.device.completion().is_none(), "an end out of nowhere");
    }
}
