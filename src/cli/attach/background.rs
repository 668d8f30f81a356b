//! `--background`: the same command again in a process of its own, which outlives this one.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context as _;

use crate::cli::print;

/// The last line that a process in the background prints.
pub(super) const READY: &str = "ready";

/// Starts this command in the background, passes on what it prints, and ends when it is ready or has failed.
pub(super) fn start() -> anyhow::Result<ExitCode> {
    let program = env::current_exe().context("can't tell where this program is")?;
    let arguments = env::args_os().skip(1).map(|argument| {
        if argument == "--background" {
            "--left-behind".into()
        } else {
            argument
        }
    });
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't start a process in the background")?;
    let out = child.stdout.take().context("the process has no output")?;
    for line in BufReader::new(out).lines() {
        let line = line?;
        print(&line)?;
        if line == READY {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let code = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Leaves the terminal's session, so that neither its end nor its Ctrl-C ends this process.
pub(super) fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Lets go of the output that whoever started this process may wait for the end of.
pub(super) fn leave_output() -> io::Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(())
}
