//! The User-mode Linux engine: what to start, and how.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{StatVfs, StatVfsMountFlags};

use super::error::LabError;
use super::guest_config::{GuestConfig, Root};
use super::machine::Machine;
use super::{Lab, internal};

const SHARED_MEMORY: &str = "/dev/shm";
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// Boots `kernel`, a program of User-mode Linux.
pub(super) fn start(lab: &Lab, kernel: &Path) -> Result<Machine, LabError> {
    let folder = tempfile::Builder::new().prefix("usbwright-lab-").tempdir();
    let folder = folder.map_err(LabError::file("make a folder in", std::env::temp_dir()))?;
    let config = folder.path().join("guest.json");
    write_config(&config, &lab.guest_config(Root::Hostfs)?)?;

    let program =
        std::env::current_exe().map_err(LabError::system("find usbwright's own program"))?;
    // The kernel has one processor, but a process of the host for each of its own: where these wake each other across the host's
    // processors, a change of the guest's process takes three times as long.
    let mut command = Command::new(&program);
    command.arg(internal::START_ON_ONE).arg(kernel);
    command.arg(format!("mem={}M", lab.memory()));
    command.args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]);
    // The kernel's messages go to its standard output; the first serial line is the channel.
    command.args(["con=null", "con0=null,fd:1", "ssl=null", "ssl0=fd:0"]);
    // UML takes this one as it stands, before the command line is split.
    let mut own_folder = OsString::from("uml_dir=");
    own_folder.push(folder.path());
    command.arg(own_folder).arg("umid=lab");
    command.arg(with_value("init=", program.as_os_str()));
    command
        .args(&lab.kernel_args)
        .arg("--")
        .arg(internal::INIT)
        .arg(quoted(config.as_os_str()));

    // The guest's memory is a file that must be mapped executable.
    match rustix::fs::statvfs(SHARED_MEMORY) {
        Ok(space) if holds(&space, lab.memory()) => command.env_remove("TMPDIR"),
        _ => command.env("TMPDIR", folder.path()),
    };
    command.env_remove("TMP").env_remove("TEMP");
    Machine::start(&command, folder, lab.verbose, BOOT_LIMIT)
}

/// Writes the guest's configuration.
pub(super) fn write_config(path: &Path, config: &GuestConfig) -> Result<(), LabError> {
    let bytes = serde_json::to_vec(config).map_err(LabError::system("describe the guest"))?;
    std::fs::write(path, bytes).map_err(LabError::file("write", path))
}

/// Whether a file system has room for the guest's memory and lets it be executed.
fn holds(space: &StatVfs, memory: u32) -> bool {
    let room = space.f_bavail.saturating_mul(space.f_frsize);
    room >= u64::from(memory) << 20 && !space.f_flag.contains(StatVfsMountFlags::NOEXEC)
}

/// An argument of the kernel's command line, which is split at spaces outside of double quotes.
fn with_value(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(quoted(value));
    argument
}

fn quoted(value: &std::ffi::OsStr) -> OsString {
    if !value.as_encoded_bytes().contains(&b' ') {
        return value.to_owned();
    }
    let mut quoted = OsString::from("\"");
    quoted.push(value);
    quoted.push("\"");
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(mebibytes: u64, flags: StatVfsMountFlags) -> StatVfs {
        let mut space = rustix::fs::statvfs("/").unwrap();
        (space.f_bavail, space.f_frsize, space.f_flag) = (mebibytes << 8, 4096, flags);
        space
    }

    #[test]
    fn shared_memory_must_be_large_and_executable() {
        assert!(holds(&space(1024, StatVfsMountFlags::NOSUID), 1024));
        assert!(!holds(&space(64, StatVfsMountFlags::empty()), 1024));
        assert!(!holds(&space(1024, StatVfsMountFlags::NOEXEC), 1024));
    }

    #[test]
    fn an_argument_with_spaces_is_quoted() {
        assert_eq!(with_value("init=", "/a/b".as_ref()), "init=/a/b");
        assert_eq!(with_value("init=", "/a b/c".as_ref()), "init=\"/a b/c\"");
    }
}
