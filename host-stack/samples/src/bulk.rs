//! The shortest driver of a USB device: reads come from its first bulk pipe IN, writes go to its first bulk pipe OUT.

use std::sync::{Arc, Mutex, PoisonError};

use usbwright_host_stack::{
    Access, CompletionCallback, Device, DeviceCallbacks, DeviceInit, Driver, IoType,
    LockingConstraint, Request, Retrieval, SendError, SendOptions,
    status::{HResult, NtStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::protocol::TransferType,
};

use crate::passing::complete;

/// The driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct BulkDriver;

/// A device's pipes, while there are any: IN and OUT.
#[derive(Default)]
struct Pipes(Mutex<[Option<UsbTargetPipe>; 2]>);

impl Pipes {
    fn set(&self, pipes: [Option<UsbTargetPipe>; 2]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pipes;
    }

    /// Sends a request to a pipe, once it is formatted for that.
    fn send(
        &self,
        which: usize,
        mut request: Request,
        ended: &Arc<dyn CompletionCallback>,
        format: impl FnOnce(&UsbTargetPipe, &mut Request) -> Result<(), HResult>,
    ) {
        let pipes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pipe) = &pipes[which] else {
            return request.complete_with_information(NtStatus::DEVICE_NOT_READY, 0);
        };
        match format(pipe, &mut request) {
            Ok(()) => request
                .send_then(pipe.target(), SendOptions::new(), Arc::clone(ended))
                .unwrap_or_else(SendError::complete),
            Err(status) => request.complete_with_information(status, 0),
        }
    }
}

impl Driver for BulkDriver {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_locking_constraint(LockingConstraint::None);
        init.set_io_type_preference(IoType {
            retrieval: Retrieval::Deferred,
            read_write: Access::BufferedOrDirect,
            ..IoType::default()
        });
        let pipes: Arc<Pipes> = Arc::default();
        let device = init.create(Hardware(Arc::clone(&pipes)));
        let ended: Arc<dyn CompletionCallback> = Arc::new(complete);
        let (written, outputs) = (Arc::clone(&ended), Arc::clone(&pipes));
        let queue = device
            .parallel_queue()
            .default_queue()
            .allow_zero_length(true);
        let queue = queue.on_read(move |_, request, _| {
            pipes.send(0, request, &ended, |pipe, request| {
                let output = request.output(0)?;
                pipe.format_for_read_into(request, output)
            });
        });
        let queue = queue.on_write(move |_, request, length| {
            outputs.send(1, request, &written, |pipe, request| match length {
                0 => pipe.format_for_write(request, None, None),
                _ => {
                    let input = request.input(length)?;
                    pipe.format_for_write_of(request, input)
                }
            });
        });
        queue.create()?;
        Ok(device)
    }
}

struct Hardware(Arc<Pipes>);

impl DeviceCallbacks for Hardware {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let usb = UsbTargetDevice::new(device)?;
        let pipes = usb.interfaces().iter().flat_map(|it| it.pipes());
        let bulk: Vec<_> = pipes
            .filter(|it| it.pipe_type() == TransferType::Bulk)
            .collect();
        bulk.iter()
            .for_each(UsbTargetPipe::set_no_maximum_packet_size_check);
        let first = |is_in| bulk.iter().find(|it| it.is_in() == is_in).cloned();
        self.0.set([first(true), first(false)]);
        Ok(())
    }

    fn release_hardware(&self, _device: &Device) -> Result<(), HResult> {
        self.0.set([None, None]);
        Ok(())
    }
}
