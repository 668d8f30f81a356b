//! Continuous readers belong to D0: a driver that leaves one running is told so, and it is stopped.

use std::sync::{Arc, OnceLock};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, PowerState, Rule, SentIoAction, Stack,
    TargetState, Threads,
    status::HResult,
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{ManualClock, Message, Options, ReaderConfig, Wait},
};
use usbwright_models::Spec;

/// A driver that reads all the time, and may forget to stop that.
#[derive(Clone)]
struct Reads {
    pipe: Arc<OnceLock<UsbTargetPipe>>,
    forgets: bool,
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
        self.pipe.get().unwrap().target().start()
    }

    fn d0_exit(&self, _device: &Device, _to: PowerState) -> Result<(), HResult> {
        match self.forgets {
            true => Ok(()),
            false => {
                let target = self.pipe.get().unwrap().target();
                target.stop(SentIoAction::CancelSentIo)
            }
        }
    }
}

impl Driver for Reads {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        Ok(init.create(self.clone()))
    }
}

/// The rules that a driver breaks when its device sleeps.
fn broken(forgets: bool) -> Vec<Rule> {
    let clock = ManualClock::new();
    let port = "gadget-zero".parse::<Spec>().unwrap();
    let port = port.build(clock.now()).unwrap();
    let options = Options::new().configuration(2).clock(clock.clone());
    let pipe = Arc::new(OnceLock::new());
    let driver = Reads {
        pipe: Arc::clone(&pipe),
        forgets,
    };
    let stack = Stack::builder()
        .usb_device(options.open(port).wait().unwrap())
        .driver("reads", driver)
        .clock(clock)
        .threads(Threads::None)
        .start()
        .unwrap();
    let state = || pipe.get().unwrap().target().state();
    assert_eq!(state(), TargetState::Started);
    stack.suspend().unwrap();
    assert_eq!(state(), TargetState::Stopped);
    stack.resume().unwrap();
    assert_eq!(state(), TargetState::Started);
    stack.violations().iter().map(|it| it.rule).collect()
}

#[test]
fn a_reader_that_is_left_running_is_stopped_and_reported() {
    assert_eq!(broken(true), [Rule::ReaderNotStopped]);
}

#[test]
fn a_reader_that_is_stopped_breaks_no_rule() {
    assert_eq!(broken(false), []);
}
