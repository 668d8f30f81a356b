//! A device whose `d0_entry` fails after its continuous reader was started: the reader is stopped, by the driver or for it.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, PnpState, PowerState, SentIoAction, Stack,
    TargetState, Threads,
    status::{HResult, NtStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{ManualClock, Message, Options, ReaderConfig, Wait},
};
use usbwright_models::Spec;

/// A driver that starts its reader, and fails then.
#[derive(Clone)]
struct Reads {
    pipe: Arc<OnceLock<UsbTargetPipe>>,
    /// It undoes what it has begun.
    is_tidy: bool,
    fails: Arc<AtomicBool>,
    /// What was called, and the reader's state then.
    told: Arc<Mutex<Vec<(&'static str, TargetState)>>>,
}

impl Reads {
    fn note(&self, what: &'static str) {
        let state = self.pipe.get().unwrap().target().state();
        self.told.lock().unwrap().push((what, state));
    }
}

impl DeviceCallbacks for Reads {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let usb = UsbTargetDevice::new(device)?;
        let mut pipes = usb.interfaces()[0].pipes();
        let pipe = pipes.remove(pipes.iter().position(UsbTargetPipe::is_in).unwrap());
        let read = |_: &UsbTargetPipe, _: Message| ();
        pipe.configure_continuous_reader(ReaderConfig::new(512), read, None)?;
        let _ = self.pipe.set(pipe);
        Ok(())
    }

    fn d0_entry(&self, _device: &Device, _from: PowerState) -> Result<(), HResult> {
        self.pipe.get().unwrap().target().start()?;
        match self.fails.load(Ordering::Relaxed) {
            true => Err(NtStatus::UNSUCCESSFUL.into()),
            false => Ok(()),
        }
    }

    fn d0_entry_failed(&self, _device: &Device) {
        self.note("d0_entry_failed");
        if self.is_tidy {
            let target = self.pipe.get().unwrap().target();
            target.stop(SentIoAction::CancelSentIo).unwrap();
        }
    }

    fn d0_exit(&self, _device: &Device, _to: PowerState) -> Result<(), HResult> {
        let target = self.pipe.get().unwrap().target();
        target.stop(SentIoAction::CancelSentIo)
    }

    fn release_hardware(&self, _device: &Device) -> Result<(), HResult> {
        self.note("release_hardware");
        Ok(())
    }
}

impl Driver for Reads {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        Ok(init.create(self.clone()))
    }
}

#[test]
fn a_reader_that_was_started_before_d0_entry_failed_reads_no_more() {
    for is_tidy in [true, false] {
        let clock = ManualClock::new();
        let port = "gadget-zero".parse::<Spec>().unwrap();
        let port = port.build(clock.now()).unwrap();
        let options = Options::new().configuration(2).clock(clock.clone());
        let driver = Reads {
            pipe: Arc::default(),
            is_tidy,
            fails: Arc::default(),
            told: Arc::default(),
        };
        let (fails, told) = (Arc::clone(&driver.fails), Arc::clone(&driver.told));
        let stack = Stack::builder()
            .usb_device(options.open(port).wait().unwrap())
            .driver("reads", driver)
            .clock(clock)
            .threads(Threads::None)
            .start()
            .unwrap();
        stack.suspend().unwrap();
        fails.store(true, Ordering::Relaxed);
        stack.resume().unwrap_err();
        assert_eq!(
            *told.lock().unwrap(),
            [
                ("d0_entry_failed", TargetState::Started),
                ("release_hardware", TargetState::Stopped),
            ]
        );
        assert_eq!(stack.state(), PnpState::Removed);
        assert_eq!(stack.violations(), []);
    }
}
