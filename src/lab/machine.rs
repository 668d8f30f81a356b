//! A running kernel, seen from the host: its processes, its messages and its temporary folder, all gone when it is dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tempfile::TempDir;

use super::error::LabError;
use super::internal;

const TAIL_LINES: usize = 40;

/// A kernel's processes. They form one group, and end when this is dropped or this process ends.
pub(super) struct Machine {
    child: Child,
    channel: UnixStream,
    messages: Messages,
    reader: Option<JoinHandle<()>>,
    boot_limit: Duration,
    _folder: TempDir,
}

impl Machine {
    /// Starts `command`, whose standard input is to be the channel and whose output the kernel's messages.
    pub(super) fn start(
        command: &Command,
        folder: TempDir,
        verbose: bool,
        boot_limit: Duration,
    ) -> Result<Self, LabError> {
        let (channel, theirs) = UnixStream::pair().map_err(LabError::system("make a socket"))?;
        let (messages, output) = std::io::pipe().map_err(LabError::system("make a pipe"))?;
        // Helpers of the kernel that outlive it become our children, so that dropping the machine can wait for them.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(LabError::system("adopt processes"))?;
        let child = Self::spawn(command, theirs.into(), output.into())?;
        let lines = Messages::default();
        let (shared, writer) = (lines.clone(), verbose);
        let reader = std::thread::spawn(move || shared.collect(messages, writer));
        Ok(Self {
            child,
            channel,
            messages: lines,
            reader: Some(reader),
            boot_limit,
            _folder: folder,
        })
    }

    fn spawn(command: &Command, channel: OwnedFd, output: OwnedFd) -> Result<Child, LabError> {
        let program =
            std::env::current_exe().map_err(LabError::system("find usbwright's own program"))?;
        let errors = output
            .try_clone()
            .map_err(LabError::system("make a pipe"))?;
        let mut start = Command::new(program);
        start
            .arg(internal::START_BOUND)
            .arg(std::process::id().to_string());
        start.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => start.env(name, value),
                None => start.env_remove(name),
            };
        }
        start
            .stdin(channel)
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        start.spawn().map_err(LabError::system("start the kernel"))
    }

    /// The host's end of the channel.
    pub(super) fn channel(&self) -> Result<UnixStream, LabError> {
        self.channel
            .try_clone()
            .map_err(LabError::system("share a socket"))
    }

    /// The kernel's processes.
    pub(super) fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// How long the guest's first process may take to start.
    pub(super) fn boot_limit(&self) -> Duration {
        self.boot_limit
    }

    /// Ends the kernel, if it has not ended, and returns its last messages.
    pub(super) fn end(mut self) -> String {
        self.stop();
        self.messages.tail()
    }

    fn stop(&mut self) {
        let group = self.group();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
        while let Ok(_) | Err(Errno::INTR) = waitpgid(group, WaitOptions::empty()) {}
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last lines that the kernel printed.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<VecDeque<String>>>);

impl Messages {
    fn collect(&self, pipe: PipeReader, verbose: bool) {
        let mut lines = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while lines
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|count| count > 0)
        {
            if verbose {
                let _ = std::io::stderr().write_all(&bytes);
            }
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == TAIL_LINES {
                kept.pop_front();
            }
            kept.push_back(String::from_utf8_lossy(&bytes).trim_end().to_owned());
            bytes.clear();
        }
    }

    fn tail(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}
