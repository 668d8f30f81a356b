//! `usbwright usbtest`: runs cases of the kernel's `usbtest` driver.

use std::{io::Write, process::ExitCode, time::Duration};

use rustix::io::Errno;
use serde_json::json;
use usbwright::{
    sysfs::Sysfs,
    usbtest::{Case, Cases, Outcome, Selector, Settings, Target, choose_pattern},
};

use crate::cli::output::output;

/// Run cases of Linux' usbtest driver on a device that it is bound to, such as a gadget-zero.
///
/// It tells each case, and ends with exit code 1 if one of them failed. What the device or its alternate setting does not
/// support is told and is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It needs root, and a kernel with the driver (`modprobe usbtest`). The kernel's log (`dmesg`) tells more of a failure.

With --alt and --pattern the driver keeps the choice for the devices that come later.")]
pub(super) struct Arguments {
    /// The device; without it, the only one that the driver is bound to.
    #[arg(long, value_name = "VID:PID|BUS-PORT")]
    device: Option<Selector>,

    /// The cases, such as 0-14,17; without it, all of them.
    #[arg(long = "case", value_name = "CASES")]
    cases: Option<Cases>,

    /// How often a case does what it does.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,

    /// Bytes in a transfer, or in an entry of a scatter list.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    length: u32,

    /// By how many bytes the length varies where it does [default: 1024, and 1 in cases 14 and 21].
    #[arg(long, value_name = "N")]
    vary: Option<u32>,

    /// Transfers in flight, or entries of a scatter list.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=128))]
    queue: u32,

    /// The data: 0 zeros, 1 mod 63; the device has to be set to the same.
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    pattern: Option<u8>,

    /// The alternate setting to test: the driver is unbound and bound again to take it; -1 has the driver choose.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=255))]
    alt: Option<i32>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A case that has been run.
struct Ran {
    case: Case,
    bytes: Option<u64>,
    outcome: Outcome,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let sysfs = Sysfs::default();
    let target = Target::find(&sysfs, arguments.device.as_ref())?;
    if let Some(pattern) = arguments.pattern {
        choose_pattern(&sysfs, pattern)?;
    }
    if let Some(alternate) = arguments.alt {
        target.choose_alternate(&sysfs, alternate)?;
    }
    let settings = Settings {
        iterations: arguments.iterations,
        length: arguments.length,
        vary: arguments.vary,
        queue: arguments.queue,
    };
    let runner = target.open()?;
    let cases = arguments.cases.clone().unwrap_or_default();
    let mut ran = Vec::new();
    for case in cases.iter() {
        let it = Ran {
            case,
            bytes: case.bytes(&settings),
            outcome: runner.run(case, &settings),
        };
        if !arguments.json {
            super::print(&it.line())?;
        }
        ran.push(it);
    }
    if arguments.json {
        let cases: Vec<_> = ran.iter().map(Ran::as_json).collect();
        let report = json!({ "device": target.device().name(), "cases": cases });
        writeln!(output(), "{report:#}")?;
    }
    let failed = |it: &Ran| matches!(it.outcome, Outcome::Failed(_));
    Ok(ExitCode::from(u8::from(ran.iter().any(failed))))
}

impl Ran {
    fn line(&self) -> String {
        let head = format!("case {:2}: {:36}", self.case.number(), self.case.name());
        match self.outcome {
            Outcome::Passed(duration) => {
                let rate = self.rate(duration);
                let rate = rate.map(|rate| format!("  {:9.2} MB/s", rate / 1e6));
                let seconds = duration.as_secs_f64();
                format!("{head} passed  {seconds:9.6} s{}", rate.unwrap_or_default())
            }
            Outcome::NotSupported => {
                format!("{head} not supported by this device or alternate setting")
            }
            Outcome::Failed(errno) => format!("{head} FAILED  {}", errno_text(errno)),
        }
    }

    /// Bytes per second, where bytes were moved and time went by.
    fn rate(&self, duration: Duration) -> Option<f64> {
        let seconds = duration.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is told to a few digits")]
        let bytes = self.bytes? as f64;
        (seconds > 0.0).then(|| bytes / seconds)
    }

    fn as_json(&self) -> serde_json::Value {
        let (result, duration, errno) = match self.outcome {
            Outcome::Passed(duration) => ("passed", Some(duration), None),
            Outcome::NotSupported => ("not supported", None, None),
            Outcome::Failed(errno) => ("failed", None, Some(errno)),
        };
        json!({
            "case": self.case.number(),
            "name": self.case.name(),
            "result": result,
            "seconds": duration.map(|it| it.as_secs_f64()),
            "bytes": duration.and(self.bytes),
            "bytes_per_second": duration.and_then(|it| self.rate(it)),
            "errno": errno.map(Errno::raw_os_error),
            "error": errno.map(errno_text),
        })
    }
}

/// An error number by its name, and what it means.
fn errno_text(errno: Errno) -> String {
    // The driver adds these to tell where an unlinked transfer ended otherwise than it should (`unlink1`).
    let (number, place) = match errno.raw_os_error() {
        number @ 1001..=1999 => (number - 1000, " after usb_unlink_urb"),
        number @ 2001..=2999 => (number - 2000, " after usb_kill_urb"),
        number => (number, ""),
    };
    let errno = Errno::from_raw_os_error(number);
    let text = std::io::Error::from(errno);
    match NAMES.iter().find(|(it, _)| *it == errno) {
        Some((_, name)) => format!("{name}{place}: {text}"),
        None => format!("{text}{place}"),
    }
}

/// The error numbers that the driver, usbfs and the host controller give.
const NAMES: &[(Errno, &str)] = &[
    (Errno::PERM, "EPERM"),
    (Errno::NOENT, "ENOENT"),
    (Errno::IO, "EIO"),
    (Errno::NXIO, "ENXIO"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::ACCESS, "EACCES"),
    (Errno::BUSY, "EBUSY"),
    (Errno::XDEV, "EXDEV"),
    (Errno::NODEV, "ENODEV"),
    (Errno::INVAL, "EINVAL"),
    (Errno::NOTTY, "ENOTTY"),
    (Errno::FBIG, "EFBIG"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::PIPE, "EPIPE"),
    (Errno::DOM, "EDOM"),
    (Errno::COMM, "ECOMM"),
    (Errno::NODATA, "ENODATA"),
    (Errno::TIME, "ETIME"),
    (Errno::NOSR, "ENOSR"),
    (Errno::PROTO, "EPROTO"),
    (Errno::OVERFLOW, "EOVERFLOW"),
    (Errno::BADMSG, "EBADMSG"),
    (Errno::ILSEQ, "EILSEQ"),
    (Errno::HOSTUNREACH, "EHOSTUNREACH"),
    (Errno::CONNRESET, "ECONNRESET"),
    (Errno::SHUTDOWN, "ESHUTDOWN"),
    (Errno::TIMEDOUT, "ETIMEDOUT"),
    (Errno::INPROGRESS, "EINPROGRESS"),
    (Errno::REMOTEIO, "EREMOTEIO"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: &str, outcome: Outcome) -> String {
        let case = number.parse::<Cases>().unwrap().iter().next().unwrap();
        let ran = Ran {
            case,
            bytes: case.bytes(&Settings::default()),
            outcome,
        };
        ran.line().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_case_is_told_with_what_became_of_it() {
        let passed = Outcome::Passed(Duration::from_millis(50));
        assert_eq!(
            line("1", passed),
            "case 1: bulk OUT passed 0.050000 s 2.05 MB/s"
        );
        assert_eq!(
            line("13", passed),
            "case 13: endpoint halts passed 0.050000 s"
        );
        assert_eq!(
            line("2", Outcome::Failed(Errno::PIPE)),
            "case 2: bulk IN FAILED EPIPE: Broken pipe (os error 32)"
        );
        assert_eq!(
            line("12", Outcome::Failed(Errno::from_raw_os_error(1032))),
            "case 12: unlinked bulk OUT FAILED EPIPE after usb_unlink_urb: Broken pipe (os error 32)"
        );
    }
}
