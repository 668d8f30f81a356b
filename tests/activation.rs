//! `usbwright serve` as systemd starts it: with sockets that listen already, and somebody to tell how it goes. There is no systemd.

#[allow(dead_code, reason = "other tests ask for other parts of it")]
#[path = "support/usbip/mod.rs"]
mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener},
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use usbwright::{
    control::{Client as Controller, ControlAddress, Line, Request},
    emulator::server::Address,
};

use self::support::client::Client;

/// How long anything may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service, and what it tells systemd.
struct Service {
    child: Child,
    notes: UnixDatagram,
    folder: TempDir,
}

/// Becomes the service: sockets that came as standard input, output and errors are those that systemd hands over.
const HAND_OVER: &str = "\
LISTEN_PID=$$ WATCHDOG_PID=$$; export LISTEN_PID WATCHDOG_PID
exec \"$@\" 3<&0 4<&1 5<&2 0</dev/null 1>out 2>err";

impl Service {
    /// Starts it with these sockets, of these names.
    fn start(names: &str, sockets: [OwnedFd; 3], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let notes = UnixDatagram::bind(&path).unwrap();
        notes.set_read_timeout(Some(PATIENCE)).unwrap();
        let [first, second, third] = sockets.map(Stdio::from);
        let child = Command::new("sh")
            .args([
                "-c",
                HAND_OVER,
                "sh",
                env!("CARGO_BIN_EXE_usbwright"),
                "serve",
            ])
            .args(arguments)
            .env("LISTEN_FDS", names.split(':').count().to_string())
            .env("LISTEN_FDNAMES", names)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
            .env_remove("RUST_LOG")
            .current_dir(folder.path())
            .stdin(first)
            .stdout(second)
            .stderr(third)
            .spawn()
            .unwrap();
        Self {
            child,
            notes,
            folder,
        }
    }

    /// Waits until it tells this.
    #[track_caller]
    fn tells(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let mut bytes = [0; 1024];
            let length = self.notes.recv(&mut bytes).expect("it tells something");
            let told = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if told.lines().any(|line| line == what) {
                return;
            }
        }
        panic!("it does not tell {what}");
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn controller(path: &Path) -> Controller {
    let address: ControlAddress = format!("unix:{}", path.display()).parse().unwrap();
    Controller::connect(&address).unwrap()
}

#[test]
fn a_service_is_heard_at_the_sockets_that_it_was_given_and_leaves_them() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("control");
    let usbip = TcpListener::bind("127.0.0.1:0").unwrap();
    let control = UnixListener::bind(&path).unwrap();
    let metrics = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = usbip.local_addr().unwrap();
    let metrics_address = metrics.local_addr().unwrap();
    // Whoever comes early is heard once it is ready.
    let mut early = Client::connect(&Address::Tcp(address));
    let sockets = [usbip.into(), control.into(), metrics.into()];
    let mut service = Service::start("usbwright.socket:control:metrics", sockets, &["mouse"]);
    service.tells("READY=1");
    assert_eq!(early.list()[0].0, "1-1");
    let list: Request = serde_json::from_str(r#"{"do":"list"}"#).unwrap();
    let listed = controller(&path).request(&Line::of(list)).unwrap();
    assert_eq!(listed[0]["spec"], "mouse");
    let mut scrape = TcpStream::connect(metrics_address).unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    scrape.read_to_string(&mut page).unwrap();
    assert!(
        page.contains("usbwright_device_attached{device=\"1-1\"} 0"),
        "{page}"
    );
    service.tells("WATCHDOG=1");
    kill_process(Pid::from_child(&service.child), Signal::TERM).unwrap();
    service.tells("STOPPING=1");
    assert!(service.child.wait().unwrap().success());
    assert!(path.exists(), "the socket's file is systemd's");
    let out = service.read("out");
    // It listens nowhere else.
    let heard: Vec<_> = out.lines().filter(|it| it.contains(" at ")).collect();
    let expected = [
        format!("listening at {address}"),
        format!("controlled at unix:{}", path.display()),
        format!("metrics at http://{metrics_address}/metrics"),
    ];
    assert_eq!(heard, expected);
}

#[test]
fn sockets_that_can_not_be_used_end_the_service_with_the_reason() {
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let datagram = || OwnedFd::from(UnixDatagram::unbound().unwrap());
    for (names, sockets, told) in [
        (
            "usbip:metrics:x",
            [listener(), datagram(), listener()],
            "can't use descriptor 4 (`metrics`) that systemd hands over: it is no stream socket that listens",
        ),
        (
            "metrics:metrics:x",
            [listener(), listener(), listener()],
            "two sockets of the name `metrics`: one is enough",
        ),
        (
            "control:a:b",
            [listener(), listener(), listener()],
            "a server is controlled by a UNIX socket, and this is one of TCP",
        ),
    ] {
        let mut service = Service::start(names, sockets, &["mouse"]);
        assert_eq!(service.child.wait().unwrap().code(), Some(1));
        let error = service.read("err");
        assert!(error.contains(told), "{error}");
    }
}
