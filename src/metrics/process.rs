//! What the system tells of this process, under the names that all Prometheus clients have for it.

use std::{fs, io};

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

use super::text::{Kind, Text};

/// The fields of `/proc/self/stat` (proc(5)) after the program's name, from 0: of user and system time, threads, start, and memory.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const THREADS: usize = 17;
const START: usize = 19;
const VIRTUAL: usize = 20;
const RESIDENT: usize = 21;

/// Tells of this process; nothing where the system does not.
pub(super) fn tell(text: &mut Text) {
    if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
        tell_stat(text, &stat, boot_time());
    }
    if let Ok(open) = open_files() {
        let help = "Number of open file descriptors.";
        let mut family = text.family("process_open_fds", Kind::Gauge, help);
        family.sample(&[], open);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        let help = "Maximum number of open file descriptors.";
        let mut family = text.family("process_max_fds", Kind::Gauge, help);
        family.sample(&[], most);
    }
}

fn tell_stat(text: &mut Text, stat: &str, boot: Option<u64>) {
    // The name is in parentheses, and may have any in it.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let fields: Vec<_> = after.split_whitespace().collect();
    let field = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = clock_ticks_per_second() as f64;
    if let (Some(user), Some(system)) = (field(USER_TIME), field(SYSTEM_TIME)) {
        let help = "Total user and system CPU time spent in seconds.";
        let mut family = text.family("process_cpu_seconds_total", Kind::Counter, help);
        family.sample(&[], (user + system) as f64 / ticks);
    }
    let mut gauge = |name, help, value: Option<f64>| {
        if let Some(value) = value {
            text.family(name, Kind::Gauge, help).sample(&[], value);
        }
    };
    gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        boot.zip(field(START))
            .map(|(boot, start)| boot as f64 + start as f64 / ticks),
    );
    gauge(
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
        field(VIRTUAL).map(|bytes| bytes as f64),
    );
    gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        field(RESIDENT).map(|pages| (pages * page_size() as u64) as f64),
    );
    gauge(
        "process_threads",
        "Number of threads.",
        field(THREADS).map(|threads| threads as f64),
    );
}

/// When the system was booted, in seconds of the epoch.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn open_files() -> io::Result<usize> {
    // One of them reads the folder.
    Ok(fs::read_dir("/proc/self/fd")?.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_time_and_memory_whatever_its_name() {
        let mut text = Text::default();
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 1000 8192 2 1 0\n";
        tell_stat(&mut text, stat, Some(100));
        let text = text.into_string();
        let value = |name: &str| {
            let line = text.lines().find(|it| it.starts_with(name)).unwrap();
            line.split_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        let ticks = clock_ticks_per_second() as f64;
        assert_eq!(value("process_cpu_seconds_total"), 200.0 / ticks);
        assert_eq!(value("process_start_time_seconds"), 100.0 + 1000.0 / ticks);
        assert_eq!(value("process_virtual_memory_bytes"), 8192.0);
        let resident = 2.0 * page_size() as f64;
        assert_eq!(value("process_resident_memory_bytes"), resident);
        assert_eq!(value("process_threads"), 3.0);
    }

    #[test]
    fn this_process_has_files_and_memory() {
        let mut text = Text::default();
        tell(&mut text);
        let text = text.into_string();
        for name in [
            "process_open_fds ",
            "process_max_fds ",
            "process_resident_memory_bytes ",
        ] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
        }
    }
}
