//! The distribution's packages: which are missing, and getting one without installing it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::LabError;
use super::interrupt::Interrupt;
use super::step;

const ADVICE: &str = "check the network and the package sources, then try again; as root, `apt-get update` renews the package lists";

/// A program or file that a step needs, and the package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// A program's name, or an absolute path.
    pub(super) what: &'static str,
    /// The package.
    pub(super) package: &'static str,
}

/// The packages of `needs` that are not there, each once.
pub(super) fn missing(needs: &[Need], present: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> = needs
        .iter()
        .filter(|need| !present(need.what))
        .map(|need| need.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Sees to it that `needs` are there: installs what is missing as root, and tells the command otherwise.
pub(super) fn ensure(needs: &[Need], interrupt: &Interrupt) -> Result<(), LabError> {
    let packages = missing(needs, is_present);
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root() {
        let command = format!(
            "apt-get update && apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
        return Err(LabError::MissingPackages { command });
    }
    eprintln!("installing {}", packages.join(" "));
    update(interrupt)?;
    let mut install = apt_get();
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&packages);
    step::run(install, ADVICE, interrupt, |_| ())
}

/// An error where the distribution's packages are of another kind.
pub(super) fn require_apt() -> Result<(), LabError> {
    let all = ["apt-get", "apt-cache", "dpkg-deb", "dpkg-query"]
        .into_iter()
        .all(is_present);
    if all { Ok(()) } else { Err(LabError::NoApt) }
}

/// The version of `package` that is installed; `None` where it is not.
pub(super) fn installed_version(package: &str) -> Result<Option<String>, LabError> {
    let mut query = Command::new("dpkg-query");
    query.args([
        "--show",
        "--showformat=${db:Status-Status} ${Version}",
        package,
    ]);
    Ok(step::query(query)?.and_then(|text| text.strip_prefix("installed ").map(str::to_owned)))
}

/// The version of `package` that would be installed; renews the package lists where they do not know it.
pub(super) fn candidate_version(package: &str, interrupt: &Interrupt) -> Result<String, LabError> {
    with_lists(package, interrupt, || {
        let mut policy = Command::new("apt-cache");
        policy.args(["policy", package]);
        Ok(step::query(policy)?.as_deref().and_then(candidate_of))
    })
}

/// The package that `package`, which has no files of its own, stands for: the first it depends on.
pub(super) fn real_package(package: &str, interrupt: &Interrupt) -> Result<String, LabError> {
    with_lists(package, interrupt, || {
        let mut depends = Command::new("apt-cache");
        depends.args(["depends", package]);
        Ok(step::query(depends)?.as_deref().and_then(first_dependency))
    })
}

/// Gets `package` and unpacks it below `into`, without installing it.
pub(super) fn unpack(
    package: &str,
    version: &str,
    into: &Path,
    interrupt: &Interrupt,
) -> Result<(), LabError> {
    let mut download = apt_get();
    download
        .arg("download")
        .arg(format!("{package}={version}"))
        .current_dir(into);
    step::run(download, ADVICE, interrupt, |_| ())?;
    let entries = std::fs::read_dir(into).map_err(LabError::file("read", into))?;
    let archive = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let archive = archive.ok_or_else(|| LabError::UnknownPackage {
        package: package.to_owned(),
    })?;
    let mut extract = Command::new("dpkg-deb");
    extract.arg("--extract").arg(&archive).arg(into);
    step::run(
        extract,
        "check that there is room on the disk, then try again",
        interrupt,
        |_| (),
    )?;
    std::fs::remove_file(&archive).map_err(LabError::file("remove", archive))
}

/// Asks `lookup`; where it finds nothing, renews the package lists (as root) and asks once more.
fn with_lists<T>(
    package: &str,
    interrupt: &Interrupt,
    lookup: impl Fn() -> Result<Option<T>, LabError>,
) -> Result<T, LabError> {
    if let Some(found) = lookup()? {
        return Ok(found);
    }
    if is_root() {
        update(interrupt)?;
    }
    lookup()?.ok_or_else(|| LabError::UnknownPackage {
        package: package.to_owned(),
    })
}

fn update(interrupt: &Interrupt) -> Result<(), LabError> {
    let mut update = apt_get();
    update.arg("update");
    step::run(update, ADVICE, interrupt, |_| ())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=120"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn candidate_of(policy: &str) -> Option<String> {
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

fn first_dependency(depends: &str) -> Option<String> {
    depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .map(str::to_owned)
}

fn is_present(what: &str) -> bool {
    if what.starts_with('/') {
        Path::new(what).exists()
    } else {
        program(what).is_some()
    }
}

/// Where the PATH, or an administrator's folder, has a program.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_once() {
        let needs = [
            Need {
                what: "make",
                package: "make",
            },
            Need {
                what: "ld",
                package: "binutils",
            },
            Need {
                what: "as",
                package: "binutils",
            },
            Need {
                what: "/usr/include/stdio.h",
                package: "libc6-dev",
            },
        ];
        assert_eq!(
            missing(&needs, |what| what == "make"),
            ["binutils", "libc6-dev"]
        );
        assert_eq!(missing(&needs, |_| true), [""; 0]);
    }

    #[test]
    fn apt_answers_are_read() {
        let policy = "linux-source-6.12:\n  Installed: (none)\n  Candidate: 6.12.117-1~deb12u1\n  Version table:\n";
        assert_eq!(candidate_of(policy).as_deref(), Some("6.12.117-1~deb12u1"));
        assert_eq!(
            candidate_of("x:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(candidate_of(""), None);
        let depends = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n";
        assert_eq!(
            first_dependency(depends).as_deref(),
            Some("linux-image-6.1.0-56-amd64")
        );
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(is_present("sh") && is_present("/"));
        assert!(!is_present("no-such-program") && !is_present("/no/such/file"));
    }
}
