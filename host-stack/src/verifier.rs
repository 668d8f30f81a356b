//! The verifier: it is always on, and tells which rule a driver has broken.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::error;

use crate::observer::{Observer, StackEvent};

/// A rule that the types can't see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "VerifierFailure")]
pub enum Rule {
    /// A request that is delivered is completed, forwarded, requeued or sent; it was dropped, and completed by the framework.
    LostRequest,
    /// What a callback does must not panic. The stack fails.
    Panic,
    /// A request that is completed tells of no more bytes than its buffer has.
    TooMuchInformation,
    /// A queue waits for one stop, drain or purge at a time.
    QueueBusy,
    /// Nothing is waited for within a callback that may wait for that callback itself, as it would never come: queues and what was sent, within a callback for a
    /// request; a request that only gets to the driver when the callback returns; a change of the stack's state.
    WaitWithin,
    /// A continuous reader is stopped when its device leaves D0.
    ReaderNotStopped,
    /// A callback for a change of power does not say that it is not supported.
    NotSupported,
    /// A request is completed with a status that an application can be told: an `NTSTATUS`, or a Win32 code.
    InvalidStatus,
    /// What is sent has to be formatted first.
    NotFormatted,
    /// A request that is delivered ends before its device goes, also where the driver has said that it keeps it.
    LeakedRequest,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LostRequest => "a request was dropped without being completed",
            Self::Panic => "a callback panicked",
            Self::TooMuchInformation => {
                "a request was completed with more bytes than its buffer has"
            }
            Self::QueueBusy => {
                "a queue was stopped, drained or purged while it was waited for already"
            }
            Self::WaitWithin => "a callback waited for something that may wait for the callback",
            Self::ReaderNotStopped => "a continuous reader was not stopped when its device left D0",
            Self::NotSupported => "a power callback failed with STATUS_NOT_SUPPORTED",
            Self::InvalidStatus => "a request was completed with a status that is none",
            Self::LeakedRequest => "a request was kept when its device went",
            Self::NotFormatted => "a request was sent that was not formatted for its target",
        })
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The driver that broke it.
    pub driver: Arc<str>,
    /// What it was broken with: a request, a queue, a callback.
    pub object: String,
    /// The rule.
    pub rule: Rule,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "driver {}: {}: {}", self.driver, self.rule, self.object)
    }
}

/// What a broken rule brings about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "DbgBreakOnError")]
pub enum OnViolation {
    /// It is told by `tracing`, and kept for [`Stack::violations`](crate::Stack::violations).
    #[default]
    Report,
    /// The thread that broke it panics as well. For tests.
    Panic,
}

/// The most reports that are kept.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Verifier {
    on_violation: OnViolation,
    observer: Observer,
    seen: Mutex<Vec<Violation>>,
}

impl Verifier {
    pub(crate) fn new(on_violation: OnViolation, observer: Observer) -> Arc<Self> {
        Arc::new(Self {
            on_violation,
            observer,
            seen: Mutex::default(),
        })
    }

    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    pub(crate) fn seen(&self) -> Vec<Violation> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn report(&self, driver: &Arc<str>, rule: Rule, object: impl Into<String>) {
        let violation = Violation {
            driver: Arc::clone(driver),
            object: object.into(),
            rule,
        };
        error!("{violation}");
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < KEPT {
            seen.push(violation.clone());
        }
        drop(seen);
        self.observer.tell(StackEvent::RuleBroken(&violation));
        if self.on_violation == OnViolation::Panic
            && rule != Rule::Panic
            && !std::thread::panicking()
        {
            panic!("{violation}");
        }
    }
}

/// What a panic says.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it told nothing".to_owned())
}
