//! The board: its pipes, its displays, and those who wait for its switches.

use std::{
    iter,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use usbwright_host_stack::{
    Device, Memory, Queue, RequestCompletionParams, SendOptions, SentIoAction, Timeout,
    status::{HResult, NtStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{
        PipePolicy,
        protocol::{Setup, TransferType, request},
    },
};

/// How long a bulk transfer may take.
const PIPE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a control transfer may take.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// The dot of the seven segments.
const DOT: u8 = 0x08;
/// The feature selector of remote wake-up (USB 2.0 table 9-6).
const REMOTE_WAKEUP: u16 = 1;

/// The board's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BoardRequest {
    ReadSevenSegments = 0xD4,
    ReadSwitches = 0xD6,
    ReadBarGraph = 0xD7,
    SetBarGraph = 0xD8,
    Reenumerate = 0xDA,
    SetSevenSegments = 0xDB,
}

/// What the driver keeps of a device.
#[derive(Default)]
pub(super) struct Board {
    hardware: Mutex<Option<Arc<Hardware>>>,
    /// Requests that wait for the switches.
    pub(super) interrupts: OnceLock<Queue>,
    /// Requests that have files played.
    pub(super) files: OnceLock<Queue>,
    /// Whether what plays by itself may use the board.
    awake: watch::Sender<bool>,
    switches: AtomicU8,
}

/// What there is while the hardware can be used.
#[derive(Debug)]
pub(super) struct Hardware {
    pub(super) usb: UsbTargetDevice,
    pub(super) interrupt: UsbTargetPipe,
    input: UsbTargetPipe,
    output: UsbTargetPipe,
}

impl Hardware {
    /// Finds the board's three pipes.
    pub(super) fn find(device: &Device) -> Result<Self, HResult> {
        let usb = UsbTargetDevice::new(device)?;
        let pipes = usb
            .interfaces()
            .first()
            .map(|it| it.pipes())
            .unwrap_or_default();
        let find = |kind, is_in| {
            let found = pipes
                .iter()
                .find(|it| it.pipe_type() == kind && it.is_in() == is_in);
            found.cloned().ok_or(NtStatus::DEVICE_DATA_ERROR)
        };
        let hardware = Self {
            interrupt: find(TransferType::Interrupt, true)?,
            input: find(TransferType::Bulk, true)?,
            output: find(TransferType::Bulk, false)?,
            usb,
        };
        for pipe in [&hardware.input, &hardware.output] {
            pipe.set_no_maximum_packet_size_check();
            let policy = PipePolicy {
                transfer_timeout: Some(PIPE_TIMEOUT),
                ..pipe.policy()
            };
            pipe.set_policy(policy)
                .map_err(|_| NtStatus::INVALID_PARAMETER)?;
        }
        Ok(hardware)
    }

    /// Shows that the driver has the board.
    pub(super) fn light_dot(&self, device: &Device) -> Result<(), HResult> {
        let shown = self.ask(device, BoardRequest::ReadSevenSegments)?;
        self.set(device, BoardRequest::SetSevenSegments, shown | DOT)
    }

    /// Resets the board's port. A reader does not go on by itself after that.
    pub(super) fn reset(&self) -> Result<(), HResult> {
        let interrupts = self.interrupt.target();
        interrupts.stop(SentIoAction::CancelSentIo)?;
        let reset = self.usb.reset_port();
        interrupts.start()?;
        reset
    }

    /// Lets the board wake the host, or not (USB 2.0 §9.4.9).
    #[doc(alias = "DEVICE_REMOTE_WAKEUP")]
    pub(super) fn enable_wake(&self, device: &Device, on: bool) -> Result<(), HResult> {
        let setup = Setup {
            request_type: 0x00,
            request: match on {
                true => request::SET_FEATURE,
                false => request::CLEAR_FEATURE,
            },
            value: REMOTE_WAKEUP,
            index: 0,
            length: 0,
        };
        let moved = self.usb.control_and_wait(device, setup, None, options());
        moved.map(drop)
    }

    /// Asks the board for a byte.
    pub(super) fn ask(&self, device: &Device, request: BoardRequest) -> Result<u8, HResult> {
        let memory = Memory::zeroed(1)?;
        let moved = self.control(device, 0xC0, request, Some(&memory))?;
        match (moved, memory.to_bytes(None)?.first()) {
            (1, Some(value)) => Ok(*value),
            _ => Err(NtStatus::DEVICE_DATA_ERROR.into()),
        }
    }

    /// Sends the board a byte.
    pub(super) fn set(
        &self,
        device: &Device,
        request: BoardRequest,
        value: u8,
    ) -> Result<(), HResult> {
        let memory = Memory::new(vec![value])?;
        self.control(device, 0x40, request, Some(&memory)).map(drop)
    }

    /// Tells the board to do something.
    pub(super) fn tell(&self, device: &Device, request: BoardRequest) -> Result<(), HResult> {
        self.control(device, 0x40, request, None).map(drop)
    }

    fn control(
        &self,
        device: &Device,
        request_type: u8,
        request: BoardRequest,
        memory: Option<&Memory>,
    ) -> Result<usize, HResult> {
        let setup = setup(request_type, request);
        self.usb.control_and_wait(device, setup, memory, options())
    }

    /// Sends the board a byte, as [`set`](Self::set) does, and does not keep the thread.
    async fn set_later(
        &self,
        device: &Device,
        request: BoardRequest,
        value: u8,
    ) -> Result<(), HResult> {
        let memory = Memory::new(vec![value])?;
        let mut own = device.create_request();
        let setup = setup(0x40, request);
        self.usb
            .format_for_control_transfer(&mut own, setup, Some(&memory), None)?;
        let sent = own.send(self.usb.target(), options());
        let (_, params) = sent.map_err(|error| error.status)?.await;
        ended(&params)
    }
}

fn setup(request_type: u8, request: BoardRequest) -> Setup {
    Setup {
        request_type,
        request: request as u8,
        value: 0,
        index: 0,
        length: 0,
    }
}

fn options() -> SendOptions {
    SendOptions::new().timeout(Timeout::After(CONTROL_TIMEOUT))
}

fn ended(params: &RequestCompletionParams) -> Result<(), HResult> {
    match params.nt_status().is_success() {
        true => Ok(()),
        false => Err(params.status()),
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Hardware>>> {
        self.hardware.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn attach(&self, hardware: Hardware) {
        *self.lock() = Some(Arc::new(hardware));
    }

    pub(super) fn detach(&self) {
        *self.lock() = None;
    }

    pub(super) fn hardware(&self) -> Result<Arc<Hardware>, HResult> {
        self.lock().clone().ok_or(NtStatus::DEVICE_NOT_READY.into())
    }

    pub(super) fn input(&self) -> Result<UsbTargetPipe, HResult> {
        Ok(self.hardware()?.input.clone())
    }

    pub(super) fn output(&self) -> Result<UsbTargetPipe, HResult> {
        Ok(self.hardware()?.output.clone())
    }

    /// The board is in D0, and what plays goes on.
    pub(super) fn go_on(&self) {
        self.awake.send_replace(true);
    }

    /// The board is about to leave D0.
    pub(super) fn pause(&self) {
        self.awake.send_replace(false);
    }

    /// Waits until the board may be used.
    pub(super) async fn awake(&self) {
        let mut awake = self.awake.subscribe();
        drop(awake.wait_for(|awake| *awake).await);
    }

    /// Shows a character: its segments, and its code on the bar graph.
    pub(super) async fn show(
        &self,
        device: &Device,
        segments: u8,
        code: u8,
    ) -> Result<(), HResult> {
        let hardware = self.hardware()?;
        hardware
            .set_later(device, BoardRequest::SetSevenSegments, segments)
            .await?;
        hardware
            .set_later(device, BoardRequest::SetBarGraph, code)
            .await
    }

    /// The board has told of its switches.
    pub(super) fn tell(&self, switches: u8) {
        self.switches.store(switches, Ordering::Release);
        self.end_waiting(HResult::OK);
    }

    /// Nothing will be told of the switches to those who wait.
    pub(super) fn fail(&self, status: HResult) {
        self.end_waiting(status);
    }

    fn end_waiting(&self, status: HResult) {
        let Some(queue) = self.interrupts.get() else {
            return;
        };
        // Whoever hears of it may ask again at once, for what comes next.
        let waiting: Vec<_> = iter::from_fn(|| queue.retrieve_next().ok()).collect();
        for request in waiting {
            let switches = self.switches.load(Ordering::Acquire);
            let filled = request
                .output(1)
                .and_then(|it| Ok(it.fill(vec![switches].into())?));
            match filled {
                _ if !status.is_success() => request.complete_with_information(status, 0),
                Ok(()) => request.complete_with_information(HResult::OK, 1),
                Err(status) => request.complete_with_information(status, 0),
            }
        }
    }
}
