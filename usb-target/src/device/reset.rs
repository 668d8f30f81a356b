//! Resetting a device's port, and what it leaves.

use super::{ConfigurationError, Device, OpenError, open::describe};
use crate::completion::TransferFailed;

/// What a reset has left of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a device may be gone"]
pub enum ResetOutcome {
    /// It is the same device, and its configuration and settings are in force again. Pipes stay valid.
    Kept,
    /// It has become another device, which wants to be opened anew: its pipes and interfaces are stale.
    Changed,
    /// It is gone.
    Gone,
}

impl Device {
    /// Resets the device's port. Every transfer ends, and so continuous readers stop; where the device is still the same, its configuration
    /// and settings are restored, and pipes stay valid.
    ///
    /// It is the same where its device descriptor, its configurations, its BOS and its serial number are (as far as it tells that
    /// now), as Linux has it. Where it is not, where there is an error, or where the future is dropped, its pipes are stale and no
    /// configuration is in force.
    ///
    /// # Errors
    /// Where the device answers, but can't be brought back to where it was: it wants to be opened anew.
    #[doc(alias = "IOCTL_INTERNAL_USB_RESET_PORT")]
    pub async fn reset(&self) -> Result<ResetOutcome, OpenError> {
        let _one = self.0.change().await;
        let mut unsettled = Unsettled(Some(self));
        let outcome = self.reset_and_restore().await;
        if let Ok(ResetOutcome::Kept | ResetOutcome::Gone) = outcome {
            unsettled.0 = None;
        }
        outcome
    }

    async fn reset_and_restore(&self) -> Result<ResetOutcome, OpenError> {
        let engine = &self.0.engine;
        engine.reset();
        let found = describe(engine, self.0.speed, self.0.rigour).await;
        if !self.is_connected() {
            return Ok(ResetOutcome::Gone);
        }
        if !found?.is_of_same_device(&self.description()) {
            return Ok(ResetOutcome::Changed);
        }
        let configuration = self.0.present().configuration;
        match self.restore(configuration).await {
            Ok(()) => Ok(ResetOutcome::Kept),
            Err(_) if !self.is_connected() => Ok(ResetOutcome::Gone),
            Err(error) => Err(ConfigurationError::from(error).into()),
        }
    }

    async fn restore(&self, configuration: u8) -> Result<(), TransferFailed> {
        if configuration == 0 {
            return Ok(());
        }
        self.configure(configuration).await?;
        for claim in self.0.claims() {
            match claim.alternate() {
                0 => {}
                alternate => claim.set(alternate).await?,
            }
        }
        Ok(())
    }

    /// Makes every pipe stale, as no configuration is in force any more.
    fn retire(&self) {
        self.0.present().configuration = 0;
        for claim in self.0.claims() {
            claim.pipes().iter().for_each(|pipe| pipe.retire());
        }
    }
}

/// A device that is being reset: its pipes are stale if that does not end well.
struct Unsettled<'a>(Option<&'a Device>);

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if let Some(device) = self.0 {
            device.retire();
        }
    }
}
