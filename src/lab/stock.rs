//! The distribution's own kernel for QEMU, unpacked from its package and not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::Cache;
use super::error::LabError;
use super::interrupt::Interrupt;
use super::packages::{self, Need};
use super::step;

const PACKAGE: &str = "linux-image-amd64";
const NEEDS: &[Need] = &[Need {
    what: "depmod",
    package: "kmod",
}];

/// A kernel and its modules.
pub(super) struct Stock {
    /// The kernel's file.
    pub(super) image: PathBuf,
    /// The folder of its modules, with `modules.dep`.
    pub(super) modules: PathBuf,
}

/// The newest that the cache has; where it has none it is fetched now.
pub(super) fn stock_kernel() -> Result<Stock, LabError> {
    let cache = Cache::open()?;
    match cache.newest("stock-", "") {
        Some(entry) => Stock::at(&entry),
        None => {
            eprintln!("no stock kernel is here yet; getting the distribution's, once");
            fetch_newest(&cache)
        }
    }
}

/// The one that the package lists know as the newest.
pub(super) fn fetch_newest(cache: &Cache) -> Result<Stock, LabError> {
    packages::require_apt()?;
    let interrupt = Interrupt::watch()?;
    let package = packages::real_package(PACKAGE, &interrupt)?;
    let version = packages::candidate_version(&package, &interrupt)?;
    let name = format!("stock-{package}-{version}");
    if let Some(entry) = cache.entry(&name) {
        return Stock::at(&entry);
    }
    let exclusive = cache.exclusive()?;
    if let Some(entry) = cache.entry(&name) {
        return Stock::at(&entry);
    }
    packages::ensure(NEEDS, &interrupt)?;
    let folder = exclusive.build_folder()?;
    let result = folder.path().join("result");
    fs::create_dir(&result).map_err(LabError::file("make", &result))?;
    packages::unpack(&package, &version, &result, &interrupt)?;
    let stock = Stock::at(&result)?;
    let mut depmod = Command::new(packages::program("depmod").unwrap_or_else(|| "depmod".into()));
    let release = stock.modules.file_name().unwrap_or_default();
    depmod.arg("-b").arg(base_of(&result)).arg(release);
    step::run(
        depmod,
        "run `usbwright lab build --engine qemu` again",
        &interrupt,
        |_| (),
    )?;
    Stock::at(&exclusive.keep(&result, &name)?)
}

impl Stock {
    fn at(entry: &Path) -> Result<Self, LabError> {
        let image = only_entry(&entry.join("boot"), "vmlinuz-")?;
        let modules = only_entry(&base_of(entry).join("lib/modules"), "")?;
        Ok(Self { image, modules })
    }
}

/// Below what `lib/modules` is: older packages have it at the top, newer ones in `usr`.
fn base_of(entry: &Path) -> PathBuf {
    if entry.join("lib/modules").is_dir() {
        entry.to_owned()
    } else {
        entry.join("usr")
    }
}

fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf, LabError> {
    let entries = fs::read_dir(folder).map_err(LabError::file("read", folder))?;
    let mut fitting = entries.flatten().filter(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes())
    });
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    fitting
        .next()
        .map(|entry| entry.path())
        .ok_or_else(missing)
        .map_err(LabError::file("find a kernel in", folder))
}
