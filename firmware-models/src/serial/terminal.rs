//! The other end of the line, while a host uses the port: a handle for any thread.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    OtherEnd, Signal, StatusLines,
    line::{ControlLines, LineCoding},
    wire::Wire,
};
use crate::shared::{self, Held};

/// Waits for changes of what a host has set.
pub type Changes = shared::Changes<State>;

/// What a host has set of its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether a host has configured the device.
    pub configured: bool,
    /// How characters are coded.
    pub coding: LineCoding,
    /// DTR and RTS.
    pub control: ControlLines,
    /// Whether the line is at break.
    pub breaking: bool,
    /// How often a break has begun since the device was made.
    pub breaks: u64,
}

/// The other end of a port's line, from [`Serial::terminal`](super::Serial::terminal). Clones are the same end.
///
/// What the host has written waits here until it is read, and what is written here waits until the host reads it: up to 256 KiB each way. Beyond
/// that the host is told to wait (NAK), or the writer waits. Any thread may use it, at any time, also when the device is gone;
/// nothing here blocks. It needs no runtime: the methods that begin with `poll` keep a waker, the others are futures for any executor. One
/// task at a time reads, and one writes.
#[derive(Clone, Debug)]
pub struct Terminal(Arc<Held<Wire>>);

/// The device is gone, and its host with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the serial port is gone")]
pub struct Gone;

impl Terminal {
    pub(super) fn new(held: Arc<Held<Wire>>) -> Self {
        Self(held)
    }

    /// What the host has set.
    pub fn state(&self) -> State {
        self.0.shared().state()
    }

    /// A way to wait for changes of the [`State`], those after this call.
    pub fn changes(&self) -> Changes {
        self.0.changes()
    }

    /// What is to be connected to it, as the SPEC of its device says. Whoever makes the device from a SPEC sees to that.
    pub fn other_end(&self) -> Option<OtherEnd> {
        self.0.shared().change(|wire| wire.other_end.clone())
    }

    /// The signals that the host sees.
    pub fn lines(&self) -> StatusLines {
        self.0.shared().change(|wire| wire.serial_state.lines())
    }

    /// Sets the signals that the host sees. It is told at once, if it asks.
    pub fn set_lines(&self, lines: StatusLines) {
        self.0
            .act(|wire| (true, wire.serial_state.set_lines(lines)));
    }

    /// Tells the host of something that happened on the line. Of each kind, up to 64 wait to be told.
    pub fn signal(&self, signal: Signal) {
        self.0.act(|wire| (true, wire.serial_state.signal(signal)));
    }

    /// Bytes that wait for the host.
    pub fn waiting(&self) -> usize {
        self.0.shared().change(|wire| wire.waiting())
    }

    /// Takes up to `most` bytes that the host has written, one or more; `None` once the device is gone and all was taken.
    pub async fn read(&self, most: usize) -> Option<Bytes> {
        poll_fn(|cx| self.poll_read(cx, most)).await
    }

    /// As [`read`](Self::read); the waker is woken when there is something.
    pub fn poll_read(&self, cx: &mut Context<'_>, most: usize) -> Poll<Option<Bytes>> {
        let (polled, _before) = self.0.act(|wire| wire.poll_read(cx, most));
        polled
    }

    /// Gives bytes to the host, and waits until there is room for all of them. Where the future is dropped, some may have been taken.
    ///
    /// # Errors
    /// Where the device is gone.
    pub async fn write(&self, mut data: Bytes) -> Result<(), Gone> {
        poll_fn(|cx| self.poll_write(cx, &mut data)).await
    }

    /// As [`write`](Self::write): what was taken is taken off `data`. The waker is woken when there is room for more.
    ///
    /// # Errors
    /// Where the device is gone.
    pub fn poll_write(&self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), Gone>> {
        let (polled, _before) = self.0.act(|wire| wire.poll_write(cx, data));
        polled
    }
}
