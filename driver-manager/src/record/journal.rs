//! The journal: the last events, in memory, and all of them as lines of JSON where somebody wants that.

use std::{
    collections::VecDeque,
    fmt,
    io::Write,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Event;

/// An event of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Its number; each event has one more than the one before.
    pub number: u64,
    /// When it was, in milliseconds since 1970 began (UTC).
    pub time_ms: u64,
    /// The number by which its kind is known.
    pub id: u32,
    /// What has happened.
    pub event: Event,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.time_ms / 1000, self.time_ms % 1000);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{hour:02}:{minute:02}:{second:02}.{ms:03}Z {}",
            self.event
        )
    }
}

/// How many events are kept in memory.
const KEPT: usize = 4096;

/// What has happened. Clones are handles of the same journal.
#[derive(Clone, Default)]
pub struct Journal(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    added: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Arc<Entry>>,
    count: u64,
    lines: Option<Box<dyn Write + Send>>,
    is_closed: bool,
}

impl Journal {
    /// A journal that also writes each event to `lines`, as one line of JSON. Where that fails, it is told once and not tried again.
    pub fn with_lines(lines: impl Write + Send + 'static) -> Self {
        let journal = Self::default();
        journal.state().lines = Some(Box::new(lines));
        journal
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event, of the present time.
    pub fn add(&self, event: Event) {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut state = self.state();
        state.count += 1;
        let entry = Entry {
            number: state.count,
            time_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            id: event.kind.id(),
            event,
        };
        if let Some(lines) = &mut state.lines
            && let Err(error) = write_line(lines, &entry)
        {
            warn!("events are no longer written: {error}");
            state.lines = None;
        }
        if state.entries.len() == KEPT {
            state.entries.pop_front();
        }
        state.entries.push_back(Arc::new(entry));
        drop(state);
        self.0.added.notify_all();
    }

    /// The events after the one with this number that are kept; 0 for all.
    pub fn after(&self, number: u64) -> Vec<Arc<Entry>> {
        self.state().after(number)
    }

    /// The same, but where there is none it waits for one, for so long; until the journal is closed, which returns none.
    pub fn wait_after(&self, number: u64, timeout: Duration) -> Vec<Arc<Entry>> {
        let state = self.state();
        let none = |it: &mut State| it.count <= number && !it.is_closed;
        let waited = self.0.added.wait_timeout_while(state, timeout, none);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.after(number)
    }

    /// Nothing more is added: ends all waits.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.0.added.notify_all();
    }

    /// Whether nothing more is added.
    pub fn is_closed(&self) -> bool {
        self.state().is_closed
    }
}

impl State {
    fn after(&self, number: u64) -> Vec<Arc<Entry>> {
        let first = self.entries.front().map_or(0, |it| it.number);
        let skipped = usize::try_from((number + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skipped).cloned().collect()
    }
}

fn write_line(lines: &mut impl Write, entry: &Entry) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    lines.write_all(&line)?;
    lines.flush()
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EventKind;

    #[test]
    fn the_last_events_are_kept_and_each_is_told_once() {
        let journal = Journal::default();
        for _ in 0..KEPT + 10 {
            journal.add(Event::new(EventKind::HostReady));
        }
        let all = journal.after(0);
        assert_eq!(all.len(), KEPT);
        assert_eq!(all[0].number, 11);
        let last = all.last().unwrap().number;
        assert!(journal.after(last).is_empty());
        journal.add(Event::new(EventKind::HostEnded));
        let new = journal.wait_after(last, Duration::from_secs(10));
        assert_eq!((new.len(), new[0].event.kind), (1, EventKind::HostEnded));
    }

    #[test]
    fn a_closed_journal_keeps_nobody_waiting() {
        let journal = Journal::default();
        let closing = journal.clone();
        let waiting = std::thread::spawn(move || journal.wait_after(0, Duration::from_secs(600)));
        closing.close();
        assert!(waiting.join().unwrap().is_empty());
    }

    #[test]
    fn an_event_is_one_line_of_json_and_reads_back_as_it_was() {
        let event = Event::new(EventKind::DriversFailed)
            .host(3)
            .device("board\n1")
            .detail("driver fx2 failed");
        let entry = Entry {
            number: 1,
            time_ms: 3_723_004,
            id: event.kind.id(),
            event,
        };
        let mut line = Vec::new();
        write_line(&mut line, &entry).unwrap();
        assert_eq!(line.iter().filter(|it| **it == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Entry>(&line).unwrap(), entry);
        let told =
            "01:02:03.004Z 2011 board\n1: host 3 could not start the stack: driver fx2 failed";
        assert_eq!(entry.to_string(), told);
    }
}
