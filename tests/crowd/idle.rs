//! A thousand devices of one server, idle: what each costs. Run against the built command, as a user starts it.
//!
//! What is counted is what the server's process has of memory: its resident pages and its page tables, without what it costs
//! before it has a device. The kernel's own share of a thread and a socket is not in it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use usbwright::emulator::server::Address;

use super::support::{
    client::{Client, PATIENCE},
    urb::Urb,
};

const DEVICES: usize = 1000;
/// The most that an idle device may cost, in bytes.
const MOST: u64 = 32 << 10;
/// How long the server may take to come to rest.
const REST: Duration = Duration::from_secs(30);
/// A server at rest has not changed for so long.
const STILL: Duration = Duration::from_secs(2);

/// `usbwright serve` with so many devices; it begins with a soft limit of 256 file descriptors.
struct Server {
    child: Child,
    address: Address,
    bus_ids: Vec<String>,
    _folder: TempDir,
}

impl Server {
    fn start(devices: usize) -> Self {
        Self::start_with("ulimit -S -n 256", devices, Stdio::inherit())
    }

    /// Starts it after a command of the shell, with somewhere for what it tells on stderr.
    fn start_with(first: &str, devices: usize, stderr: Stdio) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("unix:{}", folder.path().join("server.sock").display());
        let mut child = Command::new("sh")
            .args(["-c", &format!("{first} && exec \"$@\""), "sh"])
            .args([
                env!("CARGO_BIN_EXE_usbwright"),
                "serve",
                "--listen",
                &address,
            ])
            .args(vec!["gadget-zero,pattern=2"; devices])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map(Result::unwrap).take_while(|it| it != "ready");
        let bus_ids = lines
            .filter_map(|line| Some(line.split_once(": 0525:a4a0")?.0.to_owned()))
            .collect();
        Self {
            child,
            address: address.parse().unwrap(),
            bus_ids,
            _folder: folder,
        }
    }

    /// A figure in KiB of the process's status, in bytes.
    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = value.and_then(|it| it.trim_start_matches(':').split_whitespace().next());
        kib.unwrap().parse::<u64>().unwrap() << 10
    }

    fn memory(&self) -> u64 {
        self.status("VmRSS") + self.status("VmPTE")
    }

    /// The CPU time that its threads have taken, and how often they were given a processor.
    fn activity(&self) -> (Duration, u64) {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let mut total = (Duration::ZERO, 0);
        for task in tasks {
            let told = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            let numbers: Vec<u64> = told
                .split_whitespace()
                .map(|it| it.parse().unwrap())
                .collect();
            total.0 += Duration::from_nanos(numbers[0]);
            total.1 += numbers[2];
        }
        total
    }

    /// Waits until nothing has run for [`STILL`].
    fn rest(&self) {
        let deadline = Instant::now() + REST;
        let mut seen = self.activity();
        let mut since = Instant::now();
        while since.elapsed() < STILL {
            thread::sleep(Duration::from_millis(50));
            let now = self.activity();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            assert!(
                Instant::now() < deadline,
                "the server does not come to rest"
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has a device move some data.
fn use_device(client: &mut Client) {
    let small = [4 << 10; 8];
    for length in small.into_iter().chain([64 << 10]) {
        let data = vec![0; length];
        assert_eq!(client.transfer(&Urb::write(1, &data)).status, 0);
        let room = u32::try_from(length).unwrap();
        assert_eq!(client.transfer(&Urb::read(1, room)).data.len(), length);
    }
}

/// A server with so many devices that are attached and configured, and at rest. Each has been used twice, and has rested in
/// between: what is given back the first time may be kept the second.
fn at_rest(devices: usize) -> (Server, Vec<Client>) {
    let server = Server::start(devices);
    assert_eq!(server.bus_ids.len(), devices);
    let attach = |bus_id: &String| {
        let mut client = Client::attach(&server.address, bus_id, PATIENCE);
        client.set_configuration(3);
        client
    };
    let mut clients: Vec<_> = server.bus_ids.iter().map(attach).collect();
    for _ in 0..2 {
        clients.iter_mut().for_each(use_device);
        server.rest();
    }
    (server, clients)
}

#[test]
fn a_thousand_idle_devices_cost_little_memory_and_no_cpu_time() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let (one, _client) = at_rest(1);
    let (server, mut clients) = at_rest(DEVICES);
    let before = server.activity();
    let each = (server.memory() - one.memory()) / (DEVICES as u64 - 1);
    println!(
        "{each} bytes each; in all {} KiB resident, {} KiB of page tables",
        server.status("VmRSS") >> 10,
        server.status("VmPTE") >> 10
    );
    assert!(each < MOST, "each device costs {each} bytes");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(server.activity(), before, "an idle server takes CPU time");
    // They are still served.
    clients.iter_mut().for_each(Client::is_quiet);
}

#[test]
fn a_server_that_may_not_open_enough_files_says_so() {
    let mut server = Server::start_with("ulimit -n 128", 100, Stdio::piped());
    server.child.kill().unwrap();
    let mut told = String::new();
    let mut stderr = server.child.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    let expected =
        "128 file descriptors are enough for about 32 devices that are attached at once, of 100";
    assert!(told.contains(expected), "{told}");
}
