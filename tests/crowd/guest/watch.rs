//! What is watched meanwhile: what the kernel says, and the server's memory.

use std::{
    fs,
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

/// How often it is looked.
const PERIOD: Duration = Duration::from_millis(200);
/// The kernel's `KERN_WARNING`; what is less than that is worse.
const WARNING: u32 = 4;
/// A message of `/dev/kmsg` has fewer bytes.
const LONGEST: usize = 8 << 10;

/// Somebody who watches.
pub(super) struct Watch {
    end: Sender<()>,
    watching: JoinHandle<Seen>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Warnings and errors of the kernel.
    pub(super) kernel_log: Vec<String>,
    /// The server's resident memory in bytes, and the seconds at which it was that.
    memory: Vec<(f64, f64)>,
}

impl Watch {
    /// Watches from now on.
    pub(super) fn start(server: u32) -> Self {
        let (end, ended) = channel();
        let mut log = fs::OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open("/dev/kmsg")
            .unwrap();
        // What was said before is not looked at.
        read_log(&mut log);
        Self {
            end,
            watching: thread::spawn(move || watch(server, &mut log, &ended)),
        }
    }

    pub(super) fn end(self) -> Seen {
        drop(self.end);
        self.watching.join().unwrap()
    }
}

fn watch(server: u32, log: &mut fs::File, ended: &Receiver<()>) -> Seen {
    let begin = Instant::now();
    let mut seen = Seen::default();
    loop {
        seen.kernel_log.extend(read_log(log));
        let at = begin.elapsed().as_secs_f64();
        seen.memory.push((at, resident(server) as f64));
        if ended.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
            return seen;
        }
    }
}

/// Reads what the kernel has said since this was last asked; gives what is a warning or worse.
fn read_log(log: &mut fs::File) -> Vec<String> {
    let mut bad = Vec::new();
    let mut bytes = [0; LONGEST];
    loop {
        match log.read(&mut bytes) {
            Ok(length) => {
                let record = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let priority = record
                    .split(',')
                    .next()
                    .and_then(|it| it.parse::<u32>().ok());
                if priority.is_none_or(|it| it & 7 <= WARNING) {
                    bad.push(record);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return bad,
            Err(error) => bad.push(format!("messages of the kernel were lost: {error}")),
        }
    }
}

/// A process's resident memory, in bytes.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = value.and_then(|it| it.split_whitespace().next());
    kib.unwrap().parse::<u64>().unwrap() << 10
}

impl Seen {
    /// The samples from when every buffer was used once: the last two thirds.
    fn settled(&self) -> &[(f64, f64)] {
        &self.memory[self.memory.len() / 3..]
    }

    /// How many bytes the server grows by in a second: the slope of the line that fits best.
    fn slope(&self) -> f64 {
        let samples = self.settled();
        let count = samples.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
        let (time, memory) = (mean(|it| it.0), mean(|it| it.1));
        let products = samples.iter().map(|it| (it.0 - time) * (it.1 - memory));
        let squares = samples.iter().map(|it| (it.0 - time).powi(2));
        products.sum::<f64>() / squares.sum::<f64>()
    }

    /// How many bytes the server has grown by, along that line.
    pub(super) fn grew_by(&self) -> i64 {
        let samples = self.settled();
        let (first, last) = (samples[0].0, samples[samples.len() - 1].0);
        (self.slope() * (last - first)) as i64
    }

    /// The memory, in words.
    pub(super) fn memory(&self) -> String {
        let samples = self.settled();
        let kib = |sample: &(f64, f64)| sample.1 / 1024.0;
        let largest = samples.iter().map(kib).fold(0.0, f64::max);
        format!(
            "the server's memory: {:.0} KiB, at the end {:.0} KiB, at the most {largest:.0} KiB; {:.1} bytes a second over {} samples",
            kib(&samples[0]),
            kib(&samples[samples.len() - 1]),
            self.slope(),
            samples.len(),
        )
    }
}
