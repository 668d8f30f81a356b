//! A host process: it is started, talked to, watched by its pidfd, and reaped.

use std::{
    collections::VecDeque,
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt as _,
    },
    process::{Child, Command, Stdio},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use usbwright_host_control::{
    Channel, DESCRIPTOR_VARIABLE, Delivery, Hello, Holds, Measure, MeasureState, ToHost,
};

use super::cgroup::Cgroup;
use crate::{package::Package, record::Exit};

/// How many of the last requests a failure's record tells.
const LAST_REQUESTS: usize = 16;

/// How long a process that was killed may take to be gone.
const LAST_WAIT: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// A host process. Dropping it kills it, if it runs still.
pub(super) struct Process {
    child: Child,
    pidfd: OwnedFd,
    pub(super) channel: Channel,
    _cgroup: Option<Cgroup>,
    /// Whether there is a control group.
    pub(super) cgroup: MeasureState,
    pub(super) executable: String,
    pub(super) hello: Option<Hello>,
    pub(super) holds: Option<Holds>,
    last_requests: VecDeque<String>,
    /// When its connection has ended, if it has.
    pub(super) disconnected: Option<Instant>,
    pub(super) exit: Option<Exit>,
    pub(super) messages: u64,
    pub(super) operations: u64,
    pub(super) reports: u64,
}

impl Process {
    /// Starts the host of a package: with no environment, no terminal, and one descriptor of ours.
    pub(super) fn start(package: &Package) -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        // It begins in another folder than this process.
        let mut command = Command::new(std::path::absolute(package.host())?);
        command
            .env_clear()
            .env(DESCRIPTOR_VARIABLE, "0")
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null());
        for kept in ["RUST_LOG", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        let mut child = command.spawn()?;
        let pid = child.id();
        let opened = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let pidfd = match opened {
            Ok(pidfd) => pidfd,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        };
        let (group, cgroup) = match Cgroup::with(pid, &package.policy().limits) {
            Ok((group, state)) => (Some(group), state),
            Err(error) => (None, MeasureState::Missing(error.to_string())),
        };
        Ok(Self {
            child,
            pidfd,
            channel: ours,
            _cgroup: group,
            cgroup,
            executable: package.host().display().to_string(),
            hello: None,
            holds: None,
            last_requests: VecDeque::new(),
            disconnected: None,
            exit: None,
            messages: 0,
            operations: 0,
            reports: 0,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Tells it something, if there is room; a host that does not read is not waited for.
    pub(super) fn tell(
        &mut self,
        message: &ToHost,
        descriptors: &[BorrowedFd<'_>],
        what: String,
    ) -> io::Result<Delivery> {
        self.asked(what);
        self.channel.send(message, descriptors, false)
    }

    /// Notes a request.
    pub(super) fn asked(&mut self, what: String) {
        if self.last_requests.len() == LAST_REQUESTS {
            self.last_requests.pop_front();
        }
        self.last_requests.push_back(what);
    }

    pub(super) fn last_requests(&self) -> Vec<String> {
        self.last_requests.iter().cloned().collect()
    }

    pub(super) fn kill(&mut self) {
        // One that has ended is reaped by whoever sees that.
        let _ = self.child.kill();
    }

    /// How it has ended, if it has.
    pub(super) fn reap(&mut self) -> Option<Exit> {
        let status = self.child.try_wait().ok().flatten()?;
        let exit = match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        };
        self.exit = Some(exit);
        self.exit
    }

    /// Why one of these measures does not hold, if one does not.
    pub(super) fn lacks(&self, required: &[Measure]) -> Option<NotConfined> {
        let holds = self.holds.as_ref().map_or(&[][..], |it| &it.0);
        required.iter().find_map(|measure| {
            let state = holds.iter().find(|(it, _)| it == measure);
            let why = match state.map(|(_, state)| state) {
                Some(MeasureState::Held) => return None,
                Some(MeasureState::Partly(why) | MeasureState::Missing(why)) => why.clone(),
                None => "the host does not tell of it".to_owned(),
            };
            Some(NotConfined {
                measure: *measure,
                why,
            })
        })
    }
}

/// A host is not confined as its package requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the package requires {measure:?}, which does not hold here: {why}; take it out of `require`, or see to it that the system has it"
)]
pub(super) struct NotConfined {
    /// The measure.
    pub(super) measure: Measure,
    /// Why it does not hold.
    pub(super) why: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.kill();
            let mut ends = [PollFd::new(&self.pidfd, PollFlags::IN)];
            let _ = poll(&mut ends, Some(&LAST_WAIT));
            self.reap();
        }
    }
}
