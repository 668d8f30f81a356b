//! What a host tells its manager.

use serde::{Deserialize, Serialize};

use super::{
    Changed, Hello, Holds, Message, OperationKind, Phase, Report,
    parts::{Parts, check_descriptors, packet, with_body},
};
use crate::header::Malformed;

/// What a host tells its manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromHost {
    /// What it is.
    Hello(Hello),
    /// What it could be confined by.
    Confined(Holds),
    /// A stack is there.
    Built {
        /// The stack.
        stack: u64,
    },
    /// A stack could not be built.
    Refused(Report),
    /// A stack is no more.
    TornDown {
        /// The stack.
        stack: u64,
    },
    /// A stack was to be changed.
    Changed(Changed),
    /// The device of a stack is gone.
    Unplugged {
        /// The stack.
        stack: u64,
    },
    /// A critical operation of a stack.
    Operation(Phase),
    /// A stack's drivers make progress.
    Progress {
        /// The stack.
        stack: u64,
    },
    /// A stack has failed: a driver has panicked.
    Failed(Report),
    /// A driver has broken a rule.
    RuleBroken(Report),
    /// A thread of the host has panicked.
    Panicked(Report),
}

/// The kinds of these messages.
mod kind {
    pub(super) const HELLO: u16 = 0x81;
    pub(super) const CONFINED: u16 = 0x82;
    pub(super) const BUILT: u16 = 0x83;
    pub(super) const REFUSED: u16 = 0x84;
    pub(super) const TORN_DOWN: u16 = 0x85;
    pub(super) const UNPLUGGED: u16 = 0x86;
    pub(super) const OPERATION: u16 = 0x87;
    pub(super) const PROGRESS: u16 = 0x88;
    pub(super) const FAILED: u16 = 0x89;
    pub(super) const RULE_BROKEN: u16 = 0x8a;
    pub(super) const PANICKED: u16 = 0x8b;
    pub(super) const CHANGED: u16 = 0x8c;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseBody {
    number: u64,
    begun: Option<OperationKind>,
}

impl Message for FromHost {
    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        match self {
            Self::Hello(it) => with_body(kind::HELLO, 0, it),
            Self::Confined(it) => with_body(kind::CONFINED, 0, it),
            Self::Built { stack } => packet(kind::BUILT, *stack, &[]),
            Self::Refused(it) => with_body(kind::REFUSED, it.stack, &it.text),
            Self::TornDown { stack } => packet(kind::TORN_DOWN, *stack, &[]),
            Self::Changed(it) => with_body(kind::CHANGED, it.stack, &it.error),
            Self::Unplugged { stack } => packet(kind::UNPLUGGED, *stack, &[]),
            Self::Operation(it) => {
                let (number, begun) = (it.number, it.begun);
                with_body(kind::OPERATION, it.stack, &PhaseBody { number, begun })
            }
            Self::Progress { stack } => packet(kind::PROGRESS, *stack, &[]),
            Self::Failed(it) => with_body(kind::FAILED, it.stack, &it.text),
            Self::RuleBroken(it) => with_body(kind::RULE_BROKEN, it.stack, &it.text),
            Self::Panicked(it) => with_body(kind::PANICKED, it.stack, &it.text),
        }
    }

    fn decode(packet: &[u8], descriptors: usize) -> Result<Self, Malformed> {
        let parts = Parts::of(packet)?;
        let stack = parts.stack;
        let message = match parts.kind {
            kind::HELLO => Self::Hello(parts.body()?),
            kind::CONFINED => Self::Confined(parts.body()?),
            kind::BUILT => parts.bare(Self::Built { stack })?,
            kind::REFUSED => Self::Refused(parts.report()?),
            kind::TORN_DOWN => parts.bare(Self::TornDown { stack })?,
            kind::CHANGED => Self::Changed(Changed {
                stack,
                error: parts.body()?,
            }),
            kind::UNPLUGGED => parts.bare(Self::Unplugged { stack })?,
            kind::OPERATION => {
                let PhaseBody { number, begun } = parts.body()?;
                Self::Operation(Phase {
                    stack,
                    number,
                    begun,
                })
            }
            kind::PROGRESS => parts.bare(Self::Progress { stack })?,
            kind::FAILED => Self::Failed(parts.report()?),
            kind::RULE_BROKEN => Self::RuleBroken(parts.report()?),
            kind::PANICKED => Self::Panicked(parts.report()?),
            kind => return Err(Malformed::Kind(kind)),
        };
        check_descriptors(message, parts.kind, descriptors)
    }
}
