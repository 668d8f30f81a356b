//! The client that a program has: the pipes of `usb-target`, a queue with so many transfers in flight.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{cell::Cell, client::thread_cpu, run::Run, sample::Sample, server::ServerError};
use crate::{
    protocol::{Direction, Payload},
    remote::{RemoteDevice, RemotePort},
    target::{Bulk, Device, In, Out, Pipe, Queue, TransferFailed, Wait, Way},
};

/// A device that has been opened, to be measured through its pipes.
#[derive(Debug)]
pub struct PipeClient {
    source: Pipe<Bulk, In>,
    sink: Pipe<Bulk, Out>,
    payload: Bytes,
}

impl PipeClient {
    /// Opens a device over USB/IP.
    ///
    /// # Errors
    /// Where it can't be had, or is no Gadget Zero.
    pub fn open(device: &RemoteDevice) -> Result<Self, ServerError> {
        let device = Device::open(RemotePort::open(device)?).wait()?;
        let interface = device.interface(0).wait()?;
        Ok(Self {
            source: interface.first()?,
            sink: interface.first()?,
            payload: Bytes::new(),
        })
    }

    /// Runs a cell for as long as `duration`, and then until what is in flight has ended.
    ///
    /// # Errors
    /// Where a transfer fails.
    pub fn run(&mut self, cell: &Cell, duration: Duration) -> Result<Sample, TransferFailed> {
        let length = cell.size as usize;
        match cell.direction {
            Direction::In => drive(self.source.queue(), cell, duration, |queue| {
                queue.read(length).map(drop)
            }),
            Direction::Out => {
                if self.payload.len() != length {
                    let data = self.source.read(length).wait().ok()?.data.into_bytes();
                    // A buffer of its own, as a program's would be: the kernel copies more slowly from where the data came to lie.
                    self.payload = Bytes::copy_from_slice(&data);
                }
                let payload = &self.payload;
                drive(self.sink.queue(), cell, duration, |queue| {
                    queue.write(Payload::from(payload.clone())).map(drop)
                })
            }
        }
    }
}

fn drive<W: Way>(
    mut queue: Queue<Bulk, W>,
    cell: &Cell,
    duration: Duration,
    submit: impl Fn(&mut Queue<Bulk, W>) -> Result<(), crate::target::TransferError>,
) -> Result<Sample, TransferFailed> {
    let cpu = thread_cpu();
    let mut run = Run::new(duration, None, cell);
    let mut submitted = VecDeque::new();
    let refill = |queue: &mut Queue<Bulk, W>, submitted: &mut VecDeque<Instant>, now| {
        while queue.len() < cell.depth as usize {
            submit(queue).map_err(|error| TransferFailed {
                error,
                length: 0,
                data: Payload::new(),
            })?;
            submitted.push_back(now);
        }
        Ok(())
    };
    refill(&mut queue, &mut submitted, run.now)?;
    while let Some((_, first)) = queue.next().wait() {
        run.stamp();
        let mut next = Some(first);
        while let Some(ended) = next {
            let ended = ended.ok()?;
            let since = submitted.pop_front().unwrap_or(run.now);
            run.ended(since, u32::try_from(ended.length).unwrap_or(u32::MAX));
            next = queue.try_next().map(|(_, ended)| ended);
        }
        if run.now < run.until {
            refill(&mut queue, &mut submitted, run.now)?;
        }
    }
    Ok(run.finish(thread_cpu().saturating_sub(cpu)))
}
