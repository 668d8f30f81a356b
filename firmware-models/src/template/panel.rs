//! What the bell's user sees and touches, and their handle, while a host uses the device.

use std::sync::Arc;

use crate::shared::{self, Held};

/// The panel, which the firmware shares with the bell's handles.
pub(super) type Shared = shared::Shared<Panel>;
/// The bell's handles, as the firmware knows them.
pub(super) type Handles = shared::Handles<Panel>;
/// Waits for a bell's changes.
pub type Changes = shared::Changes<State>;

/// What a bell's user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Whether the lamp is lit.
    pub lit: bool,
    /// Presses that the host has not been told of.
    pub waiting: u8,
}

/// The panel of a bell.
#[derive(Debug)]
pub(super) struct Panel(State);

impl Panel {
    pub(super) fn new(lit: bool) -> Self {
        Self(State { lit, waiting: 0 })
    }

    pub(super) fn light(&mut self, lit: bool) {
        self.0.lit = lit;
    }

    pub(super) fn forget(&mut self) {
        self.0.waiting = 0;
    }

    /// The presses to be told of, if there are any; then they are told.
    pub(super) fn take(&mut self) -> Option<u8> {
        let waiting = std::mem::take(&mut self.0.waiting);
        (waiting > 0).then_some(waiting)
    }

    /// The button is pressed; tells whether the host has something to read by it that was not there before.
    fn press(&mut self) -> bool {
        let news = self.0.waiting == 0;
        self.0.waiting = self.0.waiting.saturating_add(1);
        news
    }
}

impl shared::Panel for Panel {
    type State = State;

    fn state(&self) -> State {
        self.0
    }
}

/// A bell's button and lamp, from [`Template::bell`](super::Template::bell). Clones are the same bell.
///
/// Any thread may use it, at any time, also when the device is gone; nothing here blocks.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Held<Panel>>);

impl Bell {
    pub(super) fn new(held: Arc<Held<Panel>>) -> Self {
        Self(held)
    }

    /// What the bell shows.
    pub fn state(&self) -> State {
        self.0.shared().state()
    }

    /// Presses the button. A host that waits for that is told at once.
    pub fn press(&self) {
        self.0.act(|panel| (panel.press(), ()));
    }

    /// A way to wait for changes, those after this call.
    pub fn changes(&self) -> Changes {
        self.0.changes()
    }
}
