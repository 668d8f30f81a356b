//! Messages and replies, in both directions.

mod support;

use bytes::Bytes;
use support::Setup;
use usbwright_ports::{
    AnswerError, Client, Clock, Connection, Deadline, GetError, Message, ReplyError, SendError,
    Sent,
    status::{HResult, NtStatus, Win32Error},
};

fn send(connection: &Connection, message: &'static str) -> usbwright_ports::SendMessage {
    connection
        .send_message(message, None, Deadline::Never)
        .start()
}

fn ask(connection: &Connection, message: &'static str) -> usbwright_ports::SendMessage {
    connection
        .send_message(message, Some(4), Deadline::Never)
        .start()
}

fn get(client: &Client) -> Message {
    client.get_message().wait().unwrap()
}

#[test]
fn a_reply_reaches_its_sender_if_there_is_room() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    for reply in ["", "abc", "abcd"] {
        let sending = ask(&connection, "what?");
        let token = get(&client).reply.unwrap();
        assert_eq!(token.room(), 4);
        assert_eq!(token.reply(reply).wait(), Ok(()));
        let Ok(Sent::Replied(replied)) = sending.wait() else {
            panic!("no reply");
        };
        assert_eq!(
            (replied.status, &replied.data[..]),
            (NtStatus::SUCCESS, reply.as_bytes())
        );
    }
}

#[test]
fn of_a_reply_that_is_too_long_both_sides_are_told() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    for length in [5, 100_000] {
        let sending = ask(&connection, "what?");
        let token = get(&client).reply.unwrap();
        let error = token.reply(vec![b'x'; length]).wait().unwrap_err();
        assert_eq!(error, ReplyError::TooLong);
        assert_eq!(error.status(), NtStatus::BUFFER_OVERFLOW);
        let error = sending.wait().unwrap_err();
        assert_eq!(error.status(), NtStatus::BUFFER_OVERFLOW);
        assert_eq!(error, SendError::ReplyTooLong("xxxx".into()));
    }
}

#[test]
fn a_reply_carries_a_status() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let sending = ask(&connection, "what?");
    let token = get(&client).reply.unwrap();
    let replied = token.reply_with(NtStatus::NO_MORE_ENTRIES, "").wait();
    assert_eq!(replied, Ok(()));
    assert_eq!(sending.wait().unwrap().status(), NtStatus::NO_MORE_ENTRIES);
}

#[test]
fn a_message_that_wants_no_reply_is_sent_once_a_get_has_it() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let sending = send(&connection, "hear");
    let message = get(&client);
    assert_eq!((message.id, &message.data[..]), (1, &b"hear"[..]));
    assert!(message.reply.is_none(), "there is nothing to reply to");
    assert_eq!(sending.wait(), Ok(Sent::Delivered));
}

#[test]
fn messages_come_in_order_and_are_numbered_from_one_in_each_connection() {
    let setup = Setup::new();
    for _ in 0..2 {
        let (client, connection) = setup.connect();
        let sendings = ["a", "b", "c"].map(|it| send(&connection, it));
        for (id, data) in [(1, "a"), (2, "b"), (3, "c")] {
            let message = get(&client);
            assert_eq!((message.id, &message.data[..]), (id, data.as_bytes()));
        }
        for sending in sendings {
            assert_eq!(sending.wait(), Ok(Sent::Delivered));
        }
    }
}

#[test]
fn many_gets_wait_at_once_and_end_in_any_order() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let mut gets: Vec<_> = (0..20).map(|_| client.get_message().start()).collect();
    let sendings: Vec<_> = (0..20).map(|_| ask(&connection, "you")).collect();
    let mut tokens = Vec::new();
    while let Some(get) = gets.pop() {
        let message = get.wait().unwrap();
        tokens.push((message.id, message.reply.unwrap()));
    }
    tokens.sort_by_key(|(id, _)| id.wrapping_mul(7) % 20);
    for (id, token) in tokens {
        let reply = [id as u8].to_vec();
        assert_eq!(token.reply(reply).wait(), Ok(()));
    }
    for (id, sending) in (1..).zip(sendings) {
        let Ok(Sent::Replied(reply)) = sending.wait() else {
            panic!("no reply to {id}");
        };
        assert_eq!(&reply.data[..], [id]);
    }
}

#[test]
fn a_get_that_is_too_small_keeps_the_message() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let sending = ask(&connection, "eight by");
    let later = send(&connection, "s");
    for capacity in [0, 7] {
        let error = client.get_message_of(capacity).wait().unwrap_err();
        assert_eq!(error, GetError::TooSmall { needed: 8 });
        assert_eq!(error.hresult(), HResult(0x8007_007A));
    }
    let message = client.get_message_of(8).wait().unwrap();
    assert_eq!(message.data, "eight by");
    message.reply.unwrap().reply("").wait().unwrap();
    sending.wait().unwrap();
    assert_eq!(client.get_message_of(1).wait().unwrap().data, "s");
    later.wait().unwrap();
}

#[test]
fn a_message_skips_gets_that_are_too_small_for_it() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let small = client.get_message_of(3).start();
    let large = client.get_message_of(4).start();
    assert_eq!(send(&connection, "four").wait(), Ok(Sent::Delivered));
    assert_eq!(small.wait().unwrap_err(), GetError::TooSmall { needed: 4 });
    assert_eq!(large.wait().unwrap().data, "four");
}

#[test]
fn a_message_waits_with_its_sender_until_a_get_does() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    drop(send(&connection, "taken back"));
    let sending = send(&connection, "sent");
    assert_eq!(get(&client).data, "sent");
    assert_eq!(sending.wait(), Ok(Sent::Delivered));
}

#[test]
fn what_came_for_a_get_that_was_dropped_is_for_the_next() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let get_dropped = client.get_message().start();
    assert_eq!(send(&connection, "kept").wait(), Ok(Sent::Delivered));
    drop(get_dropped);
    // One that waits already has it as well as one that comes.
    let waiting = client.get_message().start();
    let sending = send(&connection, "next");
    assert_eq!(waiting.wait().unwrap().data, "kept");
    assert_eq!(get(&client).data, "next");
    assert_eq!(sending.wait(), Ok(Sent::Delivered));
}

#[test]
fn a_get_that_was_taken_back_takes_no_message() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    for _ in 0..100 {
        drop(client.get_message().start());
    }
    let sending = send(&connection, "one");
    assert_eq!(get(&client).data, "one");
    assert_eq!(sending.wait(), Ok(Sent::Delivered));
}

#[test]
fn long_messages_and_replies_arrive_as_they_were() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    for length in [32_767, 32_768, 32_769, 3_000_000] {
        let bytes: Bytes = (0..length).map(|at| (at % 251) as u8).collect();
        let sending = connection
            .send_message(bytes.clone(), Some(length), Deadline::Never)
            .start();
        let message = get(&client);
        assert!(message.data == bytes);
        message.reply.unwrap().reply(message.data).wait().unwrap();
        let Ok(Sent::Replied(reply)) = sending.wait() else {
            panic!("no reply");
        };
        assert!(reply.data == bytes);
    }
}

#[test]
fn what_is_longer_than_the_port_allows_is_refused_at_once() {
    let limit = |options: usbwright_ports::PortOptions| options.longest_message(1000);
    let setup = Setup::with(Clock::System, |_| {}, limit);
    let (client, connection) = setup.connect();
    let error = SendError::TooLong {
        length: 1001,
        limit: 1000,
    };
    for (length, reply) in [(1001, None), (1, Some(1001))] {
        let sent = connection.send_message(vec![0; length], reply, Deadline::Never);
        assert_eq!(sent.wait(), Err(error.clone()));
    }
    let answer = client.send_message(vec![0; 1001], 0).wait();
    let error = AnswerError::TooLong {
        length: 1001,
        limit: 1000,
    };
    assert_eq!(answer, Err(error));
    // A reply of any length harms nobody.
    let sending = connection
        .send_message("?", Some(1000), Deadline::Never)
        .start();
    let token = get(&client).reply.unwrap();
    let replied = token.reply(vec![7; 1_000_000]).wait();
    assert_eq!(replied, Err(ReplyError::TooLong));
    let error = SendError::ReplyTooLong(vec![7; 1000].into());
    assert_eq!(sending.wait(), Err(error));
}

#[test]
fn a_reply_and_the_next_get_can_go_together() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let first = ask(&connection, "1");
    let token = get(&client).reply.unwrap();
    let second = ask(&connection, "2");
    let (replied, next) = token.reply_and_get(NtStatus::SUCCESS, "one", 100).wait();
    assert_eq!(replied, Ok(()));
    let next = next.unwrap();
    assert_eq!(next.data, "2");
    assert!(matches!(first.wait(), Ok(Sent::Replied(reply)) if reply.data == "one"));
    // Each of the two may fail, and the other not.
    drop(second);
    let third = send(&connection, "three");
    let token = next.reply.unwrap();
    let (replied, next) = token.reply_and_get(NtStatus::SUCCESS, "two", 4).wait();
    assert_eq!(replied, Err(ReplyError::NoWaiter));
    assert_eq!(next.unwrap_err(), GetError::TooSmall { needed: 5 });
    assert_eq!(get(&client).data, "three");
    third.wait().unwrap();
}

#[test]
fn a_reply_that_nobody_waits_for_any_more_is_told_so_and_is_not_fatal() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let sending = ask(&connection, "?");
    let token = get(&client).reply.unwrap();
    drop(sending);
    let error = token.reply("late").wait().unwrap_err();
    assert_eq!(error, ReplyError::NoWaiter);
    assert_eq!(error.hresult(), HResult(0x801F_0020));
    let sending = send(&connection, "on");
    assert_eq!(get(&client).data, "on");
    sending.wait().unwrap();
}

fn with_message(
    message: impl Fn(&[u8], usize) -> Result<Bytes, NtStatus> + Send + Sync + 'static,
) -> Setup {
    Setup::with(
        Clock::System,
        |driver| driver.message = Box::new(message),
        |options| options.max_connections(10),
    )
}

#[test]
fn a_driver_answers_its_clients_messages() {
    let setup = with_message(|message, capacity| {
        let mut answer = message.to_vec();
        answer.extend_from_slice(format!(" {capacity}").as_bytes());
        Ok(answer.into())
    });
    let (client, _connection) = setup.connect();
    let answer = client.send_message("room:", 100).wait();
    assert_eq!(answer, Ok("room: 100".into()));
    let error = client.send_message("room:", 6).wait().unwrap_err();
    assert_eq!(error, AnswerError::AnswerTooLong("room: ".into()));
    assert_eq!(error.status(), NtStatus::BUFFER_OVERFLOW);
    let long = vec![b'x'; 1_000_000];
    let answer = client.send_message(long, 2_000_000).wait().unwrap();
    assert_eq!(answer.len(), 1_000_008);
}

#[test]
fn a_drivers_status_reaches_its_client() {
    // As minispy does with buffers that are not aligned, too small, or make no sense.
    let setup = with_message(|message, _| match message {
        b"1" => Err(NtStatus::DATATYPE_MISALIGNMENT),
        b"2" => Err(NtStatus::BUFFER_TOO_SMALL),
        b"3" => panic!("a driver's mistake"),
        _ => Err(NtStatus::INVALID_PARAMETER),
    });
    let (client, _connection) = setup.connect();
    for (message, status, win32) in [
        ("1", NtStatus::DATATYPE_MISALIGNMENT, Win32Error::NOACCESS),
        (
            "2",
            NtStatus::BUFFER_TOO_SMALL,
            Win32Error::INSUFFICIENT_BUFFER,
        ),
        ("3", NtStatus::DRIVER_INTERNAL_ERROR, Win32Error::IO_DEVICE),
        (
            "4",
            NtStatus::INVALID_PARAMETER,
            Win32Error::INVALID_PARAMETER,
        ),
    ] {
        let error = client.send_message(message, 10).wait().unwrap_err();
        assert_eq!(error, AnswerError::Failed(status));
        assert_eq!(error.hresult(), HResult::from_win32(win32));
    }
}

#[test]
fn a_port_without_message_callback_says_so() {
    let setup = Setup::new();
    let (client, _connection) = setup.connect();
    let error = client.send_message("hello", 0).wait().unwrap_err();
    assert_eq!(error.status(), NtStatus::NOT_SUPPORTED);
}

#[test]
fn messages_of_a_client_are_answered_in_their_order() {
    let (started, begun) = std::sync::mpsc::channel();
    let setup = with_message(move |message, _| {
        started.send(message[0]).unwrap();
        Ok(Bytes::copy_from_slice(message))
    });
    let (client, _connection) = setup.connect();
    let sendings: Vec<_> = (0..50_u8)
        .map(|it| client.send_message(vec![it], 1).start())
        .collect();
    for (number, sending) in (0..).zip(sendings) {
        assert_eq!(sending.wait(), Ok(vec![number].into()));
    }
    assert!(begun.try_iter().eq(0..50));
}

#[test]
fn a_callback_can_send_its_client_a_message_and_have_the_reply() {
    let connection = std::sync::Arc::new(std::sync::OnceLock::<Connection>::new());
    let its = std::sync::Arc::clone(&connection);
    let setup = with_message(move |message, _| {
        let connection = its.get().ok_or(NtStatus::DEVICE_NOT_READY)?;
        let message = Bytes::copy_from_slice(message);
        let sent = connection.send_message(message, Some(10), Deadline::Never);
        match sent.wait() {
            Ok(Sent::Replied(reply)) => Ok(reply.data),
            _ => Err(NtStatus::UNSUCCESSFUL),
        }
    });
    let (client, its) = setup.connect();
    connection.set(its).unwrap();
    let asking = client.send_message("to and fro", 10).start();
    let message = get(&client);
    assert_eq!(message.data, "to and fro");
    message.reply.unwrap().reply("back").wait().unwrap();
    assert_eq!(asking.wait(), Ok("back".into()));
}

#[test]
fn a_message_of_a_dropped_get_goes_to_one_that_waits_already() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let dropped = client.get_message().start();
    assert_eq!(send(&connection, "kept").wait(), Ok(Sent::Delivered));
    let waiting = client.get_message().start();
    // Reads what has come for the first.
    client.send_message("", 0).wait().unwrap_err();
    drop(dropped);
    let _next = send(&connection, "next");
    assert_eq!(waiting.wait().unwrap().data, "kept");
}

#[test]
fn a_thread_that_waits_behind_another_reads_on_when_that_has_its_message() {
    let setup = Setup::new();
    for _ in 0..50 {
        let (client, connection) = setup.connect();
        let (tell, told) = std::sync::mpsc::channel();
        for get in [(); 3].map(|()| client.get_message().start()) {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let _ = tell.send(get.wait().map(|it| it.id));
            });
        }
        for _ in 0..3 {
            assert_eq!(send(&connection, "one").wait(), Ok(Sent::Delivered));
            let heard = told.recv_timeout(support::PATIENCE);
            assert!(matches!(heard, Ok(Ok(_))), "{heard:?}");
        }
    }
}
