//! What a user has of a running device, whichever model made it.

use std::task::{Context, Poll};

use usbwright_emulator::{EmulatedDevice, Firmware};

use crate::{
    disk::{Drive, DriveState, Media, MediaChanges},
    hid::{Gamepad, Keyboard, KeyboardState, Mouse, PointerState, Tablet},
    osr_fx2::{self, Board},
    serial::{self, Terminal},
    shared,
};

/// A device that was made, and what its user has of it.
#[derive(Debug)]
pub struct Made {
    /// The device, for a host.
    pub device: EmulatedDevice,
    /// Its user's side: a handle for each of its functions that has one, in the order of the functions. Once all are dropped, nobody
    /// can wake the device, and it is driven more cheaply.
    pub handles: Vec<Handle>,
}

/// What a model makes: a firmware, which goes into a device or into one of several functions, and its user's side.
pub(crate) struct Function {
    pub(crate) firmware: Box<dyn Firmware>,
    pub(crate) handles: Vec<Handle>,
}

impl Function {
    /// A firmware that has no user.
    pub(crate) fn new(firmware: impl Firmware) -> Self {
        Self {
            firmware: Box::new(firmware),
            handles: Vec::new(),
        }
    }

    /// Adds a handle.
    pub(crate) fn handle(mut self, handle: Handle) -> Self {
        self.handles.push(handle);
        self
    }
}

/// The user's side of one function of a running device. Clones are the same function's; any thread may use them, at any time, also
/// when the device is gone.
#[derive(Clone, Debug)]
pub enum Handle {
    /// The switches and displays of `osr-fx2`.
    Board(Board),
    /// Keys and LEDs.
    Keyboard(Keyboard),
    /// Motion and buttons.
    Mouse(Mouse),
    /// Places and buttons.
    Tablet(Tablet),
    /// Sticks and buttons.
    Gamepad(Gamepad),
    /// The other end of the line of a `serial`.
    Serial(Terminal),
    /// The media of a disk.
    Disk(Media),
}

/// What a user sees of a function.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Of `osr-fx2`.
    Board(osr_fx2::State),
    /// Of a keyboard.
    Keyboard(KeyboardState),
    /// Of a mouse, a tablet or a gamepad.
    Pointer(PointerState),
    /// Of `serial`.
    Serial(serial::State),
    /// Of a disk, for each logical unit.
    Disk(Vec<DriveState>),
}

/// Waits for a function's changes, as the `changes` of its own handle does.
#[derive(Debug)]
pub enum Changes {
    /// Of `osr-fx2`.
    Board(osr_fx2::Changes),
    /// Of a keyboard.
    Keyboard(shared::Changes<KeyboardState>),
    /// Of a mouse, a tablet or a gamepad.
    Pointer(shared::Changes<PointerState>),
    /// Of `serial`.
    Serial(serial::Changes),
    /// Of a disk.
    Disk(MediaChanges),
}

impl Handle {
    /// What kind of function it is, by the name of the model that has it alone.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Board(_) => "osr-fx2",
            Self::Keyboard(_) => "keyboard",
            Self::Mouse(_) => "mouse",
            Self::Tablet(_) => "tablet",
            Self::Gamepad(_) => "gamepad",
            Self::Serial(_) => "serial",
            Self::Disk(_) => "disk",
        }
    }

    /// A disk's drives, for one that is made anew.
    pub(crate) fn drives(&self) -> Vec<Drive> {
        match self {
            Self::Disk(media) => media.drives().collect(),
            _ => Vec::new(),
        }
    }

    /// The present state.
    pub fn state(&self) -> State {
        match self {
            Self::Board(board) => State::Board(board.state()),
            Self::Keyboard(keyboard) => State::Keyboard(keyboard.state()),
            Self::Mouse(mouse) => State::Pointer(mouse.state()),
            Self::Tablet(tablet) => State::Pointer(tablet.state()),
            Self::Gamepad(gamepad) => State::Pointer(gamepad.state()),
            Self::Serial(terminal) => State::Serial(terminal.state()),
            Self::Disk(media) => State::Disk(media.state()),
        }
    }

    /// A way to wait for changes, those after this call.
    pub fn changes(&self) -> Changes {
        match self {
            Self::Board(board) => Changes::Board(board.changes()),
            Self::Keyboard(keyboard) => Changes::Keyboard(keyboard.changes()),
            Self::Mouse(mouse) => Changes::Pointer(mouse.changes()),
            Self::Tablet(tablet) => Changes::Pointer(tablet.changes()),
            Self::Gamepad(gamepad) => Changes::Pointer(gamepad.changes()),
            Self::Serial(terminal) => Changes::Serial(terminal.changes()),
            Self::Disk(media) => Changes::Disk(media.changes()),
        }
    }
}

impl Changes {
    /// The state once it differs from what was told last; `None` once the device is gone. It may be dropped and called again
    /// without missing anything.
    pub async fn next(&mut self) -> Option<State> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next); the waker is woken at the next change.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<State>> {
        match self {
            Self::Board(changes) => changes.poll_next(cx).map(|it| it.map(State::Board)),
            Self::Keyboard(changes) => changes.poll_next(cx).map(|it| it.map(State::Keyboard)),
            Self::Pointer(changes) => changes.poll_next(cx).map(|it| it.map(State::Pointer)),
            Self::Serial(changes) => changes.poll_next(cx).map(|it| it.map(State::Serial)),
            Self::Disk(changes) => changes.poll_next(cx).map(|it| it.map(State::Disk)),
        }
    }
}
