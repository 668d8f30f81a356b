//! A USB pipe, as a driver has it.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use usbwright_target::{
    Pipe, ReaderConfig, Wait,
    protocol::{Direction, EndpointAddress, TransferType},
};

use super::{
    ReaderCompletion, ReaderFailureCallback, ended, flight::Flights, is_read_only, reader::Reader,
};
use crate::{
    Memory, MemoryOffset, Window,
    device::DeviceShared,
    request::{Request, format::Format, irp::Irp},
    status::{HResult, NtStatus},
    target::{Backend, IoTarget, TargetShared, TargetState, window},
};

/// A pipe of a USB interface. Clones are handles of the same pipe.
///
/// A read that is taken back, or whose time is up, tells what had come by then, and has it in its memory; what comes later is for the pipe's next read. So do a
/// write and a control transfer tell what the device had taken, or sent.
#[doc(alias = "IWDFUsbTargetPipe")]
#[doc(alias = "IWDFUsbTargetPipe2")]
#[derive(Clone)]
pub struct UsbTargetPipe {
    pub(super) core: Arc<Core>,
    target: IoTarget,
}

/// What the handles of a pipe and its target share.
pub(super) struct Core {
    pub(super) pipe: Pipe,
    any_length: AtomicBool,
    pub(super) reader: OnceLock<Arc<Reader>>,
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
    fn reader(&self) -> Option<&Arc<Reader>> {
        self.reader.get()
    }

    /// Whether a continuous reader has the pipe.
    fn is_readers(&self) -> bool {
        self.reader().is_some_and(|reader| reader.has_pipe())
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
            reader: OnceLock::new(),
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

    /// Gives the pipe a context, which is that of its [target](Self::target): see [`IoTarget::assign_context`].
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        self.target.assign_context(context)
    }

    /// The pipe's context; `None` where it has none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.target.context()
    }

    /// Its endpoint.
    #[doc(alias = "PipeId")]
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
    /// multiple of a packet's; [`NtStatus::INTEGER_OVERFLOW`] where it is beyond 32 bits; [`NtStatus::INVALID_PARAMETER`] where the part is not in the memory;
    /// [`NtStatus::ACCESS_VIOLATION`] where that is read-only; [`NtStatus::INVALID_DEVICE_STATE`] where a continuous reader has the pipe.
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
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] for a pipe that does not write, or is neither bulk nor interrupt; [`NtStatus::INTEGER_OVERFLOW`] where the length is beyond 32 bits;
    /// [`NtStatus::INVALID_PARAMETER`] where the part is not in the memory.
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
    #[doc(alias = "FormatRequestForRead")]
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
    #[doc(alias = "FormatRequestForWrite")]
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

    /// Takes back what is outstanding on the pipe, and waits until it has ended on the bus; whoever has sent it is told as ever.
    ///
    /// A target that is stopped may be aborted, as UMDF has a driver recover from an error so: stop, abort, [`reset`](Self::reset), start, and send again.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_STATE`] where the target is closed.
    #[doc(alias = "Abort")]
    #[doc(alias = "WdfUsbTargetPipeAbortSynchronously")]
    pub fn abort(&self) -> Result<(), HResult> {
        if self.target.state() == TargetState::Closed {
            return Err(NtStatus::INVALID_DEVICE_STATE.into());
        }
        self.core.pipe.abort().wait();
        Ok(())
    }

    /// Takes back what is outstanding, whatever the target's state, clears the endpoint's halt and data toggle (USB 2.0 §9.4.5), and waits until that is done.
    ///
    /// # Errors
    /// As the device told; [`NtStatus::INVALID_DEVICE_STATE`] for a pipe of a setting that is in force no more.
    #[doc(alias = "Reset")]
    #[doc(alias = "WdfUsbTargetPipeResetSynchronously")]
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
    /// The target is stopped by this: start it when the device enters D0, and stop it when it leaves. That may be done anywhere, within the reader's own callbacks
    /// too; what had come when it was stopped is told nevertheless. Requests to read are refused with [`NtStatus::INVALID_DEVICE_STATE`], unless the reader has failed and
    /// stays off: then the pipe is the driver's, until its target is stopped and started again.
    ///
    /// Where the device is gone, or the setting is in force no more, the reader ends whatever `on_failure` says.
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
        if let Format::PipeRead(Some(window)) = format
            && is_read_only(window)
        {
            return Some(NtStatus::ACCESS_VIOLATION);
        }
        let refused = self.core.refuses_transfer(direction, length);
        refused.or_else(|| {
            self.core
                .is_readers()
                .then_some(NtStatus::INVALID_DEVICE_STATE)
        })
    }

    fn start(&self, irp: &Arc<Irp>) {
        let format = irp.body().top().format.clone();
        let core = Arc::clone(&self.core);
        match format {
            Format::PipeRead(window) => {
                let length = window.as_ref().map_or(0, Window::len);
                self.flights.start(irp, window, |cancelled| async move {
                    core.pipe.read_cancelable(length, cancelled).await
                });
            }
            Format::PipeWrite(window) => {
                let data = window.as_ref().map(Window::payload).unwrap_or_default();
                self.flights.start(irp, None, |cancelled| async move {
                    core.pipe.write_cancelable(data, cancelled).await
                });
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
        self.core.is_readers()
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
