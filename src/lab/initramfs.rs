//! The files that a QEMU guest starts from: this program and its libraries, and the modules that reach the host's files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::LabError;
use super::kernel_modules;

/// The guest's first process.
const INIT: &str = "/init";
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// A cpio archive in the form that the kernel unpacks ("newc").
pub(super) struct Initramfs {
    bytes: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    entries: u32,
}

impl Initramfs {
    /// One that starts this program.
    pub(super) fn with_own_program() -> Result<Self, LabError> {
        let mut archive = Self {
            bytes: Vec::new(),
            folders: BTreeSet::new(),
            entries: 0,
        };
        let program =
            std::env::current_exe().map_err(LabError::system("find usbwright's own program"))?;
        archive.add(INIT.as_ref(), PROGRAM, &without_symbols(&program)?);
        for library in libraries_of(&program)? {
            let contents = fs::read(&library).map_err(LabError::file("read", &library))?;
            archive.add(&library, PROGRAM, &contents);
        }
        Ok(archive)
    }

    /// Adds kernel modules and returns where they are.
    pub(super) fn add_modules(&mut self, files: &[PathBuf]) -> Result<Vec<PathBuf>, LabError> {
        let add = |file: &PathBuf| {
            let place = Path::new("/modules").join(file.file_name().unwrap_or_default());
            self.add(&place, FILE, &kernel_modules::contents(file)?);
            Ok(place)
        };
        files.iter().map(add).collect()
    }

    /// Adds a file.
    pub(super) fn add_file(&mut self, path: &Path, contents: &[u8]) {
        self.add(path, FILE, contents);
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(OsStr::new("TRAILER!!!"), 0, &[]);
        self.bytes
    }

    fn add(&mut self, path: &Path, mode: u32, contents: &[u8]) {
        let path = path.strip_prefix("/").unwrap_or(path);
        let mut parents: Vec<_> = path
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.as_os_str().is_empty())
            .collect();
        parents.reverse();
        for parent in parents {
            if self.folders.insert(parent.to_owned()) {
                self.entry(parent.as_os_str(), FOLDER, &[]);
            }
        }
        self.entry(path.as_os_str(), mode, contents);
    }

    fn entry(&mut self, name: &OsStr, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(contents.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(b"070701");
        // inode, mode, uid, gid, links, time, size, device and its kind (two numbers each), name's size, checksum
        for field in [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ] {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The program's bytes, without its symbols where `strip` is at hand: the guest has to unpack them all.
fn without_symbols(program: &Path) -> Result<Vec<u8>, LabError> {
    let stripped =
        tempfile::NamedTempFile::new().map_err(LabError::system("make a temporary file"))?;
    let strip = Command::new("strip")
        .arg("-o")
        .arg(stripped.path())
        .arg(program)
        .output();
    let source = if strip.is_ok_and(|output| output.status.success()) {
        stripped.path()
    } else {
        program
    };
    fs::read(source).map_err(LabError::file("read", source))
}

fn libraries_of(program: &Path) -> Result<Vec<PathBuf>, LabError> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.map_err(|source| LabError::NotStarted {
        program: "ldd".to_owned(),
        source,
    })?;
    Ok(libraries_in(&String::from_utf8_lossy(&output.stdout)))
}

/// The files that `ldd` names; it names none for a static program.
fn libraries_in(text: &str) -> Vec<PathBuf> {
    let file = |line: &str| {
        line.split_whitespace()
            .find(|word| word.starts_with('/'))
            .map(PathBuf::from)
    };
    text.lines().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_files_that_ldd_names() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\t/lib64/ld-linux.so.2 (0x7f)\n";
        assert_eq!(
            libraries_in(text),
            [
                Path::new("/lib/libc.so.6"),
                Path::new("/lib64/ld-linux.so.2")
            ]
        );
        assert!(libraries_in("\tstatically linked\n").is_empty());
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut archive = Initramfs {
            bytes: Vec::new(),
            folders: BTreeSet::new(),
            entries: 0,
        };
        archive.add_file(Path::new("/a/b/one"), b"1");
        archive.add_file(Path::new("/a/two"), b"22");
        let bytes = archive.finish();
        let names: Vec<_> = ["a\0", "a/b\0", "a/b/one\0", "a/two\0", "TRAILER!!!\0"]
            .iter()
            .map(|name| {
                bytes
                    .windows(name.len())
                    .position(|window| window == name.as_bytes())
                    .unwrap()
            })
            .collect();
        assert!(names.is_sorted());
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.starts_with(b"07070100000001000041ed"));
    }
}
