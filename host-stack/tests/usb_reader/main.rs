//! The continuous reader, as a driver has it: what it is told, when the pipe is its own, and that a reader belongs to D0.

mod configuration;
mod failures;
mod life;
mod messages;
#[path = "../usb_support/mod.rs"]
mod usb_support;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use usbwright_host_stack::{
    status::{HResult, NtStatus, UsbdStatus},
    usb::{ReaderFailureCallback, UsbTargetPipe},
    usb_target::{
        Message, ReaderConfig,
        protocol::{Status, request},
    },
};

use crate::usb_support::{BULK_IN, Noted, PACKET, Rig};

/// What a reader's callbacks are told: messages, and failures with what was pending then.
#[derive(Clone, Default)]
struct Told {
    messages: Noted<Vec<u8>>,
    failures: Noted<(HResult, Option<UsbdStatus>)>,
    /// What is to be decided after a failure.
    goes_on: Arc<AtomicBool>,
    /// What is done within the callbacks.
    within: Arc<OnceLock<Box<Within>>>,
}

type Within = dyn Fn(Option<&UsbTargetPipe>) + Send + Sync;

impl Told {
    fn message(&self, pipe: &UsbTargetPipe, message: &Message) {
        self.messages.note(message.data().to_vec());
        if let Some(within) = self.within.get() {
            within(Some(pipe));
        }
    }

    fn configure(&self, pipe: &UsbTargetPipe, config: ReaderConfig) -> Result<(), HResult> {
        let (completed, failed) = (self.clone(), self.clone());
        let on_failure: Box<ReaderFailureCallback> = Box::new(move |pipe, status, failure| {
            assert_eq!(pipe.address(), BULK_IN);
            let usb = failure.error.status().map(UsbdStatus::from);
            failed.failures.note((status, usb));
            if let Some(within) = failed.within.get() {
                within(None);
            }
            failed.goes_on.load(Ordering::Relaxed)
        });
        let on_message =
            move |pipe: &UsbTargetPipe, message: Message| completed.message(pipe, &message);
        pipe.configure_continuous_reader(config, on_message, Some(on_failure))
    }
}

fn config() -> ReaderConfig {
    ReaderConfig::new(PACKET)
}

/// A device in D0 whose bulk pipe is read all the time.
fn reading(config: ReaderConfig) -> (Rig, Told) {
    let told = Told::default();
    let driver = told.clone();
    let rig = Rig::prepared(
        0,
        move |usb| {
            let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
            driver.configure(&pipe, config)
        },
        Some(BULK_IN),
    );
    rig.stack.run();
    (rig, told)
}

fn failed(status: NtStatus, usb: UsbdStatus) -> (HResult, Option<UsbdStatus>) {
    (status.into(), Some(usb))
}

fn stall() -> (HResult, Option<UsbdStatus>) {
    failed(NtStatus::UNSUCCESSFUL, UsbdStatus::STALL_PID)
}

/// How often the halt of the bulk pipe was cleared since this was last asked.
fn clears(rig: &Rig) -> usize {
    let asked = rig.wire.asked();
    let cleared = asked
        .iter()
        .filter(|it| it.request == request::CLEAR_FEATURE);
    cleared.count()
}

/// Ends the oldest read, and tells how often the halt was cleared.
fn ends(rig: &Rig, status: Status) -> usize {
    rig.wire.end(BULK_IN, status, &[]);
    rig.look();
    clears(rig)
}
