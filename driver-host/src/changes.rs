//! The changes of a stack's state that a manager asks for.

use usbwright_host_control::Change;
use usbwright_host_stack::{
    ChangeError, PnpState, Stack,
    usb_target::{Device, OpenError, ResetOutcome, Wait as _},
};

/// Why a stack is not as it was to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotChanged {
    #[error(transparent)]
    Stack(#[from] ChangeError),
    #[error("its drivers use the device: stop the stack before its device is reset")]
    InUse,
    #[error("the device can't be reset: {0}")]
    Reset(#[from] OpenError),
    #[error("the device is another one after it was reset")]
    Another,
    #[error("the device is gone after it was reset")]
    Gone,
    #[error("the stack can't do that, as it is {0:?}")]
    State(PnpState),
}

/// Makes a change, and has it done when this returns.
pub(crate) fn make(change: Change, stack: &Stack, device: &Device) -> Result<(), NotChanged> {
    match change {
        Change::Suspend => stack.suspend()?,
        Change::Resume => stack.resume()?,
        Change::Stop => stack.stop()?,
        Change::Restart => stack.restart()?,
        Change::Reset if stack.state() != PnpState::Stopped => return Err(NotChanged::InUse),
        Change::Reset => match device.reset().wait()? {
            ResetOutcome::Kept => {}
            ResetOutcome::Changed => return Err(NotChanged::Another),
            ResetOutcome::Gone => return Err(NotChanged::Gone),
        },
    }
    let is_stopped = matches!(change, Change::Stop | Change::Reset);
    match stack.state() {
        PnpState::Stopped if is_stopped => Ok(()),
        // What sleeps may have been woken by its device.
        PnpState::Started | PnpState::Idle | PnpState::Sleeping if !is_stopped => Ok(()),
        state => Err(NotChanged::State(state)),
    }
}
