//! The folder where kernels are kept, complete or not at all, and built by one process at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use tempfile::TempDir;

use super::error::LabError;

const BUILD_PREFIX: &str = ".build-";

/// The kernels of one user.
pub(super) struct Cache {
    folder: PathBuf,
}

/// The right to add to the cache, held until dropped.
pub(super) struct Exclusive<'a> {
    cache: &'a Cache,
    _lock: File,
}

impl Cache {
    /// Opens, and makes where missing, `$XDG_CACHE_HOME/usbwright/kernels` or `~/.cache/usbwright/kernels`.
    pub(super) fn open() -> Result<Self, LabError> {
        let set = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        let folder = base
            .ok_or(LabError::NoCacheFolder)?
            .join("usbwright/kernels");
        fs::create_dir_all(&folder).map_err(LabError::file("make", &folder))?;
        Ok(Self { folder })
    }

    /// The entry of that name, if it is there.
    pub(super) fn entry(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(name)).filter(|path| path.is_dir())
    }

    /// The newest entry whose name starts and ends so.
    pub(super) fn newest(&self, prefix: &str, suffix: &str) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.folder).ok()?.flatten();
        let fitting = entries.filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix))
        });
        let age = |entry: &fs::DirEntry| {
            entry
                .metadata()
                .and_then(|data| data.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH)
        };
        fitting.max_by_key(age).map(|entry| entry.path())
    }

    /// Where to note a small fact about this machine.
    pub(super) fn note(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Waits until nobody else adds to the cache, and clears what builds that were killed left behind.
    pub(super) fn exclusive(&self) -> Result<Exclusive<'_>, LabError> {
        let path = self.folder.join("lock");
        let lock = File::create(&path).map_err(LabError::file("make", &path))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("waiting for another usbwright that builds a kernel …");
            rustix::fs::flock(&lock, FlockOperation::LockExclusive)
                .map_err(LabError::file("lock", &path))?;
        }
        let entries = fs::read_dir(&self.folder).map_err(LabError::file("read", &self.folder))?;
        for entry in entries.flatten().filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(BUILD_PREFIX.as_bytes())
        }) {
            fs::remove_dir_all(entry.path()).map_err(LabError::file("remove", entry.path()))?;
        }
        Ok(Exclusive {
            cache: self,
            _lock: lock,
        })
    }
}

impl Exclusive<'_> {
    /// A folder to build in, on the cache's own file system.
    pub(super) fn build_folder(&self) -> Result<TempDir, LabError> {
        let folder = &self.cache.folder;
        tempfile::Builder::new()
            .prefix(BUILD_PREFIX)
            .tempdir_in(folder)
            .map_err(LabError::file("make a folder in", folder))
    }

    /// Makes the finished folder `built` the entry of that name, at once.
    pub(super) fn keep(&self, built: &Path, name: &str) -> Result<PathBuf, LabError> {
        let entry = self.cache.folder.join(name);
        fs::rename(built, &entry).map_err(LabError::file("move the built kernel to", &entry))?;
        Ok(entry)
    }
}

/// A short name for inputs, the same on every machine and in every release (64-bit FNV-1a).
pub(super) fn key_of(inputs: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for input in inputs {
        for byte in input.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            folder: folder.path().to_owned(),
        };
        (folder, cache)
    }

    #[test]
    fn the_key_depends_on_every_input_and_on_their_limits() {
        assert_eq!(key_of(&["a"]), key_of(&["a"]));
        assert_ne!(key_of(&["ab", "c"]), key_of(&["a", "bc"]));
        assert_eq!(key_of(&[]), "cbf29ce484222325");
    }

    #[test]
    fn an_entry_appears_only_when_kept() {
        let (_folder, cache) = cache();
        let exclusive = cache.exclusive().unwrap();
        let build = exclusive.build_folder().unwrap();
        fs::create_dir(build.path().join("done")).unwrap();
        assert_eq!(cache.entry("uml-1-k"), None);
        let kept = exclusive
            .keep(&build.path().join("done"), "uml-1-k")
            .unwrap();
        assert_eq!(cache.entry("uml-1-k"), Some(kept.clone()));
        assert_eq!(cache.newest("uml-", "-k"), Some(kept));
        assert_eq!(cache.newest("uml-", "-other"), None);
    }

    #[test]
    fn what_a_killed_build_left_is_cleared() {
        let (_folder, cache) = cache();
        let left = cache.exclusive().unwrap().build_folder().unwrap().keep();
        assert!(left.is_dir());
        drop(cache.exclusive().unwrap());
        assert!(!left.exists());
    }
}
