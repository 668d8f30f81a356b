//! What can go wrong in the lab, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why the lab failed. A command that fails in the guest is no error of the lab's: its exit code is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A file or folder of the host could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The current folder is gone or unreadable.
    #[error("cannot find the current folder: {0}; run the lab in a folder that exists")]
    CurrentFolder(io::Error),
    /// There is no folder to keep kernels in.
    #[error(
        "there is no folder to keep kernels in: set HOME, or XDG_CACHE_HOME to an absolute path"
    )]
    NoCacheFolder,
    /// The file given as a kernel is of no known kind.
    #[error("{} is neither a User-mode Linux program nor a bzImage; name the engine with --engine", path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
    },
    /// Programs are missing, and installing them takes rights that this user has not.
    #[error("programs are missing on this machine; as root, run: {command}")]
    MissingPackages {
        /// The command line that installs them.
        command: String,
    },
    /// The machine's distribution has other packages.
    #[error(
        "the lab can make kernels only where apt gets them, as on Debian; build one elsewhere and name it with --kernel"
    )]
    NoApt,
    /// The package lists do not know a package.
    #[error(
        "the package lists do not know {package}; as root, run: apt-get update (and check that the distribution has it)"
    )]
    UnknownPackage {
        /// The package's name.
        package: String,
    },
    /// A program that a step needs could not be started.
    #[error("cannot start {program}: {source}; install it, or check the PATH")]
    NotStarted {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A step's command failed.
    #[error("`{command}` failed ({status}); its last lines:\n{tail}\n{advice}")]
    Step {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines that it printed.
        tail: String,
        /// What to do.
        advice: &'static str,
    },
    /// A signal ended a build.
    #[error("interrupted by signal {signal}; nothing was kept, run it again to start over")]
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
    /// The kernel ended, or stopped answering, before the command ran.
    #[error("the kernel did not boot: {reason}; its last messages:\n{tail}")]
    Boot {
        /// What happened.
        reason: &'static str,
        /// The kernel's last messages.
        tail: String,
    },
    /// The kernel ended while the command ran.
    #[error("the kernel ended before the command did; its last messages:\n{tail}")]
    Died {
        /// The kernel's last messages.
        tail: String,
    },
    /// The guest could not be set up.
    #[error("in the guest: {0}")]
    Guest(String),
    /// The system refused something that the lab needs.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried, as a verb.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl LabError {
    /// What a command line returns for it: 128 + N for signal N, and [`LAB_FAILED`](super::LAB_FAILED) for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted { signal } => super::ended_by(*signal),
            _ => super::LAB_FAILED,
        }
    }

    /// For `map_err`: the system refused to do `action`.
    pub(super) fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            action,
            source: source.into(),
        }
    }

    /// For `map_err`: `action` failed on `path`.
    pub(super) fn file<E: Into<io::Error>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::File {
            action,
            path: path.into(),
            source: source.into(),
        }
    }
}
