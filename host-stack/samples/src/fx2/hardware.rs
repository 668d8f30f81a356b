//! The board: its pipes, its displays, and those who wait for its switches.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use usbwright_host_stack::{
    Device, Memory, Queue, SendOptions, Timeout,
    status::{HResult, NtStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{
        PipePolicy,
        protocol::{Setup, TransferType},
    },
};

/// How long a bulk transfer may take.
const PIPE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a control transfer may take.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// The dot of the seven segments.
const DOT: u8 = 0x08;

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
        self.set(device, BoardRequest::SetSevenSegments, DOT)
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
        let setup = Setup {
            request_type,
            request: request as u8,
            value: 0,
            index: 0,
            length: 0,
        };
        let options = SendOptions::new().timeout(Timeout::After(CONTROL_TIMEOUT));
        self.usb.control_and_wait(device, setup, memory, options)
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
        while let Ok(request) = queue.retrieve_next() {
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
