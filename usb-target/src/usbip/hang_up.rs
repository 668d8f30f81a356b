//! A thread that learns which servers hang up, one for all remote devices of the process.
//!
//! The system tells it of the end of a stream only, and not of what comes on it: so it costs nothing while transfers run.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    thread,
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    io::Errno,
};
use tracing::error;

/// How many ends are taken at a time.
const EVENTS: usize = 64;

/// The thread's side.
#[derive(Debug)]
struct Watcher {
    epoll: OwnedFd,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    wakers: HashMap<u64, Waker>,
}

/// A stream whose end is awaited; no more once this is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    watcher: Arc<Watcher>,
    token: u64,
}

impl Watched {
    /// Has `waker` woken when the stream's other end hangs up, once.
    pub(super) fn begin(stream: impl AsFd, waker: Waker) -> io::Result<Self> {
        let watcher = Watcher::of_the_process()?;
        let mut table = watcher.table();
        table.last += 1;
        let token = table.last;
        table.wakers.insert(token, waker);
        drop(table);
        let watched = Self { watcher, token };
        // The stream is taken off this list by the system, when it is closed.
        epoll::add(
            &watched.watcher.epoll,
            stream,
            EventData::new_u64(token),
            EventFlags::RDHUP | EventFlags::ONESHOT,
        )?;
        Ok(watched)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _waker = self.watcher.take(self.token);
    }
}

impl Watcher {
    /// The watcher of this process, whose thread begins when it is first needed.
    fn of_the_process() -> io::Result<Arc<Self>> {
        static WATCHER: Mutex<Option<Arc<Watcher>>> = Mutex::new(None);
        let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = &*watcher {
            return Ok(Arc::clone(watcher));
        }
        let begun = Arc::new(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            table: Mutex::default(),
        });
        let runs = Arc::clone(&begun);
        thread::Builder::new()
            .name("usb/ip watcher".to_owned())
            .spawn(move || runs.run())?;
        Ok(Arc::clone(watcher.insert(begun)))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, token: u64) -> Option<Waker> {
        self.table().wakers.remove(&token)
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    return error!("that USB/IP servers hang up is not noticed any more: {errno}");
                }
            }
            for event in &events {
                if let Some(waker) = self.take(event.data.u64()) {
                    waker.wake();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        sync::mpsc::{Receiver, Sender, channel},
        task::Wake,
        time::Duration,
    };

    use super::*;

    /// Tells that it was woken.
    struct Tells(Mutex<Sender<()>>);

    impl Wake for Tells {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().send(()).unwrap();
        }
    }

    fn watched(stream: impl AsFd) -> (Watched, Receiver<()>) {
        let (tells, told) = channel();
        let waker = Waker::from(Arc::new(Tells(Mutex::new(tells))));
        (Watched::begin(stream, waker).unwrap(), told)
    }

    fn is_told(told: &Receiver<()>) {
        told.recv_timeout(Duration::from_secs(30)).unwrap();
    }

    fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn whoever_watches_a_stream_is_told_of_its_end_and_not_of_what_comes_on_it() {
        let (mut near, mut far) = tcp();
        let (_watched, told) = watched(&near);
        let (other, ends) = UnixStream::pair().unwrap();
        let (_other, ended) = watched(&other);
        far.write_all(b"it comes").unwrap();
        // What comes would have been told by now.
        drop(ends);
        is_told(&ended);
        assert!(told.try_recv().is_err());
        drop(far);
        is_told(&told);
        let mut came = String::new();
        near.read_to_string(&mut came).unwrap();
        assert_eq!(came, "it comes");
    }

    #[test]
    fn a_stream_that_had_ended_before_is_told_of_as_well() {
        let (near, far) = tcp();
        drop(far);
        let (_watched, told) = watched(&near);
        is_told(&told);
    }

    #[test]
    fn who_does_not_watch_any_more_is_not_told() {
        let (near, far) = UnixStream::pair().unwrap();
        let (watch, told) = watched(&near);
        drop(watch);
        drop(far);
        // Its waker is gone, too.
        assert!(told.recv_timeout(Duration::from_secs(30)).is_err());
    }
}
