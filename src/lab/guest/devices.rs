//! The process that attaches the guest's devices, and serves them until the command has ended.

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::super::channel::Frame;
use super::{Failure, ToHost, failed};

/// The line that says that all devices are there.
const READY: &str = "ready";

/// A running `usbwright attach`.
pub(super) struct Devices {
    pid: Pid,
    ended: Receiver<()>,
}

impl Devices {
    /// Starts `attach` and waits until it says that it is ready.
    pub(super) fn attach(mut attach: Command, to_host: &ToHost) -> Result<Self, Failure> {
        attach
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = attach.spawn().map_err(failed("start `usbwright attach`"))?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("`usbwright attach` has no output".to_owned());
        };
        let errors = log_errors(errors, to_host.clone());
        let mut lines = BufReader::new(output);
        if wait_until_ready(&mut lines, to_host) {
            let pid = Pid::from_child(&child);
            return Ok(Self {
                pid,
                ended: log_output(lines, to_host.clone()),
            });
        }
        let status = child
            .wait()
            .map_err(failed("wait for `usbwright attach`"))?;
        let errors = errors.join().unwrap_or_default();
        Err(format!(
            "`usbwright attach` ended before its devices were ready ({status}): {}",
            errors.trim_end()
        ))
    }

    /// Ends it, and waits that long for it to let go of what it has open.
    pub(super) fn end(self, limit: Duration) {
        let _ = rustix::process::kill_process(self.pid, Signal::TERM);
        let _ = self.ended.recv_timeout(limit); // an error means that it ended, or that it takes too long
    }
}

fn wait_until_ready(lines: &mut BufReader<ChildStdout>, to_host: &ToHost) -> bool {
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
        if line.trim_end() == READY {
            return true;
        }
        to_host.send(&Frame::Log(std::mem::take(&mut line).into_bytes()));
    }
    false
}

/// Passes on what it prints; the receiver learns when that ends.
fn log_output(mut lines: BufReader<ChildStdout>, to_host: ToHost) -> Receiver<()> {
    let (ended, ends) = channel::<()>();
    std::thread::spawn(move || {
        let _ended = ended;
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            to_host.send(&Frame::Log(std::mem::take(&mut line)));
        }
    });
    ends
}

fn log_errors(mut errors: ChildStderr, to_host: ToHost) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut last = String::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = errors.read(&mut chunk) {
            to_host.send(&Frame::Log(chunk[..count].to_vec()));
            last.push_str(&String::from_utf8_lossy(&chunk[..count]));
            let excess = last.len().saturating_sub(chunk.len());
            last.drain(..last.ceil_char_boundary(excess));
        }
        last
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn attach(script: &str) -> (Result<Devices, Failure>, std::fs::File) {
        let log = tempfile::tempfile().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let to_host = ToHost(Arc::new(Mutex::new(log.try_clone().unwrap())));
        (Devices::attach(command, &to_host), log)
    }

    #[test]
    fn devices_are_there_when_it_says_ready() {
        let (devices, mut log) = attach("echo 1-1 zero; echo ready; exec sleep 600");
        devices.unwrap().end(Duration::from_secs(60));
        std::io::Seek::rewind(&mut log).unwrap();
        assert_eq!(
            Frame::read_from(&mut log).unwrap(),
            Some(Frame::Log(b"1-1 zero\n".to_vec()))
        );
    }

    #[test]
    fn a_device_that_fails_is_explained() {
        let (devices, _) = attach("echo no such device >&2; exit 2");
        let failure = devices.err().unwrap();
        assert!(
            failure.ends_with("(exit status: 2): no such device"),
            "{failure}"
        );
    }
}
