//! USB targets: a device, its interfaces and its pipes.

mod descriptors;
mod flight;
mod interface;
mod pipe;
mod policy;
mod reader;

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use usbwright_target::{
    Completion, ResetOutcome, Wait,
    protocol::{
        Direction, Setup, Speed, Status,
        descriptor::{ConfigurationDescriptor, DeviceDescriptor},
    },
};

use self::flight::Flights;
pub use self::{
    interface::UsbInterface,
    pipe::{PipeInformation, UsbTargetPipe},
    reader::{ReaderCompletion, ReaderFailureCallback},
};
use super::{Backend, IoTarget, TargetShared, window};
use crate::{
    Memory, MemoryOffset, Window,
    context::Context,
    device::{Device, DeviceShared},
    request::{Request, SendOptions, format::Format, irp::Irp},
    status::{HResult, NtStatus},
};

/// The most bytes of a control transfer's data stage.
const CONTROL_MOST: usize = 0xFFFF;

/// The USB device at the bottom of a stack, to which a driver sends control transfers, with its interfaces.
///
/// It is made when the hardware is prepared, and claims every interface of the configuration in force, of which the first one is chosen where none is.
#[doc(alias = "IWDFUsbTargetDevice")]
#[derive(Clone, Debug)]
pub struct UsbTargetDevice {
    usb: usbwright_target::Device,
    target: IoTarget,
    interfaces: Arc<[UsbInterface]>,
}

impl UsbTargetDevice {
    /// The USB device of a driver's device.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] where the stack has no USB device; [`NtStatus::INVALID_DEVICE_STATE`] where somebody has one of its interfaces, or
    /// no configuration is in force.
    #[doc(alias = "IWDFUsbTargetFactory")]
    #[doc(alias = "CreateUsbTargetDevice")]
    pub fn new(device: &Device) -> Result<Self, HResult> {
        let shared = device.shared();
        let usb = shared
            .usb()
            .cloned()
            .ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
        let description = usb.description();
        let configuration = usb
            .configuration()
            .and_then(|value| description.configuration(value));
        let configuration = configuration.ok_or(NtStatus::INVALID_DEVICE_STATE)?;
        let mut interfaces = Vec::new();
        for interface in &configuration.descriptor.interfaces {
            let claimed = usb.interface(interface.number).wait();
            let claimed = claimed.map_err(|error| {
                tracing::warn!("{error}");
                NtStatus::INVALID_DEVICE_STATE
            })?;
            interfaces.push(UsbInterface::new(shared, claimed));
        }
        let target = default_pipe(shared, &usb, &interfaces);
        Ok(Self {
            usb,
            target,
            interfaces: interfaces.into(),
        })
    }

    /// The target that control transfers go to: the default pipe.
    pub fn target(&self) -> &IoTarget {
        &self.target
    }

    /// Gives the USB device a context, which is that of its [target](Self::target): see [`IoTarget::assign_context`].
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        self.target.assign_context(context)
    }

    /// The USB device's context; `None` where it has none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.target.context()
    }

    /// What the device is to a program without a stack.
    #[doc(alias = "GetWinUsbHandle")]
    pub fn usb(&self) -> &usbwright_target::Device {
        &self.usb
    }

    /// Its interfaces, in the order of their descriptors.
    #[doc(alias = "GetNumInterfaces")]
    #[doc(alias = "RetrieveUsbInterface")]
    pub fn interfaces(&self) -> &[UsbInterface] {
        &self.interfaces
    }

    /// The interface of a number.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] where the configuration in force has none of that number.
    #[doc(alias = "RetrieveUsbInterface")]
    pub fn interface(&self, number: u8) -> Result<&UsbInterface, HResult> {
        let mut interfaces = self.interfaces.iter();
        let found = interfaces.find(|it| it.number() == number);
        found.ok_or(NtStatus::INVALID_DEVICE_REQUEST.into())
    }

    /// The speed it runs at. UMDF tells 1 for low and full speed, and 3 for any other.
    #[doc(alias = "RetrieveDeviceInformation")]
    #[doc(alias = "DEVICE_SPEED")]
    pub fn speed(&self) -> Speed {
        self.usb.speed()
    }

    /// Its device descriptor, as it was read when the device was opened.
    #[doc(alias = "WdfUsbTargetDeviceGetDeviceDescriptor")]
    pub fn descriptor(&self) -> DeviceDescriptor {
        self.usb.descriptor()
    }

    /// The descriptor of the configuration in force, with those of its interfaces and endpoints.
    #[doc(alias = "WdfUsbTargetDeviceRetrieveConfigDescriptor")]
    pub fn configuration(&self) -> Option<ConfigurationDescriptor> {
        let description = self.usb.description();
        let fetched = description.configuration(self.usb.configuration()?)?;
        Some(fetched.descriptor.clone())
    }

    /// Formats a request as a control transfer. The data stage is `memory`, or the part of it that `offset` names, and its length is that of the setup packet,
    /// whatever `setup` tells. Without memory there is no data stage.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_PARAMETER`] where the part is not in the memory, or is longer than 65,535 bytes; [`NtStatus::ACCESS_VIOLATION`] where data is to come into memory that is
    /// read-only.
    #[doc(alias = "FormatRequestForControlTransfer")]
    pub fn format_for_control_transfer(
        &self,
        request: &mut Request,
        setup: Setup,
        memory: Option<&Memory>,
        offset: Option<MemoryOffset>,
    ) -> Result<(), HResult> {
        let window = window(memory, offset)?;
        let length = window.as_ref().map_or(0, Window::len);
        if length > CONTROL_MOST {
            return Err(NtStatus::INVALID_PARAMETER.into());
        }
        if setup.direction() == Direction::In && window.as_ref().is_some_and(is_read_only) {
            return Err(NtStatus::ACCESS_VIOLATION.into());
        }
        let setup = Setup {
            length: length as u16,
            ..setup
        };
        request.format(Format::Control { setup, window });
        Ok(())
    }

    /// Does a control transfer, and waits until it has ended. Returns the bytes that moved.
    ///
    /// # Errors
    /// As it has ended.
    #[doc(alias = "WdfUsbTargetDeviceSendControlTransferSynchronously")]
    pub fn control_and_wait(
        &self,
        device: &Device,
        setup: Setup,
        memory: Option<&Memory>,
        options: SendOptions,
    ) -> Result<usize, HResult> {
        let mut request = device.create_request();
        self.format_for_control_transfer(&mut request, setup, memory, None)?;
        let sent = request
            .send(&self.target, options)
            .map_err(|error| error.status)?;
        let (_, params) = sent.wait();
        match params.nt_status().is_success() {
            true => Ok(params.information()),
            false => Err(params.status()),
        }
    }

    /// Resets the device's port, and waits until that is done. Whatever is outstanding ends.
    ///
    /// # Errors
    /// [`NtStatus::DEVICE_NOT_CONNECTED`] where the device is gone, or has become another.
    #[doc(alias = "WdfUsbTargetDeviceResetPortSynchronously")]
    pub fn reset_port(&self) -> Result<(), HResult> {
        match self.usb.reset().wait() {
            Ok(ResetOutcome::Kept) => Ok(()),
            _ => Err(NtStatus::DEVICE_NOT_CONNECTED.into()),
        }
    }
}

/// Does control transfers.
struct DefaultPipe {
    usb: usbwright_target::Device,
    flights: Flights,
    /// Those of the device's interfaces, which are no targets.
    contexts: Vec<Arc<Context>>,
}

fn default_pipe(
    device: &Arc<DeviceShared>,
    usb: &usbwright_target::Device,
    interfaces: &[UsbInterface],
) -> IoTarget {
    let backend = DefaultPipe {
        usb: usb.clone(),
        flights: Flights::new(device.scheduler()),
        contexts: interfaces.iter().map(UsbInterface::of_context).collect(),
    };
    let shared = TargetShared::new(device, Box::new(backend));
    device.add_target(&shared);
    IoTarget::of(shared)
}

impl Backend for DefaultPipe {
    fn refuses(&self, format: &Format) -> Option<NtStatus> {
        match format {
            Format::Control { .. } => None,
            _ => Some(NtStatus::INVALID_DEVICE_REQUEST),
        }
    }

    fn start(&self, irp: &Arc<Irp>) {
        let Format::Control { setup, window } = irp.body().top().format.clone() else {
            return irp.ended(NtStatus::INVALID_DEVICE_REQUEST.into());
        };
        let data = match (&window, setup.direction()) {
            (Some(window), Direction::Out) => window.payload().into_bytes(),
            _ => Bytes::new(),
        };
        let usb = self.usb.clone();
        self.flights.start(irp, window, |cancelled| async move {
            usb.control_cancelable(setup, data, cancelled).await
        });
    }

    fn cancel(&self, irp: &Arc<Irp>) {
        self.flights.cancel(irp);
    }

    fn takes_forgotten(&self) -> bool {
        false
    }

    fn contexts(&self) -> Vec<Arc<Context>> {
        self.contexts.clone()
    }

    fn is_hardware(&self) -> bool {
        true
    }
}

/// Whether nothing can be put into a window.
fn is_read_only(window: &Window) -> bool {
    window.memory().is_read_only()
}

/// How a synchronous call of a pipe has ended.
fn ended(completion: &Completion) -> Result<(), HResult> {
    match (&completion.error, completion.status()) {
        (None, _) | (_, Some(Status::Done)) => Ok(()),
        (Some(error), _) => Err(flight::status_of(error).into()),
    }
}
