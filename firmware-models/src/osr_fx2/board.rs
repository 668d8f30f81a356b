//! The board as its user has it in front of them, while a host uses the device: a handle for any thread.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use super::{
    NoSuchSwitch, Switches,
    display::{BarGraph, SevenSegments},
    panel::{Panel, State},
};

/// A board's switches and displays, from [`OsrFx2::board`](super::OsrFx2::board). Clones are the same board.
///
/// Any thread may use it, at any time, also when the device is gone; nothing here blocks.
#[derive(Clone, Debug)]
pub struct Board(Arc<Handle>);

impl Board {
    /// What the board shows, and how its switches are.
    pub fn state(&self) -> State {
        self.shared().state()
    }

    /// The positions of the switches.
    pub fn switches(&self) -> Switches {
        self.state().switches
    }

    /// Sets all switches. A host that waits for the switches is told at once. While a byte waits that the host has not read,
    /// the board does not look at them.
    pub fn set_switches(&self, switches: Switches) {
        self.act(|panel| (panel.reports.set(switches), ()));
    }

    /// Sets the switch at which `printed` is printed, 1 to 8, as [`set_switches`](Self::set_switches) does.
    ///
    /// # Errors
    /// Where there is no such switch.
    pub fn set_switch(&self, printed: u8, on: bool) -> Result<(), NoSuchSwitch> {
        self.act(|panel| match panel.reports.switches().with(printed, on) {
            Ok(switches) => (panel.reports.set(switches), Ok(())),
            Err(error) => (false, Err(error)),
        })
    }

    /// The LEDs of the bar graph.
    pub fn bar_graph(&self) -> BarGraph {
        self.state().bar_graph
    }

    /// The seven segments.
    pub fn segments(&self) -> SevenSegments {
        self.state().segments
    }

    /// Packets that the loopback has sent back since the board was last reset.
    pub fn packets(&self) -> u64 {
        self.state().packets
    }

    /// Tells the board that its bus was suspended: the segments show S, and the switches are not looked at. What drives a device
    /// carries no suspend ([`Port`](usbwright_emulator::protocol::Port), USB/IP), so whoever plays the bus says so here. A board
    /// that no host has reset or configured yet does not mind.
    pub fn suspend(&self) {
        self.shared().change(Panel::suspend);
    }

    /// Tells the board that its bus was resumed: the segments show A, and the host is told the switches. It does nothing where
    /// the bus is not suspended.
    pub fn resume(&self) {
        self.act(|panel| (panel.resume(), ()));
    }

    /// A way to wait for changes, those after this call.
    pub fn changes(&self) -> Changes {
        let mut inside = self.shared().lock();
        inside.watchers += 1;
        Changes {
            board: self.clone(),
            id: inside.watchers,
            seen: inside.revision,
        }
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// Does something at the panel, which tells whether the device has a byte to send by it, and wakes the device then.
    fn act<T>(&self, action: impl FnOnce(&mut Panel) -> (bool, T)) -> T {
        let (byte, answer) = self.shared().change(action);
        if byte {
            let device = self.shared().lock().device.clone();
            if let Some(device) = device {
                device.wake();
            }
        }
        answer
    }
}

/// Waits for a board's changes: of its switches, its displays, its packets. Several that come before one looks count as one.
///
/// It needs no runtime: [`poll_next`](Self::poll_next) keeps a waker, [`next`](Self::next) is a future for any executor.
#[derive(Debug)]
pub struct Changes {
    board: Board,
    id: u64,
    /// The revision that was told last.
    seen: u64,
}

impl Changes {
    /// The board's state once it differs from what was told last; `None` once the device is gone. It may be dropped and
    /// called again without missing anything.
    pub async fn next(&mut self) -> Option<State> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next); the waker is woken at the next change.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<State>> {
        let mut inside = self.board.shared().lock();
        if inside.revision != self.seen {
            self.seen = inside.revision;
            return Poll::Ready(Some(inside.panel.state()));
        }
        if inside.gone {
            return Poll::Ready(None);
        }
        let before = inside.waiting.insert(self.id, cx.waker().clone());
        drop(inside);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let waker = self.board.shared().lock().waiting.remove(&self.id);
        drop(waker);
    }
}

/// What the clones of a [`Board`] share. Once none is left, nobody can wake the device any more.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let waker = self.0.lock().device.take();
        drop(waker);
    }
}

/// The board's handles, as the firmware knows them: it does not keep them alive.
#[derive(Debug, Default)]
pub(super) struct Handles(Weak<Handle>);

impl Handles {
    pub(super) fn board(&mut self, shared: &Arc<Shared>) -> Board {
        Board(self.0.upgrade().unwrap_or_else(|| {
            let handle = Arc::new(Handle(Arc::clone(shared)));
            self.0 = Arc::downgrade(&handle);
            handle
        }))
    }
}

/// The panel, which the firmware shares with the board's handles.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    panel: Panel,
    /// Wakes the device, where anybody may have to.
    device: Option<Waker>,
    /// The firmware was dropped.
    gone: bool,
    /// How often the panel has changed.
    revision: u64,
    /// How many [`Changes`] were made, which are known by number.
    watchers: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Shared {
    pub(super) fn new(panel: Panel) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inside {
            panel,
            device: None,
            gone: false,
            revision: 0,
            watchers: 0,
            waiting: BTreeMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> State {
        self.lock().panel.state()
    }

    /// Does something at the panel, and tells those who wait for changes if it is one.
    pub(super) fn change<T>(&self, action: impl FnOnce(&mut Panel) -> T) -> T {
        let mut inside = self.lock();
        let before = inside.panel.state();
        let answer = action(&mut inside.panel);
        if inside.panel.state() != before {
            inside.revision += 1;
            tell(inside);
        }
        answer
    }

    /// Keeps a waker of the device as long as there are handles; without it, the device can be driven more cheaply.
    pub(super) fn listen(&self, handles: &Handles, waker: impl FnOnce() -> Waker) {
        let mut inside = self.lock();
        let waker = (handles.0.strong_count() > 0).then(waker);
        let before = std::mem::replace(&mut inside.device, waker);
        drop(inside);
        drop(before);
    }

    /// The firmware is gone, and nothing changes any more but the switches.
    pub(super) fn leave(&self) {
        let mut inside = self.lock();
        inside.gone = true;
        let waker = inside.device.take();
        tell(inside);
        drop(waker);
    }
}

/// Wakes whoever waits for changes, without the lock.
fn tell(mut inside: MutexGuard<'_, Inside>) {
    let waiting = std::mem::take(&mut inside.waiting);
    drop(inside);
    waiting.into_values().for_each(Waker::wake);
}
