//! What a reader can be, and how many reads it has pending.

use usbwright_host_stack::{
    SentIoAction, TargetState,
    status::NtStatus,
    usb_target::{
        ReaderConfig,
        protocol::{Status, TransferKind},
    },
};

use super::{Told, config, reading};
use crate::usb_support::{BULK_IN, BULK_OUT, ISO_IN, PACKET, Rig};

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
