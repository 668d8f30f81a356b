//! A transfer, or a time, that is awaited.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use usbwright_protocol::{Completion, EndpointAddress, TransferKind};

use super::{Engine, Submitted};
use crate::pipe::Kept;

/// A transfer on its way. Dropped before it has ended, it is taken back, and what it brings is kept for the next read.
#[derive(Debug)]
pub(crate) struct Flight<'a> {
    engine: &'a Engine,
    kept: Option<&'a Arc<Kept>>,
    transfer: Parked,
}

impl<'a> Flight<'a> {
    /// Submits a transfer.
    pub(crate) fn new(
        engine: &'a Engine,
        kept: Option<&'a Arc<Kept>>,
        endpoint: EndpointAddress,
        kind: TransferKind,
        until: Option<Instant>,
    ) -> Self {
        Self {
            engine,
            kept,
            transfer: Parked::submit(engine, endpoint, kind, until),
        }
    }

    /// Asks for it to be taken back; its end is awaited all the same.
    pub(crate) fn cancel(&self) {
        self.transfer.cancel(self.engine);
    }

    /// Waits until a time.
    pub(crate) fn until(engine: &'a Engine, time: Instant) -> Self {
        Self {
            engine,
            kept: None,
            transfer: Parked {
                submitted: Some(engine.timer(time)),
                room: 0,
            },
        }
    }
}

impl Future for Flight<'_> {
    type Output = Completion;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        let engine = self.engine;
        self.transfer.poll(engine, cx)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.transfer.abandon(self.engine, self.kept);
    }
}

/// A transfer on its way, for whoever keeps its engine elsewhere.
#[derive(Debug)]
pub(crate) struct Parked {
    submitted: Option<Submitted>,
    room: usize,
}

impl Parked {
    pub(crate) fn submit(
        engine: &Engine,
        endpoint: EndpointAddress,
        kind: TransferKind,
        until: Option<Instant>,
    ) -> Self {
        let room = match &kind {
            TransferKind::In { length } => *length as usize,
            _ => 0,
        };
        Self {
            submitted: Some(engine.submit(endpoint, kind, until)),
            room,
        }
    }

    pub(crate) fn poll(&mut self, engine: &Engine, cx: &mut Context<'_>) -> Poll<Completion> {
        match self.submitted.take() {
            Some(Submitted::Ended(completion)) => Poll::Ready(completion),
            Some(Submitted::Flying(id)) => {
                let polled = engine.poll(id, cx);
                if polled.is_pending() {
                    self.submitted = Some(Submitted::Flying(id));
                }
                polled
            }
            None => panic!("a transfer is polled after it has ended"),
        }
    }

    pub(crate) fn cancel(&self, engine: &Engine) {
        if let Some(Submitted::Flying(id)) = &self.submitted {
            engine.cancel(*id);
        }
    }

    /// Takes it back, as nobody waits for it; what it brings is kept.
    pub(crate) fn abandon(&mut self, engine: &Engine, kept: Option<&Arc<Kept>>) {
        match self.submitted.take() {
            Some(Submitted::Ended(completion)) => {
                if let Some(kept) = kept {
                    kept.keep(completion, self.room);
                }
            }
            Some(Submitted::Flying(id)) => engine.abandon(id, kept),
            None => {}
        }
    }
}
