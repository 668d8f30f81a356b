//! The calls with filter manager's buffers and results.

mod support;

use support::Setup;
use usbwright_ports::{
    Clock, Deadline, SendError, Sent,
    filter_api::{Failure, get_message, reply_message, send_message},
    layout::{FilterMessageHeader, FilterReplyHeader},
    status::{HResult, NtStatus},
};
use zerocopy::{FromBytes as _, IntoBytes as _};

fn reply(message: u64, status: NtStatus, data: &[u8]) -> Vec<u8> {
    let header = FilterReplyHeader::new(message, status);
    [header.as_bytes(), data].concat()
}

fn code(hresult: u32) -> Failure {
    HResult(hresult).into()
}

#[test]
fn a_message_is_in_the_buffer_behind_its_header() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let asking = connection
        .send_message("scan this", Some(8), Deadline::Never)
        .start();
    let telling = connection
        .send_message("fyi", None, Deadline::Never)
        .start();
    let mut buffer = [0xA5; 64];
    assert_eq!(get_message(&client, &mut buffer), Ok(25));
    // 8 bytes of reply and 16 of header are wanted; it is message 1.
    let header = [24, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(buffer[..16], header);
    assert_eq!(buffer[16..25], *b"scan this");
    assert_eq!(buffer[25..], [0xA5; 39]);

    let replied = reply_message(&client, &reply(1, NtStatus::SUCCESS, b"clean"));
    assert_eq!(replied, Ok(()));
    assert!(matches!(asking.wait(), Ok(Sent::Replied(reply)) if reply.data == "clean"));

    assert_eq!(get_message(&client, &mut buffer), Ok(19));
    let (header, _) = FilterMessageHeader::ref_from_prefix(&buffer).unwrap();
    assert_eq!((header.reply_length.get(), header.message_id.get()), (0, 2));
    assert_eq!(telling.wait(), Ok(Sent::Delivered));
}

#[test]
fn a_buffer_may_lie_anywhere() {
    let setup = Setup::with(
        Clock::System,
        |driver| {
            driver.message = Box::new(|message, _| Ok(message.to_vec().into()));
        },
        |options| options,
    );
    let (client, connection) = setup.connect();
    let mut memory = [0; 64];
    for at in 0..8 {
        let asking = connection
            .send_message("odd", Some(3), Deadline::Never)
            .start();
        assert_eq!(get_message(&client, &mut memory[at..]), Ok(19));
        let (header, _) = FilterMessageHeader::ref_from_prefix(&memory[at..]).unwrap();
        let mut out = vec![0; at];
        out.extend(reply(header.message_id.get(), NtStatus::SUCCESS, b"odd"));
        assert_eq!(reply_message(&client, &out[at..]), Ok(()));
        assert!(asking.wait().is_ok());
        assert_eq!(send_message(&client, b"minispy", &mut memory[at..]), Ok(7));
        assert_eq!(memory[at..at + 7], *b"minispy");
    }
}

#[test]
fn a_small_buffer_is_told_what_it_needs_and_keeps_the_message() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let telling = connection
        .send_message("0123456789", None, Deadline::Never)
        .start();
    for length in [0, 15] {
        let failed = get_message(&client, &mut vec![0; length]);
        assert_eq!(failed, Err(code(0x8007_0057)));
    }
    for length in [16, 25] {
        let failure = Failure {
            hresult: HResult(0x8007_007A),
            bytes: 26,
        };
        let failed = get_message(&client, &mut vec![0; length]);
        assert_eq!(failed, Err(failure));
    }
    assert_eq!(get_message(&client, &mut [0; 26]), Ok(26));
    assert_eq!(telling.wait(), Ok(Sent::Delivered));
}

#[test]
fn a_reply_that_nobody_waits_for_has_a_code_of_its_own() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let mut buffer = [0; 64];
    let telling = connection
        .send_message("one way", None, Deadline::Never)
        .start();
    get_message(&client, &mut buffer).unwrap();
    telling.wait().unwrap();
    let asking = connection
        .send_message("?", Some(9), Deadline::Never)
        .start();
    get_message(&client, &mut buffer).unwrap();
    // To a message that wants none, to one that never was; and a second one to one that had a reply.
    for (message, expected) in [
        (1, Err(code(0x801F_0020))),
        (77, Err(code(0x801F_0020))),
        (2, Ok(())),
        (2, Err(code(0x801F_0020))),
    ] {
        let replied = reply_message(&client, &reply(message, NtStatus::SUCCESS, b"!"));
        assert_eq!(replied, expected, "{message}");
    }
    assert!(asking.wait().is_ok());
    assert_eq!(reply_message(&client, &[0; 15]), Err(code(0x8007_0057)));
}

#[test]
fn a_reply_that_is_too_long_is_told_to_both() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let asking = connection
        .send_message("?", Some(2), Deadline::Never)
        .start();
    get_message(&client, &mut [0; 64]).unwrap();
    let replied = reply_message(&client, &reply(1, NtStatus::SUCCESS, b"abc"));
    assert_eq!(replied, Err(code(0x8007_00EA)));
    assert_eq!(asking.wait(), Err(SendError::ReplyTooLong("ab".into())));
}

#[test]
fn an_answer_has_as_much_as_fits_and_a_refusal_its_code() {
    let setup = Setup::with(
        Clock::System,
        |driver| {
            driver.message = Box::new(|message, _| match message {
                b"" => Err(NtStatus::INVALID_PARAMETER),
                _ => Ok(message.to_vec().into()),
            });
        },
        |options| options,
    );
    let (client, _connection) = setup.connect();
    let mut output = [0; 4];
    assert_eq!(send_message(&client, b"four", &mut output), Ok(4));
    let failure = Failure {
        hresult: HResult(0x8007_00EA),
        bytes: 4,
    };
    assert_eq!(send_message(&client, b"fives", &mut output), Err(failure));
    assert_eq!(&output, b"five");
    let refused = send_message(&client, b"", &mut output);
    assert_eq!(refused, Err(code(0x8007_0057)));
}

#[test]
fn after_the_end_every_call_has_an_invalid_handle() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    connection.close();
    let gone = code(0x8007_0006);
    assert_eq!(get_message(&client, &mut [0; 16]), Err(gone));
    let replied = reply_message(&client, &reply(1, NtStatus::SUCCESS, b""));
    assert_eq!(replied, Err(gone));
    assert_eq!(send_message(&client, b"", &mut []), Err(gone));
}
