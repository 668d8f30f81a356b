//! A client's bytes in, replies out, with no socket.

use std::{hint::black_box, sync::Arc, time::Instant};

use usbwright::{
    emulator::{
        EmulatedDevice,
        server::{Exchange, Limits},
    },
    models::Spec,
};

use crate::commands;

/// A client of a Gadget Zero with its source and sink, that sends the same commands over and over.
pub(crate) struct Loop {
    device: EmulatedDevice,
    exchange: Exchange,
    commands: Vec<u8>,
    now: Instant,
}

impl Loop {
    pub(crate) fn new(commands: Vec<u8>) -> Self {
        let now = Instant::now();
        let spec = "gadget-zero,pattern=2".parse::<Spec>().unwrap();
        let mut exchange = Self {
            device: spec.build(now).unwrap(),
            exchange: Exchange::new(Limits::default()),
            commands: commands::control(commands::SET_CONFIGURATION, 0),
            now,
        };
        exchange.round();
        exchange.commands = commands;
        exchange
    }

    /// The same, with its transfers counted.
    #[allow(dead_code, reason = "one of the benchmarks asks for it")]
    pub(crate) fn counted(self) -> Self {
        Self {
            exchange: self.exchange.counted_by(Arc::default()),
            ..self
        }
    }

    /// Sends the commands once, and takes the replies; their size.
    pub(crate) fn round(&mut self) -> usize {
        self.exchange
            .feed(&self.commands, &mut self.device, self.now)
            .unwrap();
        let mut size = 0;
        self.exchange
            .take_pieces(|piece| size += black_box(piece).len());
        size
    }
}
