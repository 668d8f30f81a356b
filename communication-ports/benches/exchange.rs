//! A message with its reply between two processes, beside a bare exchange over a `SOCK_SEQPACKET` socket in the same run.
//!
//! After criterion's own figures it measures in pairs, each time the bare exchange right beside ours, and tells the median of the ratios: what
//! the machine does besides hits both. What a wake-up costs depends on where it goes to: so this is done twice, with the two processes on a
//! processor each, and both on one.

use std::{
    env, hint, io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, accept, bind, connect,
        listen, recv, send, socket,
    },
    thread::{CpuSet, sched_setaffinity},
};
use usbwright_ports::{
    Callbacks, Client, Connection, Deadline, Filter, LONGEST, NameSpace, PortOptions, Sent,
    ServerPort, status::NtStatus,
};

/// What a child is to be, and where.
const ROLE: &str = "USBWRIGHT_PORTS_BENCH";
const LENGTHS: [usize; 2] = [64, 4096];
const PAIRS: usize = 101;
const EXCHANGES: u32 = 200;

fn main() {
    if let Ok(role) = env::var(ROLE) {
        let mut words = role.splitn(3, ' ');
        let mut word = || words.next().expect("a role has three words");
        let (role, processor) = (word(), word());
        stay_on(processor.parse().expect("a processor has a number"));
        return play(role, Path::new(word()));
    }
    stay_on(0);
    let mut criterion = Criterion::default().configure_from_args();
    for (placement, processor) in [("two processors", 1), ("one processor", 0)] {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let place = (directory.path(), processor);
        let mut subjects: Vec<Subject> = vec![bare(place)];
        for worker in ["reply_and_get", "reply_started", "reply", "workers"] {
            subjects.push(port(place, worker));
        }
        measure(&mut criterion, placement, &mut subjects);
        let only = ["--test", "--list", "--profile-time"];
        if !env::args().any(|it| only.contains(&it.as_str())) {
            compare(placement, &mut subjects);
        }
    }
    criterion.final_summary();
}

/// Keeps this process on one processor, if there is more than one.
fn stay_on(processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor);
    if let Err(error) = sched_setaffinity(None, &only) {
        eprintln!("not bound to processor {processor}: {error}");
    }
}

/// Something that exchanges a message for a reply of the same length.
struct Subject {
    name: String,
    exchange: Box<dyn FnMut(&Bytes)>,
    _peer: Peer,
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory for sockets, and the processor of the other process.
type Place<'a> = (&'a Path, usize);

fn spawn(role: &str, (directory, processor): Place<'_>) -> Peer {
    let program = env::current_exe().expect("a program has a file");
    let child = Command::new(program)
        .env(ROLE, format!("{role} {processor} {}", directory.display()))
        .spawn();
    Peer(child.expect("a program can start itself"))
}

fn measure(criterion: &mut Criterion, placement: &str, subjects: &mut [Subject]) {
    let mut group = criterion.benchmark_group(format!("message with reply, {placement}"));
    group.throughput(Throughput::Elements(1));
    for length in LENGTHS {
        let message = Bytes::from(vec![0x5A; length]);
        for subject in &mut *subjects {
            group.bench_function(BenchmarkId::new(&subject.name, length), |bencher| {
                bencher.iter(|| (subject.exchange)(&message));
            });
        }
    }
    group.finish();
}

/// The median ratio of each subject to the first, and its spread.
fn compare(placement: &str, subjects: &mut [Subject]) {
    let [bare, others @ ..] = subjects else {
        return;
    };
    for length in LENGTHS {
        let message = Bytes::from(vec![0x5A; length]);
        for other in &mut *others {
            let mut ratios: Vec<f64> = (0..PAIRS)
                .map(|pair| {
                    let first = time(if pair % 2 == 0 { bare } else { other }, &message);
                    let second = time(if pair % 2 == 0 { other } else { bare }, &message);
                    let ratio = second.as_secs_f64() / first.as_secs_f64();
                    if pair % 2 == 0 { ratio } else { ratio.recip() }
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            println!(
                "{placement}, {length} bytes, {}: {:.2} × the bare exchange (quartiles {:.2} and {:.2}, {PAIRS} pairs)",
                other.name,
                ratios[PAIRS / 2],
                ratios[PAIRS / 4],
                ratios[PAIRS * 3 / 4],
            );
        }
    }
}

fn time(subject: &mut Subject, message: &Bytes) -> Duration {
    let begin = Instant::now();
    for _ in 0..EXCHANGES {
        (subject.exchange)(message);
    }
    begin.elapsed()
}

/// Two processes with nothing but a socket.
fn bare(place: Place<'_>) -> Subject {
    let listener = seqpacket();
    let address = SocketAddrUnix::new(place.0.join("bare")).expect("the path is short");
    bind(&listener, &address).expect("the name is free");
    listen(&listener, 1).expect("a bound socket listens");
    let peer = spawn("bare", place);
    let end = accept(&listener).expect("the child connects");
    Subject {
        name: "bare".into(),
        exchange: Box::new(move |message| {
            let mut buffer = [MaybeUninit::uninit(); 8192];
            send(&end, message, SendFlags::empty()).expect("the child is there");
            let ((reply, _), _) = recv(&end, &mut buffer, RecvFlags::empty()).expect("it replies");
            assert_eq!(hint::black_box(reply).len(), message.len());
        }),
        _peer: peer,
    }
}

fn seqpacket() -> OwnedFd {
    socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).expect("the kernel has sockets")
}

struct Accepting(mpsc::Sender<Connection>);

impl Callbacks for Accepting {
    type Session = ();

    fn connect(&self, connection: &Connection, _context: &[u8]) -> Result<(), NtStatus> {
        let _ = self.0.send(connection.clone());
        Ok(())
    }
}

/// A driver in this process and a service in another.
fn port(place: Place<'_>, worker: &str) -> Subject {
    let (connections, connected) = mpsc::channel();
    let filter = Filter::new().expect("there are threads");
    let options =
        PortOptions::new(worker.parse().expect("it is a name")).name_space(NameSpace::at(place.0));
    let port = filter.create_port(options, Accepting(connections));
    let port = port.expect("the name is free");
    let peer = spawn(worker, place);
    let connection = connected.recv().expect("the child connects");
    let mut driver = Driver {
        connection,
        _port: port,
        _filter: filter,
    };
    Subject {
        name: format!("port, {worker}"),
        exchange: Box::new(move |message| driver.exchange(message)),
        _peer: peer,
    }
}

struct Driver {
    connection: Connection,
    _port: ServerPort,
    _filter: Filter,
}

impl Driver {
    fn exchange(&mut self, message: &Bytes) {
        let reply = Some(message.len());
        let sent = self
            .connection
            .send_message(message.clone(), reply, Deadline::Never)
            .wait();
        let Ok(Sent::Replied(reply)) = sent else {
            panic!("no reply: {sent:?}");
        };
        assert_eq!(reply.data.len(), message.len());
    }
}

/// The other process.
fn play(role: &str, directory: &Path) {
    let ended = match role {
        "bare" => echo(&directory.join("bare")).map_err(|_| ()),
        _ => serve(role, directory),
    };
    // The parent is done.
    let _ = ended;
}

fn echo(path: &Path) -> io::Result<()> {
    let end = seqpacket();
    connect(&end, &SocketAddrUnix::new(path)?)?;
    let mut buffer = [MaybeUninit::uninit(); 8192];
    loop {
        let ((message, _), _) = recv(&end, &mut buffer, RecvFlags::empty())?;
        if message.is_empty() {
            return Ok(());
        }
        send(&end, message, SendFlags::NOSIGNAL)?;
    }
}

fn serve(worker: &str, directory: &Path) -> Result<(), ()> {
    let space = NameSpace::at(directory);
    let name = worker.parse().map_err(drop)?;
    let client = Client::connect(&space, &name, b"").map_err(drop)?;
    match worker {
        "reply_and_get" => answer_at_once(&client),
        "workers" => thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| answer(&client));
            }
            Ok(())
        }),
        "reply_started" => answer_unasked(&client),
        _ => answer(&client),
    }
}

/// A reply, of which it does not ask how it ends, and a get.
fn answer_unasked(client: &Client) -> Result<(), ()> {
    loop {
        let message = client.get_message().wait().map_err(drop)?;
        let token = message.reply.ok_or(())?;
        drop(token.reply(message.data).start());
    }
}

/// A reply and the next get in one.
fn answer_at_once(client: &Client) -> Result<(), ()> {
    let mut message = client.get_message().wait().map_err(drop)?;
    loop {
        let token = message.reply.take().ok_or(())?;
        let (replied, next) = token
            .reply_and_get(NtStatus::SUCCESS, message.data, LONGEST)
            .wait();
        replied.map_err(drop)?;
        message = next.map_err(drop)?;
    }
}

/// A reply, and a get.
fn answer(client: &Client) -> Result<(), ()> {
    loop {
        let message = client.get_message().wait().map_err(drop)?;
        let token = message.reply.ok_or(())?;
        token.reply(message.data).wait().map_err(drop)?;
    }
}
