//! A read through reflector and host, each a process of its own, beside a bare ping-pong through as many sockets and processes in the same run.
//!
//! After criterion's own figures it measures in pairs, each time the bare exchange right beside ours, and tells the median of the ratios: what the machine does besides hits
//! both. At depth 1 it is the ratio of the median times of a round; with more in flight, of the rates. Direct buffers of 1 MiB are compared with a copy of as many bytes into
//! memory and a bare exchange of a header.

use std::{
    env, io,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::Criterion;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use usbwright_host_stack::{
    Access, Device as StackDevice, DeviceInit, Driver, IoType, LockingConstraint, Retrieval, Stack,
    status::HResult,
};
use usbwright_reflector::{
    HostEnd, HostInfo, NameSpace, Reflector, SecurityDescriptor,
    application::{Device, DirectBuffer, OpenOptions},
    host::Serving,
};

/// What a child is to be, and where.
const ROLE: &str = "USBWRIGHT_REFLECTOR_BENCH";
const PAIRS: usize = 61;
const ROUNDS: usize = 400;
const READ: usize = 512;
const HEADER: usize = 64;
const LONG: usize = 1 << 20;

fn main() {
    match env::var(ROLE).as_deref() {
        Ok("host") => host(),
        Ok("bare") => relay(),
        Ok("echo") => echo(),
        Ok(directory) => manager(directory),
        Err(_) => measure(),
    }
}

fn measure() {
    let mut criterion = Criterion::default().configure_from_args();
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let (device, _manager) = ours(directory.path().to_str().expect("its path is text"));
    let (bare, _relay) = child_with_socket("bare");
    let mut group = criterion.benchmark_group("read of 512 bytes");
    group.bench_function("bare", |bench| bench.iter(|| exchange(&bare, READ)));
    group.bench_function("reflector", |bench| bench.iter(|| read(&device)));
    group.finish();
    let only = ["--test", "--list", "--profile-time"];
    if env::args().any(|it| only.contains(&it.as_str())) {
        return;
    }
    pairs(
        "depth 1, time",
        || median_of(|| exchange(&bare, READ)),
        || median_of(|| read(&device)),
    );
    pairs(
        "depth 32, time of all",
        || total(|| in_flight_bare(&bare)),
        || total(|| in_flight(&device)),
    );
    let buffer = device.direct_buffer(LONG).expect("there is memory");
    let (mut memory, data) = (vec![0; LONG], vec![0x5A; LONG]);
    pairs(
        "1 MiB direct write, time",
        || {
            median_of(|| {
                memory.copy_from_slice(std::hint::black_box(&data));
                exchange(&bare, 0);
            })
        },
        || median_of(|| write_direct(&device, &buffer, &data)),
    );
    pairs(
        "1 MiB direct read, time",
        || {
            median_of(|| {
                memory.copy_from_slice(std::hint::black_box(&data));
                exchange(&bare, 0);
            })
        },
        || median_of(|| read_direct(&device, &buffer)),
    );
}

/// Measures both in turn, and tells the median of the ratios.
fn pairs(what: &str, mut bare: impl FnMut() -> Duration, mut ours: impl FnMut() -> Duration) {
    let mut all: Vec<(f64, Duration, Duration)> = (0..PAIRS)
        .map(|_| {
            let (bare, ours) = (bare(), ours());
            (ours.as_secs_f64() / bare.as_secs_f64(), bare, ours)
        })
        .collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, bare, ours) = all[PAIRS / 2];
    println!("{what}: bare {bare:?}, reflector {ours:?}, ratio {ratio:.3}");
}

fn median_of(mut exchange: impl FnMut()) -> Duration {
    let mut all: Vec<Duration> = (0..ROUNDS / 4).map(|_| total(&mut exchange)).collect();
    all.sort();
    all[all.len() / 2]
}

fn total(exchange: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    exchange();
    begin.elapsed()
}

fn read(device: &Device) {
    let ended = device.read(READ).wait();
    assert_eq!(ended.data.len(), READ);
}

fn in_flight(device: &Device) {
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..ROUNDS {
        waiting.push_back(device.read(READ));
        if waiting.len() == 32 {
            waiting.pop_front().map(|it| it.wait());
        }
    }
    for io in waiting {
        assert_eq!(io.wait().data.len(), READ);
    }
}

fn write_direct(device: &Device, buffer: &DirectBuffer, data: &[u8]) {
    buffer.write(0, data).expect("there is room");
    let ended = device.write_direct(buffer, 0..LONG, 0).wait();
    assert_eq!(ended.information, LONG);
}

fn read_direct(device: &Device, buffer: &DirectBuffer) {
    let ended = device.read_direct(buffer, 0..LONG, 0).wait();
    assert_eq!(ended.information, LONG);
}

/// A header one way, and a header with data back.
fn exchange(bare: &OwnedFd, back: usize) {
    ask(bare, back);
    hear(bare, back);
}

fn in_flight_bare(bare: &OwnedFd) {
    for round in 0..ROUNDS + 31 {
        if round < ROUNDS {
            ask(bare, READ);
        }
        if round >= 31 {
            hear(bare, READ);
        }
    }
}

fn ask(bare: &OwnedFd, back: usize) {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&back.to_le_bytes());
    send(bare, &header, SendFlags::NOSIGNAL).expect("somebody hears");
}

fn hear(bare: &OwnedFd, back: usize) {
    let mut buffer = [0; HEADER + READ];
    let (length, _) = recv(bare, &mut buffer, RecvFlags::empty()).expect("somebody answers");
    assert_eq!(length, HEADER + back);
}

/// A process; it ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(role: &str, input: Stdio, output: Stdio) -> Running {
    let mut command = Command::new(env::current_exe().expect("this is a file"));
    command.env(ROLE, role).stdin(input).stdout(output);
    Running(command.spawn().expect("there is room for a process"))
}

fn pair() -> (OwnedFd, OwnedFd) {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    socketpair(family, kind, SocketFlags::CLOEXEC, None).expect("the kernel has sockets")
}

fn child_with_socket(role: &str) -> (OwnedFd, Running) {
    let (end, its_end) = pair();
    let child = spawn(role, its_end.into(), Stdio::null());
    (end, child)
}

fn input() -> OwnedFd {
    let input = io::stdin();
    input.as_fd().try_clone_to_owned().expect("it is open")
}

/// Hands packets on to a process behind it, with a thread each way, as the reflector has.
fn relay() {
    let from = Arc::new(input());
    let (to, _echo) = child_with_socket("echo");
    let to = Arc::new(to);
    let (back_from, back_to) = (Arc::clone(&to), Arc::clone(&from));
    std::thread::spawn(move || hand_on(&back_from, &back_to));
    hand_on(&from, &to);
}

fn hand_on(from: &OwnedFd, to: &OwnedFd) {
    let mut buffer = [0; HEADER + READ];
    while let Ok((length, _)) = recv(from, &mut buffer, RecvFlags::empty())
        && length > 0
        && send(to, &buffer[..length], SendFlags::NOSIGNAL).is_ok()
    {}
}

fn echo() {
    let end = input();
    let mut buffer = [0; HEADER + READ];
    while let Ok((length, _)) = recv(&end, &mut buffer, RecvFlags::empty())
        && length > 0
    {
        let back = usize::from(buffer[0]) + 256 * usize::from(buffer[1]);
        let _ = send(&end, &buffer[..HEADER + back], SendFlags::NOSIGNAL);
    }
}

fn ours(directory: &str) -> (Device, (OwnedFd, Running)) {
    let (end, its_end) = pair();
    let manager = spawn(directory, its_end.into(), Stdio::null());
    let mut ready = [0; 8];
    let _ = recv(&end, &mut ready, RecvFlags::empty());
    let options = OpenOptions::new("bench".parse().expect("it is a name"));
    let device = options.name_space(NameSpace::at(directory)).open();
    (device.expect("the device is there"), (end, manager))
}

/// The reflector, until its input ends.
fn manager(directory: &str) {
    let ((data, its_data), (cancel, its_cancel)) = (pair(), pair());
    let _host = spawn("host", its_data.into(), its_cancel.into());
    let space = NameSpace::at(directory);
    let reflector = Reflector::start(space, |_, _| {}).expect("there are threads");
    let name = "bench".parse().expect("it is a name");
    let (access, end) = (SecurityDescriptor::default(), HostEnd { data, cancel });
    let added = reflector.add_device(&name, access, end, HostInfo { pid: 0 });
    added.expect("the name is free");
    let parent = input();
    let _ = send(&parent, b"ready", SendFlags::NOSIGNAL);
    let _ = recv(&parent, &mut [0; 8], RecvFlags::empty());
}

fn host() {
    let cancel = io::stdout().as_fd().try_clone_to_owned();
    let stack = Stack::builder().driver("bench", Bench(vec![0x5A; LONG].into()));
    let stack = stack.start().expect("the driver starts");
    let serving = Serving::start(stack, input(), cancel.expect("it is open"));
    serving.expect("there are threads").wait();
}

/// A driver that has the data at hand.
struct Bench(Bytes);

impl Driver for Bench {
    fn device_add(&self, mut init: DeviceInit) -> Result<StackDevice, HResult> {
        init.set_locking_constraint(LockingConstraint::None);
        init.set_io_type_preference(IoType {
            retrieval: Retrieval::Deferred,
            read_write: Access::BufferedOrDirect,
            ..IoType::default()
        });
        let device = init.create(());
        let data = self.0.clone();
        device
            .parallel_queue()
            .default_queue()
            .on_read(move |_, request, length| {
                let part = data.slice(..length.min(LONG));
                let filled = request.output(1).map(|it| it.fill(part.into()));
                request.complete_with_information(
                    filled.map_or_else(|it| it, |_| HResult::OK),
                    length,
                );
            })
            .on_write(|_, request, length| request.complete_with_information(HResult::OK, length))
            .create()?;
        Ok(device)
    }
}
