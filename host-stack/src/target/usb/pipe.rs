//! A USB pipe, as a driver has it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use usbwright_target::{
    Pipe, PipePolicy, PolicyError, PolicyId, ReaderConfig, Wait,
    protocol::{Direction, EndpointAddress, TransferType},
};

use super::{ReaderCompletion, ReaderFailureCallback, ended, flight::Flights, reader::Reader};
use crate::{
    Memory, MemoryOffset, Window,
    device::DeviceShared,
    request::{Request, format::Format, irp::Irp},
    status::{HResult, NtStatus},
    target::{Backend, IoTarget, TargetShared, window},
};

/// A pipe of a USB interface. Clones are handles of the same pipe.
///
/// A read that is taken back, or whose time is up, tells of no bytes: what had come is the beginning of the pipe's next read.
#[doc(alias = "IWDFUsbTargetPipe")]
#[doc(alias = "IWDFUsbTargetPipe2")]
#[derive(Clone)]
pub struct UsbTargetPipe {
    core: Arc<Core>,
    target: IoTarget,
}

/// What the handles of a pipe and its target share.
pub(super) struct Core {
    pub(super) pipe: Pipe,
    any_length: AtomicBool,
    pub(super) reader: Mutex<Option<Arc<Reader>>>,
}

/// What a pipe is.
#[doc(alias = "WINUSB_PIPE_INFORMATION")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeInformation {
    /// How it moves data.
    #[doc(alias = "PipeType")]
    pub pipe_type: TransferType,
    /// Its endpoint.
    #[doc(alias = "PipeId")]
    pub address: EndpointAddress,
    /// Bytes in a packet.
    #[doc(alias = "MaximumPacketSize")]
    pub maximum_packet_size: usize,
    /// The endpoint descriptor's `bInterval`.
    #[doc(alias = "Interval")]
    pub interval: u8,
}

impl Core {
    fn reader(&self) -> Option<Arc<Reader>> {
        self.reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is wrong with a transfer of so many bytes in a direction.
    fn refuses_transfer(&self, direction: Direction, length: usize) -> Option<NtStatus> {
        let moves_bytes = matches!(
            self.pipe.transfer_type(),
            TransferType::Bulk | TransferType::Interrupt
        );
        if !moves_bytes || self.pipe.direction() != direction {
            return Some(NtStatus::INVALID_DEVICE_REQUEST);
        }
        if u32::try_from(length).is_err() {
            return Some(NtStatus::INTEGER_OVERFLOW);
        }
        let whole = direction == Direction::Out
            || self.any_length.load(Ordering::Relaxed)
            || length.is_multiple_of(self.pipe.packet_size());
        (!whole).then_some(NtStatus::INVALID_BUFFER_SIZE)
    }
}

impl UsbTargetPipe {
    pub(super) fn new(device: &Arc<DeviceShared>, pipe: Pipe) -> Self {
        let core = Arc::new(Core {
            pipe,
            any_length: AtomicBool::new(false),
            reader: Mutex::default(),
        });
        let backend = PipeBackend {
            core: Arc::clone(&core),
            flights: Flights::new(device.scheduler()),
        };
        let shared = TargetShared::new(device, Box::new(backend));
        device.add_target(&shared);
        let target = IoTarget::of(shared);
        Self { core, target }
    }

    /// Another handle of a pipe.
    pub(super) fn again(core: Arc<Core>, target: Arc<TargetShared>) -> Self {
        let target = IoTarget::of(target);
        Self { core, target }
    }

    /// The target that requests are sent to.
    pub fn target(&self) -> &IoTarget {
        &self.target
    }

    /// Its endpoint.
    pub fn address(&self) -> EndpointAddress {
        self.core.pipe.address()
    }

    /// What it is.
    #[doc(alias = "GetInformation")]
    pub fn information(&self) -> PipeInformation {
        let pipe = &self.core.pipe;
        PipeInformation {
            pipe_type: pipe.transfer_type(),
            address: pipe.address(),
            maximum_packet_size: pipe.packet_size(),
            interval: pipe.descriptor().interval,
        }
    }

    /// How it moves data.
    #[doc(alias = "GetType")]
    pub fn pipe_type(&self) -> TransferType {
        self.core.pipe.transfer_type()
    }

    /// Whether it brings data from the device.
    #[doc(alias = "IsInEndPoint")]
    pub fn is_in(&self) -> bool {
        self.core.pipe.direction() == Direction::In
    }

    /// Whether it takes data to the device.
    #[doc(alias = "IsOutEndPoint")]
    pub fn is_out(&self) -> bool {
        !self.is_in()
    }

    /// Lets reads be of any length, not only of whole packets.
    #[doc(alias = "WdfUsbTargetPipeSetNoMaximumPacketSizeCheck")]
    pub fn set_no_maximum_packet_size_check(&self) {
        self.core.any_length.store(true, Ordering::Relaxed);
    }

    /// Formats a request as a read of up to as many bytes as `memory` has room for, or the part of it that `offset` names. No memory is a read of no bytes.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] for a pipe that does not read, or is neither bulk nor interrupt; [`NtStatus::INVALID_BUFFER_SIZE`] where the length is no
    /// multiple of a packet's.
    #[doc(alias = "FormatRequestForRead")]
    pub fn format_for_read(
        &self,
        request: &mut Request,
        memory: Option<&Memory>,
        offset: Option<MemoryOffset>,
    ) -> Result<(), HResult> {
        self.format(request, Format::PipeRead(window(memory, offset)?))
    }

    /// Formats a request as a write of `memory`, or the part of it that `offset` names. No memory is a zero-length packet.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] for a pipe that does not write, or is neither bulk nor interrupt.
    #[doc(alias = "FormatRequestForWrite")]
    pub fn format_for_write(
        &self,
        request: &mut Request,
        memory: Option<&Memory>,
        offset: Option<MemoryOffset>,
    ) -> Result<(), HResult> {
        self.format(request, Format::PipeWrite(window(memory, offset)?))
    }

    /// Formats a request as [`format_for_read`](Self::format_for_read) does, with a part of a memory.
    ///
    /// # Errors
    /// As those of that.
    pub fn format_for_read_into(
        &self,
        request: &mut Request,
        window: Window,
    ) -> Result<(), HResult> {
        self.format(request, Format::PipeRead(Some(window)))
    }

    /// Formats a request as [`format_for_write`](Self::format_for_write) does, with a part of a memory.
    ///
    /// # Errors
    /// As those of that.
    pub fn format_for_write_of(
        &self,
        request: &mut Request,
        window: Window,
    ) -> Result<(), HResult> {
        self.format(request, Format::PipeWrite(Some(window)))
    }

    fn format(&self, request: &mut Request, format: Format) -> Result<(), HResult> {
        match self.target.shared().refuses(&format) {
            Some(status) => Err(status.into()),
            None => {
                request.format(format);
                Ok(())
            }
        }
    }

    /// Its policies.
    #[doc(alias = "RetrievePipePolicy")]
    pub fn policy(&self) -> PipePolicy {
        self.core.pipe.policy()
    }

    /// Sets its policies. They hold for requests that are sent afterwards, and are at their defaults after a change of setting.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have one of those that differ from their defaults.
    #[doc(alias = "SetPipePolicy")]
    pub fn set_policy(&self, policy: PipePolicy) -> Result<(), PolicyError> {
        self.core.pipe.set_policy(policy)
    }

    /// A policy's value as WinUSB has it.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have it.
    pub fn policy_value(&self, id: PolicyId) -> Result<Vec<u8>, PolicyError> {
        self.core.pipe.policy_value(id)
    }

    /// Sets a policy by its value as WinUSB has it.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have it, or the value is of another size.
    pub fn set_policy_value(&self, id: PolicyId, value: &[u8]) -> Result<(), PolicyError> {
        self.core.pipe.set_policy_value(id, value)
    }

    /// Takes back what is outstanding on the pipe, and waits until it has ended.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_STATE`] where the target is stopped or closed.
    #[doc(alias = "Abort")]
    pub fn abort(&self) -> Result<(), HResult> {
        if self.target.state() != crate::TargetState::Started {
            return Err(NtStatus::INVALID_DEVICE_STATE.into());
        }
        self.core.pipe.abort().wait();
        Ok(())
    }

    /// Takes back what is outstanding, whatever the target's state, clears the endpoint's halt and data toggle (USB 2.0 §9.4.5), and waits until that is done.
    ///
    /// # Errors
    /// As the device told.
    #[doc(alias = "Reset")]
    pub fn reset(&self) -> Result<(), HResult> {
        ended(&self.core.pipe.reset().wait())
    }

    /// Throws away what was kept for the next read, and tells how many bytes that were.
    #[doc(alias = "Flush")]
    pub fn flush(&self) -> usize {
        self.core.pipe.flush()
    }

    /// Has the pipe read all the time, while its target is started. `on_completion` is called with what has come; `on_failure`, where there is one, decides whether the reader resets the pipe and
    /// begins anew, which it does without one.
    ///
    /// The target is stopped by this: start it when the device enters D0, and stop it when it leaves.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_PARAMETER`] for messages of no bytes; [`NtStatus::INVALID_BUFFER_SIZE`] where their length is no multiple of a packet's;
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] for a pipe that is not a bulk or interrupt pipe IN; [`NtStatus::INVALID_DEVICE_STATE`] where the pipe has a reader already;
    /// [`NtStatus::INTEGER_OVERFLOW`] where header, message and trailer are longer than memory can be.
    #[doc(alias = "ConfigureContinuousReader")]
    pub fn configure_continuous_reader(
        &self,
        config: ReaderConfig,
        on_completion: impl ReaderCompletion,
        on_failure: Option<Box<ReaderFailureCallback>>,
    ) -> Result<(), HResult> {
        Reader::configure(
            self,
            &self.core,
            config,
            Box::new(on_completion),
            on_failure,
        )
    }
}

/// Does the transfers of a pipe.
struct PipeBackend {
    core: Arc<Core>,
    flights: Flights,
}

impl Backend for PipeBackend {
    fn refuses(&self, format: &Format) -> Option<NtStatus> {
        let length = |window: &Option<Window>| window.as_ref().map_or(0, Window::len);
        let (direction, length) = match format {
            Format::PipeRead(window) => (Direction::In, length(window)),
            Format::PipeWrite(window) => (Direction::Out, length(window)),
            _ => return Some(NtStatus::INVALID_DEVICE_REQUEST),
        };
        let refused = self.core.refuses_transfer(direction, length);
        refused.or_else(|| self.core.reader().map(|_| NtStatus::INVALID_DEVICE_STATE))
    }

    fn start(&self, irp: &Arc<Irp>) {
        let format = irp.body().top().format.clone();
        let pipe = self.core.pipe.clone();
        match format {
            Format::PipeRead(window) => {
                let length = window.as_ref().map_or(0, Window::len);
                self.flights
                    .start(irp, window, async move { pipe.read(length).await });
            }
            Format::PipeWrite(window) => {
                let data = window.as_ref().map(Window::payload).unwrap_or_default();
                self.flights
                    .start(irp, None, async move { pipe.write(data).await });
            }
            _ => irp.ended(NtStatus::INVALID_DEVICE_REQUEST.into()),
        }
    }

    fn cancel(&self, irp: &Arc<Irp>) {
        self.flights.cancel(irp);
    }

    fn takes_forgotten(&self) -> bool {
        false
    }

    fn is_hardware(&self) -> bool {
        true
    }

    fn reads_by_itself(&self) -> bool {
        self.core.reader().is_some()
    }

    fn started(&self) {
        if let Some(reader) = self.core.reader() {
            reader.start();
        }
    }

    fn stopped(&self) {
        if let Some(reader) = self.core.reader() {
            reader.stop();
        }
    }

    fn closed(&self) {
        if let Some(reader) = self.core.reader() {
            reader.end();
        }
    }
}

impl fmt::Debug for UsbTargetPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsbTargetPipe")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
