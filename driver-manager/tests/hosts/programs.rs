//! What this program is when a manager has started it: a host with drivers that fail in all ways, or something that only pretends to be one.

use std::{
    env, fs,
    io::{self, stdin},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Command, ExitCode, exit},
    thread,
};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use usbwright_driver_host::{Drivers, OperationKind, Operations, Serving, progress};
use usbwright_host_control::{
    Channel, DESCRIPTOR_VARIABLE, FromHost, Hello, Received, Report, ToHost, VERSION,
};
use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, PowerState, Stack,
    status::{HResult, NtStatus},
};

/// Is the program that this one was started as, if a manager has started it.
pub(crate) fn run() -> Option<ExitCode> {
    env::var_os(DESCRIPTOR_VARIABLE)?;
    let name = env::args().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    Some(match name.to_str() {
        Some("nonsense") => pretend(|channel| {
            rustix::net::send(channel, b"nonsense", rustix::net::SendFlags::empty()).unwrap();
            wait();
        }),
        Some("old") => pretend(|channel| {
            hello(channel, VERSION + 1);
            wait();
        }),
        Some("deserter") => pretend(|channel| {
            hello(channel, VERSION);
            rustix::net::shutdown(channel, rustix::net::Shutdown::Both).unwrap();
            wait();
        }),
        Some("liar") => pretend(|channel| {
            hello(channel, VERSION);
            say(channel, &FromHost::TornDown { stack: 1 });
            wait();
        }),
        Some("chatterbox") => pretend(|channel| {
            hello(channel, VERSION);
            loop {
                say(
                    channel,
                    &FromHost::RuleBroken(Report {
                        stack: 0,
                        text: "x".repeat(4000),
                    }),
                );
            }
        }),
        _ => drivers().run(),
    })
}

fn pretend(act: impl FnOnce(&Channel)) -> ExitCode {
    let channel = rustix::io::fcntl_dupfd_cloexec(stdin(), 3).unwrap();
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null").unwrap()).unwrap();
    act(&channel.into());
    ExitCode::SUCCESS
}

fn hello(channel: &Channel, version: u16) {
    say(
        channel,
        &FromHost::Hello(Hello {
            version,
            pid: std::process::id(),
            drivers: Vec::new(),
        }),
    );
    let asked = channel.receive::<ToHost>(&mut Channel::buffer(), true);
    assert!(matches!(asked, Ok(Received::Message(..) | Received::End)));
}

fn say(channel: &Channel, message: &FromHost) {
    if channel.send(message, &[], true).is_err() {
        exit(1);
    }
}

fn wait() -> ! {
    loop {
        thread::park();
    }
}

fn drivers() -> Drivers {
    Drivers::new()
        .channels(echo)
        .with("fine", || Acts(|| Ok(())))
        .with("panics", || Acts(|| panic!("a driver's panic")))
        .with("exits", || Acts(|| exit(3)))
        .with("hangs", || Acts(|| wait()))
        .with("refuses", || Acts(|| Err(NtStatus::NOT_SUPPORTED.into())))
        .with("hungry", || Acts(eat))
        .with("slow", || Acts(progress_for_ever))
        .with("probe", || Acts(probe))
        .with("tired", || Sleeps(|| Ok(()), refuse_to_wake))
        .with("drops-dead", || Sleeps(|| exit(3), wake))
        .with("wakeful", || Sleeps(|| wait(), wake))
}

/// Sends back what comes by the data's socket, with the state of the stack; cancels are counted as such.
fn echo(
    stack: &Stack,
    data: OwnedFd,
    cancel: OwnedFd,
    operations: Operations,
) -> io::Result<Serving> {
    let state = format!("{:?}: ", stack.state());
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length @ 1.., _)) = recv(&data, &mut buffer, RecvFlags::empty()) {
            let answer = [state.as_bytes(), &buffer[..length]].concat();
            let _ = send(&data, &answer, SendFlags::empty());
        }
    });
    let cancels = thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut underway = Vec::new();
        while let Ok((1.., _)) = recv(&cancel, &mut buffer, RecvFlags::empty()) {
            underway.push(operations.begin(OperationKind::Cancel));
        }
    });
    Ok(Box::new(cancels))
}

/// A driver that does something as its hardware is prepared.
#[derive(Clone, Copy)]
struct Acts(fn() -> Result<(), HResult>);

impl Driver for Acts {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        Ok(init.create(*self))
    }
}

impl DeviceCallbacks for Acts {
    fn prepare_hardware(&self, _: &Device) -> Result<(), HResult> {
        (self.0)()
    }
}

/// A driver that does something as its device leaves D0, and as it enters it.
#[derive(Clone, Copy)]
struct Sleeps(
    fn() -> Result<(), HResult>,
    fn(PowerState) -> Result<(), HResult>,
);

impl Driver for Sleeps {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        Ok(init.create(*self))
    }
}

impl DeviceCallbacks for Sleeps {
    fn d0_entry(&self, _: &Device, from: PowerState) -> Result<(), HResult> {
        (self.1)(from)
    }

    fn d0_exit(&self, _: &Device, to: PowerState) -> Result<(), HResult> {
        match to {
            PowerState::D3Final => Ok(()),
            _ => (self.0)(),
        }
    }
}

fn wake(_: PowerState) -> Result<(), HResult> {
    Ok(())
}

fn refuse_to_wake(from: PowerState) -> Result<(), HResult> {
    match from {
        PowerState::D3 => Err(NtStatus::DEVICE_NOT_READY.into()),
        _ => Ok(()),
    }
}

fn eat() -> Result<(), HResult> {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 1 << 20]);
    }
}

fn progress_for_ever() -> Result<(), HResult> {
    loop {
        progress();
        thread::yield_now();
    }
}

/// Tries what a driver may not do, and tells by a panic what could be done.
fn probe() -> Result<(), HResult> {
    let folder = env::current_exe().ok();
    let tries: [(&str, bool); 16] = [
        ("read /etc/passwd", fs::read("/etc/passwd").is_ok()),
        ("list /", fs::read_dir("/").is_ok()),
        ("write /tmp", fs::write("/tmp/usbwright-probe", "x").is_ok()),
        ("open a device", fs::File::open("/dev/kmsg").is_ok()),
        (
            "start a program",
            Command::new("/bin/true").status().is_ok(),
        ),
        (
            "connect by TCP",
            is_allowed(TcpStream::connect("127.0.0.1:9")),
        ),
        ("listen by TCP", TcpListener::bind("127.0.0.1:0").is_ok()),
        ("make a UDP socket", UdpSocket::bind("127.0.0.1:0").is_ok()),
        (
            "connect to a UNIX socket",
            is_allowed(UnixStream::connect("/run/dbus/system_bus_socket")),
        ),
        (
            "signal its parent",
            rustix::process::test_kill_process(rustix::process::getppid().unwrap()).is_ok(),
        ),
        (
            "have a pidfd of its parent",
            rustix::process::pidfd_open(
                rustix::process::getppid().unwrap(),
                rustix::process::PidfdFlags::empty(),
            )
            .is_ok(),
        ),
        ("have an environment", env::vars_os().count() > 3),
        (
            "look into its program",
            folder.is_some_and(|it| fs::read(it).is_ok()),
        ),
        ("raise its limits", raise_limits()),
        (
            "have capabilities",
            rustix::thread::capabilities(None).is_ok_and(|it| !it.effective.is_empty()),
        ),
        (
            "have the session of its manager",
            rustix::process::getsid(None).ok() != Some(rustix::process::getpid()),
        ),
    ];
    let done: Vec<&str> = tries.iter().filter(|it| it.1).map(|it| it.0).collect();
    let listed = fs::read_to_string("/proc/sys/kernel/ostype").is_ok();
    let open = (3..200).filter_map(|it| fs::read_link(format!("/proc/self/fd/{it}")).ok());
    let open = open.filter(|it| it == Path::new("/dev/zero"));
    panic!(
        "could do {done:?}, could read what is listed: {listed}, others' descriptors: {}",
        open.count()
    );
}

/// Whether the system had nothing against it, whoever else had.
fn is_allowed<T>(tried: std::io::Result<T>) -> bool {
    tried.map_or_else(
        |error| {
            let refused = [libc::EPERM, libc::EACCES, libc::EAFNOSUPPORT];
            !refused.contains(&error.raw_os_error().unwrap_or_default())
        },
        |_| true,
    )
}

fn raise_limits() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let more = Some(1 << 20);
    let wanted = Rlimit {
        current: more,
        maximum: more,
    };
    setrlimit(Resource::Nofile, wanted).is_ok()
}
