//! A control group for a host, where one can be made.

use std::{fs, io, path::PathBuf};

use tracing::debug;
use usbwright_host_control::MeasureState;

use crate::package::Limits;

/// The group that a manager may be in, so that those of its hosts can be beside it: a group with processes of its own can't have others below it that are limited.
const MANAGER: &str = "manager";

/// A control group (v2) with one host in it; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one, and puts a process into it.
    pub(super) fn with(pid: u32, limits: &Limits) -> io::Result<(Self, MeasureState)> {
        let parent = parent_group()?;
        // Where that can't be, the limits can't be set either, which is told.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+cpu +memory");
        let folder = parent.join(format!("usbwright-host-{pid}"));
        fs::create_dir(&folder)?;
        let group = Self(folder);
        let mut lacking = Vec::new();
        let mut set = |file: &str, value: String| {
            if let Err(error) = fs::write(group.0.join(file), value) {
                lacking.push(format!("{file}: {error}"));
            }
        };
        if let Some(memory) = limits.memory {
            set("memory.max", memory.to_string());
        }
        if let Some(percent) = limits.cpu_percent {
            const PERIOD: u64 = 100_000;
            let quota = u64::from(percent) * PERIOD / 100;
            set("cpu.max", format!("{quota} {PERIOD}"));
        }
        fs::write(group.0.join("cgroup.procs"), pid.to_string())?;
        Ok(match lacking.is_empty() {
            true => (group, MeasureState::Held),
            false => (group, MeasureState::Partly(lacking.join("; "))),
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            debug!("{} stays: {error}", self.0.display());
        }
    }
}

/// The folder of the group (v2) that hosts' groups are made in: this process's own, or where that is called [`MANAGER`] the one above.
fn parent_group() -> io::Result<PathBuf> {
    let missing = |what: &str| io::Error::new(io::ErrorKind::NotFound, what.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let is_v2 = kind.starts_with("cgroup2 ");
        is_v2.then(|| fields.split(' ').nth(4).map(PathBuf::from))?
    });
    let mount = mount.ok_or_else(|| missing("no control groups (v2) are mounted"))?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = own.ok_or_else(|| missing("this process is in no control group (v2)"))?;
    let own = mount.join(own);
    match own.file_name().is_some_and(|it| it == MANAGER) {
        true => Ok(own.parent().map(PathBuf::from).unwrap_or(own)),
        false => Ok(own),
    }
}
