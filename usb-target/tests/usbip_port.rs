//! A remote device's port, at the other end of a socket from a server that follows a script.

mod messages;

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, mpsc},
    task::{Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use messages::*;
use usbwright_target::{
    protocol::{
        Completion, EndpointAddress, Now, Port, Status, Transfer, TransferId, TransferType,
        usbip::urb::{Command, HEADER_SIZE, Submit},
    },
    usbip::{RemotePort, RemotePortError},
};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server's end.
struct Server(UnixStream);

impl Server {
    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn submit(&mut self) -> Submit {
        let header = self.read(HEADER_SIZE);
        messages::submit(&header).0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Answers the three requests for the device's descriptors.
    fn describe(&mut self, configuration: &[u8]) {
        for bytes in [&DEVICE_DESCRIPTOR[..], configuration, configuration] {
            let submit = self.submit();
            let length = bytes.len().min(submit.length as usize);
            let moved = u32::try_from(length).unwrap();
            self.write(&ended(submit.sequence, 0, moved, &bytes[..length]));
        }
    }
}

fn pair() -> (OwnedFd, Server) {
    let (ours, servers) = UnixStream::pair().unwrap();
    servers.set_read_timeout(Some(PATIENCE)).unwrap();
    (ours.into(), Server(servers))
}

/// A port, and its server, which has told the descriptors.
fn attached() -> (RemotePort, Server) {
    let (ours, mut server) = pair();
    let telling = thread::spawn(move || {
        server.describe(&configuration_bytes());
        server
    });
    let port = RemotePort::new(ours, &device()).unwrap();
    (port, telling.join().unwrap())
}

fn submit_to(port: &mut RemotePort, transfer: Transfer) {
    port.submit(transfer, Now::SYSTEM);
}

fn poll(port: &mut RemotePort) {
    port.poll(Instant::now());
}

/// Drives the port until a transfer has ended.
fn finish(port: &mut RemotePort) -> Completion {
    let until = Instant::now() + PATIENCE;
    let outside = port.outside().unwrap();
    loop {
        poll(port);
        if let Some(completion) = port.completion() {
            return completion;
        }
        assert!(Instant::now() < until, "nothing ends");
        outside.wait(Some(PATIENCE));
    }
}

#[test]
fn the_types_of_endpoints_come_from_the_devices_descriptors() {
    let (port, _server) = attached();
    let kind = |byte| port.transfer_type(EndpointAddress::from_byte(byte));
    assert_eq!(kind(0), Some(TransferType::Control));
    assert_eq!(kind(0x81), Some(TransferType::Bulk));
    assert_eq!(kind(0x82), Some(TransferType::Interrupt));
    assert_eq!(kind(0x83), Some(TransferType::Isochronous));
    assert_eq!(kind(0x84), None);
    let summary = port.summary();
    assert_eq!((summary.vendor_id, summary.configuration), (0x1209, 1));
    assert_eq!(summary.interfaces.len(), 1);
}

#[test]
fn a_device_with_malformed_descriptors_is_taken_with_unknown_types() {
    let (ours, mut server) = pair();
    let telling = thread::spawn(move || {
        server.describe(&[9, 2, 12, 0, 1, 1, 0, 0x80, 50, 0, 0, 0]);
        server
    });
    let mut port = RemotePort::new(ours, &device()).unwrap();
    let mut server = telling.join().unwrap();
    assert_eq!(port.transfer_type(EndpointAddress::from_byte(0x81)), None);
    submit_to(&mut port, read(1, 0x81, 8));
    poll(&mut port);
    assert_eq!(server.submit().endpoint, 1);
}

#[test]
fn a_server_that_hangs_up_or_talks_nonsense_at_first_is_told_of() {
    let (ours, server) = pair();
    drop(server);
    let error = RemotePort::new(ours, &device()).unwrap_err();
    assert!(matches!(error, RemotePortError::Ended { .. }), "{error}");
    let (ours, mut server) = pair();
    server.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n...............");
    let error = RemotePort::new(ours, &device()).unwrap_err().to_string();
    assert!(error.contains("is no reply"), "{error}");
}

#[test]
fn nothing_is_written_before_a_poll_and_everything_by_it() {
    let (mut port, mut server) = attached();
    for id in 0..20 {
        submit_to(&mut port, read(id, 0x81, 8));
    }
    server.0.set_nonblocking(true).unwrap();
    assert!(server.0.read(&mut [0; 1]).is_err());
    assert!(port.deadline().unwrap() <= Instant::now());
    poll(&mut port);
    server.0.set_nonblocking(false).unwrap();
    assert_eq!(server.read(20 * HEADER_SIZE).len(), 20 * HEADER_SIZE);
    assert_eq!(port.deadline(), None);
}

#[test]
fn much_is_written_at_once() {
    let (mut port, mut server) = attached();
    for id in 0..64 {
        submit_to(&mut port, read(id, 0x81, 8));
    }
    server.read(64 * HEADER_SIZE);
    submit_to(&mut port, write(99, 1, Bytes::from(vec![7; 1 << 20])));
    assert_eq!(server.submit().length, 1 << 20);
    // The socket does not take all of it at once.
    assert_eq!(server.read(64 << 10), vec![7; 64 << 10]);
}

#[test]
fn what_the_socket_does_not_take_is_written_when_the_server_reads() {
    let (mut port, mut server) = attached();
    let data: Vec<u8> = (0..8u32 << 20).map(|it| (it % 251) as u8).collect();
    submit_to(&mut port, write(1, 1, Bytes::from(data.clone())));
    submit_to(&mut port, read(2, 0x81, 8));
    poll(&mut port);
    assert_eq!(
        port.deadline(),
        None,
        "only the socket can tell when to go on"
    );
    let reading = thread::spawn(move || {
        let submit = server.submit();
        assert!(server.read(submit.length as usize) == data);
        server.write(&ended(submit.sequence, 0, submit.length, &[]));
        let next = server.submit();
        server.write(&ended(next.sequence, 0, 1, b"z"));
    });
    assert_eq!(finish(&mut port).actual_length, 8 << 20);
    assert_eq!(finish(&mut port).data.to_vec(), b"z");
    reading.join().unwrap();
}

#[test]
fn data_of_any_size_comes_as_it_was_sent() {
    let (mut port, mut server) = attached();
    for (id, length) in [(1, 1), (2, 4096), (3, 1 << 20), (4, 3 << 20), (5, 13)] {
        submit_to(&mut port, read(id, 0x81, length));
        poll(&mut port);
        let sequence = server.submit().sequence;
        let data: Vec<u8> = (0..length).map(|it| (it % 253) as u8).collect();
        let reply = ended(sequence, 0, length, &data);
        let writing = thread::scope(|scope| {
            scope.spawn(|| server.write(&reply));
            finish(&mut port)
        });
        assert!(writing.data.to_vec() == data, "{length} bytes");
        assert_eq!(writing.data.pieces().len(), 1);
    }
}

#[test]
fn a_broken_connection_ends_every_transfer() {
    for nonsense in [&b""[..], &[0xff; 48]] {
        let (mut port, mut server) = attached();
        for id in 0..3 {
            submit_to(&mut port, read(id, 0x81, 8));
        }
        poll(&mut port);
        server.write(nonsense);
        drop(server);
        for id in 0..3 {
            let completion = finish(&mut port);
            let ended = (completion.id, completion.status);
            assert_eq!(ended, (TransferId(id), Status::Disconnected));
        }
        assert!(!port.is_connected());
        submit_to(&mut port, read(9, 0x81, 8));
        assert_eq!(port.completion().unwrap().status, Status::Disconnected);
        port.reset(Instant::now());
        poll(&mut port);
        assert_eq!(port.deadline(), None);
    }
}

#[test]
fn what_came_before_the_connection_broke_is_not_lost() {
    let (mut port, mut server) = attached();
    submit_to(&mut port, read(1, 0x81, 8));
    poll(&mut port);
    let sequence = server.submit().sequence;
    server.write(&ended(sequence, 0, 3, b"end"));
    drop(server);
    submit_to(&mut port, read(2, 0x81, 8));
    assert_eq!(finish(&mut port).data.to_vec(), b"end");
    assert_eq!(finish(&mut port).status, Status::Disconnected);
}

#[test]
fn a_reset_is_sent_as_a_hubs_request_and_its_answer_is_swallowed() {
    let (mut port, mut server) = attached();
    port.reset(Instant::now());
    submit_to(&mut port, read(1, 0x81, 8));
    poll(&mut port);
    let reset = server.submit();
    assert_eq!(reset.setup, [0x23, 3, 4, 0, 0, 0, 0, 0]);
    let next = server.submit();
    server.write(&ended(reset.sequence, 0, 0, &[]));
    server.write(&ended(next.sequence, 0, 1, b"a"));
    assert_eq!(finish(&mut port).id, TransferId(1));
}

#[test]
fn a_wait_ends_when_its_time_is_over_or_somebody_interrupts_it() {
    let (port, _server) = attached();
    let outside = port.outside().unwrap();
    for timeout in [Duration::from_millis(1), Duration::from_millis(30)] {
        let begun = Instant::now();
        outside.wait(Some(timeout));
        assert!(begun.elapsed() >= timeout);
    }
    outside.interrupt();
    outside.wait(None);
    let waiting = Arc::clone(&outside);
    let (told, ready) = mpsc::channel();
    let waiter = thread::spawn(move || {
        told.send(()).unwrap();
        waiting.wait(None);
    });
    ready.recv().unwrap();
    outside.interrupt();
    waiter.join().unwrap();
}

#[test]
fn a_thread_that_waits_does_not_keep_another_from_sending() {
    let (mut port, mut server) = attached();
    let outside = port.outside().unwrap();
    let waiting = Arc::clone(&outside);
    let (told, ready) = mpsc::channel();
    let waiter = thread::spawn(move || {
        told.send(()).unwrap();
        waiting.wait(Some(PATIENCE));
    });
    ready.recv().unwrap();
    submit_to(&mut port, read(1, 0x81, 8));
    poll(&mut port);
    let sequence = server.submit().sequence;
    server.write(&ended(sequence, 0, 2, b"ab"));
    waiter.join().unwrap();
    assert_eq!(finish(&mut port).data.to_vec(), b"ab");
}

/// Tells a test that it has been woken.
struct Told(mpsc::Sender<()>);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        // A test that has ended is not interested.
        let _ = self.0.send(());
    }
}

#[test]
fn a_waker_is_woken_for_each_reply_and_when_the_server_is_gone() {
    let (mut port, mut server) = attached();
    let (told, woken) = mpsc::channel();
    port.set_waker(Waker::from(Arc::new(Told(told))));
    assert!(port.may_wake());
    for id in 0..3 {
        submit_to(&mut port, read(id, 0x81, 8));
        poll(&mut port);
        let sequence = server.submit().sequence;
        server.write(&ended(sequence, 0, 2, b"ab"));
        let completion = loop {
            woken.recv_timeout(PATIENCE).unwrap();
            poll(&mut port);
            if let Some(completion) = port.completion() {
                break completion;
            }
        };
        assert_eq!(completion.id, TransferId(id));
    }
    drop(server);
    while port.is_connected() {
        woken.recv_timeout(PATIENCE).unwrap();
        poll(&mut port);
    }
    assert!(!port.may_wake());
    drop(port);
    // The thread ends with the port, and its waker with it.
    while woken.recv_timeout(PATIENCE).is_ok() {}
}

#[test]
fn a_server_that_wants_all_before_it_answers_gets_it_though_somebody_waits_already() {
    let (mut port, mut server) = attached();
    let (told, woken) = mpsc::channel();
    port.set_waker(Waker::from(Arc::new(Told(told))));
    for id in 0..6 {
        submit_to(&mut port, write(id, 1, Bytes::from(vec![7; 1 << 20])));
        poll(&mut port);
    }
    let reading = thread::spawn(move || {
        let all: Vec<u32> = (0..6)
            .map(|_| {
                let submit = server.submit();
                server.read(submit.length as usize);
                submit.sequence
            })
            .collect();
        for sequence in all {
            server.write(&ended(sequence, 0, 1 << 20, &[]));
        }
        server
    });
    for id in 0..6 {
        let completion = loop {
            if let Some(completion) = port.completion() {
                break completion;
            }
            woken.recv_timeout(PATIENCE).expect("it is written");
            poll(&mut port);
        };
        assert_eq!(completion.id, TransferId(id));
    }
    reading.join().unwrap();
}

#[test]
fn the_thread_behind_a_waker_ends_with_its_port() {
    let (mut port, mut server) = attached();
    let (told, woken) = mpsc::channel();
    port.set_waker(Waker::from(Arc::new(Told(told))));
    drop(port);
    while woken.recv_timeout(PATIENCE).is_ok() {}
    assert_eq!(
        server.0.read(&mut [0; 1]).unwrap(),
        0,
        "the connection is closed"
    );
}

#[test]
fn a_transfer_is_taken_back_by_an_unlink_that_follows_it() {
    let (mut port, mut server) = attached();
    submit_to(&mut port, read(1, 0x81, 8));
    port.cancel(TransferId(1), Instant::now());
    poll(&mut port);
    let submitted = server.submit().sequence;
    let header = server.read(HEADER_SIZE);
    let (number, target) = unlink(&header);
    assert!(matches!(command(&header).0, Command::Unlink { .. }));
    assert_eq!(target, submitted);
    server.write(&unlinked(number, -104));
    assert_eq!(finish(&mut port).status, Status::Cancelled);
}
