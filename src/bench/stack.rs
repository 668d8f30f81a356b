//! The client that an application is: the host stack's shortest driver above the device, with so many requests in flight.

use std::time::Duration;

use bytes::Bytes;
use usbwright_samples::bulk::BulkDriver;

use super::{
    cell::Cell, client::ClientError, run::keep_in_flight, sample::Sample, server::ServerError,
};
use crate::{
    host_stack::{Handle, Stack},
    protocol::Direction,
    remote::{RemoteDevice, RemotePort},
    target::{Device, Wait},
};

/// A device with a stack of one driver above it, to be measured as an application sees it.
#[derive(Debug)]
pub struct StackClient {
    handle: Handle,
    payload: Bytes,
}

impl StackClient {
    /// Opens a device over USB/IP, and starts a stack above it.
    ///
    /// # Errors
    /// Where it can't be had, or is no Gadget Zero.
    pub fn open(device: &RemoteDevice) -> Result<Self, ServerError> {
        let device = Device::open(RemotePort::open(device)?).wait()?;
        let builder = Stack::builder().usb_device(device);
        let stack = builder.driver("bulk", BulkDriver).start()?;
        Ok(Self {
            handle: stack.open_and_wait()?,
            payload: Bytes::new(),
        })
    }

    /// Runs a cell for as long as `duration`, and then until what is in flight has ended.
    ///
    /// # Errors
    /// Where a request fails.
    pub fn run(&mut self, cell: &Cell, duration: Duration) -> Result<Sample, ClientError> {
        let length = cell.size as usize;
        if cell.direction == Direction::Out && self.payload.len() != length {
            let read = self.handle.read(length).wait().ok()?;
            self.payload = Bytes::copy_from_slice(&read.data);
        }
        keep_in_flight(
            cell,
            duration,
            || {
                Ok(match cell.direction {
                    Direction::In => self.handle.read(length),
                    Direction::Out => self.handle.write(self.payload.clone()),
                })
            },
            |io| Ok(io.wait().ok()?.information),
        )
    }
}
