//! What an application and a manager may rely on, whatever a host answers.

use proptest::prelude::*;

use super::*;
use crate::wire::Part;

const HOST: NtStatus = NtStatus::DRIVER_PROCESS_TERMINATED;

/// A host that has greeted, and a file that is open.
fn open() -> Relay<char> {
    let mut relay = Relay::new();
    relay.receive(&Header::welcome()).unwrap();
    relay.attach(1, 'a').unwrap();
    let number = send(&mut relay, 1, Header::new(kind::OPEN), 1).unwrap();
    let brought = reply(&mut relay, number, 0, 0).unwrap();
    assert!(matches!(brought, Brought::Reply { opened: true, .. }));
    relay
}

fn send(
    relay: &mut Relay<char>,
    file: u64,
    mut header: Header,
    request: u64,
) -> Result<u64, NtStatus> {
    match relay.prepare(file, &mut header, 42, Ahead::default()) {
        Prepared::Ends(status) => Err(status),
        Prepared::ToHost => {
            relay.sent(&header, request, Instant::now());
            Ok(header.request.get())
        }
    }
}

fn read(length: usize) -> Header {
    Header {
        output: Part::inline(length),
        ..Header::new(kind::READ)
    }
}

fn reply(
    relay: &mut Relay<char>,
    number: u64,
    moved: u64,
    inline: usize,
) -> Result<Brought<char>, Violation> {
    relay.receive(&Header::reply(number, NtStatus::SUCCESS, moved, inline))
}

#[test]
fn a_reply_finds_whoever_asked() {
    let mut relay = open();
    let number = send(&mut relay, 1, read(8), 77).unwrap();
    let brought = reply(&mut relay, number, 8, 8).unwrap();
    let Brought::Reply { to, request, .. } = brought else {
        panic!("{brought:?}");
    };
    assert_eq!((to, request), ('a', 77));
    assert_eq!(relay.outstanding(), 0);
}

#[test]
fn an_open_tells_the_host_the_process() {
    let mut relay = Relay::new();
    relay.attach(1, 'a').unwrap();
    let mut header = Header::new(kind::OPEN);
    assert_eq!(
        relay.prepare(1, &mut header, 42, Ahead::default()),
        Prepared::ToHost
    );
    assert_eq!((header.position.get(), header.file.get()), (42, 1));
}

#[test]
fn a_host_that_answers_nonsense_is_found_out() {
    let mut relay = open();
    let number = send(&mut relay, 1, read(8), 2).unwrap();
    let unknown = reply(&mut relay, number + 1, 0, 0);
    assert!(matches!(unknown, Err(Violation::Unasked(_))), "{unknown:?}");
    let too_much = reply(&mut relay, number, 9, 0);
    assert!(matches!(too_much, Err(Violation::Excess { .. })));
    let more_than_told = reply(&mut relay, number, 3, 4);
    assert!(matches!(more_than_told, Err(Violation::Excess { .. })));
    reply(&mut relay, number, 8, 8).unwrap();
    let twice = reply(&mut relay, number, 8, 8);
    assert!(matches!(twice, Err(Violation::Unasked(_))));
    let greeting = relay.receive(&Header::welcome());
    assert!(matches!(greeting, Err(Violation::Time(kind::WELCOME))));
    let early = Relay::<char>::new().receive(&Header::reply(1, NtStatus::SUCCESS, 0, 0));
    assert!(matches!(early, Err(Violation::Time(kind::REPLY))));
}

#[test]
fn a_host_that_tells_more_of_a_file_than_there_was_room_for_is_found_out() {
    let mut relay = open();
    let query = Header {
        output: Part::inline(8),
        ..Header::new(kind::QUERY)
    };
    let set = Header {
        input: Part::inline(8),
        ..Header::new(kind::SET)
    };
    for (at, asked, inline) in [(2, query, 8), (3, set, 0)] {
        let number = send(&mut relay, 1, asked, at).unwrap();
        let too_much = reply(&mut relay, number, 9, 0);
        assert!(matches!(too_much, Err(Violation::Excess { .. })));
        let more_than_room = reply(&mut relay, number, 8, inline + 1);
        assert!(matches!(more_than_room, Err(Violation::Excess { .. })));
        reply(&mut relay, number, 8, inline).unwrap();
    }
}

#[test]
fn what_a_host_has_ends_with_it_once_and_in_order() {
    let mut relay = open();
    for request in 2..1002 {
        send(&mut relay, 1, read(8), request).unwrap();
    }
    let remains = relay.end(HOST).unwrap();
    let numbers: Vec<u64> = remains.requests.iter().map(|it| it.1).collect();
    assert_eq!(numbers, (2..1002).collect::<Vec<_>>());
    assert_eq!(remains.files, ['a']);
    assert!(relay.end(HOST).is_none());
    assert_eq!(send(&mut relay, 1, read(8), 2000), Err(HOST));
    assert_eq!(relay.attach(2, 'b'), Err(HOST));
}

#[test]
fn an_application_that_goes_has_its_requests_cancelled_and_its_file_closed() {
    let mut relay = open();
    let one = send(&mut relay, 1, read(8), 2).unwrap();
    let two = send(&mut relay, 1, read(8), 3).unwrap();
    assert_eq!(relay.cancel(1, 2, Instant::now()), Some(one));
    assert_eq!(relay.cancel(1, 2, Instant::now()), None);
    let leaving = relay.leave(1, Instant::now());
    assert_eq!((leaving.cancels, leaving.closes), (vec![two], true));
    assert!(matches!(relay.critical(), Some((Critical::Cancel, _))));
    let close = relay.close(1);
    relay.sent_close(&close, Instant::now());
    for number in [one, two] {
        let brought = reply(&mut relay, number, 0, 0).unwrap();
        assert!(matches!(brought, Brought::Nothing), "{brought:?}");
    }
    assert!(matches!(relay.critical(), Some((Critical::Close, _))));
    let closed = reply(&mut relay, close.request.get(), 0, 0).unwrap();
    let is_last = matches!(
        closed,
        Brought::Closed {
            to: None,
            last: true,
            ..
        }
    );
    assert!(is_last, "{closed:?}");
    assert_eq!((relay.open_files(), relay.critical()), (0, None));
}

#[test]
fn nothing_is_asked_of_a_file_that_is_not_open() {
    let mut relay = Relay::new();
    relay.attach(1, 'a').unwrap();
    let invalid = Err(NtStatus::INVALID_HANDLE);
    assert_eq!(send(&mut relay, 1, read(8), 1), invalid);
    assert_eq!(send(&mut relay, 9, read(8), 1), invalid);
    let mut relay = open();
    assert_eq!(send(&mut relay, 1, Header::new(kind::OPEN), 2), invalid);
    send(&mut relay, 1, Header::new(kind::CLOSE), 3).unwrap();
    assert_eq!(send(&mut relay, 1, read(8), 4), invalid);
}

#[test]
fn a_host_that_closes_a_file_before_its_requests_have_ended_is_found_out() {
    let mut relay = open();
    send(&mut relay, 1, read(8), 2).unwrap();
    let close = send(&mut relay, 1, Header::new(kind::CLOSE), 3).unwrap();
    let early = reply(&mut relay, close, 0, 0);
    assert!(matches!(early, Err(Violation::Time(kind::CLOSE))));
    assert_eq!(relay.end(HOST).unwrap().requests, [('a', 2), ('a', 3)]);
}

#[test]
fn a_region_is_used_within_its_length_only() {
    let mut relay = open();
    let region = |number: u32, length: u64| Header {
        position: length.into(),
        output: Part {
            region: number.into(),
            ..Part::default()
        },
        ..Header::new(kind::REGION)
    };
    let within = |number: u32, range: std::ops::Range<u64>| Header {
        output: Part::within(number, range),
        ..Header::new(kind::READ)
    };
    let invalid = Err(NtStatus::INVALID_PARAMETER);
    assert_eq!(send(&mut relay, 1, within(5, 0..8), 2), invalid);
    send(&mut relay, 1, region(5, 100), 3).unwrap();
    assert_eq!(send(&mut relay, 1, region(5, 100), 4), invalid);
    assert_eq!(send(&mut relay, 1, region(0, 100), 4), invalid);
    send(&mut relay, 1, within(5, 0..100), 5).unwrap();
    assert_eq!(send(&mut relay, 1, within(5, 1..101), 6), invalid);
    assert_eq!(
        send(&mut relay, 1, within(5, u64::MAX..u64::MAX), 6),
        invalid
    );
    let release = Header {
        output: Part {
            region: 5.into(),
            ..Part::default()
        },
        ..Header::new(kind::RELEASE)
    };
    send(&mut relay, 1, release, 7).unwrap();
    assert_eq!(send(&mut relay, 1, within(5, 0..8), 8), invalid);
}

#[test]
fn a_file_has_a_bounded_number_of_requests_and_can_always_be_closed() {
    let mut relay = open();
    for request in 0..crate::wire::MOST_REQUESTS as u64 {
        send(&mut relay, 1, read(8), 2 + request).unwrap();
    }
    assert_eq!(
        send(&mut relay, 1, read(8), 9999),
        Err(NtStatus::INSUFFICIENT_RESOURCES)
    );
    send(&mut relay, 1, Header::new(kind::CLOSE), 10_000).unwrap();
}

#[test]
fn the_last_requests_are_kept_with_how_they_ended() {
    let mut relay = open();
    let numbers: Vec<u64> = (0..20)
        .map(|it| send(&mut relay, 1, read(it), 2 + it as u64).unwrap())
        .collect();
    relay
        .receive(&Header::reply(numbers[18], NtStatus::CANCELLED, 0, 0))
        .unwrap();
    let recent = relay.recent();
    assert_eq!(recent.len(), 16);
    let last: Vec<_> = recent[14..]
        .iter()
        .map(|it| (it.output, it.status))
        .collect();
    assert_eq!(last, [(18, Some(NtStatus::CANCELLED)), (19, None)]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(u8),
    Reply(u8, u8),
    Cancel(u8),
    Leave,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Send),
        4 => (0_u8..40, 0_u8..4).prop_map(|(number, moved)| Step::Reply(number, moved)),
        2 => (0_u8..40).prop_map(Step::Cancel),
        1 => Just(Step::Leave),
        1 => Just(Step::End),
    ]
}

proptest! {
    #[test]
    fn every_request_ends_once(steps in proptest::collection::vec(step(), 0..80)) {
        let mut relay = open();
        let mut under_way = std::collections::BTreeSet::new();
        let mut gone = false;
        for (at, step) in steps.into_iter().enumerate() {
            let request = 2 + at as u64;
            match step {
                Step::Send(length) => {
                    if send(&mut relay, 1, read(length.into()), request).is_ok() {
                        prop_assert!(!gone);
                        under_way.insert(request);
                    }
                }
                Step::Reply(number, moved) => {
                    match reply(&mut relay, number.into(), moved.into(), 0) {
                        Ok(Brought::Reply { request, .. }) => prop_assert!(under_way.remove(&request)),
                        Ok(_) => prop_assert!(gone),
                        Err(_) => {}
                    }
                }
                Step::Cancel(request) => {
                    let cancelled = relay.cancel(1, request.into(), Instant::now());
                    prop_assert!(cancelled.is_none() || under_way.contains(&request.into()));
                }
                Step::Leave => {
                    relay.leave(1, Instant::now());
                    under_way.clear();
                    gone = true;
                }
                Step::End => {
                    if let Some(remains) = relay.end(HOST) {
                        let ended = remains.requests.into_iter().map(|it| it.1);
                        prop_assert!(ended.eq(std::mem::take(&mut under_way)));
                        gone = true;
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_ahead_in_the_same_packet_counts() {
    let mut relay = open();
    let most = crate::wire::MOST_REQUESTS as u64;
    let last = (1..most).map(|it| send(&mut relay, 1, read(8), it).unwrap());
    let last = last.last().unwrap();
    let (mut first, mut second) = (read(8), read(8));
    let mut ahead = Ahead::default();
    assert_eq!(
        relay.prepare(1, &mut first, 42, ahead),
        Prepared::ToHost,
        "it is the last that may be outstanding"
    );
    assert_eq!(first.request.get(), last + 1);
    ahead.add(&first);
    let many = Prepared::Ends(NtStatus::INSUFFICIENT_RESOURCES);
    assert_eq!(relay.prepare(1, &mut second, 42, ahead), many);

    let mut relay = open();
    assert_eq!(relay.prepare(1, &mut second, 42, ahead), Prepared::ToHost);
    let alone = send(&mut relay, 1, read(8), 9).unwrap();
    assert_eq!(second.request.get(), alone + 1);
}
