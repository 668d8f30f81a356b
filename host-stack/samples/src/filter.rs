//! A filter that inverts what is written, and what is read. What is written and read through it is unchanged, and on the wire it is inverted.

use std::sync::Arc;

use usbwright_host_stack::{
    CompletionCallback, Device, DeviceInit, Driver, LockingConstraint, MemoryOffset, Request,
    RequestCompletionParams, SendError, SendOptions, Window, status::HResult,
};

/// The filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct InvertingFilter;

impl Driver for InvertingFilter {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_filter();
        init.set_locking_constraint(LockingConstraint::None);
        let device = init.create(());
        let target = device.default_target().clone();
        let (reads, writes) = (target.clone(), target.clone());
        let queue = device
            .parallel_queue()
            .default_queue()
            .power_managed(false)
            .allow_zero_length(true);
        let queue = queue.on_read(move |_, mut request, _| {
            request.format_using_current_type();
            let sent = request.send_then(&reads, SendOptions::new(), Arc::new(Inverted));
            sent.unwrap_or_else(SendError::complete);
        });
        let queue = queue.on_write(move |_, mut request, length| {
            if let Err(status) = request.input(length).and_then(|it| invert(&it, length)) {
                return request.complete_with_information(status, 0);
            }
            request.format_using_current_type();
            request
                .send_and_forget(&writes)
                .unwrap_or_else(SendError::complete);
        });
        let queue = queue.on_default(move |_, request| {
            request
                .send_and_forget(&target)
                .unwrap_or_else(SendError::complete);
        });
        queue.create()?;
        Ok(device)
    }
}

/// Inverts what was read.
struct Inverted;

impl CompletionCallback for Inverted {
    fn completed(&self, request: Request, params: &RequestCompletionParams) {
        let read = params.information();
        let inverted = match read {
            0 => Ok(()),
            _ => request.output(read).and_then(|it| invert(&it, read)),
        };
        let status = inverted.err().unwrap_or(params.status());
        request.complete_with_information(status, read);
    }
}

/// Inverts the first bytes of a window.
fn invert(window: &Window, length: usize) -> Result<(), HResult> {
    let part = MemoryOffset {
        offset: window.offset(),
        length,
    };
    if length == 0 {
        return Ok(());
    }
    let mut bytes = window.memory().to_bytes(Some(part))?.to_vec();
    bytes.iter_mut().for_each(|it| *it = !*it);
    Ok(window.memory().copy_from_buffer(window.offset(), &bytes)?)
}
