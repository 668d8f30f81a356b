//! How other processes look at a manager, and have a host killed: lines of JSON over a UNIX socket, which only the manager's own user (and root) may use.
//!
//! A client sends one [`Request`] a line, and reads lines of [`Answer`]s: one for each request, and for [`Request::Events`] one for each event and [`Answer::Done`] at the end.

mod client;
mod connection;
mod peer;
mod server;

use serde::{Deserialize, Serialize};

pub use self::{
    client::{Client, ClientError},
    server::{ListenError, Service},
};
use crate::{
    manager::{Change, ChangeOutcome, View},
    record::Entry,
};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// What there is: [`Answer::View`].
    View,
    /// The events after the one of this number (0 for all that are kept), and with `follow` those that come, until the client hangs up.
    Events {
        /// The number.
        after: u64,
        /// Whether to wait for more.
        follow: bool,
    },
    /// Have stacks changed: [`Answer::Changed`], once that is done.
    Change {
        /// The device's name; without one, all whose stacks run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// What is to be done.
        change: Change,
    },
    /// Have a host killed: [`Answer::Done`].
    KillHost {
        /// Its number.
        host: u64,
    },
}

/// What the manager answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// What there is.
    View(View),
    /// An event.
    Event(Entry),
    /// How each change has ended.
    Changed(Vec<ChangeOutcome>),
    /// It is done.
    Done,
    /// It can't be done.
    Error(String),
}

/// How many bytes a request may have.
const LONGEST_REQUEST: u64 = 4096;
