//! What is known of a request: where it is, and what each driver of the stack knows of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
};

use usbwright_target::protocol::Status;

use super::{
    CompletionCallback, OnCancel, RequestCompletionParams, format::Format, parameters::Parameters,
};
use crate::{
    Window, context::Anything, device::DeviceShared, file::File, queue::QueueShared,
    scheduler::TimerId, status::NtStatus, target::TargetShared,
};

/// Names a request, as long as it has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl RequestId {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// Names a send: from how deep in the stack it was, and which time the request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendId {
    pub(crate) level: usize,
    pub(crate) serial: u64,
}

/// Where a request is.
#[derive(Default)]
pub(crate) enum Location {
    /// A driver has it.
    #[default]
    Driver,
    /// A driver has said that it may be cancelled, and how.
    Marked(Arc<dyn OnCancel>),
    /// It waits in the queue of its last level.
    Queue,
    /// The target has it that its last level was sent to, or that is handing it on to the next driver.
    Target,
    /// It has ended.
    Ended,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: NtStatus,
    pub(crate) information: usize,
    /// The status on the bus, where there was one.
    pub(crate) usb: Option<Status>,
}

impl From<NtStatus> for Outcome {
    fn from(status: NtStatus) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

/// Who is told when what was sent has ended.
pub(crate) enum Told {
    /// A future.
    Future(Option<Waker>),
    /// A callback.
    Callback(Arc<dyn CompletionCallback>),
    /// Nobody: the request is completed as it ended.
    Nobody,
}

/// What was sent to a target.
pub(crate) struct SentTo {
    pub(crate) target: Arc<TargetShared>,
    pub(crate) told: Told,
    pub(crate) timer: Option<TimerId>,
    pub(crate) timed_out: bool,
    /// Which time the request was sent, by anybody.
    pub(crate) serial: u64,
    /// The driver has asked for it back.
    pub(crate) canceled: bool,
}

/// A request as one driver of the stack knows it.
pub(crate) struct Level {
    pub(crate) device: Arc<DeviceShared>,
    /// The queue that it waits in, or that delivered it.
    pub(crate) queue: Option<Arc<QueueShared>>,
    /// The driver has had it before.
    pub(crate) was_delivered: bool,
    /// It was made by this level's driver.
    pub(crate) is_own: bool,
    pub(crate) canceled: bool,
    /// Is woken when it is cancelled.
    pub(crate) cancel_waker: Option<Waker>,
    pub(crate) parameters: Parameters,
    pub(crate) input: Option<Window>,
    pub(crate) output: Option<Window>,
    pub(crate) information: usize,
    pub(crate) status: NtStatus,
    pub(crate) format: Format,
    pub(crate) sent: Option<SentTo>,
    pub(crate) result: Option<RequestCompletionParams>,
    /// The driver was told to stop working at it, and has not answered.
    pub(crate) stopping: bool,
    /// The driver was told so, and has answered that it keeps it.
    pub(crate) stopped: bool,
    /// What the driver keeps with it.
    pub(crate) context: Option<Anything>,
}

impl Level {
    pub(crate) fn new(device: Arc<DeviceShared>, parameters: Parameters) -> Self {
        Self {
            device,
            queue: None,
            was_delivered: false,
            is_own: false,
            canceled: false,
            cancel_waker: None,
            parameters,
            input: None,
            output: None,
            information: 0,
            status: NtStatus::SUCCESS,
            format: Format::None,
            sent: None,
            result: None,
            stopping: false,
            stopped: false,
            context: None,
        }
    }

    /// Whether it was delivered by this queue, or waits in it.
    pub(crate) fn is_of(&self, queue: &QueueShared) -> bool {
        let of = self.queue.as_ref();
        of.is_some_and(|it| std::ptr::eq(Arc::as_ptr(it), queue))
    }

    /// What the driver keeps with it, to be dropped.
    pub(crate) fn take_context(&mut self) -> Option<(Arc<DeviceShared>, Anything)> {
        let context = self.context.take()?;
        Some((Arc::clone(&self.device), context))
    }

    /// It is cancelled; whoever waits for that is to be woken.
    pub(crate) fn cancel(&mut self) -> Option<Waker> {
        self.canceled = true;
        self.cancel_waker.take()
    }

    /// The most that its completion can tell of.
    pub(crate) fn most(&self) -> usize {
        let length = |window: &Option<Window>| window.as_ref().map_or(0, Window::len);
        match &self.parameters {
            Parameters::Write(_) | Parameters::SetInformation { .. } => length(&self.input),
            Parameters::Read(_) | Parameters::QueryInformation { .. } => length(&self.output),
            Parameters::DeviceControl(_) | Parameters::InternalControl(_) => {
                length(&self.output).max(length(&self.input))
            }
            _ => usize::MAX,
        }
    }
}

/// Who made a request.
pub(crate) enum Origin {
    /// An application; a future may wait for it.
    Caller(Option<Waker>),
    /// The stack itself, which goes on with this.
    Stack(Option<Box<dyn FnOnce(Outcome) + Send>>),
    /// A driver.
    Driver,
}

pub(crate) struct Body {
    pub(crate) location: Location,
    pub(crate) levels: Vec<Level>,
    pub(crate) origin: Origin,
    pub(crate) file: Option<File>,
    pub(crate) outcome: Outcome,
    pub(crate) id: RequestId,
    /// What its driver is to be told.
    pub(crate) tell: Option<Tell>,
    /// How often it was sent.
    pub(crate) sends: u64,
}

/// What a driver is told of a request.
pub(crate) enum Tell {
    /// What it sent has ended.
    Ended(Arc<dyn CompletionCallback>),
    /// It was cancelled.
    Cancelled(Arc<dyn OnCancel>),
}

impl Body {
    pub(crate) fn new(origin: Origin, file: Option<File>, first: Level) -> Self {
        Self {
            location: Location::Driver,
            levels: vec![first],
            origin,
            file,
            outcome: Outcome::default(),
            id: RequestId::next(),
            tell: None,
            sends: 0,
        }
    }

    /// Makes it another request's.
    pub(crate) fn renew(&mut self, origin: Origin, file: Option<File>, first: Level) {
        self.location = Location::Driver;
        self.levels.clear();
        self.levels.push(first);
        self.origin = origin;
        self.file = file;
        self.outcome = Outcome::default();
        self.id = RequestId::next();
        self.tell = None;
        self.sends = 0;
    }

    /// Says where it is from now on. Once it has ended it stays so, and this tells `false`.
    pub(crate) fn place(&mut self, location: Location) -> bool {
        let ended = self.has_ended();
        if !ended {
            self.location = location;
        }
        !ended
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.location, Location::Ended)
    }

    pub(crate) fn top(&mut self) -> &mut Level {
        self.levels
            .last_mut()
            .expect("a request that has not ended is with somebody")
    }

    /// What was sent so, if it has not ended.
    pub(crate) fn sent(&mut self, id: SendId) -> Option<&mut SentTo> {
        let sent = self.levels.get_mut(id.level)?.sent.as_mut()?;
        (sent.serial == id.serial).then_some(sent)
    }

    /// Whether whoever has it now has been asked for it back.
    pub(crate) fn is_canceled(&self) -> bool {
        self.levels.last().is_some_and(|level| {
            level.canceled
                || level
                    .sent
                    .as_ref()
                    .is_some_and(|sent| sent.canceled || sent.timed_out)
        })
    }
}
