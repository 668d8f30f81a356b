//! What the manager tells a host.

use super::{
    Build, Change, Confine, Message,
    build::BuildBody,
    parts::{Parts, check_descriptors, packet, with_body},
};
use crate::header::Malformed;

/// What the manager tells a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToHost {
    /// Confine yourself so, and tell what holds.
    Confine(Confine),
    /// Build a stack. With it come the device's socket, and where the body says so those of the data and of the cancels.
    Build(Build),
    /// Take a stack down in an orderly way.
    TearDown {
        /// The stack.
        stack: u64,
    },
    /// Take a stack down whose device is gone.
    SurpriseRemove {
        /// The stack.
        stack: u64,
    },
    /// Change the state of a stack, and tell when that is done.
    Change {
        /// The stack.
        stack: u64,
        /// What is to be done.
        change: Change,
    },
    /// End.
    Shutdown,
}

/// The kinds of these messages.
mod kind {
    pub(super) const CONFINE: u16 = 1;
    pub(super) const BUILD: u16 = 2;
    pub(super) const TEAR_DOWN: u16 = 3;
    pub(super) const SURPRISE_REMOVE: u16 = 4;
    pub(super) const SHUTDOWN: u16 = 5;
    pub(super) const CHANGE: u16 = 6;
}

impl Message for ToHost {
    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        match self {
            Self::Confine(it) => with_body(kind::CONFINE, 0, it),
            Self::Build(it) => with_body(kind::BUILD, it.stack, &BuildBody::from(it)),
            Self::TearDown { stack } => packet(kind::TEAR_DOWN, *stack, &[]),
            Self::SurpriseRemove { stack } => packet(kind::SURPRISE_REMOVE, *stack, &[]),
            Self::Change { stack, change } => with_body(kind::CHANGE, *stack, change),
            Self::Shutdown => packet(kind::SHUTDOWN, 0, &[]),
        }
    }

    fn decode(packet: &[u8], descriptors: usize) -> Result<Self, Malformed> {
        let parts = Parts::of(packet)?;
        let stack = parts.stack;
        let message = match parts.kind {
            kind::CONFINE => Self::Confine(parts.body()?),
            kind::BUILD => {
                let body: BuildBody = parts.body()?;
                Self::Build(body.read(stack).map_err(parts.wrong())?)
            }
            kind::TEAR_DOWN => parts.bare(Self::TearDown { stack })?,
            kind::SURPRISE_REMOVE => parts.bare(Self::SurpriseRemove { stack })?,
            kind::CHANGE => Self::Change {
                stack,
                change: parts.body()?,
            },
            kind::SHUTDOWN => parts.bare(Self::Shutdown)?,
            kind => return Err(Malformed::Kind(kind)),
        };
        check_descriptors(message, parts.kind, descriptors)
    }

    fn descriptors(&self) -> usize {
        match self {
            Self::Build(it) if it.has_channels => 3,
            Self::Build(_) => 1,
            _ => 0,
        }
    }
}
