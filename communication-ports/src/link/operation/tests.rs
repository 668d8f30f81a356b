//! Who leads, step by step.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;
use crate::{Violation, socket::Socket, wire::Packet};

/// A connection on which so many of its calls have ended.
#[derive(Default)]
struct Ends {
    left: usize,
    woken: Vec<Waker>,
}

impl Core for Ends {
    type Packet = Packet;

    fn receive(&mut self, _: Packet) -> Result<(), Violation> {
        self.left += 1;
        Ok(())
    }

    fn outgoing(&mut self) -> Option<Packet> {
        None
    }

    fn sent(&mut self) {}

    fn expire(&mut self, _: Instant) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn end(&mut self) {}

    fn woken(&mut self) -> &mut Vec<Waker> {
        &mut self.woken
    }
}

/// Takes one of the ends.
struct Takes;

impl Call for Takes {
    type Core = Ends;
    type Raw = ();
    type Output = ();

    fn begin(&mut self, _: &mut Ends, _: &Clock) {}

    fn take(&mut self, core: &mut Ends) -> Option<()> {
        core.left = core.left.checked_sub(1)?;
        Some(())
    }

    fn settle(&mut self, (): ()) {}

    fn watch(&self, _: &mut Ends, _: &Waker) {}

    fn abandon(&mut self, _: &mut Ends) {}
}

fn link() -> (Arc<Link<Ends>>, OwnedFd) {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let socket = Arc::new(Socket::from(ours));
    (Link::new(Ends::default(), socket, 0, Clock::System), theirs)
}

#[test]
fn who_finds_nothing_leads_if_the_leader_has_left_since_it_began() {
    let (link, _peer) = link();
    let (mut first, mut second) = (Operation::new(&link, Takes), Operation::new(&link, Takes));
    let (mut leads, mut follows) = (None, None);
    first.begin(Some(&mut leads));
    second.begin(Some(&mut follows));
    assert!(leads.is_some() && follows.is_none());

    link.with(|state| state.core.left = 1);
    first.look(&mut leads, &mut None).expect("its end");
    assert!(second.look(&mut follows, &mut None).is_none());
    assert!(follows.is_some(), "nobody reads the socket");
}
