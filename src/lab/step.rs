//! One command of a build: run, watched line by line, and explained when it fails.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

use super::error::LabError;
use super::interrupt::Interrupt;

const TAIL_LINES: usize = 20;

/// Runs `command`, hands each line that it prints to `on_line`, and fails with the last of them and `advice`.
pub(super) fn run(
    mut command: Command,
    advice: &'static str,
    interrupt: &Interrupt,
    mut on_line: impl FnMut(&str),
) -> Result<(), LabError> {
    let (reader, writer) = std::io::pipe().map_err(LabError::system("make a pipe"))?;
    let errors = writer
        .try_clone()
        .map_err(LabError::system("make a pipe"))?;
    command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .process_group(0);
    let mut child = spawn(&mut command)?;
    let line = command_line(&command);
    drop(command); // its ends of the pipe, too: reading ends when the child's do
    let started = interrupt.guard(Some(Pid::from_child(&child)));

    let mut tail = VecDeque::new();
    let mut lines = BufReader::new(reader);
    let mut bytes = Vec::new();
    while lines
        .read_until(b'\n', &mut bytes)
        .map_err(LabError::system("read a step's output"))?
        > 0
    {
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        on_line(&text);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
        bytes.clear();
    }
    let status = child.wait().map_err(LabError::system("wait for a step"))?;
    started?;
    interrupt.guard(None)?;
    if status.success() {
        return Ok(());
    }
    let tail = Vec::from(tail).join("\n");
    Err(LabError::Step {
        command: line,
        status: status.to_string(),
        tail,
        advice,
    })
}

/// Runs `command` and returns what it printed on stdout; `None` where it fails.
pub(super) fn query(mut command: Command) -> Result<Option<String>, LabError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env("LC_ALL", "C");
    let mut child = spawn(&mut command)?;
    let mut text = String::new();
    let read = child
        .stdout
        .take()
        .map(|mut output| output.read_to_string(&mut text));
    let status = child.wait().map_err(LabError::system("wait for a step"))?;
    Ok((status.success() && matches!(read, Some(Ok(_)))).then_some(text))
}

fn spawn(command: &mut Command) -> Result<Child, LabError> {
    command.spawn().map_err(|source| LabError::NotStarted {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_tells_the_command_and_its_last_lines() {
        let interrupt = Interrupt::watch().unwrap();
        let mut seen = 0;
        let error = run(
            shell("seq 1 30; echo bad >&2; exit 3"),
            "do better",
            &interrupt,
            |_| seen += 1,
        )
        .unwrap_err()
        .to_string();
        assert_eq!(seen, 31);
        assert!(
            error.contains("`sh -c seq 1 30; echo bad >&2; exit 3` failed (exit status: 3)"),
            "{error}"
        );
        assert!(
            error.contains("12\n13\n")
                && !error.contains("11\n")
                && error.ends_with("bad\ndo better"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let interrupt = Interrupt::watch().unwrap();
        let error = run(Command::new("no-such-program"), "", &interrupt, |_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("cannot start no-such-program: "),
            "{error}"
        );
    }

    #[test]
    fn a_query_is_what_was_printed_or_nothing() {
        assert_eq!(query(shell("echo yes")).unwrap().as_deref(), Some("yes\n"));
        assert_eq!(query(shell("echo no; false")).unwrap(), None);
    }
}
