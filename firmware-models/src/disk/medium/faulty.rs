//! A medium for the tests, which fails where it is told to.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{Medium, Sparse};

/// What is to fail, and what was done.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Bytes that can't be read.
    pub(crate) unreadable: Range<u64>,
    /// Bytes that can't be written, and why.
    pub(crate) unwritable: Option<(Range<u64>, io::ErrorKind)>,
    /// Whether what was written can't be made safe.
    pub(crate) unsafe_cache: bool,
    /// Whether room can't be given back.
    pub(crate) keeps_room: bool,
    /// How many bytes were written since the last flush.
    pub(crate) unflushed: u64,
    /// How many bytes were read.
    pub(crate) read: u64,
    /// The most bytes that were asked for at a time.
    pub(crate) most_read: usize,
}

/// A medium in memory that does what a script says.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Sparse,
    script: Arc<Mutex<Script>>,
}

impl Faulty {
    pub(crate) fn new(size: u64) -> (Self, Arc<Mutex<Script>>) {
        let script = Arc::<Mutex<Script>>::default();
        let medium = Self {
            inner: Sparse::new(size),
            script: Arc::clone(&script),
        };
        (medium, script)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium for Faulty {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    /// Reads up to where it fails, as a file does.
    fn read(&mut self, at: u64, most: usize) -> io::Result<Bytes> {
        let mut script = self.script();
        script.most_read = script.most_read.max(most);
        let bad = script.unreadable.clone();
        drop(script);
        if bad.contains(&at) {
            return Err(io::Error::other("unreadable"));
        }
        let most = if at < bad.start {
            most.min((bad.start - at) as usize)
        } else {
            most
        };
        let data = self.inner.read(at, most)?;
        self.script().read += data.len() as u64;
        Ok(data)
    }

    fn write(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        assert!(!data.is_empty(), "there is nothing to write");
        let mut script = self.script();
        if let Some((bad, why)) = &script.unwritable
            && at < bad.end
            && bad.start < at + data.len() as u64
        {
            return Err((*why).into());
        }
        script.unflushed += data.len() as u64;
        drop(script);
        self.inner.write(at, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut script = self.script();
        if script.unsafe_cache {
            return Err(io::Error::other("not safe"));
        }
        script.unflushed = 0;
        Ok(())
    }

    fn discards(&self) -> bool {
        !self.script().keeps_room
    }

    fn discard(&mut self, at: u64, length: u64) -> io::Result<()> {
        self.inner.discard(at, length)
    }
}
