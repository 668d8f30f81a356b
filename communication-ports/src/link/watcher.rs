//! A thread that looks after sockets and times while nobody waits for them.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::Instant,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        EventfdFlags, Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
        eventfd,
    },
    io::Errno,
};

/// The bell's token; no other has it.
const BELL: u64 = 0;
/// How many events are taken at a time.
const EVENTS: usize = 64;

/// What a watcher looks after.
pub trait Watched: Send + Sync {
    /// Its descriptor is ready. It is not looked at again until it is [armed](Watch::arm) anew.
    fn ready(self: Arc<Self>);

    /// A time that it has set has come.
    fn tick(self: Arc<Self>);
}

/// The thread. It ends when this is dropped.
pub struct Watcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    epoll: OwnedFd,
    bell: OwnedFd,
    table: Mutex<Table>,
}

struct Table {
    last: u64,
    watched: HashMap<u64, Weak<dyn Watched>>,
    timers: BTreeSet<(Instant, u64)>,
    stopping: bool,
}

impl Watcher {
    /// Begins with nothing to look after.
    ///
    /// # Errors
    /// Where the system has no thread or descriptor for it.
    pub fn start() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), EventFlags::IN)?;
        let shared = Arc::new(Shared {
            epoll,
            bell,
            table: Mutex::new(Table {
                last: BELL,
                watched: HashMap::new(),
                timers: BTreeSet::new(),
                stopping: false,
            }),
        });
        let its = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("ports watcher".into())
            .spawn(move || its.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Looks after `watched` from now on, once its descriptor is armed.
    pub fn add(&self, watched: Weak<dyn Watched>, source: impl AsFd) -> io::Result<Watch> {
        let mut table = self.shared.table();
        table.last += 1;
        let token = table.last;
        table.watched.insert(token, watched);
        drop(table);
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            token,
        };
        epoll::add(
            &self.shared.epoll,
            source,
            EventData::new_u64(token),
            EventFlags::ONESHOT,
        )?;
        Ok(watch)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.table().stopping = true;
        self.shared.ring();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(EVENTS);
        while let Some(time) = self.next_wait() {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), time.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "waiting for the sockets of ports fails");
                    return;
                }
            }
            for event in &events {
                self.ready(event.data.u64());
            }
            self.tick();
        }
    }

    /// How long to wait; none where the thread ends.
    fn next_wait(&self) -> Option<Option<Timespec>> {
        let table = self.table();
        if table.stopping {
            return None;
        }
        let next = table.timers.first().map(|(time, _)| *time);
        let left = next.map(|it| it.saturating_duration_since(Instant::now()));
        Some(left.and_then(|it| Timespec::try_from(it).ok()))
    }

    fn ready(&self, token: u64) {
        if token == BELL {
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
            return;
        }
        let watched = self.table().watched.get(&token).and_then(Weak::upgrade);
        if let Some(watched) = watched {
            watched.ready();
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        while let Some(watched) = self.due(now) {
            if let Some(watched) = watched.upgrade() {
                watched.tick();
            }
        }
    }

    /// One whose time has come; its timer is gone.
    fn due(&self, now: Instant) -> Option<Weak<dyn Watched>> {
        let mut table = self.table();
        let (time, token) = table.timers.first().copied()?;
        if time > now {
            return None;
        }
        table.timers.pop_first();
        let watched = table.watched.get(&token).cloned();
        Some(watched.unwrap_or_else(|| Weak::<Nobody>::new()))
    }
}

/// What was watched once.
struct Nobody;

impl Watched for Nobody {
    fn ready(self: Arc<Self>) {}

    fn tick(self: Arc<Self>) {}
}

/// That something is looked after. It is no more once this is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    token: u64,
}

impl Watch {
    /// Has [`Watched::ready`] called, once, when `source` is ready so; for nothing, what was armed before is disarmed.
    pub fn arm(&self, source: impl AsFd, interest: EventFlags) {
        let data = EventData::new_u64(self.token);
        let interest = interest | EventFlags::ONESHOT;
        if let Err(error) = epoll::modify(&self.shared.epoll, source, data, interest) {
            tracing::error!(%error, "arming a port's socket fails");
        }
    }

    /// Never looks at `source` again.
    pub fn forget(&self, source: impl AsFd) {
        let _ = epoll::delete(&self.shared.epoll, source);
    }

    /// Has [`Watched::tick`] called at this time.
    pub fn schedule(&self, time: Instant) {
        let mut table = self.shared.table();
        table.timers.insert((time, self.token));
        let is_next = table.timers.first() == Some(&(time, self.token));
        drop(table);
        if is_next {
            self.shared.ring();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        table.watched.remove(&self.token);
        table.timers.retain(|(_, token)| *token != self.token);
    }
}
