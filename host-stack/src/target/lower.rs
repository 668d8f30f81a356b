//! The default target: the next driver below, or nothing below the last one.

use std::sync::{Arc, Weak};

use super::Backend;
use crate::{
    device::DeviceShared,
    request::{
        Parameters,
        format::{Asked, Format},
        irp::{Irp, Level},
    },
    status::NtStatus,
};

/// The next driver below a device.
pub(crate) struct Lower {
    /// `None` below the last driver, where nothing but the opening and closing of files goes.
    pub(crate) device: Option<Weak<DeviceShared>>,
}

impl Backend for Lower {
    fn refuses(&self, format: &Format) -> Option<NtStatus> {
        match format {
            Format::Control { .. } | Format::PipeRead(_) | Format::PipeWrite(_) => {
                Some(NtStatus::INVALID_DEVICE_REQUEST)
            }
            _ => None,
        }
    }

    fn start(&self, irp: &Arc<Irp>) {
        let lower = match &self.device {
            None => return irp.ended(below_all(irp).into()),
            Some(device) => device.upgrade(),
        };
        let Some(lower) = lower else {
            return irp.ended(NtStatus::DEVICE_REMOVED.into());
        };
        let mut body = irp.body();
        if body.has_ended() {
            return;
        }
        let cancelled = body.is_canceled();
        let above = body.top();
        let Some(asked) = Asked::of(above) else {
            drop(body);
            return irp.ended(NtStatus::INVALID_DEVICE_REQUEST.into());
        };
        let mut level = Level::new(Arc::clone(&lower), asked.parameters);
        (level.input, level.output) = (asked.input, asked.output);
        level.canceled = cancelled;
        body.levels.push(level);
        drop(body);
        lower.arrive(irp);
    }

    fn cancel(&self, _irp: &Arc<Irp>) {
        // It has gone on, and whoever has it is asked.
    }

    fn takes_forgotten(&self) -> bool {
        true
    }
}

/// How a request ends that no driver has taken.
fn below_all(irp: &Arc<Irp>) -> NtStatus {
    let mut body = irp.body();
    let above = body.top();
    let parameters = match &above.format {
        Format::Io { parameters, .. } => parameters,
        _ => &above.parameters,
    };
    match parameters {
        Parameters::Create(_) | Parameters::Cleanup | Parameters::Close => NtStatus::SUCCESS,
        _ => NtStatus::INVALID_DEVICE_REQUEST,
    }
}
