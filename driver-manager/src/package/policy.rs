//! What a host process may use, and what becomes of it when it fails.

use std::time::Duration;

use super::{problem::Problems, table::Table};

/// What a host process may use, and what becomes of it when it fails. Whether it is shared is a
/// [directive](super::HostProcessSharing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPolicy {
    /// How many times a host of its own is started again.
    pub restarts: u32,
    /// After so long without a failure the restarts are counted from nothing.
    pub restart_reset: Duration,
    /// How long a critical operation (plug and play, power, cancellation) may make no progress.
    pub deadline: Duration,
    /// What the host process may use.
    pub limits: Limits,
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
        table.finish(problems);
        Self {
            restarts: restarts.unwrap_or(default.restarts),
            restart_reset: reset.map_or(default.restart_reset, |it| {
                Duration::from_mins(u64::from(it))
            }),
            deadline: deadline.map_or(default.deadline, |it| Duration::from_secs(u64::from(it))),
            limits,
        }
    }
}
