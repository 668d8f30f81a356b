//! One deadline for the delivery and the reply, by a clock that the test sets.

mod support;

use std::time::{Duration, Instant, SystemTime};

use support::{Setup, until};
use usbwright_ports::{
    Client, Connection, Deadline, ManualClock, ReplyError, SendError, Sent,
    status::{HResult, NtStatus},
};

const SECOND: Duration = Duration::from_secs(1);

fn setup() -> (ManualClock, Setup, Client, Connection) {
    let clock = ManualClock::new();
    let setup = Setup::clocked(clock.clone());
    let (client, connection) = setup.connect();
    (clock, setup, client, connection)
}

#[test]
fn the_time_is_up_before_a_get_takes_the_message() {
    let (clock, _setup, client, connection) = setup();
    let sending = connection
        .send_message("early", Some(4), 5 * SECOND)
        .start();
    clock.advance(5 * SECOND - Duration::from_nanos(1));
    let other = connection
        .send_message("next", None, Deadline::Never)
        .start();
    clock.advance(Duration::from_nanos(1));
    let error = sending.wait().unwrap_err();
    assert_eq!(error, SendError::TimedOutBeforeDelivery);
    assert_eq!(error.status(), NtStatus::TIMEOUT);
    assert_eq!(client.get_message().wait().unwrap().data, "next");
    assert_eq!(other.wait(), Ok(Sent::Delivered));
}

#[test]
fn the_time_is_up_before_the_reply_comes_and_the_reply_is_told_so() {
    let (clock, _setup, client, connection) = setup();
    let sending = connection.send_message("?", Some(4), 5 * SECOND).start();
    clock.advance(3 * SECOND);
    let token = client.get_message().wait().unwrap().reply.unwrap();
    // What the delivery took counts.
    clock.advance(2 * SECOND);
    assert_eq!(sending.wait(), Err(SendError::TimedOutBeforeReply));
    let error = token.reply("late").wait().unwrap_err();
    assert_eq!(error, ReplyError::NoWaiter);
    assert_eq!(error.hresult(), HResult::FLT_NO_WAITER_FOR_REPLY);
}

#[test]
fn a_reply_in_time_counts_however_late_its_sender_looks() {
    let (clock, _setup, client, connection) = setup();
    let sending = connection.send_message("?", Some(4), SECOND).start();
    let token = client.get_message().wait().unwrap().reply.unwrap();
    assert_eq!(token.reply("soon").wait(), Ok(()));
    clock.advance(10 * SECOND);
    assert!(matches!(sending.wait(), Ok(Sent::Replied(reply)) if reply.data == "soon"));
}

#[test]
fn without_a_deadline_a_sender_waits_for_ever() {
    let (clock, _setup, client, connection) = setup();
    let sending = connection
        .send_message("?", Some(4), Deadline::from_timeout(Some(0)))
        .start();
    clock.advance(Duration::from_secs(100 * 365 * 24 * 60 * 60));
    let token = client.get_message().wait().unwrap().reply.unwrap();
    token.reply("at last").wait().unwrap_err();
    assert!(matches!(sending.wait(), Err(SendError::ReplyTooLong(_))));
}

#[test]
fn deadlines_are_relative_or_absolute() {
    let (clock, _setup, _client, connection) = setup();
    let at = clock.now() + 3 * SECOND;
    let day = SystemTime::now() + Duration::from_secs(3);
    let sendings = [
        Deadline::After(3 * SECOND),
        Deadline::At(at),
        Deadline::from_timeout(Some(-30_000_000)),
        Deadline::AtTimeOfDay(day),
    ]
    .map(|it| connection.send_message("?", None, it).start());
    clock.advance(SECOND);
    assert!(connection.ended().is_none());
    clock.advance(2 * SECOND);
    for sending in sendings {
        assert_eq!(sending.wait(), Err(SendError::TimedOutBeforeDelivery));
    }
}

#[test]
fn each_of_many_senders_has_a_deadline_of_its_own() {
    let (clock, _setup, client, connection) = setup();
    let sendings: Vec<_> = (1..=10)
        .map(|it| connection.send_message("?", Some(0), it * SECOND).start())
        .collect();
    // Five of them have been delivered.
    let tokens: Vec<_> = (0..5)
        .map(|_| client.get_message().wait().unwrap().reply.unwrap())
        .collect();
    clock.advance(8 * SECOND);
    for token in tokens {
        assert_eq!(token.reply("").wait(), Err(ReplyError::NoWaiter));
    }
    let error = |number| match number {
        0..5 => SendError::TimedOutBeforeReply,
        _ => SendError::TimedOutBeforeDelivery,
    };
    let mut left = Vec::new();
    for (number, sending) in sendings.into_iter().enumerate() {
        match number {
            8.. => left.push(sending),
            _ => assert_eq!(sending.wait(), Err(error(number))),
        }
    }
    let token = client.get_message().wait().unwrap().reply.unwrap();
    assert_eq!(token.reply("").wait(), Ok(()));
    assert!(left.remove(0).wait().is_ok());
}

#[test]
fn a_thread_that_waits_is_woken_when_the_clock_says_so() {
    let (clock, _setup, client, connection) = setup();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| connection.send_message("?", Some(4), SECOND).wait());
        let message = client.get_message().wait().unwrap();
        clock.advance(SECOND);
        assert_eq!(waiting.join().unwrap(), Err(SendError::TimedOutBeforeReply));
        assert!(message.reply.unwrap().reply("").wait().is_err());
    });
}

#[test]
fn the_systems_clock_is_as_good() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let short = Duration::from_millis(20);
    let begin = Instant::now();
    let sent = connection.send_message("?", Some(4), short).wait();
    assert_eq!(sent, Err(SendError::TimedOutBeforeDelivery));
    assert!(begin.elapsed() >= short);

    std::thread::scope(|scope| {
        // While one thread reads the socket for ever, another's time is up.
        let reader = scope.spawn(|| {
            connection
                .send_message("first", Some(4), Deadline::Never)
                .wait()
        });
        let first = client.get_message().wait().unwrap();
        let sent = connection.send_message("?", Some(4), short).wait();
        assert_eq!(sent, Err(SendError::TimedOutBeforeDelivery));
        first.reply.unwrap().reply("done").wait().unwrap();
        assert!(reader.join().unwrap().is_ok());
    });

    let started = connection.send_message("?", Some(4), short).start();
    until("a send that nobody waits for ends as well", || {
        begin.elapsed() > 10 * short
    });
    assert_eq!(started.wait(), Err(SendError::TimedOutBeforeDelivery));
}
