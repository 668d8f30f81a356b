//! What a server tells Prometheus, and that nobody who asks for it harms the devices. Run against the built command.

#[allow(dead_code, reason = "other tests ask for other parts of it")]
#[path = "support/usbip/mod.rs"]
mod support;

#[allow(dead_code, reason = "other tests ask for other parts of it")]
#[path = "support/lab.rs"]
mod lab;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use usbwright::emulator::server::Address;

use self::support::{
    client::{Client, PATIENCE},
    urb::Urb,
};

/// `usbwright serve` with metrics.
struct Server {
    child: Child,
    address: Address,
    metrics: String,
    _folder: TempDir,
}

impl Server {
    fn start(specs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("unix:{}", folder.path().join("server.sock").display());
        let mut child = Command::new(env!("CARGO_BIN_EXE_usbwright"))
            .args(["serve", "--listen", &address, "--metrics", "127.0.0.1:0"])
            .args(specs)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map(Result::unwrap).take_while(|it| it != "ready");
        let told = lines.filter_map(|line| {
            let url = line.strip_prefix("metrics at http://")?;
            Some(url.strip_suffix("/metrics")?.to_owned())
        });
        let metrics = told.last().expect("it tells where its metrics are");
        Self {
            child,
            address: address.parse().unwrap(),
            metrics,
            _folder: folder,
        }
    }

    fn attach(&self, bus_id: &str) -> Client {
        Client::attach(&self.address, bus_id, PATIENCE)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.metrics).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn scrape(&self) -> Samples {
        let mut stream = self.connect();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = format!("Content-Length: {}", page.len());
        assert!(head.lines().any(|line| line == length), "{head}");
        Samples::read(page)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The samples of a page, each by its name and labels as they are written.
#[derive(Debug)]
struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads a page, which has to keep the format's rules.
    fn read(page: &str) -> Self {
        let mut samples = BTreeMap::new();
        let mut family = None;
        let mut families = Vec::new();
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(!text.is_empty());
                assert!(!families.contains(&name), "{name} comes twice");
                families.push(name);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(families.last(), Some(&name), "its help is elsewhere");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                family = Some((name, kind));
            } else {
                let (name, kind) = family.expect("a sample before its type");
                let (key, value) = line.rsplit_once(' ').unwrap();
                let rest = key.strip_prefix(name).expect(line);
                let suffix = rest.split('{').next().unwrap();
                let known = match kind {
                    "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                    _ => suffix.is_empty(),
                };
                assert!(known, "{line}");
                let before = samples.insert(key.to_owned(), value.parse().unwrap());
                assert_eq!(before, None, "{key} comes twice");
            }
        }
        assert!(page.ends_with('\n'));
        Self(samples)
    }

    #[track_caller]
    fn of(&self, key: &str) -> u64 {
        let value = self.0.get(key);
        let value = *value.unwrap_or_else(|| panic!("no {key} in {:#?}", self.0.keys()));
        assert!(value.fract() == 0.0 && value >= 0.0, "{key} is {value}");
        value as u64
    }

    /// A figure of an endpoint of the first device.
    #[track_caller]
    fn endpoint(&self, name: &str, endpoint: &str) -> u64 {
        self.of(&format!("usbwright_{name}{{device=\"1-1\",{endpoint}}}"))
    }

    fn has(&self, part: &str) -> bool {
        self.0.keys().any(|key| key.contains(part))
    }
}

const BULK_IN: &str = "endpoint=\"0x81\",direction=\"in\",type=\"bulk\"";
const BULK_OUT: &str = "endpoint=\"0x01\",direction=\"out\",type=\"bulk\"";
const CONTROL_IN: &str = "endpoint=\"0x00\",direction=\"in\",type=\"control\"";
const CONTROL_OUT: &str = "endpoint=\"0x00\",direction=\"out\",type=\"control\"";

/// Moves data both ways, and gives how many transfers and bytes there were each way.
fn move_data(client: &mut Client, rounds: u64) -> (u64, u64) {
    let lengths = [1, 512, 4096, 70_000];
    for _ in 0..rounds {
        for length in lengths {
            let data = vec![0; length];
            assert_eq!(client.transfer(&Urb::write(1, &data)).status, 0);
            let room = u32::try_from(length).unwrap();
            assert_eq!(client.transfer(&Urb::read(1, room)).data.len(), length);
        }
    }
    let bytes: usize = lengths.iter().sum();
    (rounds * lengths.len() as u64, rounds * bytes as u64)
}

#[test]
fn counts_are_exactly_what_was_moved_though_somebody_asks_all_the_time() {
    let server = Server::start(&["gadget-zero,pattern=2", "gadget-zero"]);
    let mut client = server.attach("1-1");
    client.set_configuration(3);
    let moving = AtomicBool::new(true);
    let (moved, scrapes) = thread::scope(|scope| {
        let scraping = scope.spawn(|| {
            let (mut before, mut scrapes) = (0, 0);
            while moving.load(Ordering::Relaxed) || scrapes == 0 {
                let samples = server.scrape();
                if samples.has(BULK_IN) {
                    let now = samples.endpoint("transfer_bytes_total", BULK_IN);
                    assert!(now >= before, "{now} after {before}");
                    before = now;
                }
                scrapes += 1;
            }
            scrapes
        });
        let moved = move_data(&mut client, 200);
        moving.store(false, Ordering::Relaxed);
        (moved, scraping.join().unwrap())
    });
    assert!(scrapes > 0);
    let samples = server.scrape();
    for endpoint in [BULK_IN, BULK_OUT] {
        let count = |name| samples.endpoint(name, endpoint);
        let (transfers, bytes) = (count("transfers_total"), count("transfer_bytes_total"));
        assert_eq!((transfers, bytes), moved);
        assert_eq!(count("transfer_duration_seconds_count"), moved.0);
        let others = [
            "transfer_stalls_total",
            "transfer_errors_total",
            "transfers_pending",
        ];
        assert_eq!(others.map(count), [0; 3]);
        let all = format!("{endpoint},le=\"+Inf\"");
        let in_ranges = samples.endpoint("transfer_duration_seconds_bucket", &all);
        assert_eq!(in_ranges, moved.0);
    }
    assert_eq!(samples.endpoint("transfers_total", CONTROL_OUT), 1);
    assert!(
        !samples.has("device=\"1-2\",endpoint"),
        "nobody has used it"
    );
}

#[test]
fn what_stalls_what_waits_and_what_is_taken_back_is_told() {
    let server = Server::start(&["gadget-zero,pattern=2"]);
    let mut client = server.attach("1-1");
    client.set_configuration(2);
    // A loopback: there is nothing to read until something is written.
    let waiting = client.submit(&Urb::read(1, 512));
    let taken_back = client.submit(&Urb::read(1, 512));
    // Requests on endpoint zero do not wait for other endpoints.
    let refused = client.transfer(&Urb::control([0xc0, 0x77, 0, 0, 0, 0, 4, 0], &[]));
    assert_eq!(refused.status, -32);
    let samples = server.scrape();
    assert_eq!(samples.endpoint("transfers_pending", BULK_IN), 2);
    assert_eq!(samples.endpoint("transfers_total", BULK_IN), 0);
    assert_eq!(samples.endpoint("transfer_stalls_total", CONTROL_IN), 1);
    let unlink = client.unlink(taken_back);
    assert_eq!(client.unlinked(unlink), -104);
    let write = client.submit(&Urb::write(1, &[7; 100]));
    client.end_among(waiting, &[write]);
    let samples = server.scrape();
    let count = |name| samples.endpoint(name, BULK_IN);
    assert_eq!(count("transfers_pending"), 0);
    assert_eq!(
        (count("transfers_total"), count("transfer_bytes_total")),
        (2, 100)
    );
    assert_eq!(count("transfers_cancelled_total"), 1);
}

#[test]
fn who_has_a_device_and_what_it_is_set_to_is_told() {
    let server = Server::start(&["gadget-zero,speed=super", "keyboard"]);
    let told = |client: &str| {
        let samples = server.scrape();
        let of = |name: &str| samples.of(&format!("usbwright_{name}{{device=\"{client}\"}}"));
        (
            of("device_attached"),
            of("device_configuration"),
            of("sessions_total"),
        )
    };
    assert_eq!(told("1-2"), (0, 0, 0));
    let mut client = server.attach("1-2");
    client.set_configuration(1);
    assert_eq!(told("1-2"), (1, 1, 1));
    drop(client);
    // The next one has it once the one before has let go of it.
    let _next = server.attach("1-2");
    // It is answered before it is counted.
    let begin = Instant::now();
    while told("1-2") != (1, 0, 2) {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{:?}",
            told("1-2")
        );
    }
    assert_eq!(told("1-1"), (0, 0, 0));
    let samples = server.scrape();
    let of_device = "{device=\"1-1\",id=\"0525:a4a0\",speed=\"super\"}";
    assert_eq!(samples.of(&format!("usbwright_device_info{of_device}")), 1);
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("usbwright_build_info{{version=\"{version}\"}}");
    assert_eq!(samples.of(&build), 1);
    assert!(samples.of("process_resident_memory_bytes") > 1 << 20);
}

#[test]
fn clients_that_ask_for_nothing_or_too_much_keep_nobody_from_the_metrics_or_the_devices() {
    let server = Server::start(&["gadget-zero,pattern=2"]);
    let mut client = server.attach("1-1");
    client.set_configuration(3);
    // Some say nothing, some begin and do not go on, some read nothing of what they ask for.
    let idle: Vec<_> = (0..300)
        .map(|number| {
            let mut stream = server.connect();
            let said: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET /metrics HTTP/1.1\r\nHost:",
                _ => b"GET /metrics HTTP/1.1\r\n\r\n",
            };
            stream.write_all(said).unwrap();
            stream
        })
        .collect();
    let mut endless = server.connect();
    endless.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let field = format!("A: {}\r\n", "b".repeat(1000));
    // It is refused before it has sent all of it, and may see the connection end then.
    let _ = (0..100).try_for_each(|_| endless.write_all(field.as_bytes()));
    let mut refused = String::new();
    let _ = endless.read_to_string(&mut refused);
    assert!(
        refused.is_empty() || refused.starts_with("HTTP/1.1 431 "),
        "{refused}"
    );
    let moved = move_data(&mut client, 10);
    let samples = server.scrape();
    assert_eq!(samples.endpoint("transfers_total", BULK_IN), moved.0);
    let files = samples.of("process_open_fds");
    assert!(files < 120, "{files} files are open");
    drop(idle);
}

#[test]
fn metrics_are_told_at_a_unix_socket_which_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics");
    let mut child = Command::new(env!("CARGO_BIN_EXE_usbwright"))
        .args(["serve", "mouse", "--listen", "127.0.0.1:0"])
        .arg(format!("--metrics=unix:{}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told: Vec<_> = lines
        .map(Result::unwrap)
        .take_while(|it| it != "ready")
        .collect();
    let expected = format!("metrics at unix:{}", path.display());
    assert!(told.contains(&expected), "{told:?}");
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let page = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(Samples::read(page).has("usbwright_device_info{device=\"1-1\""));
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!path.exists());
}

#[test]
fn an_address_that_is_taken_ends_the_server_with_the_reason() {
    let server = Server::start(&["mouse"]);
    let output = Command::new(env!("CARGO_BIN_EXE_usbwright"))
        .args(["serve", "mouse", "--listen", "127.0.0.1:0", "--metrics"])
        .arg(&server.metrics)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = format!("can't tell metrics at http://{}/metrics", server.metrics);
    assert!(told.contains(&expected), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

/// Counting is the same where a kernel has the devices, with no server.
#[test]
fn a_device_that_is_attached_to_a_kernel_is_counted_as_well() {
    let guest = lab::Guest::new(&[]).programs(&[("curl", "curl")]);
    let script = "
        usbwright attach --background gadget-zero --metrics unix:/tmp/metrics >attached || exit 1
        usbwright usbtest --case 1 --iterations 100 --length 4096 >&2 || exit 1
        curl --silent --fail --unix-socket /tmp/metrics http://localhost/metrics";
    let ran = guest.run(script);
    ran.assert_success();
    let samples = Samples::read(&ran.stdout());
    let written = samples.endpoint("transfers_total", BULK_OUT);
    let bytes = samples.endpoint("transfer_bytes_total", BULK_OUT);
    assert_eq!((written, bytes), (100, 100 * 4096));
    assert_eq!(samples.of("usbwright_device_attached{device=\"1-1\"}"), 1);
    assert_eq!(
        samples.of("usbwright_device_configuration{device=\"1-1\"}"),
        3
    );
}
