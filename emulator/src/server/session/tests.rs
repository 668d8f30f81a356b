//! What becomes of an unlink, with a fake clock: before, during and after its transfer.

use std::{io::IoSlice, time::Duration};

use usbwright_protocol::{Direction, usbip::urb::ISO_PACKET_SIZE};

use super::*;
use crate::{
    EmulatedDevice,
    testing::{Supply, waiting_device},
};

/// A client whose commands arrive at once, and its clock.
struct Bench {
    session: Session,
    device: EmulatedDevice,
    supply: Supply,
    now: Instant,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let (device, supply) = waiting_device(now);
        let mut bench = Self {
            session: Session::new(limits),
            device,
            supply,
            now,
        };
        bench.submit(Self::control(1, [0, 9, 1, 0, 0, 0, 0, 0]));
        bench.submit(Self::control(2, [1, 11, 1, 0, 0, 0, 0, 0]));
        assert_eq!(bench.replies().len(), 2);
        bench
    }

    fn control(sequence: u32, setup: [u8; 8]) -> Submit {
        Submit {
            setup,
            endpoint: 0,
            direction: Direction::Out,
            length: 0,
            ..Self::read(sequence)
        }
    }

    /// A read of 1024 bytes from endpoint 0x81.
    fn read(sequence: u32) -> Submit {
        Submit {
            sequence,
            device_id: 0x10001,
            direction: Direction::In,
            endpoint: 1,
            flags: 0,
            length: 1024,
            packets: 0,
            interval: 0,
            setup: [0; 8],
        }
    }

    /// A write of `length` bytes to endpoint 0x01, which waits for ever.
    fn write(&mut self, sequence: u32, length: u32) {
        let submit = Submit {
            direction: Direction::Out,
            length,
            ..Self::read(sequence)
        };
        self.send(Command::Submit(submit), &vec![0; length as usize]);
    }

    fn submit(&mut self, submit: Submit) {
        self.send(Command::Submit(submit), &[]);
    }

    fn unlink(&mut self, sequence: u32, target: u32) {
        self.send(Command::Unlink { sequence, target }, &[]);
    }

    fn send(&mut self, command: Command, body: &[u8]) {
        self.try_send(command, body).unwrap();
    }

    fn try_send(&mut self, command: Command, body: &[u8]) -> Result<Need, SessionError> {
        let mut input = BytesMut::from(&command.encode()[..]);
        input.extend_from_slice(body);
        let need = self
            .session
            .run(&mut input, &mut self.device, self.now.into())?;
        assert!(input.is_empty(), "a whole command is run");
        Ok(need)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.poll(&mut self.device, self.now);
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.session.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = self.session.out.gather(&mut slices);
            let before = bytes.len();
            slices[..count]
                .iter()
                .for_each(|it| bytes.extend_from_slice(it));
            let taken = bytes.len() - before;
            self.session.out.advance(taken);
        }
        bytes
    }

    /// The replies that have no payload.
    fn replies(&mut self) -> Vec<Reply> {
        let bytes = self.bytes();
        let (headers, rest) = bytes.as_chunks();
        assert!(rest.is_empty());
        headers
            .iter()
            .map(|it| Reply::decode(it).unwrap())
            .collect()
    }

    fn statuses(&mut self) -> Vec<(u32, i32)> {
        let replies = self.replies();
        let status = |reply: &Reply| match *reply {
            Reply::Submit(reply) => (reply.sequence, reply.status),
            Reply::Unlink { sequence, status } => (sequence, status),
        };
        replies.iter().map(status).collect()
    }

    #[track_caller]
    fn unlinked(&mut self, sequence: u32, status: i32) {
        assert_eq!(self.replies(), [Reply::Unlink { sequence, status }]);
    }
}

#[test]
fn a_waiting_transfer_that_is_taken_back_is_answered_by_the_unlink_alone() {
    let mut bench = Bench::new(Limits::default());
    bench.submit(Bench::read(3));
    bench.unlink(4, 3);
    bench.unlinked(4, -ECONNRESET);
    assert_eq!(bench.session.pending(), (0, 0));
}

#[test]
fn an_unlink_of_a_transfer_that_has_ended_finds_nothing_to_take_back() {
    let mut bench = Bench::new(Limits::default());
    bench.unlink(4, 2);
    bench.unlinked(4, 0);
}

#[test]
fn a_second_unlink_of_one_transfer_finds_nothing_to_take_back() {
    let mut bench = Bench::new(Limits::default());
    bench.submit(Bench::read(3));
    bench.unlink(4, 3);
    bench.unlink(5, 3);
    assert_eq!(bench.statuses(), [(4, -ECONNRESET), (5, 0)]);
}

#[test]
fn what_had_moved_before_an_unlink_is_not_lost() {
    let mut bench = Bench::new(Limits::default());
    bench.supply.lock().unwrap().push_back(vec![7; 512].into());
    bench.submit(Bench::read(3));
    bench.unlink(4, 3);
    let bytes = bench.bytes();
    let (header, rest) = bytes.split_first_chunk().unwrap();
    let Ok(Reply::Submit(reply)) = Reply::decode(header) else {
        panic!("the transfer's end comes before the unlink's answer");
    };
    assert_eq!((reply.sequence, reply.actual_length), (3, 512));
    assert_eq!(rest[..512], [7; 512]);
    let unlink = Reply::decode(rest[512..].first_chunk().unwrap());
    assert_eq!(
        unlink,
        Ok(Reply::Unlink {
            sequence: 4,
            status: 0
        })
    );
}

#[test]
fn an_unlink_that_overtakes_its_submit_is_answered_once_and_the_transfer_does_not_run() {
    let mut bench = Bench::new(Limits::default());
    bench.unlink(4, 3);
    assert_eq!(bench.replies(), []);
    bench.write(3, 100);
    bench.unlinked(4, -ECONNRESET);
    bench.pass(early::WAIT * 2);
    assert_eq!(bench.replies(), []);
    assert_eq!(bench.session.deadline(&bench.device), None);
}

#[test]
fn an_unlink_whose_submit_never_comes_is_answered_when_its_time_is_over_and_not_before() {
    let mut bench = Bench::new(Limits::default());
    bench.unlink(4, 3);
    let due = bench.now + early::WAIT;
    assert_eq!(bench.session.deadline(&bench.device), Some(due));
    bench.pass(early::WAIT - Duration::from_nanos(1));
    assert_eq!(bench.replies(), []);
    bench.pass(Duration::from_nanos(1));
    bench.unlinked(4, 0);
    assert_eq!(bench.session.deadline(&bench.device), None);
}

#[test]
fn a_second_early_unlink_of_one_number_is_answered_and_the_first_still_waits() {
    let mut bench = Bench::new(Limits::default());
    bench.unlink(4, 3);
    bench.unlink(5, 3);
    bench.unlinked(5, 0);
    bench.submit(Bench::read(3));
    bench.unlinked(4, -ECONNRESET);
}

#[test]
fn numbers_that_wrap_are_still_ahead_or_behind() {
    let mut bench = Bench::new(Limits::default());
    for sequence in [0x7fff_ffff, 0xffff_fffe] {
        bench.submit(Bench::read(sequence));
    }
    // Number 1 comes after 0xfffffffe, and 0x80000000 long before it.
    bench.unlink(100, 1);
    assert_eq!(bench.replies(), []);
    bench.unlink(101, 0x8000_0000);
    bench.unlinked(101, 0);
    bench.submit(Bench::read(1));
    bench.unlinked(100, -ECONNRESET);
    bench.unlink(102, 0xffff_fffe);
    bench.unlinked(102, -ECONNRESET);
}

#[test]
fn early_unlinks_beyond_the_limit_are_answered_at_once() {
    let mut bench = Bench::new(Limits::default());
    let most = u32::try_from(early::MOST).unwrap();
    for target in 0..most {
        bench.unlink(10_000 + target, 100 + target);
    }
    assert_eq!(bench.replies(), []);
    bench.unlink(9000, 5000);
    bench.unlinked(9000, 0);
    bench.pass(early::WAIT);
    assert_eq!(bench.replies().len(), early::MOST);
}

#[test]
fn transfers_beyond_the_limits_are_refused_and_those_before_them_kept() {
    let mut bench = Bench::new(Limits {
        pending_transfers: 3,
        pending_bytes: 1000,
        ..Limits::default()
    });
    bench.write(3, 900);
    bench.write(4, 101);
    assert_eq!(bench.statuses(), [(4, -ENOMEM)]);
    bench.write(5, 100);
    bench.submit(Bench::read(6));
    bench.submit(Bench::read(7));
    assert_eq!(bench.statuses(), [(7, -ENOMEM)]);
    assert_eq!(bench.session.pending(), (3, 1000));
    bench.unlink(8, 3);
    bench.unlinked(8, -ECONNRESET);
    bench.submit(Bench::read(9));
    assert_eq!(bench.session.pending(), (3, 100));
}

#[test]
fn isochronous_packets_and_what_they_will_bring_count_as_bytes_held() {
    let mut bench = Bench::new(Limits {
        pending_bytes: 2 * 1024 + 100 * ISO_PACKET_SIZE,
        ..Limits::default()
    });
    for sequence in [3, 4] {
        let submit = Submit {
            endpoint: 2,
            packets: 60,
            ..Bench::read(sequence)
        };
        bench.send(Command::Submit(submit), &[0; 60 * ISO_PACKET_SIZE]);
    }
    assert_eq!(bench.statuses(), [(4, -ENOMEM)]);
    let held = 1024 + 60 * ISO_PACKET_SIZE;
    assert_eq!(bench.session.pending(), (1, held));
    bench.unlink(5, 3);
    bench.unlinked(5, -ECONNRESET);
    assert_eq!(bench.session.pending(), (0, 0));
}

#[test]
fn what_interrupt_transfers_will_bring_counts_as_bytes_held() {
    let mut bench = Bench::new(Limits {
        pending_bytes: 2 * 1024,
        ..Limits::default()
    });
    for sequence in 3..=5 {
        let submit = Submit {
            endpoint: 3,
            ..Bench::read(sequence)
        };
        bench.submit(submit);
    }
    assert_eq!(bench.statuses(), [(5, -ENOMEM)]);
    assert_eq!(bench.session.pending(), (2, 2 * 1024));
}

#[test]
fn a_number_that_is_under_way_is_not_taken_twice() {
    let mut bench = Bench::new(Limits::default());
    bench.submit(Bench::read(3));
    let again = bench.try_send(Command::Submit(Bench::read(3)), &[]);
    assert_eq!(again, Err(SessionError::Duplicate(3)));
}

#[test]
fn a_port_reset_ends_what_waits_before_it_is_answered() {
    let mut bench = Bench::new(Limits::default());
    bench.submit(Bench::read(3));
    bench.submit(Bench::control(4, [0x23, 3, 4, 0, 1, 0, 0, 0]));
    let disconnected = Status::Disconnected.to_wire();
    assert_eq!(bench.statuses(), [(3, disconnected), (4, 0)]);
    bench.submit(Bench::read(5));
    assert_eq!(bench.statuses(), [(5, Status::NoEndpoint.to_wire())]);
}
