//! The driver in this process.

use std::path::Path;

use tempfile::TempDir;
use usbwright::{
    host_stack::{
        ControlCode, Handle, Io, IoOutcome, OnViolation, OpenOptions, PnpState, Stack,
        status::Win32Error,
    },
    protocol::Port,
    target::{Device, ResetOutcome, Wait as _},
};
use usbwright_driver_manager::manager::Change;
use usbwright_samples::{filter::InvertingFilter, fx2::Fx2Driver};

use crate::suite::{Application, Driver, Pending, Place};

/// The board, opened here.
pub(crate) struct Here {
    device: Device,
    folder: TempDir,
}

impl Here {
    pub(crate) fn with(port: impl Port + 'static) -> Self {
        Self {
            device: Device::open(port).wait().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }
}

impl Place for Here {
    type Driver = Running;

    fn start(&self, filter: bool) -> (Running, Handle) {
        let builder = Stack::builder()
            .usb_device(self.device.clone())
            .driver("fx2", Fx2Driver);
        let builder = match filter {
            true => builder.driver("filter", InvertingFilter),
            false => builder,
        };
        let stack = builder.on_violation(OnViolation::Panic).start().unwrap();
        let device = self.device.clone();
        let running = Running { stack, device };
        let handle = running.open().unwrap();
        (running, handle)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

pub(crate) struct Running {
    stack: Stack,
    device: Device,
}

impl Driver for Running {
    type Application = Handle;
    const GONE: Win32Error = Win32Error::DEVICE_REMOVED;

    fn change(&self, change: Change) {
        let changed = match change {
            Change::Suspend => self.stack.suspend(),
            Change::Resume => self.stack.resume(),
            Change::Stop => self.stack.stop(),
            Change::Restart => self.stack.restart(),
            Change::Reset => {
                assert_eq!(self.device.reset().wait().unwrap(), ResetOutcome::Kept);
                Ok(())
            }
        };
        changed.unwrap();
    }

    fn is_gone(&self) -> bool {
        self.stack.state() == PnpState::Removed
    }

    fn open(&self) -> Result<Handle, Win32Error> {
        self.stack.open(&OpenOptions::new()).wait()
    }

    fn violations(&self) -> Vec<String> {
        let all = self.stack.violations();
        all.iter().map(ToString::to_string).collect()
    }
}

impl Application for Handle {
    type Io = Io;

    fn read(&self, length: usize) -> Io {
        Self::read(self, length)
    }

    fn write(&self, data: Vec<u8>) -> Io {
        Self::write(self, data)
    }

    fn control(&self, code: ControlCode, input: Vec<u8>, output: usize) -> Io {
        Self::control(self, code, input, output)
    }
}

impl Pending for Io {
    fn has_ended(&self) -> bool {
        Self::has_ended(self)
    }

    fn cancel(&self) {
        Self::cancel(self);
    }

    fn wait(self) -> IoOutcome {
        Self::wait(self)
    }
}
