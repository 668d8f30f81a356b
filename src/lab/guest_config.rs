//! What the host tells the guest's first process, in a file that both see.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the guest is to be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GuestConfig {
    pub(super) root: Root,
    pub(super) folder: Folder,
    pub(super) command: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) devices: Vec<String>,
    pub(super) terminal: Option<Terminal>,
}

/// Where the guest finds the host's files, and the channel.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Root {
    /// User-mode Linux: they are the root file system already, the channel is the first serial line.
    Hostfs,
    /// QEMU: over 9p, the channel is a virtio port.
    NineP {
        /// The modules to load first, in order, as files of the initramfs.
        load: Vec<PathBuf>,
        /// The folder of all modules, on the host.
        modules: Option<PathBuf>,
    },
}

/// The caller's current folder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Whether what the guest writes there stays.
    pub(super) kept: bool,
}

impl Folder {
    /// Keeps what is written below `path`, unless that would be everything, or nothing of the host's disk.
    pub(super) fn new(path: PathBuf) -> Self {
        let kept =
            path != Path::new("/") && !path.starts_with("/proc") && !path.starts_with("/sys");
        Self { path, kept }
    }
}

/// The command runs on a terminal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Terminal {
    /// Whether its error output goes there too.
    pub(super) with_stderr: bool,
    /// Its size, in lines and in characters.
    pub(super) rows: u16,
    pub(super) columns: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_folder_is_not_opened_for_writing() {
        for (path, kept) in [
            ("/", false),
            ("/proc/1", false),
            ("/sys", false),
            ("/system", true),
            ("/tmp/a", true),
        ] {
            assert_eq!(Folder::new(PathBuf::from(path)).kept, kept, "{path}");
        }
    }
}
