//! A connection's socket, and who reads it.
//!
//! What a connection means is its [`Core`]'s business, which knows no socket and no thread. A [`Link`] moves packets between the core and
//! the socket. One thread at a time *leads*: it reads the socket. A thread that blocks for an operation leads if nobody else does, so that
//! what it waits for is handed from the socket to it and to no other thread; those that block besides follow, and one of them leads
//! next. Where nobody blocks, a [`Watcher`] reads.

mod operation;
mod slots;
mod watcher;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::Waker,
    thread::ThreadId,
    time::{Duration, Instant},
};

use rustix::event::epoll::EventFlags;
use usbwright_target::{Clock, Timed};

pub(crate) use operation::public_future;
pub use operation::{Call, Operation, thread_waker};
pub use slots::Slots;
pub use watcher::{Watch, Watched, Watcher};

use crate::{
    Ended, Violation,
    socket::{Delivery, Parcel, Received, Socket},
};

/// How many packets a watcher reads of one connection before it looks after others.
const PACKETS_AT_A_TIME: usize = 16;

/// When what the system had no memory for is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// What a connection means, at one of its ends: a state machine without I/O.
pub trait Core: Send + 'static {
    /// What travels.
    type Packet: Parcel;

    /// Takes a packet in.
    ///
    /// # Errors
    /// What it breaks.
    fn receive(&mut self, packet: Self::Packet) -> Result<(), Violation>;

    /// What is to be sent next. It is the same each time, until [`sent`](Self::sent) or anything else changes that.
    fn outgoing(&mut self) -> Option<Self::Packet>;

    /// That has been sent.
    fn sent(&mut self);

    /// Sends what does not wait for its turn, by a way of the core's own. Where that can't be now, it is tried again.
    fn send_aside(&mut self) -> Delivery {
        Delivery::Sent
    }

    /// Ends what is due at `now`.
    fn expire(&mut self, now: Instant);

    /// When something is due next.
    fn deadline(&self) -> Option<Instant>;

    /// Ends everything: there is no other end any more.
    fn end(&mut self);

    /// Who is to be woken.
    fn woken(&mut self) -> &mut Vec<Waker>;
}

/// A connection's socket and its core.
pub struct Link<C: Core> {
    clock: Clock,
    /// The longest payload that is taken.
    limit: usize,
    watch: OnceLock<Watching>,
    state: Mutex<State<C>>,
    this: Weak<Self>,
}

/// The watch, and the watcher where it is the link's own.
struct Watching {
    watch: Watch,
    _own: Option<Watcher>,
}

/// What a link knows of its connection.
pub struct State<C> {
    /// What the connection means.
    pub core: C,
    socket: Option<Arc<Socket>>,
    /// What is read into; whoever has it leads.
    buffer: Option<Box<[u8]>>,
    /// Threads that wait for whoever leads.
    followers: VecDeque<(ThreadId, Waker)>,
    /// Why what is to be sent was not.
    blocked: Option<Delivery>,
    /// Nothing can be sent any more; something may still be there to be read.
    broken: bool,
    /// What the watcher looks for.
    armed: EventFlags,
    /// When the watcher ticks.
    timer: Option<Instant>,
    ended: Option<Ended>,
}

/// The right to read the socket.
pub(crate) struct Lead {
    socket: Arc<Socket>,
    buffer: Box<[u8]>,
}

impl<C: Core> Link<C> {
    /// A connection. `limit` is the longest payload that is taken.
    pub fn new(core: C, socket: Arc<Socket>, limit: usize, clock: Clock) -> Arc<Self> {
        let link = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            clock,
            limit,
            watch: OnceLock::new(),
            state: Mutex::new(State {
                core,
                socket: Some(socket),
                buffer: Some(vec![0; <C::Packet as Parcel>::ROOM].into()),
                followers: VecDeque::new(),
                blocked: None,
                broken: false,
                armed: EventFlags::empty(),
                timer: None,
                ended: None,
            }),
        });
        if let Clock::Manual(clock) = &link.clock {
            let timed: Weak<dyn Timed> = Arc::downgrade(&(Arc::clone(&link) as Arc<dyn Timed>));
            clock.register(timed);
        }
        link
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the state, sends what is to be sent, and wakes who is to be woken. Nobody is woken under the lock.
    pub fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut State<C>) -> R) -> R {
        let mut state = self.state();
        let result = change(&mut state);
        // Before anything is sent: what comes back is for whoever leads, and need not wake the watcher.
        self.arm(&mut state);
        if let Err(why) = state.flush() {
            self.end_state(&mut state, why);
        }
        self.arm(&mut state);
        let aside = Some(state.core.send_aside()).filter(|it| *it != Delivery::Sent);
        let woken = std::mem::take(state.core.woken());
        let blocked = state.blocked.or(aside.map(|_| Delivery::Later));
        let blocked = blocked.filter(|_| state.ended.is_none());
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        if let Some(delivery) = blocked {
            self.send_later(delivery);
        }
        result
    }

    /// Has the watcher see to it that what could not be sent is.
    fn send_later(self: &Arc<Self>, delivery: Delivery) {
        self.watch_alone();
        if delivery == Delivery::Later {
            self.tick_at(Instant::now() + RETRY);
        }
    }

    /// Has the watcher look for what nobody else does.
    fn arm(&self, state: &mut State<C>) {
        let (Some(watching), Some(socket)) = (self.watch.get(), &state.socket) else {
            return;
        };
        let mut interest = EventFlags::empty();
        interest.set(EventFlags::IN, state.buffer.is_some());
        interest.set(EventFlags::OUT, state.blocked == Some(Delivery::Full));
        if interest != state.armed {
            watching.watch.arm(socket, interest);
            state.armed = interest;
        }
    }

    /// Has `watcher` look after the link from now on.
    ///
    /// # Errors
    /// Where the system has no room for it.
    pub fn watch_by(self: &Arc<Self>, watcher: &Watcher) -> io::Result<()> {
        let watch = self.register(watcher)?;
        self.watched(watch, None);
        Ok(())
    }

    /// Whether a watcher looks after it.
    pub fn is_watched(&self) -> bool {
        self.watch.get().is_some()
    }

    /// Has a watcher of the link's own look after it, if it has none yet. A link that can have none ends.
    fn watch_alone(self: &Arc<Self>) {
        if self.watch.get().is_some() {
            return;
        }
        match Watcher::start().and_then(|own| Ok((self.register(&own)?, own))) {
            Ok((watch, own)) => self.watched(watch, Some(own)),
            Err(error) => self.end(Ended::Socket(error.kind())),
        }
    }

    fn register(self: &Arc<Self>, watcher: &Watcher) -> io::Result<Option<Watch>> {
        let socket = self.state().socket.clone();
        let watched: Weak<dyn Watched> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Watched>));
        socket.map(|it| watcher.add(watched, &*it)).transpose()
    }

    fn watched(self: &Arc<Self>, watch: Option<Watch>, own: Option<Watcher>) {
        if let Some(watch) = watch {
            let _ = self.watch.set(Watching { watch, _own: own });
            self.with(|_| ());
        }
    }

    /// Takes what a read of the socket has brought.
    fn take_in(&self, state: &mut State<C>, received: io::Result<Received<C::Packet>>) {
        let why = match received {
            Ok(Received::Nothing) => return,
            Ok(Received::Packet(packet)) => match state.core.receive(packet) {
                Ok(()) => return,
                Err(violation) => Ended::Violation(violation),
            },
            Ok(Received::Violation(violation)) => Ended::Violation(violation),
            Ok(Received::End) => Ended::ByPeer,
            Err(error) => Ended::Socket(error.kind()),
        };
        self.end_state(state, why);
    }

    /// Ends the connection, if it has not ended yet: whoever waits is told.
    pub fn end(self: &Arc<Self>, why: Ended) {
        self.with(|state| self.end_state(state, why));
    }

    fn end_state(&self, state: &mut State<C>, why: Ended) {
        let Some(socket) = state.socket.take() else {
            return;
        };
        if let Ended::Violation(violation) = &why {
            tracing::warn!(%violation, "a connection ends, as its peer breaks the protocol");
        }
        state.ended = Some(why);
        state.core.end();
        let followers = state.followers.drain(..).map(|(_, waker)| waker);
        state.core.woken().extend(followers);
        if let Some(watching) = self.watch.get() {
            watching.watch.forget(&*socket);
        }
        // Wakes who leads.
        socket.shut_down();
    }

    /// Why the connection ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.state().ended.clone()
    }

    /// Whether the peer is gone, though nobody may have seen that yet.
    pub(crate) fn is_hung_up(&self) -> bool {
        let socket = self.state().socket.clone();
        socket.is_none_or(|it| it.is_hung_up())
    }

    /// Takes in some of what has come, unless somebody else reads it now. It waits for nothing.
    pub fn look(self: &Arc<Self>) {
        self.with(|state| self.read_some(state));
    }

    fn read_some(&self, state: &mut State<C>) {
        let Some(Lead { socket, mut buffer }) = state.lead() else {
            return;
        };
        for _ in 0..PACKETS_AT_A_TIME {
            let received = socket.receive(&mut buffer, self.limit, false);
            let nothing = matches!(received, Ok(Received::Nothing));
            self.take_in(state, received);
            if nothing || state.socket.is_none() {
                break;
            }
        }
        state.buffer = Some(buffer);
    }

    fn is_manual(&self) -> bool {
        matches!(self.clock, Clock::Manual(_))
    }

    /// Has the watcher tick when something is due. A manual clock ticks by itself.
    pub fn schedule(&self, deadline: Instant) {
        if !self.is_manual() {
            self.tick_at(deadline);
        }
    }

    fn tick_at(&self, time: Instant) {
        let mut state = self.state();
        if state.timer.is_some_and(|it| it <= time) {
            return;
        }
        state.timer = Some(time);
        drop(state);
        if let Some(watching) = self.watch.get() {
            watching.watch.schedule(time);
        }
    }
}

/// Whether a peer has closed its end, if a send fails so.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

impl<C: Core> State<C> {
    /// Sends what there is to send, as far as there is room.
    fn flush(&mut self) -> Result<(), Ended> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        if self.blocked.is_some() || self.broken {
            return Ok(());
        }
        while let Some(packet) = self.core.outgoing() {
            match socket.send(&packet) {
                Ok(Delivery::Sent) => self.core.sent(),
                Ok(delivery) => {
                    self.blocked = Some(delivery);
                    break;
                }
                // The end comes once all is read that the peer has sent before.
                Err(error) if is_gone(&error) => {
                    self.broken = true;
                    break;
                }
                Err(error) => return Err(Ended::Socket(error.kind())),
            }
        }
        Ok(())
    }

    /// Leads, if nobody does.
    fn lead(&mut self) -> Option<Lead> {
        let socket = self.socket.clone()?;
        let buffer = self.buffer.take()?;
        Some(Lead { socket, buffer })
    }

    /// Leads for a thread that does not yet, if nobody does. With a manual clock the watcher alone reads.
    fn try_lead(&mut self, lead: &mut Option<Lead>, manual: bool) {
        if lead.is_none() && !manual {
            *lead = self.lead();
        }
    }

    /// Leads no more; somebody who follows does.
    fn leave(&mut self, lead: Option<Lead>) {
        self.followers
            .retain(|(thread, _)| *thread != std::thread::current().id());
        if let Some(lead) = lead {
            self.buffer = Some(lead.buffer);
        }
        if self.buffer.is_some()
            && let Some((_, next)) = self.followers.pop_front()
        {
            self.core.woken().push(next);
        }
    }

    /// Waits until whoever leads has something for this thread, or leads no more.
    fn follow(&mut self, waker: &Waker) {
        let thread = std::thread::current().id();
        if !self.followers.iter().any(|(it, _)| *it == thread) {
            self.followers.push_back((thread, waker.clone()));
        }
    }
}

impl<C: Core> Watched for Link<C> {
    fn ready(self: Arc<Self>) {
        self.with(|state| {
            state.armed = EventFlags::empty();
            state.blocked = None;
            self.read_some(state);
        });
    }

    fn tick(self: Arc<Self>) {
        let next = self.with(|state| {
            state.timer = None;
            state.blocked = None;
            state.core.expire(self.clock.now());
            state.core.deadline()
        });
        if let Some(next) = next {
            self.schedule(next);
        }
    }
}

impl<C: Core> Timed for Link<C> {
    fn deadline(&self) -> Option<Instant> {
        self.state().core.deadline()
    }

    fn tick(&self) {
        if let Some(link) = self.this.upgrade() {
            Watched::tick(link);
        }
    }
}
