//! Replies on their way to the reflector: those to requests that have come by one packet go by one as well, as far as no driver makes them wait.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use usbwright_ports::parts::{Delivery, Socket};
use zerocopy::IntoBytes as _;

use crate::wire::{Header, TOGETHER};

/// A reply that is as old as this waits for no other.
const AGE: Duration = Duration::from_micros(50);
/// A driver that does not return from a callback may hold up replies for so long, and at the most for twice that.
const GRACE: Duration = Duration::from_millis(1);
/// What is longer goes by itself, without a copy.
const LONG: usize = 4096;

/// What is to be sent.
pub(super) struct Replies {
    state: Mutex<State>,
    woken: Condvar,
    age: Duration,
}

#[derive(Default)]
struct State {
    /// Replies that wait, one behind the other.
    bytes: Vec<u8>,
    /// When the first of them came.
    since: Option<Instant>,
    /// Others may follow at once.
    holds: bool,
    /// How often what waited was sent.
    sent: u64,
    /// The guard looks after each grace.
    guarded: bool,
    ended: bool,
}

impl Replies {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            woken: Condvar::new(),
            age: AGE,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Several requests begin now.
    pub(super) fn hold(&self) {
        self.state().holds = true;
    }

    /// They have begun: replies to those that have ended go.
    pub(super) fn release(&self, socket: &Socket) {
        let mut state = self.state();
        state.holds = false;
        state.flush(socket);
    }

    /// Sends a reply, at once or in a while.
    pub(super) fn send(&self, socket: &Socket, header: &Header, payload: &[u8]) {
        let mut state = self.state();
        if !state.holds || payload.len() > LONG {
            state.flush(socket);
            return deliver(socket, header.as_bytes(), payload);
        }
        state.bytes.extend_from_slice(header.as_bytes());
        state.bytes.extend_from_slice(payload);
        let now = Instant::now();
        let since = *state.since.get_or_insert(now);
        if state.bytes.len() > TOGETHER || now - since >= self.age {
            state.flush(socket);
        } else if !state.guarded {
            state.guarded = true;
            self.woken.notify_one();
        }
    }

    /// Sends what a driver holds up that does not return from its callback, until the [end](Self::end).
    pub(super) fn guard(&self, socket: &Socket) {
        let mut state = self.state();
        while !state.ended {
            if !state.guarded {
                let woken = self.woken.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let before = state.sent;
            let woken = self.woken.wait_timeout(state, GRACE);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            match (state.sent == before, state.bytes.is_empty()) {
                (true, true) => state.guarded = false,
                (true, false) => state.flush(socket),
                (false, _) => {}
            }
        }
    }

    /// There is nobody to send to.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.woken.notify_one();
    }
}

impl State {
    /// Sends what waits.
    fn flush(&mut self, socket: &Socket) {
        if !self.bytes.is_empty() {
            deliver(socket, &self.bytes, &[]);
            self.bytes.clear();
            self.since = None;
            self.sent += 1;
        }
    }
}

/// Sends a packet, and waits where there is no room. If there is no reflector any more, its reader sees that.
fn deliver(socket: &Socket, header: &[u8], payload: &[u8]) {
    loop {
        match socket.send_parts(header, payload, None) {
            Ok(Delivery::Sent) | Err(_) => return,
            Ok(delivery) => wait_for_room(socket, delivery),
        }
    }
}

fn wait_for_room(socket: &Socket, delivery: Delivery) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let later = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    // Where the system has no memory, nobody tells when that is over.
    let (events, time) = match delivery {
        Delivery::Later => (PollFlags::empty(), Some(&later)),
        _ => (PollFlags::OUT, None),
    };
    let _ = poll(&mut [PollFd::new(socket, events)], time);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    };
    use usbwright_host_stack::status::NtStatus;

    use super::*;
    use crate::wire::{HEADER_SIZE, PACKET_SIZE};

    /// Replies that wait for others as long as there is no guard, a socket for them, and its other end.
    fn patient() -> (Replies, Socket, Socket) {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (ours, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        let limit = Some(Duration::from_secs(60));
        set_socket_timeout(&theirs, Timeout::Recv, limit).unwrap();
        let replies = Replies {
            age: Duration::MAX,
            ..Replies::new()
        };
        (replies, ours.into(), theirs.into())
    }

    fn reply(number: u64, length: usize) -> Header {
        Header::reply(number, NtStatus::SUCCESS, length as u64, length)
    }

    /// The length of the next packet, which has to come.
    fn next(socket: &Socket) -> usize {
        let mut buffer = vec![0; PACKET_SIZE];
        recv(socket, &mut buffer, RecvFlags::empty()).unwrap().0
    }

    #[test]
    fn replies_to_the_requests_of_a_packet_go_by_one_packet() {
        let (replies, ours, theirs) = patient();
        replies.hold();
        replies.send(&ours, &reply(1, 8), &[1; 8]);
        replies.send(&ours, &reply(2, 0), &[]);
        let nothing = recv(&theirs, &mut [0; 1], RecvFlags::DONTWAIT);
        assert!(nothing.is_err(), "the first one waits");
        replies.release(&ours);
        assert_eq!(next(&theirs), 2 * HEADER_SIZE + 8);
        replies.send(&ours, &reply(3, 0), &[]);
        assert_eq!(next(&theirs), HEADER_SIZE);
    }

    #[test]
    fn a_long_reply_goes_by_itself_behind_those_before_it() {
        let (replies, ours, theirs) = patient();
        replies.hold();
        replies.send(&ours, &reply(1, 8), &[1; 8]);
        replies.send(&ours, &reply(2, LONG + 1), &[2; LONG + 1]);
        assert_eq!(next(&theirs), HEADER_SIZE + 8);
        assert_eq!(next(&theirs), HEADER_SIZE + LONG + 1);
    }

    #[test]
    fn no_packet_is_longer_than_any_may_be() {
        let (replies, ours, theirs) = patient();
        replies.hold();
        let count = 5 * TOGETHER / LONG;
        (0..count).for_each(|_| replies.send(&ours, &reply(1, LONG), &[1; LONG]));
        replies.release(&ours);
        let mut left = count * (HEADER_SIZE + LONG);
        while left > 0 {
            let length = next(&theirs);
            assert!(length <= TOGETHER + HEADER_SIZE + LONG);
            left -= length;
        }
    }

    #[test]
    fn a_reply_that_is_old_waits_for_no_other() {
        let (mut replies, ours, theirs) = patient();
        replies.age = Duration::ZERO;
        replies.hold();
        replies.send(&ours, &reply(1, 0), &[]);
        assert_eq!(next(&theirs), HEADER_SIZE);
    }

    #[test]
    fn a_reply_goes_though_a_driver_does_not_return_from_the_next_requests_callback() {
        let (replies, ours, theirs) = patient();
        thread::scope(|scope| {
            scope.spawn(|| replies.guard(&ours));
            for number in 1..=3 {
                replies.hold();
                replies.send(&ours, &reply(number, 0), &[]);
                assert_eq!(next(&theirs), HEADER_SIZE);
            }
            replies.end();
        });
    }
}
