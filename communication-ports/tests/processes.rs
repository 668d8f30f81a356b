//! Driver and service in processes of their own, of which one is killed.

mod support;

use std::{
    fs, io,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use support::{PATIENCE, Setup, driver, name, until};
use usbwright_ports::{
    Client, Clock, ConnectError, Connection, Deadline, Ended, Filter, GetError, NameSpace,
    PortOptions, ReplyError, SendError, Sent,
};

/// What the other process is to be, and where the ports are.
const ROLE: &str = "USBWRIGHT_PORTS_ROLE";
/// How long it may take until somebody knows that the other process is dead: so much that a busy machine does not matter, and far less than
/// any timeout here.
const AT_ONCE: Duration = Duration::from_secs(2);

struct Process {
    child: Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(role: &str, space: &NameSpace) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_process", "--nocapture"])
            .env(ROLE, format!("{role} {}", space.directory().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Self { child, says }
    }

    /// Waits until it says so.
    fn hear(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            let length = self.says.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "it ends without having said {what}");
        }
    }

    /// As by `kill -9`.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_other_process() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let (role, directory) = role.split_once(' ').unwrap();
    let space = NameSpace::at(directory);
    match role {
        "service" => service(&space),
        "reader" => reader(&space),
        _ => a_driver(&space),
    }
}

/// Replies to every message with itself, by four workers.
fn service(space: &NameSpace) {
    let client = Client::connect(space, &name(), b"").unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Ok(message) = client.get_message().wait() {
                    if let Some(token) = message.reply {
                        let _ = token.reply(message.data).wait();
                    }
                }
            });
        }
    });
}

/// Takes messages and never replies.
fn reader(space: &NameSpace) {
    let client = Client::connect(space, &name(), b"").unwrap();
    while client.get_message().wait().is_ok() {}
}

/// Has a port; sends what is never replied to, and never answers.
fn a_driver(space: &NameSpace) {
    let (mut driver, told) = driver();
    driver.message = Box::new(|_, _| {
        println!("a message has come");
        loop {
            thread::park();
        }
    });
    let filter = Filter::new().unwrap();
    let options = PortOptions::new(name()).name_space(space.clone());
    let _port = filter.create_port(options, driver).unwrap();
    println!("the port is there");
    let Ok(support::Told::Connected(connection, _)) = told.recv() else {
        panic!("nobody connects");
    };
    let _ = connection
        .send_message("?", Some(1), Deadline::Never)
        .wait();
}

fn ask(connection: &Connection, message: &'static [u8]) -> Result<Sent, SendError> {
    connection
        .send_message(message, Some(100), Deadline::Never)
        .wait()
}

#[test]
fn messages_of_any_length_pass_between_processes() {
    let setup = Setup::new();
    let _service = Process::start("service", &setup.space);
    let (connection, _) = setup.connected();
    assert_ne!(connection.peer().pid(), Some(std::process::id()));
    for length in [0, 1, 32_768, 32_769, 1_000_000] {
        let message = vec![0x5A; length];
        let sent = connection.send_message(message, Some(length), Deadline::Never);
        assert!(matches!(sent.wait(), Ok(Sent::Replied(reply)) if reply.data.len() == length));
    }
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(ask(&connection, b"8 threads").is_ok());
                }
            });
        }
    });
}

#[test]
fn senders_are_told_at_once_when_the_service_is_killed() {
    let setup = Setup::new();
    let reader = Process::start("reader", &setup.space);
    let (connection, _) = setup.connected();
    thread::scope(|scope| {
        let senders = [(); 4].map(|()| scope.spawn(|| ask(&connection, b"?")));
        // It has all four, and is killed with them.
        let last = connection.send_message("last", None, Deadline::Never);
        assert_eq!(last.wait(), Ok(Sent::Delivered));
        let begin = Instant::now();
        reader.kill();
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Err(SendError::Disconnected));
        }
        assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    });
    assert_eq!(setup.disconnected(), Ended::ByPeer);
}

#[test]
fn everybody_is_told_at_once_when_the_driver_is_killed_and_its_name_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let space = NameSpace::at(directory.path());
    let mut driver = Process::start("driver", &space);
    driver.hear("the port is there");
    let client = Client::connect(&space, &name(), b"").unwrap();
    let token = client.get_message().wait().unwrap().reply.unwrap();
    thread::scope(|scope| {
        let gets = [(); 4].map(|()| scope.spawn(|| client.get_message().wait().map(drop)));
        let answer = scope.spawn(|| client.send_message("?", 9).wait());
        driver.hear("a message has come");
        let begin = Instant::now();
        driver.kill();
        for get in gets {
            assert_eq!(get.join().unwrap(), Err(GetError::Disconnected));
        }
        assert!(answer.join().unwrap().is_err());
        assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    });
    assert_eq!(token.reply("").wait(), Err(ReplyError::Disconnected));
    let error = Client::connect(&space, &name(), b"").unwrap_err();
    assert!(matches!(error, ConnectError::NotFound(_)), "{error:?}");

    // The dead server has left its socket, which another replaces.
    assert!(space.directory().join("ScannerPort").exists());
    let mut driver = Process::start("driver", &space);
    driver.hear("the port is there");
    Client::connect(&space, &name(), b"").unwrap();
}

/// What this process has: descriptors and threads.
fn belongings() -> (usize, usize) {
    let count = |path: &str| {
        let entries: io::Result<Vec<_>> = fs::read_dir(path).unwrap().collect();
        entries.map_or(0, |it| it.len())
    };
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[test]
fn after_a_hundred_rounds_nothing_is_left() {
    // Alone in its process, so that nobody else's descriptors count.
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_hundred_rounds",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, "rounds")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_hundred_rounds() {
    if std::env::var(ROLE).as_deref() != Ok("rounds") {
        return;
    }
    round(0);
    let before = belongings();
    for number in 1..=100 {
        round(number);
    }
    until("all descriptors and threads are gone", || {
        belongings() == before
    });
}

/// A filter's whole life, with a process that is killed, or ends otherwise.
fn round(number: usize) {
    let setup = Setup::with(Clock::System, |_| {}, |options| options);
    let service = Process::start("service", &setup.space);
    let (connection, _) = setup.connected();
    assert!(ask(&connection, b"round").is_ok());
    let long = connection.send_message(vec![0; 100_000], Some(100_000), Deadline::Never);
    assert!(long.wait().is_ok());
    let left = connection.send_message("left", Some(100), PATIENCE).start();
    match number % 3 {
        0 => {
            service.kill();
            assert_eq!(setup.disconnected(), Ended::ByPeer);
        }
        1 => connection.close(),
        _ => setup.filter.unload(),
    }
    // It may have been replied to before.
    let _ = left.wait();
}
