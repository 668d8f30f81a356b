//! A pipe's continuous reader, as a driver has it.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use usbwright_target::{
    Message, ReaderConfig, ReaderError, ReaderFailure, ReaderHandle, TransferError, Wait,
    protocol::{Direction, TransferType},
};

use super::{UsbTargetPipe, flight::status_of, pipe::Core};
use crate::{
    device::Ends,
    status::{HResult, NtStatus},
    target::SentIoAction,
    task,
};

/// Is told what a continuous reader has read. It is not serialised with the device's other callbacks; the messages of one pipe come one at a time, in their order.
#[doc(alias = "IUsbTargetPipeContinuousReaderCallbackReadComplete")]
pub trait ReaderCompletion: Send + Sync + 'static {
    /// A message has come; an empty one is a zero-length packet.
    #[doc(alias = "OnReaderCompletion")]
    fn completed(&self, pipe: &UsbTargetPipe, message: Message);
}

impl<F: Fn(&UsbTargetPipe, Message) + Send + Sync + 'static> ReaderCompletion for F {
    fn completed(&self, pipe: &UsbTargetPipe, message: Message) {
        self(pipe, message);
    }
}

/// Is told that a pipe's reader failed, when nothing is pending any more, and decides whether it resets the pipe and begins anew.
#[doc(alias = "IUsbTargetPipeContinuousReaderCallbackReadersFailed")]
#[doc(alias = "OnReaderFailure")]
pub type ReaderFailureCallback =
    dyn Fn(&UsbTargetPipe, HResult, &ReaderFailure) -> bool + Send + Sync;

/// A pipe's continuous reader.
pub(super) struct Reader {
    handle: ReaderHandle,
    /// Whether it is to read, as its target is started. Where it has failed it does not all the same.
    wanted: AtomicBool,
    /// Hands on what it has read.
    task: Weak<dyn Ends>,
}

impl Reader {
    pub(super) fn configure(
        pipe: &UsbTargetPipe,
        core: &Arc<Core>,
        config: ReaderConfig,
        on_completion: Box<dyn ReaderCompletion>,
        on_failure: Option<Box<ReaderFailureCallback>>,
    ) -> Result<(), HResult> {
        let raw = &core.pipe;
        let reads = raw.direction() == Direction::In
            && matches!(
                raw.transfer_type(),
                TransferType::Bulk | TransferType::Interrupt
            );
        if !reads {
            return Err(NtStatus::INVALID_DEVICE_REQUEST.into());
        }
        let Some(device) = pipe.target().shared().device() else {
            return Err(NtStatus::DEVICE_REMOVED.into());
        };
        let mut reader = raw.reader(config).map_err(|error| refusal(&error))?;
        let this = Arc::downgrade(core);
        let target = Arc::downgrade(pipe.target().shared());
        if let Some(on_failure) = on_failure {
            let (this, target) = (Weak::clone(&this), Weak::clone(&target));
            reader = reader.on_failure(move |failure| {
                let (Some(core), Some(target)) = (this.upgrade(), target.upgrade()) else {
                    return false;
                };
                let pipe = UsbTargetPipe::again(core, target);
                on_failure(&pipe, status_of(&failure.error).into(), failure)
            });
        }
        let handle = reader.handle();
        let task = task::spawn(&device, async move {
            loop {
                let read = reader.next().await;
                let (Some(core), Some(target)) = (this.upgrade(), target.upgrade()) else {
                    return;
                };
                let pipe = UsbTargetPipe::again(core, target);
                match read {
                    Ok(message) => on_completion.completed(&pipe, message),
                    Err(failure) => tracing::debug!("{failure}"),
                }
                drop(pipe);
                // A device may always have more.
                task::give_way().await;
            }
        });
        let configured = Arc::new(Self {
            handle,
            wanted: AtomicBool::new(false),
            task,
        });
        // A pipe has one reader, and keeps it.
        let _ = core.reader.set(configured);
        pipe.target().stop(SentIoAction::LeaveSentIoPending)
    }

    pub(super) fn start(&self) {
        self.handle.start();
        self.wanted.store(true, Ordering::Release);
    }

    /// Whether the pipe is its own: it is unless it has failed while its target is started.
    pub(super) fn has_pipe(&self) -> bool {
        !self.wanted.load(Ordering::Acquire) || self.handle.is_running()
    }

    /// Takes back what is pending, and waits until that has ended.
    pub(super) fn stop(&self) {
        self.wanted.store(false, Ordering::Release);
        self.handle.stop().wait();
    }

    /// Ends it for good.
    pub(super) fn end(&self) {
        if let Some(task) = self.task.upgrade() {
            task.end();
        }
    }
}

fn refusal(error: &ReaderError) -> HResult {
    let status = match error {
        ReaderError::Empty => NtStatus::INVALID_PARAMETER,
        ReaderError::Configured(_) => NtStatus::INVALID_DEVICE_STATE,
        ReaderError::Overflow => NtStatus::INTEGER_OVERFLOW,
        ReaderError::Transfer(TransferError::NotWholePackets { .. }) => {
            NtStatus::INVALID_BUFFER_SIZE
        }
        ReaderError::Transfer(error) => status_of(error),
    };
    status.into()
}
