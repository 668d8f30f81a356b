//! A medium that looks at what is asked of it, and fails where it is told to.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use usbwright_models::disk::medium::{Medium, Sparse};

/// What is to fail, of what touches `bad`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) bad: Range<usize>,
    pub(super) reads: bool,
    pub(super) writes: Option<io::ErrorKind>,
    pub(super) flushes: bool,
}

impl Faults {
    pub(super) fn meets(&self, range: &Range<usize>) -> bool {
        range.start < self.bad.end && self.bad.start < range.end
    }
}

#[derive(Debug)]
struct State {
    inner: Sparse,
    faults: Faults,
    /// Whether anything was written or discarded since the last flush.
    dirty: bool,
}

/// What the medium and the host of a script share.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    /// A medium of so many bytes; it begins as zeros, or lies over another that does.
    pub(super) fn new(size: u64, over: bool) -> Self {
        let inner = match over {
            true => Sparse::over(Sparse::new(size)),
            false => Sparse::new(size),
        };
        Self(Arc::new(Mutex::new(State {
            inner,
            faults: Faults::default(),
            dirty: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    pub(super) fn fail(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.state().dirty
    }

    /// What it has, whatever is to fail.
    pub(super) fn content(&self, range: Range<usize>) -> Vec<u8> {
        let mut state = self.state();
        let mut data = Vec::with_capacity(range.len());
        while data.len() < range.len() {
            let at = (range.start + data.len()) as u64;
            let part = state.inner.read(at, range.len() - data.len()).unwrap();
            data.extend_from_slice(&part);
        }
        data
    }

    /// The medium itself.
    pub(super) fn medium(&self, read_only: bool, thin: bool) -> Box<dyn Medium> {
        Box::new(Watched {
            shared: self.clone(),
            read_only,
            thin,
        })
    }
}

#[derive(Debug)]
struct Watched {
    shared: Shared,
    read_only: bool,
    thin: bool,
}

impl State {
    /// The bytes that are asked for, which have to be some of the medium's.
    fn range(&self, at: u64, length: u64) -> Range<usize> {
        let end = at.checked_add(length).expect("a range has an end");
        assert!(length > 0, "nothing is asked for");
        assert!(
            end <= self.inner.size(),
            "{at} + {length} is beyond the end"
        );
        at as usize..end as usize
    }

    fn check_write(&self, range: &Range<usize>) -> io::Result<()> {
        match self.faults.writes {
            Some(kind) if self.faults.meets(range) => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl Medium for Watched {
    fn size(&self) -> u64 {
        self.shared.state().inner.size()
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Reads up to where it fails, as a file does.
    fn read(&mut self, at: u64, most: usize) -> io::Result<Bytes> {
        let mut state = self.shared.state();
        let mut range = state.range(at, most as u64);
        assert!(most <= 256 << 10, "{most} bytes at a time are too many");
        if state.faults.reads && state.faults.meets(&range) {
            if range.start >= state.faults.bad.start {
                return Err(io::Error::other("unreadable"));
            }
            range.end = state.faults.bad.start;
        }
        state.inner.read(at, range.len())
    }

    fn write(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        assert!(!self.read_only, "it may not be written to");
        let mut state = self.shared.state();
        let range = state.range(at, data.len() as u64);
        state.check_write(&range)?;
        state.dirty = true;
        state.inner.write(at, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.faults.flushes {
            return Err(io::Error::other("not safe"));
        }
        state.dirty = false;
        Ok(())
    }

    fn discards(&self) -> bool {
        self.thin && !self.read_only
    }

    fn discard(&mut self, at: u64, length: u64) -> io::Result<()> {
        assert!(self.discards(), "it gives no room back");
        let mut state = self.shared.state();
        let range = state.range(at, length);
        state.check_write(&range)?;
        state.dirty = true;
        state.inner.discard(at, length)
    }
}
