//! How connections end, with and without somebody who waits; and peers that break the protocol.

mod support;

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, accept, bind, connect, listen,
    recv, send, socket,
    sockopt::{Timeout, set_socket_timeout},
};
use support::{PATIENCE, Setup, name};
use usbwright_ports::{
    AnswerError, Callbacks, Client, Clock, Connection, Deadline, Ended, GetError, NameSpace,
    PortName, PortOptions, ReplyError, SendError, Sent, Violation,
    status::NtStatus,
    wire::{HEADER_SIZE, Packet, Payload, PostedGet, ToClient, ToServer, VERSION},
};
use zerocopy::IntoBytes as _;

/// Has threads wait in every way there is, ends the connection, and sees that all of them are told.
fn everybody_is_told(end: impl FnOnce(Client, Connection, &Setup), by_peer: bool) {
    let stall = Arc::new(Barrier::new(2));
    let its = Arc::clone(&stall);
    let (calls, called) = std::sync::mpsc::channel();
    let setup = Setup::with(
        Clock::System,
        move |driver| {
            driver.message = Box::new(move |_, _| {
                calls.send(()).unwrap();
                its.wait();
                Err(NtStatus::CANCELLED)
            });
        },
        |options| options.max_connections(9),
    );
    let (client, connection) = setup.connect();
    let delivered = connection
        .send_message("delivered", Some(1), Deadline::Never)
        .start();
    let token = client.get_message().wait().unwrap().reply.unwrap();
    thread::scope(|scope| {
        let waiting = [
            scope.spawn(|| delivered.wait().unwrap_err()),
            scope.spawn(|| {
                let sending = connection.send_message(vec![0; 9], None, Deadline::Never);
                sending.wait().unwrap_err()
            }),
        ];
        let gets = [3, 4, 5].map(|room| {
            let get = client.get_message_of(room).start();
            scope.spawn(|| get.wait().unwrap_err())
        });
        let sending = client.send_message("answer me", 0).start();
        let asking = scope.spawn(|| sending.wait().unwrap_err());
        called.recv_timeout(PATIENCE).unwrap();
        end(client.clone(), connection.clone(), &setup);
        for it in waiting {
            assert_eq!(it.join().unwrap(), SendError::Disconnected);
        }
        for it in gets {
            // The message that waits does not fit.
            let error = it.join().unwrap();
            assert!(matches!(
                error,
                GetError::Disconnected | GetError::TooSmall { needed: 9 }
            ));
        }
        assert_eq!(asking.join().unwrap(), AnswerError::Disconnected);
    });
    assert_eq!(token.reply("").wait(), Err(ReplyError::Disconnected));
    let get = client.get_message().wait();
    assert_eq!(get.unwrap_err().hresult().0, 0x8007_0006);
    let sent = connection.send_message("", None, Deadline::Never).wait();
    assert_eq!(sent.unwrap_err().status(), NtStatus::PORT_DISCONNECTED);
    stall.wait();
    if by_peer {
        assert_eq!(setup.disconnected(), Ended::ByPeer);
    }
}

#[test]
fn a_client_that_closes_wakes_everybody() {
    everybody_is_told(|client, _, _| client.close(), true);
}

#[test]
fn a_driver_that_closes_wakes_everybody() {
    everybody_is_told(|_, connection, _| connection.close(), false);
}

#[test]
fn unloading_wakes_everybody_and_calls_back() {
    let setup = Setup::new();
    let pairs: Vec<_> = (0..5).map(|_| setup.connect()).collect();
    thread::scope(|scope| {
        let mut waiting = Vec::new();
        for (client, connection) in &pairs {
            waiting.push(scope.spawn(|| {
                let sent = connection.send_message("?", Some(1), Deadline::Never);
                sent.wait().unwrap_err().status()
            }));
            let token = client.get_message().wait().unwrap().reply.unwrap();
            waiting.push(scope.spawn(|| client.get_message().wait().unwrap_err().status()));
            drop(token);
        }
        setup.filter.unload();
        for it in waiting {
            assert_eq!(it.join().unwrap(), NtStatus::PORT_DISCONNECTED);
        }
    });
    for _ in 0..5 {
        assert_eq!(setup.disconnected(), Ended::Unloaded);
    }
    assert!(setup.try_connect().is_err());
}

#[test]
fn a_driver_can_unload_within_a_callback() {
    let filter = Arc::new(std::sync::OnceLock::<usbwright_ports::Filter>::new());
    let its = Arc::clone(&filter);
    let setup = Setup::with(
        Clock::System,
        move |driver| {
            driver.message = Box::new(move |_, _| {
                its.get().ok_or(NtStatus::DEVICE_NOT_READY)?.unload();
                Err(NtStatus::UNSUCCESSFUL)
            });
        },
        |options| options,
    );
    let (client, _connection) = setup.connect();
    let Setup {
        filter: its, told, ..
    } = setup;
    filter.set(its).unwrap();
    let answer = client.send_message("unload", 0).wait();
    assert_eq!(answer, Err(AnswerError::Disconnected));
    let told = told.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(told, support::Told::Disconnected(Ended::Unloaded)));
}

#[test]
fn a_driver_that_closes_is_not_called_back() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    connection.close();
    assert!(client.get_message().wait().is_err());
    assert_eq!(connection.ended(), Some(Ended::Closed));
    setup.filter.unload();
    assert!(setup.told.try_recv().is_err());
}

#[test]
fn a_client_that_drops_all_its_handles_is_gone() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let other = client.clone();
    drop(client);
    let get = other.get_message().start();
    let sent = connection
        .send_message("hear", None, Deadline::Never)
        .wait();
    assert_eq!(sent, Ok(Sent::Delivered));
    get.wait().unwrap();
    drop(other);
    assert_eq!(setup.disconnected(), Ended::ByPeer);
}

#[test]
fn what_was_delivered_before_the_end_is_still_there() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let gets = [(); 2].map(|()| client.get_message().start());
    for _ in 0..2 {
        let sent = connection.send_message("last", None, Deadline::Never);
        assert_eq!(sent.wait(), Ok(Sent::Delivered));
    }
    connection.close();
    // Whose asking finds out that there is no connection.
    let third = client.get_message().wait();
    assert_eq!(third.unwrap_err(), GetError::Disconnected);
    for get in gets {
        assert_eq!(get.wait().unwrap().data, "last");
    }
}

/// A peer that speaks as it likes.
struct Raw(OwnedFd);

impl Raw {
    fn new(setup: &Setup) -> Self {
        let raw = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        set_socket_timeout(&raw, Timeout::Recv, Some(PATIENCE)).unwrap();
        let path = setup.space.directory().join(name().as_str());
        connect(&raw, &SocketAddrUnix::new(path).unwrap()).unwrap();
        Self(raw)
    }

    fn say(&self, packet: ToServer) {
        let Packet { header, payload } = packet.into();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(payload.read().unwrap());
        self.throw(&bytes);
    }

    fn throw(&self, bytes: &[u8]) {
        send(&self.0, bytes, SendFlags::NOSIGNAL).unwrap();
    }

    /// The next packet's kind and status; nothing at the end.
    fn hear(&self) -> Option<(u8, NtStatus)> {
        let mut bytes = [0; HEADER_SIZE];
        match recv(&self.0, &mut bytes, RecvFlags::empty()) {
            Ok((HEADER_SIZE, _)) => {
                let status = bytes[4..8].try_into().unwrap();
                Some((bytes[0], NtStatus(u32::from_le_bytes(status))))
            }
            Err(rustix::io::Errno::CONNRESET) => self.hear(),
            other => {
                assert_eq!(other.map(|(length, _)| length), Ok(0));
                None
            }
        }
    }

    fn greet(&self) {
        self.say(ToServer::Hello {
            version: VERSION,
            context: Payload::EMPTY,
        });
        assert_eq!(self.hear(), Some((0x81, NtStatus(VERSION))));
    }
}

fn get(number: u64) -> ToServer {
    ToServer::Get(PostedGet {
        get: number,
        capacity: 100,
    })
}

#[test]
fn a_greeting_that_is_none_is_refused() {
    let setup = Setup::new();
    let hello = |version| ToServer::Hello {
        version,
        context: Payload::EMPTY,
    };
    for (packet, status) in [
        (hello(2), NtStatus::NOT_SUPPORTED),
        (get(1), NtStatus::INVALID_PARAMETER),
    ] {
        let raw = Raw::new(&setup);
        raw.say(packet);
        assert_eq!(raw.hear(), Some((0x82, status)));
        assert_eq!(raw.hear(), None);
    }
    let raw = Raw::new(&setup);
    raw.throw(b"GET / HTTP/1.1");
    assert_eq!(raw.hear(), Some((0x82, NtStatus::INVALID_PARAMETER)));
    assert!(setup.told.try_recv().is_err());
}

#[test]
fn nonsense_ends_its_own_connection_with_a_reason() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let mut unused = [0; HEADER_SIZE];
    (unused[0], unused[39]) = (3, 1);
    let mut flags = [0; HEADER_SIZE];
    (flags[0], flags[2]) = (2, 0x80);
    let mut unknown = [0; HEADER_SIZE];
    unknown[0] = 0x7F;
    let mut length = [0; HEADER_SIZE];
    (length[0], length[32]) = (5, 9);
    let mut sealed = [0; HEADER_SIZE];
    (sealed[0], sealed[2]) = (5, 1);
    let mut long = [0; HEADER_SIZE];
    (long[0], long[35]) = (5, 0xFF);
    for (bytes, reason) in [
        (&b"?"[..], Violation::Short(1)),
        (&unused, Violation::Fields(3)),
        (&flags, Violation::Fields(2)),
        (&unknown, Violation::Kind(0x7F)),
        (&length, Violation::Length { told: 9, came: 0 }),
        (&sealed, Violation::Descriptors(0)),
        (
            &long,
            Violation::Long {
                length: 0xFF00_0000,
                limit: usbwright_ports::LONGEST + 1,
            },
        ),
        (&[7; 100_000], Violation::Truncated),
    ] {
        let raw = Raw::new(&setup);
        raw.greet();
        let (other, _) = setup.connected();
        raw.throw(bytes);
        assert_eq!(setup.disconnected(), Ended::Violation(reason));
        assert!(other.ended().is_some());
        assert_eq!(raw.hear(), None);
    }
    let waiting = client.get_message().start();
    let sent = connection
        .send_message("well", None, Deadline::Never)
        .wait();
    assert_eq!(sent, Ok(Sent::Delivered));
    assert_eq!(waiting.wait().unwrap().data, "well");
}

#[test]
fn a_second_greeting_is_nonsense() {
    let setup = Setup::new();
    let raw = Raw::new(&setup);
    raw.greet();
    let _connection = setup.connected();
    raw.say(ToServer::Hello {
        version: VERSION,
        context: Payload::EMPTY,
    });
    assert_eq!(setup.disconnected(), Ended::Violation(Violation::Time(1)));
}

#[test]
fn a_client_that_asks_and_never_listens_costs_little_and_loses_its_connection() {
    let setup = Setup::new();
    let raw = Raw::new(&setup);
    raw.greet();
    let (connection, _) = setup.connected();
    // Each of these is answered, and none of the answers read.
    let mut sent = 0_u64;
    while connection.ended().is_none() {
        sent += 1;
        assert!(sent < 1_000_000, "it goes on for ever");
        let Packet { header, .. } = ToServer::Reply {
            operation: sent,
            message: 1,
            status: NtStatus::SUCCESS,
            then: None,
            data: Payload::EMPTY,
        }
        .into();
        if send(&raw.0, header.as_bytes(), SendFlags::NOSIGNAL).is_err() {
            break;
        }
    }
    let why = setup.disconnected();
    assert!(
        matches!(why, Ended::Violation(Violation::NotReading(_))),
        "{why:?}"
    );
}

#[test]
fn more_gets_and_messages_than_a_port_keeps_are_told_so() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let mut gets: Vec<_> = (0..1025).map(|_| client.get_message().start()).collect();
    assert_eq!(gets.pop().unwrap().wait().unwrap_err(), GetError::TooMany);
    for get in gets {
        let sent = connection.send_message("", None, Deadline::Never).wait();
        assert_eq!(sent, Ok(Sent::Delivered));
        get.wait().unwrap();
    }
}

#[test]
fn a_sender_is_not_held_up_beyond_its_deadline_by_a_client_that_does_not_read() {
    let setup = Setup::new();
    let raw = Raw::new(&setup);
    raw.greet();
    let (connection, _) = setup.connected();
    for number in 1..=100 {
        raw.say(get(number));
    }
    // The socket is full after some of these; the others wait for room as for a get.
    let mut late = 0;
    for _ in 0..100 {
        let sending = connection.send_message(vec![0; 100], Some(1), Duration::from_millis(1));
        match sending.wait() {
            Err(SendError::TimedOutBeforeDelivery | SendError::TimedOutBeforeReply) => late += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(late, 100);
    assert_eq!(connection.ended(), None);
}

#[test]
fn a_client_that_says_nothing_takes_no_place() {
    let setup = Setup::with(Clock::System, |_| {}, |options| options.max_connections(1));
    let _silent = [(); 5].map(|()| Raw::new(&setup));
    setup.connect();
}

/// A driver that panics when it can.
struct Clumsy;

struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("a driver's mistake");
    }
}

impl Callbacks for Clumsy {
    type Session = Fragile;

    fn connect(&self, _connection: &Connection, _context: &[u8]) -> Result<Fragile, NtStatus> {
        Ok(Fragile)
    }
}

#[test]
fn a_driver_that_panics_at_the_end_harms_nobody() {
    let setup = Setup::new();
    let clumsy: PortName = "Clumsy".parse().unwrap();
    let options = PortOptions::new(clumsy.clone()).name_space(setup.space.clone());
    let port = setup.filter.create_port(options, Clumsy).unwrap();
    for _ in 0..5 {
        // The one place of the port is free each time.
        Client::connect(&setup.space, &clumsy, b"").unwrap();
    }
    setup.connect();
    drop(port);
}

#[test]
fn a_server_that_answers_what_nobody_asked_loses_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    let path = directory.path().join(name().as_str());
    bind(&listener, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&listener, 1).unwrap();
    let server = thread::spawn(move || {
        let raw = Raw(accept(&listener).unwrap());
        assert_eq!(raw.hear(), Some((1, NtStatus(VERSION))));
        let welcome = ToClient::Welcome {
            version: VERSION,
            longest: 100,
        };
        raw.throw(Packet::from(welcome).header.as_bytes());
        assert_eq!(raw.hear(), Some((2, NtStatus::SUCCESS)));
        let message = ToClient::Message {
            get: 99,
            message: 1,
            reply_length: 0,
            replied: None,
            data: Payload::EMPTY,
        };
        raw.throw(Packet::from(message).header.as_bytes());
        assert_eq!(raw.hear(), None);
    });
    let client = Client::connect(&NameSpace::at(directory.path()), &name(), b"").unwrap();
    let got = client.get_message().wait();
    assert_eq!(got.unwrap_err(), GetError::Disconnected);
    let why = Ended::Violation(Violation::Unasked(99));
    assert_eq!(client.ended(), Some(why));
    server.join().unwrap();
}
