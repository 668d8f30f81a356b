//! The continuous reader, as a driver has it: what it is told, when the pipe is its own, and that a reader belongs to D0.

mod usb_support;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use usbwright_host_stack::{
    Rule, SendOptions, SentIoAction, TargetState,
    status::{HResult, NtStatus, UsbdStatus},
    usb::{ReaderFailureCallback, UsbTargetDevice, UsbTargetPipe},
    usb_target::{
        Message, ReaderConfig,
        protocol::{Status, TransferKind, request},
    },
};

use crate::usb_support::{
    BULK_IN, BULK_OUT, INTERRUPT_IN, ISO_IN, Noted, PACKET, Rig, ended, room,
};

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
    fn message(&self, pipe: &UsbTargetPipe, message: Message) {
        self.messages.note(message.data().to_vec());
        if let Some(within) = self.within.get() {
            within(Some(pipe));
        }
    }

    fn configure(&self, pipe: &UsbTargetPipe, config: ReaderConfig) -> Result<(), HResult> {
        let (completed, failed) = (self.clone(), self.clone());
        let on_failure: Box<ReaderFailureCallback> = Box::new(move |status, failure| {
            let usb = failure.error.status().map(UsbdStatus::from);
            failed.failures.note((status, usb));
            if let Some(within) = failed.within.get() {
                within(None);
            }
            failed.goes_on.load(Ordering::Relaxed)
        });
        let on_message = move |pipe: &UsbTargetPipe, message| completed.message(pipe, message);
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

#[test]
fn so_many_reads_are_pending_as_are_wished_but_0_are_2_and_10_are_the_most() {
    for (wished, pending) in [(0, 2), (1, 1), (2, 2), (10, 10), (11, 10), (255, 10)] {
        let (rig, told) = reading(ReaderConfig {
            pending: wished,
            ..config()
        });
        assert_eq!(rig.wire.pending(BULK_IN), pending, "{wished}");
        rig.end(BULK_IN, Status::Done, b"abc");
        assert_eq!(rig.wire.pending(BULK_IN), pending, "{wished}");
        assert_eq!(told.messages.take(), [b"abc"]);
    }
}

#[test]
fn each_read_is_of_a_messages_length() {
    let (rig, _) = reading(ReaderConfig::new(3 * PACKET));
    let outstanding = rig.wire.outstanding(BULK_IN);
    let whole = |kind: &TransferKind| matches!(kind, TransferKind::In { length: 1536 });
    assert!(outstanding.iter().all(whole), "{outstanding:?}");
}

#[test]
fn what_a_reader_can_not_be_is_told_with_its_status() {
    let rig = Rig::new(1);
    let refused = |address, config| {
        let told = Told::default();
        let refused = told.configure(&rig.pipe(address), config).unwrap_err();
        NtStatus::from_hresult(refused)
    };
    for length in [1, PACKET - 1, PACKET + 1] {
        let uneven = refused(BULK_IN, ReaderConfig::new(length));
        assert_eq!(uneven, NtStatus::INVALID_BUFFER_SIZE, "{length}");
    }
    let empty = refused(BULK_IN, ReaderConfig::new(0));
    assert_eq!(empty, NtStatus::INVALID_PARAMETER);
    let too_long = refused(BULK_IN, ReaderConfig::new((2 << 20) + PACKET));
    assert_eq!(too_long, NtStatus::INVALID_PARAMETER);
    let header = ReaderConfig {
        header: usize::MAX,
        ..config()
    };
    assert_eq!(refused(BULK_IN, header), NtStatus::INTEGER_OVERFLOW);
    let both = ReaderConfig {
        header: usize::MAX / 2,
        trailer: usize::MAX / 2,
        ..config()
    };
    assert_eq!(refused(BULK_IN, both), NtStatus::INTEGER_OVERFLOW);
    for not_a_pipe_to_read in [BULK_OUT, ISO_IN] {
        let status = refused(not_a_pipe_to_read, config());
        assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST);
    }
    // None of these has left anything behind.
    Told::default()
        .configure(&rig.pipe(BULK_IN), config())
        .unwrap();
}

#[test]
fn a_pipe_has_one_reader() {
    let (rig, _) = reading(config());
    for again in 0..2 {
        let second = Told::default().configure(&rig.pipe(BULK_IN), config());
        let state = Err(NtStatus::INVALID_DEVICE_STATE.into());
        assert_eq!(second, state, "{again}");
        rig.pipe(BULK_IN)
            .target()
            .stop(SentIoAction::CancelSentIo)
            .unwrap();
    }
}

#[test]
fn a_reader_does_not_start_by_itself() {
    let rig = Rig::new(0);
    let (pipe, told) = (rig.pipe(BULK_IN), Told::default());
    told.configure(&pipe, config()).unwrap();
    rig.stack.run();
    assert_eq!(pipe.target().state(), TargetState::Stopped);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    pipe.target().start().unwrap();
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
}

#[test]
fn a_message_is_between_its_header_and_its_trailer() {
    let noted = Noted::default();
    let note = noted.clone();
    let rig = Rig::prepared(
        0,
        move |usb| {
            let note = note.clone();
            let config = ReaderConfig {
                header: 3,
                trailer: 2,
                ..config()
            };
            let read = move |_: &UsbTargetPipe, message: Message| {
                note.note((message.data().len(), message.into_buffer().to_vec()));
            };
            let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
            pipe.configure_continuous_reader(config, read, None)
        },
        Some(BULK_IN),
    );
    rig.stack.run();
    rig.end(BULK_IN, Status::Done, b"abcd");
    rig.end(BULK_IN, Status::Done, b"");
    let buffers = noted.take();
    // The number of bytes is without header and trailer.
    assert_eq!(buffers[0], (4, b"\0\0\0abcd\0\0".to_vec()));
    assert_eq!(buffers[1], (0, b"\0\0\0\0\0".to_vec()));
}

#[test]
fn a_read_of_no_bytes_is_told() {
    let (rig, told) = reading(config());
    rig.end(BULK_IN, Status::Done, b"");
    rig.end(BULK_IN, Status::Done, b"abc");
    assert_eq!(told.messages.take(), [&b""[..], b"abc"]);
    assert_eq!(told.failures.take(), []);
}

#[test]
fn a_message_that_is_kept_survives_the_reads_after_it_and_the_stack() {
    let noted = Noted::default();
    let note = noted.clone();
    let rig = Rig::prepared(
        0,
        move |usb| {
            let note = note.clone();
            let read = move |_: &UsbTargetPipe, message: Message| note.note(message);
            let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
            pipe.configure_continuous_reader(config(), read, None)
        },
        Some(BULK_IN),
    );
    rig.stack.run();
    for number in 0..20_u8 {
        rig.end(BULK_IN, Status::Done, &[number; 100]);
    }
    drop(rig);
    let kept = noted.take();
    assert_eq!(kept.len(), 20);
    for (number, message) in (0..).zip(kept) {
        assert_eq!(message.data().to_vec(), [number; 100]);
    }
}

#[test]
fn messages_come_in_the_order_in_which_they_were_sent() {
    for pending in [1, 2, 10] {
        let (rig, told) = reading(ReaderConfig {
            pending,
            ..config()
        });
        for number in 0..50_u8 {
            rig.end(BULK_IN, Status::Done, &[number]);
        }
        let expected: Vec<_> = (0..50).map(|number| vec![number]).collect();
        assert_eq!(told.messages.take(), expected, "{pending} pending");
    }
}

#[test]
fn a_stall_is_told_once_with_nothing_pending_and_true_resumes() {
    let (rig, told) = reading(ReaderConfig {
        pending: 10,
        ..config()
    });
    told.goes_on.store(true, Ordering::Relaxed);
    let (wire, noted) = (rig.wire.clone(), Noted::default());
    let note = noted.clone();
    let within = Box::new(move |_: Option<&UsbTargetPipe>| note.note(wire.pending(BULK_IN)));
    assert!(told.within.set(within).is_ok());
    assert_eq!(ends(&rig, Status::Stalled), 1, "the halt was cleared");
    assert_eq!(noted.take(), [0]);
    assert_eq!(told.failures.take(), [stall()]);
    assert_eq!(rig.wire.pending(BULK_IN), 10);
    rig.end(BULK_IN, Status::Done, b"after");
    assert_eq!(told.messages.take(), [b"after"]);
}

#[test]
fn without_a_callback_for_failures_the_reader_resumes() {
    let rig = Rig::prepared(
        0,
        |usb| {
            let read = |_: &UsbTargetPipe, _: Message| ();
            let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
            pipe.configure_continuous_reader(config(), read, None)
        },
        Some(BULK_IN),
    );
    rig.stack.run();
    assert_eq!(ends(&rig, Status::Crc), 1);
    assert_eq!(rig.wire.pending(BULK_IN), 2);
}

#[test]
fn each_failure_is_told_as_it_was_on_the_bus() {
    for (status, usb) in [
        (Status::Crc, UsbdStatus::CRC),
        (Status::NoResponse, UsbdStatus::DEV_NOT_RESPONDING),
        (Status::Overflow, UsbdStatus::BABBLE_DETECTED),
    ] {
        let (rig, told) = reading(config());
        ends(&rig, status);
        assert_eq!(told.failures.take(), [failed(NtStatus::UNSUCCESSFUL, usb)]);
    }
}

#[test]
fn false_leaves_the_reader_off_and_the_pipe_to_the_driver() {
    let (rig, told) = reading(config());
    assert_eq!(ends(&rig, Status::Stalled), 0, "the pipe is left as it is");
    assert_eq!(told.failures.take(), [stall()]);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    let pipe = rig.pipe(BULK_IN);
    assert_eq!(pipe.target().state(), TargetState::Started);
    pipe.reset().unwrap();
    let memory = room(PACKET);
    let sent = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"by hand");
    let by_hand = (NtStatus::SUCCESS, 7, b"by hand".to_vec());
    assert_eq!(ended(sent.wait(), &memory), by_hand);
    assert!(told.messages.take().is_empty());
    // It is on again when the target is.
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    pipe.target().start().unwrap();
    rig.end(BULK_IN, Status::Done, b"by itself");
    assert_eq!(told.messages.take(), [b"by itself"]);
    let refused = pipe.format_for_read(&mut rig.request(), Some(&memory), None);
    assert_eq!(refused, Err(NtStatus::INVALID_DEVICE_STATE.into()));
}

#[test]
fn a_read_is_refused_while_the_pipe_is_its_readers() {
    let (rig, told) = reading(config());
    let (pipe, memory) = (rig.pipe(BULK_IN), room(PACKET));
    let read = |request: &mut _| pipe.format_for_read(request, Some(&memory), None);
    let refused = Err(NtStatus::INVALID_DEVICE_STATE.into());
    assert_eq!(read(&mut rig.request()), refused);
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(read(&mut rig.request()), refused, "it is stopped only");
    pipe.target().start().unwrap();
    rig.stack.run();
    // A request that was formatted while the reader was off is not sent once it is on.
    ends(&rig, Status::Stalled);
    let mut request = rig.request();
    read(&mut request).unwrap();
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    pipe.target().start().unwrap();
    let error = request.send(pipe.target(), SendOptions::new()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
    drop(told);
}

#[test]
fn a_failure_while_the_reader_stops_is_told_and_it_stays_off() {
    let (rig, told) = reading(config());
    told.goes_on.store(true, Ordering::Relaxed);
    let target = rig.pipe(BULK_IN).target().clone();
    rig.wire.end(BULK_IN, Status::Stalled, &[]);
    target.stop(SentIoAction::CancelSentIo).unwrap();
    rig.look();
    assert_eq!(told.failures.take(), [stall()]);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    target.start().unwrap();
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(told.messages.take(), [b"on"]);
}

#[test]
fn to_stop_is_no_failure_and_what_had_come_is_told() {
    let (rig, told) = reading(config());
    let target = rig.pipe(BULK_IN).target().clone();
    rig.wire.end(BULK_IN, Status::Done, b"before");
    target.stop(SentIoAction::WaitForSentIoToComplete).unwrap();
    assert_eq!(rig.wire.pending(BULK_IN), 0, "to wait would be for ever");
    rig.look();
    assert_eq!(told.messages.take(), [b"before"]);
    assert_eq!(told.failures.take(), []);
}

#[test]
fn a_reader_can_be_stopped_and_started_within_its_callbacks() {
    for action in [SentIoAction::CancelSentIo, SentIoAction::LeaveSentIoPending] {
        let (rig, told) = reading(config());
        let within = Box::new(move |pipe: Option<&UsbTargetPipe>| {
            if let Some(pipe) = pipe {
                pipe.target().stop(action).unwrap();
            }
        });
        assert!(told.within.set(within).is_ok());
        rig.end(BULK_IN, Status::Done, b"abc");
        assert_eq!(told.messages.take(), [b"abc"]);
        assert_eq!(rig.wire.pending(BULK_IN), 0);
        rig.pipe(BULK_IN).target().start().unwrap();
        rig.end(BULK_IN, Status::Done, b"def");
        assert_eq!(told.messages.take(), [b"def"]);
    }
}

#[test]
fn a_reader_can_be_stopped_and_started_where_its_failure_is_told() {
    for starts in [false, true] {
        let (rig, told) = reading(config());
        told.goes_on.store(true, Ordering::Relaxed);
        let target = rig.pipe(BULK_IN).target().clone();
        let within = Box::new(move |message: Option<&UsbTargetPipe>| {
            if message.is_none() {
                target.stop(SentIoAction::CancelSentIo).unwrap();
                if starts {
                    target.start().unwrap();
                }
            }
        });
        assert!(told.within.set(within).is_ok());
        assert_eq!(ends(&rig, Status::Stalled), 1);
        let pending = if starts { 2 } else { 0 };
        assert_eq!(rig.wire.pending(BULK_IN), pending);
    }
}

#[test]
fn reads_that_the_driver_aborts_or_resets_are_no_failure() {
    let (rig, told) = reading(config());
    let pipe = rig.pipe(BULK_IN);
    pipe.abort().unwrap();
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    pipe.reset().unwrap();
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    assert_eq!(told.failures.take(), []);
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(told.messages.take(), [b"on"]);
}

#[test]
fn a_device_that_is_gone_fails_the_reader_for_good() {
    let (rig, told) = reading(config());
    told.goes_on.store(true, Ordering::Relaxed);
    rig.wire.unplug();
    rig.look();
    let gone = failed(NtStatus::DEVICE_NOT_CONNECTED, UsbdStatus::DEVICE_GONE);
    assert_eq!(told.failures.take(), [gone]);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    rig.stack.surprise_remove();
    rig.stack.run();
    assert_eq!(told.failures.take(), []);
}

#[test]
fn a_surprise_removal_ends_the_reader_without_a_word() {
    let (rig, told) = reading(config());
    rig.stack.surprise_remove();
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    assert_eq!(
        (told.messages.take(), told.failures.take()),
        (vec![], vec![])
    );
}

#[test]
fn another_setting_ends_the_reader_and_its_pipe_is_the_new_settings() {
    let (rig, told) = reading(config());
    let old = rig.pipe(BULK_IN);
    rig.interface().select_setting(2).unwrap();
    rig.stack.run();
    assert_eq!(old.target().state(), TargetState::Closed);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    assert_eq!(told.failures.take(), []);
    for address in [BULK_IN, INTERRUPT_IN] {
        let new = Told::default();
        let pipe = rig.pipe(address);
        new.configure(&pipe, config()).unwrap();
        pipe.target().start().unwrap();
        rig.end(address, Status::Done, b"new");
        assert_eq!(new.messages.take(), [b"new"]);
        pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    }
    assert!(told.messages.take().is_empty());
}

#[test]
fn a_setting_that_the_device_refuses_leaves_the_reader_on() {
    let (rig, told) = reading(config());
    rig.wire
        .answers(0x01, request::SET_INTERFACE, Status::Stalled, "");
    let refused = rig.interface().select_setting(2);
    assert_eq!(refused, Err(NtStatus::UNSUCCESSFUL.into()));
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(told.messages.take(), [b"on"]);
}

#[test]
fn a_reader_that_is_stopped_as_the_device_leaves_d0_starts_with_it() {
    let (rig, told) = reading(config());
    let target = rig.pipe(BULK_IN).target().clone();
    rig.stack.suspend().unwrap();
    assert_eq!(target.state(), TargetState::Stopped);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    rig.stack.resume().unwrap();
    assert_eq!(target.state(), TargetState::Started);
    rig.end(BULK_IN, Status::Done, b"awake");
    assert_eq!(told.messages.take(), [b"awake"]);
}

#[test]
fn a_reader_that_is_left_running_is_stopped_and_reported() {
    let told = Told::default();
    let driver = told.clone();
    let start = move |usb: &UsbTargetDevice| {
        let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
        driver.configure(&pipe, config())?;
        pipe.target().start()
    };
    let rig = Rig::built(0, start, None, |it| it);
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    rig.stack.suspend().unwrap();
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    let broken: Vec<_> = rig.stack.violations().iter().map(|it| it.rule).collect();
    assert_eq!(broken, [Rule::ReaderNotStopped]);
    assert_eq!(told.failures.take(), []);
}

#[test]
fn a_reader_that_has_failed_need_not_be_stopped() {
    let (rig, told) = reading(config());
    ends(&rig, Status::Stalled);
    let target = rig.pipe(BULK_IN).target().clone();
    assert_eq!(target.state(), TargetState::Started);
    rig.stack.suspend().unwrap();
    rig.stack.resume().unwrap();
    rig.end(BULK_IN, Status::Done, b"awake");
    assert_eq!(told.messages.take(), [b"awake"]);
}
