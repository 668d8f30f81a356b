//! What a host process may use, and what becomes of it when it fails.

use std::{path::PathBuf, time::Duration};

use usbwright_host_control::Measure;

use super::{
    problem::Problems,
    table::{Table, listed, nearest},
};

/// What a host process may use, and what becomes of it when it fails. Whether it is shared is a
/// [directive](super::HostProcessSharing).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPolicy {
    /// How many times a host of its own is started again.
    pub restarts: u32,
    /// After so long without a failure the restarts are counted from nothing.
    pub restart_reset: Duration,
    /// How long a critical operation (plug and play, power, cancellation) may make no progress.
    pub deadline: Duration,
    /// What the host process may use.
    pub limits: Limits,
    /// Files and folders that the host may read. All else it can't open.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and write.
    pub write: Vec<PathBuf>,
    /// What has to hold, so that a driver may run in it.
    pub required: Vec<Measure>,
}

/// What a host process may use at most. What is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Time of processors, in hundredths of one processor's.
    pub cpu_percent: Option<u32>,
    /// Open descriptors.
    #[doc(alias = "RLIMIT_NOFILE")]
    pub descriptors: Option<u32>,
}

impl Default for HostPolicy {
    fn default() -> Self {
        Self {
            restarts: 5,
            restart_reset: Duration::from_mins(30),
            deadline: Duration::from_secs(60),
            limits: Limits::default(),
            read: Vec::new(),
            write: Vec::new(),
            required: Vec::new(),
        }
    }
}

impl HostPolicy {
    /// Reads `[host-policy]`.
    pub(super) fn read(mut table: Table<'_>, problems: &mut Problems) -> Self {
        let default = Self::default();
        let restarts = table.number("restarts", 0..=1000, problems);
        let reset = table.number("restart-reset-minutes", 1..=10_080, problems);
        let deadline = table.number("deadline-seconds", 1..=3600, problems);
        let memory = table.number("memory-mebibytes", 16..=1_048_576, problems);
        let limits = Limits {
            memory: memory.map(|it| u64::from(it) << 20),
            cpu_percent: table.number("cpu-percent", 1..=102_400, problems),
            descriptors: table.number("descriptors", 16..=1_048_576, problems),
        };
        let read = paths(&mut table, "read", problems);
        let write = paths(&mut table, "write", problems);
        let required = measures(&mut table, problems);
        table.finish(problems);
        Self {
            restarts: restarts.unwrap_or(default.restarts),
            restart_reset: reset.map_or(default.restart_reset, |it| {
                Duration::from_mins(u64::from(it))
            }),
            deadline: deadline.map_or(default.deadline, |it| Duration::from_secs(u64::from(it))),
            limits,
            read,
            write,
            required,
        }
    }
}

/// Paths, each from the root on: a host has no current folder that anybody could know.
fn paths(table: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Vec<PathBuf> {
    let texts = table.texts(key, problems).map(|it| it.value);
    let mut paths = Vec::new();
    for text in texts.unwrap_or_default() {
        match text.value.starts_with('/') && !text.value.contains('\0') {
            true => paths.push(text.value.into()),
            false => problems.add(
                text.place,
                format!(
                    "`{key}` has {:?}, which is no path from the root on",
                    text.value
                ),
                "write it as '/usr/share/…'",
            ),
        }
    }
    paths
}

/// The measures of a host, as a package names them.
const MEASURES: [(&str, Measure); 9] = [
    ("NoNewPrivileges", Measure::NoNewPrivileges),
    ("DiesWithManager", Measure::DiesWithManager),
    ("Session", Measure::Session),
    ("Descriptors", Measure::Descriptors),
    ("Memory", Measure::Memory),
    ("Capabilities", Measure::Capabilities),
    ("Landlock", Measure::Landlock),
    ("Seccomp", Measure::Seccomp),
    ("Cgroup", Measure::Cgroup),
];

fn measures(table: &mut Table<'_>, problems: &mut Problems) -> Vec<Measure> {
    let texts = table.texts("require", problems).map(|it| it.value);
    let mut measures = Vec::new();
    for text in texts.unwrap_or_default() {
        let named = MEASURES.iter().find(|(name, _)| *name == text.value);
        if let Some((_, measure)) = named {
            measures.push(*measure);
            continue;
        }
        let names = MEASURES.map(|(name, _)| name);
        let remedy = match nearest(text.value, &names) {
            Some(nearest) => format!("did you mean {nearest:?}?"),
            None => format!("it can be {}", listed(&names)),
        };
        let what = format!("`require` can't be {:?}", text.value);
        problems.add(text.place, what, remedy);
    }
    measures
}
