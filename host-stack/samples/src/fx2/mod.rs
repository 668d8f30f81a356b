//! The driver of the OSR USB-FX2 board, with the public interface of the known sample.
//!
//! Reads and writes go to the bulk pipes, which send back what they are sent; a continuous reader waits for the switches; control codes set and read the
//! board's displays ([`public`]). A board that nobody has used for ten seconds sleeps, and wakes when it is used again or when it signals that a switch was set; it wakes the system, too.
//!
//! It differs from the UMDF 1 sample in this:
//!
//! - [`RESET_DEVICE`](public::RESET_DEVICE) and [`REENUMERATE_DEVICE`](public::REENUMERATE_DEVICE) work, where WinUSB could not do them.
//! - A file that is played ([`PLAY_FILE`](public::PLAY_FILE)) keeps no other code waiting, ends as soon as it is cancelled, and has to be a regular one. Nobody is impersonated: the application is
//!   in this process, and has its rights.

mod control;
mod hardware;
mod play;
pub mod public;

use std::{sync::Arc, time::Duration};

use usbwright_host_stack::{
    CompletionCallback, Device, DeviceCallbacks, DeviceInit, Driver, IdleSettings,
    LockingConstraint, PowerState, Queue, SentIoAction, SleepWakeSettings, StopAction, StopNotice,
    status::{HResult, NtStatus},
    usb::UsbTargetPipe,
    usb_target::{Message, ReaderConfig},
};

use self::hardware::{Board, Hardware};
use crate::passing::{complete, send};

/// How long nobody has used the board when it is to sleep.
#[doc(alias = "IDLE_TIMEOUT_IN_MSEC")]
pub const IDLE: Duration = Duration::from_secs(10);

/// The driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fx2Driver;

impl Driver for Fx2Driver {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_locking_constraint(LockingConstraint::None);
        let board: Arc<Board> = Arc::default();
        let device = init.create(Callbacks(Arc::clone(&board)));
        read_write_queue(&device, &board)?;
        let interrupts = device.manual_queue().power_managed(false).create()?;
        let _ = board.interrupts.set(interrupts);
        let _ = board.files.set(play::queue(&device, &board)?);
        control::queue(&device, &board)?;
        Ok(device)
    }
}

fn read_write_queue(device: &Device, board: &Arc<Board>) -> Result<Queue, HResult> {
    let (reads, writes) = (Arc::clone(board), Arc::clone(board));
    let ended: Arc<dyn CompletionCallback> = Arc::new(complete);
    let written = Arc::clone(&ended);
    let queue = device.parallel_queue().default_queue();
    let queue = queue.on_read(move |_, mut request, length| {
        let pipe = reads.input();
        let formatted = pipe.and_then(|pipe| {
            let output = request.output(length)?;
            pipe.format_for_read_into(&mut request, output)?;
            Ok(pipe)
        });
        send(request, formatted, &ended);
    });
    let queue = queue.on_write(move |_, mut request, length| {
        let pipe = writes.output();
        let formatted = pipe.and_then(|pipe| {
            let input = request.input(length)?;
            pipe.format_for_write_of(&mut request, input)?;
            Ok(pipe)
        });
        send(request, formatted, &written);
    });
    queue.on_stop(stop).create()
}

/// What is on its way goes on while the device sleeps; when the device goes, it is taken back.
fn stop(_: &Queue, notice: StopNotice) {
    match notice.action() {
        StopAction::Suspend => notice.acknowledge(),
        StopAction::Purge => notice.cancel_sent(),
    }
}

/// Says when the board sleeps, and that it wakes its host from that and from the system's sleep.
fn sleeps(device: &Device) -> Result<(), HResult> {
    let (state, enabled) = (PowerState::D2, true);
    device.assign_idle(IdleSettings {
        timeout: IDLE,
        state,
        wake: true,
        enabled,
    })?;
    device.assign_sleep_wake(SleepWakeSettings { state, enabled })
}

/// The device's callbacks.
struct Callbacks(Arc<Board>);

impl DeviceCallbacks for Callbacks {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let hardware = Hardware::find(device)?;
        sleeps(device)?;
        hardware.light_dot(device)?;
        let board = Arc::clone(&self.0);
        let failed = Arc::clone(&self.0);
        hardware.interrupt.configure_continuous_reader(
            ReaderConfig::new(1),
            move |_: &UsbTargetPipe, message: Message| {
                if let Some(switches) = message.data().to_vec().first() {
                    board.tell(*switches);
                }
            },
            Some(Box::new(move |_, status, _| {
                failed.fail(status);
                true
            })),
        )?;
        self.0.attach(hardware);
        Ok(())
    }

    fn release_hardware(&self, _device: &Device) -> Result<(), HResult> {
        self.0.detach();
        Ok(())
    }

    fn d0_entry(&self, _device: &Device, _from: PowerState) -> Result<(), HResult> {
        self.0.hardware()?.interrupt.target().start()?;
        self.0.go_on();
        Ok(())
    }

    fn d0_exit(&self, _device: &Device, _to: PowerState) -> Result<(), HResult> {
        self.0.pause();
        self.0
            .hardware()?
            .interrupt
            .target()
            .stop(SentIoAction::CancelSentIo)
    }

    fn arm_wake(&self, device: &Device) -> Result<(), HResult> {
        self.0.hardware()?.enable_wake(device, true)
    }

    fn disarm_wake(&self, device: &Device) {
        let disarmed = self
            .0
            .hardware()
            .and_then(|it| it.enable_wake(device, false));
        if let Err(status) = disarmed {
            tracing::warn!("the board may wake its host still: {status}");
        }
    }

    fn arm_wake_from_sleep(&self, device: &Device) -> Result<(), HResult> {
        self.arm_wake(device)
    }

    fn disarm_wake_from_sleep(&self, device: &Device) {
        self.disarm_wake(device);
    }

    fn self_managed_io_flush(&self, _device: &Device) {
        self.0.fail(NtStatus::DEVICE_REMOVED.into());
    }
}
