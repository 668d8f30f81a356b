//! What happens to the devices, as clients are told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::{
    models::{State, disk::Place},
    protocol::Speed,
};

/// Events that a client may be behind by, before it is dropped.
const BEHIND: usize = 1024;
/// Events that are kept for clients that ask later.
const PAST: usize = 256;

/// What has happened to a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are told of in docs/control.md")]
pub enum Event {
    /// It is on the bus.
    Plugged {
        device: String,
        spec: String,
        speed: String,
    },
    /// It is not any more.
    Unplugged { device: String },
    /// A client of the server has it.
    Attached { device: String, by: String },
    /// The client has let go of it, or has lost it.
    Released {
        device: String,
        by: String,
        reason: String,
    },
    /// A host has set a configuration; 0 is none.
    Configured { device: String, configuration: u8 },
    /// A function's user sees something else.
    Changed {
        device: String,
        function: usize,
        kind: String,
        state: Value,
    },
}

/// Where events are told, and who is told.
#[derive(Clone, Debug)]
pub(super) struct Events(Arc<Told>);

#[derive(Debug)]
struct Told {
    past: Mutex<VecDeque<Event>>,
    clients: broadcast::Sender<Event>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self(Arc::new(Told {
            past: Mutex::default(),
            clients: broadcast::Sender::new(BEHIND),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: Event) {
        let mut past = self.lock();
        if past.len() == PAST {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Where nobody listens, nobody is told.
        let _ = self.0.clients.send(event);
    }

    /// What has happened lately.
    pub(super) fn past(&self) -> Vec<Event> {
        self.lock().iter().cloned().collect()
    }

    /// The same, and what happens from then on.
    pub(super) fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = self.lock();
        (past.iter().cloned().collect(), self.0.clients.subscribe())
    }
}

/// A speed as events and lists tell it.
pub(super) fn speed(speed: Speed) -> String {
    speed.name().to_owned()
}

/// What a function's user sees, of that which is worth telling: not how far a host has read.
pub(super) fn seen(state: &State) -> Option<Value> {
    match state {
        State::Keyboard(state) => {
            let leds: Vec<_> = state.leds.names().collect();
            Some(serde_json::json!({ "leds": leds }))
        }
        State::Pointer(_) => None,
        State::Disk(drives) => Some(
            drives
                .iter()
                .map(|drive| {
                    let medium = match drive.place {
                        Place::Nowhere => "none",
                        Place::Drive => "in",
                        Place::Tray => "ejected",
                    };
                    serde_json::json!({ "medium": medium, "flushes": drive.flushes })
                })
                .collect(),
        ),
        State::Serial(state) => Some(serde_json::json!({
            "coding": state.coding.to_string(),
            "dtr": state.control.data_terminal_ready,
            "rts": state.control.request_to_send,
            "breaking": state.breaking,
        })),
        State::Board(state) => Some(serde_json::json!({
            "switches": state.switches.bits(),
            "bar_graph": state.bar_graph.bits(),
            "segments": state.segments.bits(),
            "character": state.segments.character(),
        })),
    }
}
