//! The lab: boots a Linux kernel with USB as an ordinary process and runs a command in it, with emulated devices attached.
//!
//! ```text
//!  host                                           guest
//!  Lab::run ─ engine (uml, qemu) ─ Machine        guest::run, as process 1
//!     │         what to start       the process      │  mounts: the host's files under an overlay
//!     └─ session ◄────── channel: frames ──────────► ├─ devices: `usbwright attach`
//!        terminal, stdin, stdout, stderr, signals    └─ streams: the command's
//! ```
//!
//! One byte stream joins the two sides, a serial line under User-mode Linux and a virtio port under QEMU; everything that the
//! command reads and writes, and its exit code, travels over it in frames.

mod build;
mod cache;
mod channel;
mod error;
mod guest;
mod guest_config;
mod initramfs;
mod internal;
mod interrupt;
mod kernel_modules;
mod machine;
mod packages;
mod qemu;
mod session;
mod step;
mod stock;
mod terminal;
mod uml;

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use build::build;
pub use error::LabError;
pub(crate) use internal::START_BOUND;
pub use internal::internal_command;

use guest_config::{Folder, GuestConfig, Root, Terminal};
use machine::Machine;
use session::Session;

/// The exit code of a run that [`Lab::timeout`] ended.
pub const TIMED_OUT: u8 = 124;
/// The exit code for a lab that failed by itself, whatever the command would have returned.
pub const LAB_FAILED: u8 = 125;
/// The exit code where the command exists and cannot be started.
pub const COMMAND_NOT_STARTED: u8 = 126;
/// The exit code where the guest has no such command.
pub const COMMAND_NOT_FOUND: u8 = 127;

/// What runs the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// User-mode Linux: the kernel is a program; native speed, no privilege.
    Uml,
    /// QEMU: an unmodified kernel of a distribution, under emulation where the machine has no usable KVM.
    Qemu,
}

/// One run: a kernel, its devices and a command.
#[derive(Debug, Clone, Default)]
pub struct Lab {
    /// What runs the kernel; by default what [`Lab::kernel`] asks for, and User-mode Linux where that is not given either.
    pub engine: Option<Engine>,
    /// The kernel to boot, in place of the lab's own: a `linux` program of User-mode Linux or, for QEMU, a `bzImage`.
    pub kernel: Option<PathBuf>,
    /// The folder of a QEMU kernel's modules (`…/lib/modules/RELEASE`), where it needs any.
    pub modules: Option<PathBuf>,
    /// The devices to attach before the command starts, as `usbwright attach` takes them.
    pub devices: Vec<String>,
    /// What to add to the kernel's command line, such as `usbtest.alt=1`.
    pub kernel_args: Vec<String>,
    /// The guest's memory in MiB; 1024 by default.
    pub memory: Option<u32>,
    /// When to end the run, counted from the start of the boot.
    pub timeout: Option<Duration>,
    /// The command and its arguments; a shell where it is empty.
    pub command: Vec<OsString>,
    /// Whether the kernel's messages go to stderr as they come.
    pub verbose: bool,
}

/// Sees to it that programs, each given with the distribution's package that brings it, are on this machine and so in the
/// lab: as root it installs what is missing.
///
/// # Errors
/// Where something is missing and this process is not root: the error has the command to run.
pub fn ensure_programs(programs: &[(&'static str, &'static str)]) -> Result<(), LabError> {
    let needs: Vec<_> = programs
        .iter()
        .map(|(what, package)| packages::Need { what, package })
        .collect();
    packages::ensure(&needs, &interrupt::Interrupt::watch()?)
}

impl Lab {
    /// Boots the kernel, runs the command and returns the exit code: the command's own, 128 + N where signal N ended it (or
    /// the lab), or [`TIMED_OUT`].
    pub fn run(&self) -> Result<u8, LabError> {
        match self.engine()? {
            Engine::Uml => {
                let kernel = match &self.kernel {
                    Some(kernel) => absolute(kernel)?,
                    None => build::uml_kernel()?,
                };
                self.run_on(uml::start(self, &kernel)?)
            }
            Engine::Qemu => qemu::run(self),
        }
    }

    fn engine(&self) -> Result<Engine, LabError> {
        match (self.engine, &self.kernel) {
            (Some(engine), _) => Ok(engine),
            (None, Some(kernel)) => engine_of(kernel),
            (None, None) => Ok(Engine::Uml),
        }
    }

    fn run_on(&self, machine: Machine) -> Result<u8, LabError> {
        Session::new(self, machine)?.run()
    }

    fn memory(&self) -> u32 {
        self.memory.unwrap_or(1024)
    }

    fn guest_config(&self, root: Root) -> Result<GuestConfig, LabError> {
        let folder = Folder::new(std::env::current_dir().map_err(LabError::CurrentFolder)?);
        if !folder.kept {
            tracing::warn!(
                "in {} nothing that the guest writes is kept",
                folder.path.display()
            );
        }
        let terminal = terminal::size().filter(|_| std::io::stdout().is_terminal());
        let terminal = terminal.map(|(rows, columns)| Terminal {
            with_stderr: std::io::stderr().is_terminal(),
            rows,
            columns,
        });
        Ok(GuestConfig {
            root,
            folder,
            command: self.command.clone(),
            environment: std::env::vars_os().collect(),
            devices: self.devices.clone(),
            terminal,
        })
    }
}

/// Tells by its first bytes what runs the kernel in a file.
fn engine_of(kernel: &Path) -> Result<Engine, LabError> {
    let unreadable = |source| LabError::File {
        action: "read",
        path: kernel.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(kernel).map_err(unreadable)?;
    let mut magic = [0; 4];
    let mut is_at = |offset, expected: &[u8; 4]| {
        file.seek(SeekFrom::Start(offset)).is_ok()
            && file.read_exact(&mut magic).is_ok()
            && &magic == expected
    };
    if is_at(0, b"\x7fELF") {
        Ok(Engine::Uml)
    } else if is_at(0x202, b"HdrS") {
        Ok(Engine::Qemu)
    } else {
        Err(LabError::NotAKernel {
            path: kernel.to_owned(),
        })
    }
}

/// The exit code that shells give to what a signal ended.
fn ended_by(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

fn absolute(path: &Path) -> Result<PathBuf, LabError> {
    path.canonicalize().map_err(|source| LabError::File {
        action: "find",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_file_tells_its_engine() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let mut image = vec![0; 0x206];
        image[0x202..].copy_from_slice(b"HdrS");
        assert_eq!(
            engine_of(&file("linux", b"\x7fELF\x02")).unwrap(),
            Engine::Uml
        );
        assert_eq!(engine_of(&file("bzImage", &image)).unwrap(), Engine::Qemu);
        assert!(matches!(
            engine_of(&file("text", b"hello")),
            Err(LabError::NotAKernel { .. })
        ));
        assert!(matches!(
            engine_of(&folder.path().join("none")),
            Err(LabError::File { .. })
        ));
    }
}
