//! The command's input and output: pipes, or a terminal of the guest, joined to the host by the channel.

use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::Pid;
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};

use super::super::channel::{Frame, OUTPUT_CHUNK};
use super::super::guest_config::Terminal;
use super::{Failure, ToHost, failed, power_off};

/// A command that runs, and what carries its output.
pub(super) struct Streams {
    /// The command's process.
    pub(super) command: Pid,
    output: Vec<JoinHandle<()>>,
}

/// The ends that the guest's first process keeps.
struct Ours {
    input: File,
    terminal: Option<File>,
    output: File,
    errors: Option<PipeReader>,
}

impl Streams {
    /// Starts `command` and tells the host so.
    pub(super) fn start(
        mut command: Command,
        terminal: Option<&Terminal>,
        from_host: File,
        to_host: &ToHost,
    ) -> Result<Self, Failure> {
        let ours = match terminal {
            Some(terminal) => on_terminal(&mut command, terminal)?,
            None => on_pipes(&mut command)?,
        };
        to_host.send(&Frame::Running);
        let child = command.spawn().map_err(failed("start the command"))?;
        drop(command); // its ends of the pipes, too
        let mut output = vec![send_output(ours.output, Frame::Stdout, to_host.clone())];
        output.extend(
            ours.errors
                .map(|errors| send_output(errors, Frame::Stderr, to_host.clone())),
        );
        let to_host = to_host.clone();
        std::thread::spawn(move || {
            take_input(from_host, ours.input, ours.terminal.as_ref(), &to_host);
        });
        Ok(Self {
            command: Pid::from_child(&child),
            output,
        })
    }

    /// Waits until everything that was written has been sent; to be called when no process writes any more.
    pub(super) fn finish(self) {
        for thread in self.output {
            let _ = thread.join();
        }
    }
}

fn on_pipes(command: &mut Command) -> Result<Ours, Failure> {
    let pipe = || std::io::pipe().map_err(failed("make a pipe"));
    let ((input, to_input), (output, to_output), (errors, to_errors)) = (pipe()?, pipe()?, pipe()?);
    command.stdin(input).stdout(to_output).stderr(to_errors);
    let (input, output) = (OwnedFd::from(to_input).into(), OwnedFd::from(output).into());
    Ok(Ours {
        input,
        terminal: None,
        output,
        errors: Some(errors),
    })
}

fn on_terminal(command: &mut Command, terminal: &Terminal) -> Result<Ours, Failure> {
    let what = "open a terminal";
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let ours = rustix::pty::openpt(flags | OpenptFlags::CLOEXEC).map_err(failed(what))?;
    rustix::pty::unlockpt(&ours).map_err(failed(what))?;
    tcsetwinsize(&ours, size(terminal.rows, terminal.columns)).map_err(failed(what))?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags | OpenptFlags::CLOEXEC)
        .map_err(failed(what))?;
    let share = |fd: &OwnedFd| fd.try_clone().map_err(failed(what));
    command.stdin(share(&theirs)?).stdout(share(&theirs)?);
    let errors = if terminal.with_stderr {
        command.stderr(Stdio::from(theirs));
        None
    } else {
        let (errors, to_errors) = std::io::pipe().map_err(failed("make a pipe"))?;
        command.stderr(to_errors);
        Some(errors)
    };
    let (input, settings) = (share(&ours)?.into(), share(&ours)?.into());
    Ok(Ours {
        input,
        terminal: Some(settings),
        output: ours.into(),
        errors,
    })
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Sends what `stream` brings, to its end; a terminal's end is an error.
fn send_output(
    mut stream: impl Read + Send + 'static,
    frame: fn(Vec<u8>) -> Frame,
    to_host: ToHost,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut chunk = vec![0; OUTPUT_CHUNK];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            to_host.send(&frame(chunk[..count].to_vec()));
        }
    })
}

/// Takes frames from the host, for as long as the guest runs.
fn take_input(mut from_host: File, input: File, terminal: Option<&File>, to_host: &ToHost) {
    let mut input = Some(input);
    to_host.send(&Frame::StdinWanted);
    loop {
        match Frame::read_from(&mut from_host) {
            Ok(Some(Frame::Stdin(bytes))) if bytes.is_empty() => input = None,
            Ok(Some(Frame::Stdin(bytes))) => {
                // A command that reads no more is no reason to stop reading from the host.
                let written = input.as_mut().map(|input| input.write_all(&bytes));
                if let Some(Err(_)) = written {
                    input = None;
                }
                to_host.send(&Frame::StdinWanted);
            }
            Ok(Some(Frame::Window { rows, columns })) => {
                let _ = terminal.map(|terminal| tcsetwinsize(terminal, size(rows, columns)));
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => power_off(),
        }
    }
}
