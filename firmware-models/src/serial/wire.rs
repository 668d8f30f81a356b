//! What is between the host and the other end of the line: bytes each way, signals, and who waits for them.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{
    Gone, OtherEnd, State,
    notification::SerialState,
    queue::{ByteQueue, CAPACITY},
};
use crate::shared::Panel;

/// Everything that the firmware shares with the other end; it is behind a lock. Wakers are handed out, to be called once the lock is free.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) state: State,
    pub(super) serial_state: SerialState,
    /// What is to be connected to the other end.
    pub(super) other_end: Option<OtherEnd>,
    /// From the host.
    output: ByteQueue,
    /// To the host.
    input: ByteQueue,
    /// The host has asked for bytes when there were none.
    starved: bool,
    /// The host has written bytes when there was no room.
    blocked: bool,
    /// The firmware was dropped.
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What somebody gets who waits, and the waker of whoever waited before, to be dropped once the lock is free.
type Polled<T> = (Poll<T>, Option<Waker>);

impl Panel for Wire {
    type State = State;

    fn state(&self) -> State {
        self.state
    }
}

impl Wire {
    /// Takes what the host has written, for the other end, and tells how much; and whom to wake.
    pub(super) fn receive(&mut self, data: &Bytes, packet: usize) -> (usize, Option<Waker>) {
        let taken = self.output.push(data, packet);
        self.blocked |= taken < data.len();
        (taken, self.reader.take())
    }

    /// Takes what the host has written, for the host, and tells how much.
    pub(super) fn return_back(&mut self, data: &Bytes, packet: usize) -> usize {
        self.input.push(data, packet)
    }

    /// Hands over what waits for the host; and tells whom to wake. A writer is woken where half of the queue is free.
    pub(super) fn send(&mut self, room: usize, packet: usize) -> (Option<Bytes>, Option<Waker>) {
        let data = self.input.pop_units(room, packet);
        self.starved |= data.is_none();
        let enough = self.input.room() >= CAPACITY / 2;
        (data, enough.then(|| self.writer.take()).flatten())
    }

    /// Hands over what the host has written; and tells whether the device is to be woken, which is where half of the queue is free.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> (bool, Polled<Option<Bytes>>) {
        if let Some(data) = self.output.pop(most.max(1)) {
            let wakes = self.blocked && self.output.room() >= CAPACITY / 2;
            self.blocked &= !wakes;
            return (wakes, (Poll::Ready(Some(data)), None));
        }
        if self.gone {
            return (false, (Poll::Ready(None), None));
        }
        let before = self.reader.replace(cx.waker().clone());
        (false, (Poll::Pending, before))
    }

    /// Takes what is for the host off `data`; and tells whether the device is to be woken.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> (bool, Polled<Result<(), Gone>>) {
        if self.gone {
            return (false, (Poll::Ready(Err(Gone)), None));
        }
        let taken = self.input.push(data, 1);
        *data = data.split_off(taken);
        let wakes = taken > 0 && std::mem::take(&mut self.starved);
        if data.is_empty() {
            return (wakes, (Poll::Ready(Ok(())), None));
        }
        let before = self.writer.replace(cx.waker().clone());
        (wakes, (Poll::Pending, before))
    }

    /// Bytes that wait for the host.
    pub(super) fn waiting(&self) -> usize {
        self.input.len()
    }

    /// A host begins anew. What waits for either end stays: it was given away by whoever wrote it.
    pub(super) fn restart(&mut self, configured: bool) {
        self.state = State {
            configured,
            breaks: self.state.breaks,
            ..State::default()
        };
        self.serial_state.restart();
    }

    /// Throws away what is on its way to the host.
    pub(super) fn clear(&mut self) {
        self.input.clear();
    }

    /// The firmware is gone: tells whom to wake.
    pub(super) fn leave(&mut self) -> [Option<Waker>; 2] {
        self.gone = true;
        [self.reader.take(), self.writer.take()]
    }
}
