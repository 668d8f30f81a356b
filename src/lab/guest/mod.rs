//! The guest's side of the lab: its first process, from the first mount to power off.

mod devices;
mod hotplug;
mod loopback;
mod mounts;
mod streams;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};
use rustix::system::RebootCommand;
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

use super::channel::Frame;
use super::guest_config::{GuestConfig, Root};
use super::internal;
use devices::Devices;
use hotplug::Hotplug;
use streams::Streams;

/// This program, wherever the mounts have put its file.
const OWN_PROGRAM: &str = "/proc/self/exe";
const SERIAL_LINE: &str = "/dev/ttyS0";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long the devices' server may take to let go of what it has open.
const DEVICES_END: Duration = Duration::from_secs(5);
/// How long loading the devices' drivers may take before the command starts without them.
const DRIVERS_LIMIT: Duration = Duration::from_secs(60);

/// What the guest could not do, in words for the user.
type Failure = String;

/// For `map_err`: `what` failed.
fn failed<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| format!("cannot {what}: {error}")
}

/// The writing half of the channel.
#[derive(Clone)]
struct ToHost(Arc<Mutex<File>>);

impl ToHost {
    /// Sends a frame. Where the host is gone, the thread that reads from it powers off.
    fn send(&self, frame: &Frame) {
        let _ = frame.write_to(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Runs the guest as its first process.
pub(super) fn run(config: &Path) -> ! {
    if let Err(failure) = serve(config) {
        eprintln!("usbwright lab: {failure}"); // the kernel's console: there is no channel yet
    }
    power_off()
}

fn power_off() -> ! {
    let _ = rustix::system::reboot(RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}

fn serve(config: &Path) -> Result<(), Failure> {
    let bytes = fs::read(config).map_err(failed(format_args!("read {}", config.display())))?;
    let config: GuestConfig =
        serde_json::from_slice(&bytes).map_err(failed("understand the configuration"))?;
    mounts::set_up(&config)?;
    let channel = open_channel(&config.root)?;
    let from_host = channel.try_clone().map_err(failed("share the channel"))?;
    let to_host = ToHost(Arc::new(Mutex::new(channel)));
    to_host.send(&Frame::Started);
    let last = match run_command(&config, from_host, &to_host) {
        Ok(code) => Frame::Exit(code),
        Err(failure) => Frame::Failed(failure),
    };
    rustix::fs::sync();
    to_host.send(&last);
    // A serial line sends on its own time; a virtio port has sent when a write returns, and is no terminal.
    let _ = tcdrain(&*to_host.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

fn run_command(config: &GuestConfig, from_host: File, to_host: &ToHost) -> Result<u8, Failure> {
    let _ = rustix::system::sethostname(b"lab");
    loopback::bring_up().map_err(failed("bring the loopback interface up"))?;
    let devices = attach_devices(config, to_host)?;
    let mut start = Command::new(OWN_PROGRAM);
    start
        .arg(internal::START_COMMAND)
        .args(command(config))
        .env_clear()
        .envs(environment(config));
    start.current_dir(&config.folder.path);
    let streams = Streams::start(start, config.terminal.as_ref(), from_host, to_host)?;
    let code = exit_code(wait_for(streams.command)?);
    if let Some(devices) = devices {
        devices.end(DEVICES_END);
    }
    // Whatever the command left running would keep its output open.
    kill_all();
    streams.finish();
    Ok(code)
}

fn attach_devices(config: &GuestConfig, to_host: &ToHost) -> Result<Option<Devices>, Failure> {
    let hotplug = match config.root {
        Root::NineP {
            modules: Some(_), ..
        } => Some(Hotplug::start().map_err(failed("listen for devices"))?),
        _ => None,
    };
    if config.devices.is_empty() {
        return Ok(None);
    }
    let mut attach = Command::new(OWN_PROGRAM);
    attach
        .arg("attach")
        .args(&config.devices)
        .envs(environment(config))
        .current_dir(&config.folder.path);
    let devices = Devices::attach(attach, to_host)?;
    if let Some(hotplug) = hotplug {
        hotplug.settle(DRIVERS_LIMIT);
    }
    Ok(Some(devices))
}

/// Opens the byte stream to the host.
fn open_channel(root: &Root) -> Result<File, Failure> {
    let path = match root {
        Root::Hostfs => PathBuf::from(SERIAL_LINE),
        Root::NineP { .. } => virtio_port().map_err(failed("find the virtio port to the host"))?,
    };
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = file.map_err(failed(format_args!("open {}", path.display())))?;
    if let Ok(mut settings) = tcgetattr(&file) {
        settings.make_raw();
        tcsetattr(&file, OptionalActions::Now, &settings)
            .map_err(failed("set the serial line up"))?;
    }
    Ok(file)
}

/// The only virtio port: nobody else makes any.
fn virtio_port() -> io::Result<PathBuf> {
    let port = fs::read_dir("/sys/class/virtio-ports")?
        .next()
        .ok_or(io::ErrorKind::NotFound)??;
    Ok(Path::new("/dev").join(port.file_name()))
}

fn command(config: &GuestConfig) -> Vec<OsString> {
    if !config.command.is_empty() {
        return config.command.clone();
    }
    let shell = config
        .environment
        .iter()
        .find(|(name, value)| name == "SHELL" && Path::new(value).is_file());
    vec![shell.map_or_else(|| "/bin/sh".into(), |(_, value)| value.clone())]
}

/// The caller's environment, and what programs expect where the caller has it not.
fn environment(config: &GuestConfig) -> Vec<(OsString, OsString)> {
    let mut environment = config.environment.clone();
    for (name, value) in [("PATH", PATH), ("HOME", "/root"), ("TERM", "linux")] {
        if !environment.iter().any(|(other, _)| other == name) {
            environment.push((name.into(), value.into()));
        }
    }
    environment
}

/// Waits for one process, and takes leave of every other that ends meanwhile and has nobody else.
fn wait_for(command: Pid) -> Result<ExitStatus, Failure> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed("wait for the command")(error)),
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// Ends every process but this one, and waits until they have ended.
fn kill_all() {
    let others = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = others.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in ids
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != Pid::INIT)
    {
        let _ = rustix::process::kill_process(pid, Signal::KILL); // a kernel thread does not mind
    }
    while let Ok(_) | Err(rustix::io::Errno::INTR) = rustix::process::wait(WaitOptions::empty()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_the_commands_or_its_signals() {
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }
}
