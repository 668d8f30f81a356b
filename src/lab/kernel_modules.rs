//! A kernel's modules on the host: which files to load, in which order, for a driver.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::LabError;

/// What `modules.dep` says: for each module its file and the files that it needs, those needed first coming last.
pub(super) struct Modules {
    folder: PathBuf,
    by_name: HashMap<String, Vec<PathBuf>>,
}

impl Modules {
    /// Reads the folder of one kernel release.
    pub(super) fn open(folder: &Path) -> Result<Self, LabError> {
        let file = folder.join("modules.dep");
        let text = fs::read_to_string(&file).map_err(LabError::file("read", file))?;
        Ok(Self {
            folder: folder.to_owned(),
            by_name: parse(&text),
        })
    }

    /// The files to load for `names`, in order, each once. What is not a module is taken to be built in.
    pub(super) fn to_load(&self, names: &[&str]) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        for file in names
            .iter()
            .filter_map(|name| self.by_name.get(&canonical(name)))
            .flat_map(|files| files.iter().rev())
        {
            let file = self.folder.join(file);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files
    }
}

/// The module in `file`, as the kernel takes it: not compressed.
pub(super) fn contents(file: &Path) -> Result<Vec<u8>, LabError> {
    let program = match file.extension().and_then(|end| end.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(file).map_err(LabError::file("read", file)),
    };
    let output = Command::new(program).arg("-dc").arg(file).output();
    let output = output.map_err(|source| LabError::NotStarted {
        program: program.to_owned(),
        source,
    })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let source = std::io::Error::other(
            String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned(),
        );
        Err(LabError::File {
            action: "decompress",
            path: file.to_owned(),
            source,
        })
    }
}

fn parse(dependencies: &str) -> HashMap<String, Vec<PathBuf>> {
    let entry = |line: &str| {
        let (file, needed) = line.split_once(':')?;
        let name = Path::new(file).file_name()?.to_str()?.split('.').next()?;
        Some((
            canonical(name),
            std::iter::once(file)
                .chain(needed.split_whitespace())
                .map(PathBuf::from)
                .collect(),
        ))
    };
    dependencies.lines().filter_map(entry).collect()
}

/// Names are written with dashes and underscores alike.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_comes_first_and_once() {
        let text = "kernel/usb/vhci-hcd.ko: kernel/usb/usbip-core.ko kernel/usb/usbcore.ko kernel/usb/usb-common.ko\n\
                    kernel/usb/usbtest.ko.xz: kernel/usb/usbcore.ko kernel/usb/usb-common.ko\n";
        let modules = Modules {
            folder: PathBuf::from("/m"),
            by_name: parse(text),
        };
        let files = [
            "usb-common.ko",
            "usbcore.ko",
            "usbip-core.ko",
            "vhci-hcd.ko",
            "usbtest.ko.xz",
        ];
        let expected: Vec<_> = files
            .iter()
            .map(|name| Path::new("/m/kernel/usb").join(name))
            .collect();
        assert_eq!(
            modules.to_load(&["vhci_hcd", "usbtest", "built_in"]),
            expected
        );
    }
}
