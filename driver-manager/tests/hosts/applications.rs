//! What carries the requests of applications, by a stand-in for the reflector.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use rustix::{
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair},
    process::Signal,
};
use usbwright_driver_manager::{
    manager::{Channels, HostEnds, Settings},
    policy::DeviceKey,
    record::{Operation, Problem},
};

use crate::bench::{Bench, PATIENCE, Packaged, ZERO};

/// The manager's ends of a stack's sockets.
type Ends = (OwnedFd, OwnedFd);

/// What stands for the reflector: it hands the ends of each stack that has started to the test.
struct StandIn {
    attached: Mutex<Vec<(DeviceKey, Ends)>>,
    started: mpsc::Sender<Ends>,
    detached: mpsc::Sender<bool>,
}

impl Channels for StandIn {
    fn attach(&self, device: DeviceKey, _: &str) -> io::Result<HostEnds> {
        let pair = || {
            let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
            socketpair(family, kind, SocketFlags::CLOEXEC, None)
        };
        let ((data, host_data), (cancel, host_cancel)) = (pair()?, pair()?);
        self.attached.lock().unwrap().push((device, (data, cancel)));
        Ok(HostEnds {
            data: host_data,
            cancel: host_cancel,
        })
    }

    fn started(&self, device: DeviceKey, _: u32) {
        let (attached, ends) = self.attached.lock().unwrap().pop().unwrap();
        assert_eq!(attached, device);
        // The test may have seen enough.
        let _ = self.started.send(ends);
    }

    fn last_requests(&self, _: DeviceKey) -> Vec<String> {
        vec!["read 512 bytes".to_owned()]
    }

    fn detach(&self, _: DeviceKey, failed: bool) {
        let _ = self.detached.send(failed);
    }
}

/// A manager whose stacks are reached, the ends of those that start, and how those that go have gone.
fn reached() -> (Bench, mpsc::Receiver<Ends>, mpsc::Receiver<bool>) {
    let ((started, starts), (detached, ends)) = (mpsc::channel(), mpsc::channel());
    let channels = Arc::new(StandIn {
        attached: Mutex::default(),
        started,
        detached,
    });
    let settings = Settings {
        channels: Some(channels),
        ..Settings::default()
    };
    let packaged = Packaged {
        policy: "restarts = 1",
        ..Packaged::default()
    };
    let bench = Bench::with_settings(&[(&packaged, ZERO.0)], settings);
    bench.plug();
    (bench, starts, ends)
}

fn said(socket: &OwnedFd) -> String {
    let mut buffer = [0; 64];
    let (length, _) = recv(socket, &mut buffer, RecvFlags::empty()).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

pub(crate) fn a_stack_is_reached_by_the_sockets_that_its_host_was_handed() {
    let (bench, starts, ends) = reached();
    let (data, _cancel) = starts.recv().unwrap();
    send(&data, b"hello", SendFlags::empty()).unwrap();
    assert_eq!(said(&data), "Started: hello");
    bench.manager.end(Duration::from_secs(60));
    assert!(!ends.recv().unwrap(), "it has not failed");
}

pub(crate) fn where_a_host_dies_the_sockets_end_and_what_was_asked_last_is_recorded() {
    let (bench, starts, ends) = reached();
    let (data, _cancel) = starts.recv().unwrap();
    bench.signal(bench.pid(), Signal::KILL);
    assert_eq!(said(&data), "");
    assert!(ends.recv().unwrap(), "it has failed");
    let record = bench.failure();
    assert_eq!(
        record.last_requests,
        ["confine", "build 1-1", "read 512 bytes"]
    );
    let (data, _cancel) = starts.recv().unwrap();
    send(&data, b"again", SendFlags::empty()).unwrap();
    assert_eq!(said(&data), "Started: again");
}

pub(crate) fn a_device_that_is_offline_is_let_go_of_when_it_is_unplugged() {
    let (bench, starts, ends) = reached();
    let device = DeviceKey(bench.view().devices[0].key);
    for _ in 0..2 {
        starts.recv_timeout(PATIENCE).unwrap();
        bench.signal(bench.pid(), Signal::KILL);
        assert!(ends.recv_timeout(PATIENCE).unwrap(), "it has failed");
    }
    bench.until(|it| it.devices[0].state == "offline");
    bench.manager.plug().departed(device);
    bench.until(|it| it.devices.is_empty());
    assert!(!ends.recv_timeout(PATIENCE).unwrap(), "it is gone for good");
}

pub(crate) fn a_cancel_that_a_driver_never_ends_is_late() {
    let (bench, starts, _ends) = reached();
    let (_data, cancel) = starts.recv().unwrap();
    let before = bench.view().hosts[0].operations;
    send(&cancel, b"cancel", SendFlags::empty()).unwrap();
    bench.until(|it| it.hosts[0].operations > before);
    bench.advance(Duration::from_mins(1));
    let record = bench.failure();
    let what = (record.problem, record.operation);
    assert_eq!(what, (Problem::HostTimeout, Operation::Cancel));
}
