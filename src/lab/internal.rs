//! The commands that the lab gives to itself: what its own program does in other processes than the one the user started.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

use super::{COMMAND_NOT_FOUND, COMMAND_NOT_STARTED, LAB_FAILED, guest};

/// The guest's first process; its argument is the file of its configuration.
pub(super) const INIT: &str = "lab-init";
/// Starts a program that ends with the process that started it; its arguments are that process's id and the command.
pub(crate) const START_BOUND: &str = "start-bound";
/// Starts a program that keeps to one processor; its arguments are the command.
pub(super) const START_ON_ONE: &str = "start-on-one-processor";
/// Starts the user's command in the guest; its arguments are the command.
pub(super) const START_COMMAND: &str = "lab-start-command";

/// Does what the lab has started this process for, and returns its exit code; `None` where a user has started it.
///
/// To be called first thing in `main`, with the process's arguments.
pub fn internal_command(arguments: impl IntoIterator<Item = OsString>) -> Option<u8> {
    let arguments: Vec<_> = arguments.into_iter().skip(1).collect();
    if std::process::id() == 1 {
        // The kernel puts what it does not know of its command line before the arguments that are meant for us.
        let at = arguments.iter().position(|argument| argument == INIT)?;
        guest::run(arguments.get(at + 1)?.as_ref());
    }
    let (name, rest) = arguments.split_first()?;
    match (name.to_str()?, rest) {
        (START_BOUND, [parent, program, arguments @ ..]) => {
            Some(start_bound(parent, program, arguments))
        }
        (START_ON_ONE, [program, arguments @ ..]) => Some(start_on_one(program, arguments)),
        (START_COMMAND, [program, arguments @ ..]) => Some(start_command(program, arguments)),
        _ => None,
    }
}

fn start_bound(parent: &OsStr, program: &OsStr, arguments: &[OsString]) -> u8 {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let parent = parent
        .to_str()
        .and_then(|id| id.parse().ok())
        .and_then(Pid::from_raw);
    if rustix::process::getppid() != parent {
        return LAB_FAILED; // it ended before it could have ended us
    }
    // A kernel that panics dumps core, all of the guest's memory.
    let _ = rustix::process::setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    start(program, arguments)
}

fn start_on_one(program: &OsStr, arguments: &[OsString]) -> u8 {
    let mut one = CpuSet::new();
    // Where it has just been started, there was room.
    one.set(sched_getcpu());
    // Without it the program runs all the same.
    let _ = sched_setaffinity(None, &one);
    start(program, arguments)
}

fn start(program: &OsStr, arguments: &[OsString]) -> u8 {
    let error = Command::new(program).args(arguments).exec();
    eprintln!("cannot start {}: {error}", program.display());
    LAB_FAILED
}

fn start_command(program: &OsStr, arguments: &[OsString]) -> u8 {
    let _ = rustix::process::setsid();
    if std::io::stdin().is_terminal() {
        let _ = rustix::process::ioctl_tiocsctty(std::io::stdin());
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("usbwright lab: cannot start {}: {error}", program.display());
    if error.kind() == std::io::ErrorKind::NotFound {
        COMMAND_NOT_FOUND
    } else {
        COMMAND_NOT_STARTED
    }
}
