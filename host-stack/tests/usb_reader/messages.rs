//! What a driver is told of messages.

use usbwright_host_stack::{
    usb::UsbTargetPipe,
    usb_target::{Message, ReaderConfig, protocol::Status},
};

use super::{config, reading};
use crate::usb_support::{BULK_IN, Noted, Rig};

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
