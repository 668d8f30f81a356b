//! Other processes: this test executable in another role, as a host or as an application.
#![allow(dead_code, unreachable_pub)]

use std::{
    fs, io,
    io::{BufRead as _, BufReader},
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
};

use rustix::{
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketAddrUnix, SocketType, connect, recv, send, sendmsg, socket,
    },
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};
use usbwright_reflector::{
    NameSpace,
    application::{Io, OpenOptions},
    host::Serving,
    status::NtStatus,
    wire::{HEADER_SIZE, Header, Part, kind},
};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::support::{ECHO, PEND, Probe, name, stack};

/// What the other process is to be.
const ROLE: &str = "USBWRIGHT_REFLECTOR_ROLE";
const ALONE: &str = "alone";

/// What another process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A host as they are.
    Host,
    /// A host that answers with what is no packet.
    Garbage,
    /// A host that ends what was never asked.
    Unasked,
    /// A host that ends a request twice.
    Twice,
    /// A host that answers with more than was asked for.
    TooMuch,
    /// A host that sends what hosts don't.
    WrongKind,
    /// A host that does not greet.
    NoGreeting,
    /// An application with a thousand requests under way.
    Keeper,
    /// An application that reads nothing.
    Deaf,
    /// An application that sends what applications don't.
    BadKind,
    /// An application whose numbers come twice.
    BadNumber,
    /// An application that passes descriptors where none is wanted.
    BadDescriptor,
    /// What is no application.
    BadGreeting,
}

const ROLES: [Role; 13] = [
    Role::Host,
    Role::Garbage,
    Role::Unasked,
    Role::Twice,
    Role::TooMuch,
    Role::WrongKind,
    Role::NoGreeting,
    Role::Keeper,
    Role::Deaf,
    Role::BadKind,
    Role::BadNumber,
    Role::BadDescriptor,
    Role::BadGreeting,
];

/// A process.
pub struct Process {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Process {
    /// A host, whose channels are its standard input and error.
    pub fn host(role: Role, (data, cancel): (OwnedFd, OwnedFd)) -> Self {
        Self::start(role, "", data.into(), cancel.into())
    }

    pub fn application(role: Role, space: &NameSpace) -> Self {
        let directory = space.directory().display().to_string();
        Self::start(role, &directory, Stdio::null(), Stdio::null())
    }

    fn start(role: Role, directory: &str, input: Stdio, error: Stdio) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_process", "--nocapture"])
            .env(ROLE, format!("{role:?} {directory}"))
            .env("RUST_BACKTRACE", "0")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(error)
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Self { child, says }
    }

    /// Waits until it says so.
    pub fn hear(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            let length = self.says.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "it ends without having said {what}");
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As by `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it, and waits until it does nothing any more.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_child(&self.child);
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped());
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test of this executable in a process of its own.
pub fn alone(test: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, ALONE)
        .output()
        .unwrap()
}

pub fn is_alone() -> bool {
    std::env::var(ROLE).as_deref() == Ok(ALONE)
}

/// What this process has: descriptors, threads and shared memory.
pub fn belongings() -> (usize, usize, usize) {
    let count = |path: &str| {
        let entries: io::Result<Vec<_>> = fs::read_dir(path).unwrap().collect();
        entries.map_or(0, |it| it.len())
    };
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let regions = maps.lines().filter(|it| it.contains("usbwright-region"));
    (
        count("/proc/self/fd"),
        count("/proc/self/task"),
        regions.count(),
    )
}

/// Does what the process is to do, if it has a role.
pub fn play() {
    let Ok(said) = std::env::var(ROLE) else {
        return;
    };
    let (role, directory) = said.split_once(' ').unwrap_or((&said, ""));
    let Some(role) = ROLES.into_iter().find(|it| format!("{it:?}") == role) else {
        return;
    };
    match role {
        Role::Host => host(),
        Role::Garbage
        | Role::Unasked
        | Role::Twice
        | Role::TooMuch
        | Role::WrongKind
        | Role::NoGreeting => bad_host(role),
        Role::Keeper => keeper(directory),
        _ => bad_application(role, directory),
    }
}

fn host() {
    let data = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let cancel = io::stderr().as_fd().try_clone_to_owned().unwrap();
    let serving = Serving::start(stack(&Probe::default()), data, cancel).unwrap();
    serving.wait();
}

/// Answers the first request, and what follows, as hosts must not.
fn bad_host(role: Role) {
    let data = io::stdin();
    let answer = |header: &Header| {
        let _ = send(&data, header.as_bytes(), SendFlags::NOSIGNAL);
    };
    if role != Role::NoGreeting {
        answer(&Header::welcome());
    }
    let mut buffer = [0; 4096];
    loop {
        let length = match recv(&data, &mut buffer, RecvFlags::empty()) {
            Ok((0, _)) | Err(_) => return,
            Ok((length, _)) => length,
        };
        let (header, _) = Header::read_from_prefix(&buffer[..length]).unwrap();
        let request = header.request.get();
        if header.kind.get() == kind::HELLO && role != Role::NoGreeting {
            continue;
        }
        let good = Header::reply(request, NtStatus::SUCCESS, 0, 0);
        match role {
            Role::Garbage => drop(send(&data, b"what?", SendFlags::NOSIGNAL)),
            Role::Unasked => answer(&Header::reply(request + 1, NtStatus::SUCCESS, 0, 0)),
            Role::Twice => [good; 2].iter().for_each(answer),
            Role::TooMuch => {
                let mut packet = Header::reply(request, NtStatus::SUCCESS, 8, 8)
                    .as_bytes()
                    .to_vec();
                packet.extend_from_slice(b"too much");
                let _ = send(&data, &packet, SendFlags::NOSIGNAL);
            }
            Role::WrongKind => answer(&Header {
                kind: kind::READ.into(),
                ..good
            }),
            _ => answer(&good),
        }
    }
}

fn keeper(directory: &str) {
    let options = OpenOptions::new(name()).name_space(NameSpace::at(directory));
    let device = options.file_name("\\keeper").open().unwrap();
    let _all: Vec<Io> = (0..1000).map(|_| device.control(PEND, "", 0)).collect();
    println!("a thousand wait");
    loop {
        thread::park();
    }
}

fn bad_application(role: Role, directory: &str) {
    let end = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    let address = SocketAddrUnix::new(format!("{directory}/{}", name())).unwrap();
    connect(&end, &address).unwrap();
    let say = |header: &Header| send(&end, header.as_bytes(), SendFlags::NOSIGNAL);
    if role == Role::BadGreeting {
        let _ = say(&Header::new(kind::FLUSH));
        return wait_for_end(&end);
    }
    say(&Header::hello()).unwrap();
    let mut open = Header::new(kind::OPEN);
    open.request = 1.into();
    say(&open).unwrap();
    let mut read = Header::new(kind::READ);
    match role {
        Role::Deaf => deaf(&end),
        Role::BadKind => drop(say(&Header::reply(1, NtStatus::SUCCESS, 0, 0))),
        Role::BadNumber => {
            read.request = 1.into();
            let _ = say(&read);
        }
        _ => {
            read.request = 2.into();
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors = [end.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            let parts = [io::IoSlice::new(read.as_bytes())];
            let _ = sendmsg(&end, &parts, &mut control, SendFlags::NOSIGNAL);
        }
    }
    wait_for_end(&end);
}

/// Asks for much and reads none of it, until nothing more is taken.
fn deaf(end: &OwnedFd) {
    let mut request = Header::new(kind::CONTROL);
    request.code = ECHO.0.into();
    request.input = Part::inline(10_000);
    request.output = Part::inline(10_000);
    let mut packet = vec![0; HEADER_SIZE + 10_000];
    // It is open once what it asks for is done, of which it hears nothing; until then it is told so.
    for number in 2_u64.. {
        request.request = number.into();
        packet[..HEADER_SIZE].copy_from_slice(request.as_bytes());
        if number == 10 {
            println!("it asks");
        }
        if send(end, &packet, SendFlags::NOSIGNAL).is_err() {
            return;
        }
    }
}

fn wait_for_end(end: &OwnedFd) {
    let mut buffer = [0; 4096];
    while matches!(recv(end, &mut buffer, RecvFlags::empty()), Ok((length, _)) if length > 0) {}
}
