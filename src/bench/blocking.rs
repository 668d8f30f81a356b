//! The client that most programs have: libusb's blocking calls, by `rusb`, on a device that a kernel has attached.

use std::time::Duration;

use rusb::{Context, DeviceHandle, Direction as Way, TransferType, UsbContext as _};

use super::{
    cell::Cell,
    client::{ClientError, thread_cpu},
    run::Run,
    sample::Sample,
    server::ServerError,
};
use crate::{
    protocol::Direction,
    target::libusb::{LibusbDevice, Selector, list},
};

/// How long a transfer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A device that libusb has, to be measured with one transfer at a time.
#[derive(Debug)]
pub struct BlockingClient {
    handle: DeviceHandle<Context>,
    source: u8,
    sink: u8,
    buffer: Vec<u8>,
}

impl BlockingClient {
    /// Opens a device and takes its first interface from the kernel's driver.
    ///
    /// # Errors
    /// Where there is no such device, it can't be opened, or is no Gadget Zero.
    pub fn open(selector: &Selector) -> Result<Self, ServerError> {
        let known = list()?;
        let known = known.iter().find(|it| selector.matches(it));
        let known = known.ok_or_else(|| ServerError::NoSuch(selector.to_string()))?;
        let handle = open(known)?;
        handle.set_auto_detach_kernel_driver(true)?;
        handle.claim_interface(0)?;
        let (source, sink) = endpoints(&handle)?.ok_or(ServerError::NoEndpoints)?;
        Ok(Self {
            handle,
            source,
            sink,
            buffer: Vec::new(),
        })
    }

    /// Runs a cell, of one transfer at a time, for as long as `duration`.
    ///
    /// # Errors
    /// Where a transfer fails, or moves less than was asked for.
    pub fn run(&mut self, cell: &Cell, duration: Duration) -> Result<Sample, ClientError> {
        if cell.depth != 1 {
            return Err(ClientError::OneAtATime);
        }
        self.buffer.resize(cell.size as usize, 0);
        let cpu = thread_cpu();
        let mut run = Run::new(duration, None, cell);
        while run.now < run.until {
            let submitted = run.now;
            let moved = match cell.direction {
                Direction::In => self
                    .handle
                    .read_bulk(self.source, &mut self.buffer, TIMEOUT),
                Direction::Out => self.handle.write_bulk(self.sink, &self.buffer, TIMEOUT),
            };
            run.stamp();
            run.ended(submitted, u32::try_from(moved?).unwrap_or(u32::MAX));
            if !cell.pause.is_zero() {
                run.pause(cell.pause);
            }
        }
        Ok(run.finish(thread_cpu().saturating_sub(cpu)))
    }
}

fn open(known: &LibusbDevice) -> Result<DeviceHandle<Context>, ServerError> {
    let devices = Context::new()?.devices()?;
    let place = (known.bus, known.address);
    let mut devices = devices.iter();
    let found = devices.find(|it| (it.bus_number(), it.address()) == place);
    let found = found.ok_or(rusb::Error::NoDevice)?;
    Ok(found.open()?)
}

/// The first bulk endpoints of the device's present configuration, IN and OUT.
fn endpoints(handle: &DeviceHandle<Context>) -> Result<Option<(u8, u8)>, ServerError> {
    let configuration = handle.device().active_config_descriptor()?;
    let settings = configuration.interfaces().flat_map(|it| it.descriptors());
    let endpoints: Vec<_> = settings
        .flat_map(|setting| {
            let endpoints = setting.endpoint_descriptors();
            let told = endpoints.map(|it| (it.transfer_type(), it.direction(), it.address()));
            told.collect::<Vec<_>>()
        })
        .collect();
    let bulk = |way| {
        let mut all = endpoints.iter();
        let found = all.find(|(kind, to, _)| *kind == TransferType::Bulk && *to == way);
        found.map(|(.., address)| *address)
    };
    Ok(bulk(Way::In).zip(bulk(Way::Out)))
}
