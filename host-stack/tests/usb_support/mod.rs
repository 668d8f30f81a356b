//! A stack over a Gadget Zero whose transfers a test ends, and what its driver has of it.
#![allow(dead_code, reason = "not every test file needs all of it")]

mod wire;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock},
};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, Handle, Memory, OnViolation, PowerState, Request,
    RequestCompletionParams, SendOptions, Sent, SentIoAction, Stack, StackBuilder, Threads,
    status::{HResult, NtStatus},
    usb::{UsbInterface, UsbTargetDevice, UsbTargetPipe},
    usb_target::{
        ManualClock, Options, Wait,
        protocol::{Direction, EndpointAddress, Setup, Status, request},
    },
};
use usbwright_models::Spec;

pub(crate) use self::wire::{Behind, Wire};

pub(crate) const BULK_IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
pub(crate) const BULK_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
/// In setting 1.
pub(crate) const ISO_IN: EndpointAddress = EndpointAddress::new(2, Direction::In);
/// In setting 2: 64 bytes.
pub(crate) const INTERRUPT_IN: EndpointAddress = EndpointAddress::new(3, Direction::In);
/// In setting 2.
pub(crate) const INTERRUPT_OUT: EndpointAddress = EndpointAddress::new(3, Direction::Out);
/// Bytes in a packet of the bulk pipes.
pub(crate) const PACKET: usize = 512;

/// What a driver does with its pipes when the hardware is prepared.
type Prepare = dyn Fn(&UsbTargetDevice) -> Result<(), HResult> + Send + Sync;

/// A driver that has a USB device.
#[derive(Clone)]
struct Holder {
    usb: Arc<OnceLock<UsbTargetDevice>>,
    setting: u8,
    prepare: Arc<Prepare>,
    /// The pipe whose target is started with the device, and stopped with it.
    reads: Option<EndpointAddress>,
    /// The requests of applications.
    kept: Arc<Mutex<VecDeque<Request>>>,
}

impl DeviceCallbacks for Holder {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let usb = UsbTargetDevice::new(device)?;
        usb.interfaces()[0].select_setting(self.setting)?;
        (self.prepare)(&usb)?;
        let _ = self.usb.set(usb);
        Ok(())
    }

    fn d0_entry(&self, _device: &Device, _from: PowerState) -> Result<(), HResult> {
        self.reads().map_or(Ok(()), |pipe| pipe.target().start())
    }

    fn d0_exit(&self, _device: &Device, _to: PowerState) -> Result<(), HResult> {
        self.reads().map_or(Ok(()), |pipe| {
            pipe.target().stop(SentIoAction::CancelSentIo)
        })
    }
}

impl Holder {
    fn reads(&self) -> Option<UsbTargetPipe> {
        self.usb.get()?.interfaces()[0].pipe(self.reads?)
    }
}

impl Driver for Holder {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(self.clone());
        let kept = Arc::clone(&self.kept);
        let queue = device.parallel_queue().default_queue();
        queue
            .on_default(move |_, request| kept.lock().unwrap().push_back(request))
            .create()?;
        Ok(device)
    }
}

/// A stack, and what goes on below it.
pub(crate) struct Rig {
    pub(crate) stack: Stack,
    pub(crate) wire: Wire,
    pub(crate) clock: ManualClock,
    pub(crate) usb: UsbTargetDevice,
    kept: Arc<Mutex<VecDeque<Request>>>,
}

impl Rig {
    /// With the interface in a setting.
    pub(crate) fn new(setting: u8) -> Self {
        Self::prepared(setting, |_| Ok(()), None)
    }

    /// With what a driver does when the hardware is prepared, and the pipe that it has read by itself.
    pub(crate) fn prepared(
        setting: u8,
        prepare: impl Fn(&UsbTargetDevice) -> Result<(), HResult> + Send + Sync + 'static,
        reads: Option<EndpointAddress>,
    ) -> Self {
        let strict = |it: StackBuilder| it.on_violation(OnViolation::Panic);
        Self::built(setting, prepare, reads, strict)
    }

    /// The same, with what else the stack is to be.
    pub(crate) fn built(
        setting: u8,
        prepare: impl Fn(&UsbTargetDevice) -> Result<(), HResult> + Send + Sync + 'static,
        reads: Option<EndpointAddress>,
        settings: impl FnOnce(StackBuilder) -> StackBuilder,
    ) -> Self {
        let (clock, wire) = (ManualClock::new(), Wire::default());
        let spec = "gadget-zero".parse::<Spec>().unwrap();
        let port = Behind {
            inner: spec.build(clock.now()).unwrap(),
            wire: wire.clone(),
        };
        let options = Options::new().configuration(3).clock(clock.clone());
        let usb = Arc::<OnceLock<_>>::default();
        let kept = Arc::<Mutex<VecDeque<_>>>::default();
        let driver = Holder {
            usb: Arc::clone(&usb),
            setting,
            prepare: Arc::new(prepare),
            reads,
            kept: Arc::clone(&kept),
        };
        let builder = Stack::builder()
            .usb_device(options.open(port).wait().unwrap())
            .driver("holder", driver)
            .clock(clock.clone())
            .threads(Threads::None);
        let stack = settings(builder).start().unwrap();
        wire.asked();
        let usb = usb.get().unwrap().clone();
        Self {
            stack,
            wire,
            clock,
            usb,
            kept,
        }
    }

    /// The oldest request of an application that the driver has.
    pub(crate) fn kept(&self) -> Request {
        let kept = self.kept.lock().unwrap().pop_front();
        kept.expect("an application has made one")
    }

    pub(crate) fn device(&self) -> Device {
        self.stack.devices().pop().unwrap()
    }

    pub(crate) fn open(&self) -> Handle {
        self.stack.open_and_wait().unwrap()
    }

    pub(crate) fn interface(&self) -> &UsbInterface {
        &self.usb.interfaces()[0]
    }

    pub(crate) fn pipe(&self, address: EndpointAddress) -> UsbTargetPipe {
        self.interface().pipe(address).unwrap()
    }

    pub(crate) fn request(&self) -> Request {
        self.device().create_request()
    }

    /// Sends a read of all of a memory.
    pub(crate) fn read(&self, address: EndpointAddress, memory: &Memory) -> Sent {
        self.read_with(address, memory, SendOptions::new())
    }

    pub(crate) fn read_with(
        &self,
        address: EndpointAddress,
        memory: &Memory,
        options: SendOptions,
    ) -> Sent {
        let (pipe, mut request) = (self.pipe(address), self.request());
        pipe.format_for_read(&mut request, Some(memory), None)
            .unwrap();
        request.send(pipe.target(), options).unwrap()
    }

    /// Sends a write of all of a memory.
    pub(crate) fn write(&self, address: EndpointAddress, memory: &Memory) -> Sent {
        let (pipe, mut request) = (self.pipe(address), self.request());
        pipe.format_for_write(&mut request, Some(memory), None)
            .unwrap();
        request.send(pipe.target(), SendOptions::new()).unwrap()
    }

    /// Ends the oldest transfer of an endpoint, and has the stack do what comes before and what follows.
    pub(crate) fn end(&self, endpoint: EndpointAddress, status: Status, data: &[u8]) {
        self.stack.run();
        self.wire.end(endpoint, status, data);
        self.look();
    }

    /// Has the host look what has ended, and the stack do what follows.
    pub(crate) fn look(&self) {
        self.poke();
        self.stack.run();
    }

    /// Has the host look what has ended, of which the stack is told.
    pub(crate) fn poke(&self) {
        let status = Setup {
            request_type: 0x80,
            request: request::GET_STATUS,
            length: 2,
            ..Setup::default()
        };
        let told = self.usb.usb().control(status, Vec::new()).wait();
        assert!(told.error.is_none() || !self.usb.usb().is_connected());
        self.wire.forget(status);
    }
}

/// How what was sent has ended: its status, its information, and what its memory begins with.
pub(crate) fn ended(
    (_, params): (Request, RequestCompletionParams),
    memory: &Memory,
) -> (NtStatus, usize, Vec<u8>) {
    let transfer = params.usb().unwrap().transfer();
    assert_eq!(transfer.bytes, params.information());
    let came = memory.to_bytes(None).unwrap()[..params.information()].to_vec();
    (params.nt_status(), params.information(), came)
}

/// So much memory, of zeros.
pub(crate) fn room(length: usize) -> Memory {
    Memory::zeroed(length).unwrap()
}

/// Something that callbacks write down.
pub(crate) struct Noted<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Noted<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Noted<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Noted<T> {
    pub(crate) fn note(&self, what: T) {
        self.0.lock().unwrap().push(what);
    }

    /// What was written down since this was last called.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
