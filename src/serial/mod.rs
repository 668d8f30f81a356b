//! What a serial port's SPEC wants at the other end of its line: a pseudoterminal, a socket, or the process's input and output.
//!
//! Each line has a thread, which moves bytes between the port's [`Terminal`] and a file descriptor. Nobody at the other end, or
//! somebody who does not read, makes the host wait; a host that does not read makes the other end wait.

mod line;
mod pty;
mod socket;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    os::fd::AsFd,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
    thread::{self, JoinHandle},
};

use tracing::warn;
use usbwright_wire_io::Bell;

use self::{
    line::{Line, Peer},
    pty::Pty,
    socket::{Connecting, Listening, Place},
};
use crate::models::serial::{OtherEnd, Terminal};

/// Whether a line of this process has its input and output.
static STDIO_IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Why there is nothing at the other end of a line.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No pseudoterminal.
    #[error("can't make a terminal for the serial port: {0}")]
    Pty(#[source] io::Error),
    /// No link to it.
    #[error(
        "can't make the link {link} to the serial port's terminal: {cause}; choose another path"
    )]
    Link {
        /// The link.
        link: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Nobody can connect.
    #[error("can't listen at {place} for the serial port: {cause}")]
    Listen {
        /// Where.
        place: String,
        /// Why not.
        cause: io::Error,
    },
    /// Nobody there.
    #[error("can't connect the serial port to {place}: {cause}")]
    Connect {
        /// Where.
        place: String,
        /// Why not.
        cause: io::Error,
    },
    /// Another line has them.
    #[error("another serial port has this command's input and output: give stdio once")]
    StdioIsTaken,
    /// No thread.
    #[error("can't start a thread for the serial port: {0}")]
    Thread(#[source] io::Error),
}

/// A line that is connected. Dropping this disconnects it.
#[derive(Debug)]
pub struct Connected {
    told: String,
    bell: Arc<Bell>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Display for Connected {
    /// Where the other end is to be found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        self.bell.wake_by_ref();
        if let Some(thread) = self.thread.take() {
            // It has told why, if it has failed.
            let _ = thread.join();
        }
    }
}

/// Whether a serial line of this process has its input and output, so that nothing else should be printed.
pub fn stdio_is_taken() -> bool {
    STDIO_IS_TAKEN.load(Ordering::Relaxed)
}

/// Connects what a port's SPEC wants at the other end of its line; `None` where it wants nothing.
///
/// # Errors
/// Where that can't be had.
pub fn connect(terminal: &Terminal) -> Result<Option<Connected>, ConnectError> {
    let Some(other_end) = terminal.other_end() else {
        return Ok(None);
    };
    let end = match other_end {
        OtherEnd::Loopback => return Ok(None),
        OtherEnd::Pty { link } => Served::Pty(Pty::new(link.as_deref())?),
        OtherEnd::Tcp { address, connect } => Served::socket(&Place::Tcp(address), connect)?,
        OtherEnd::Unix { path, connect } => Served::socket(&Place::Unix(path), connect)?,
        OtherEnd::Stdio => Served::stdio()?,
    };
    let bell = Bell::new().map_err(ConnectError::Thread)?;
    let ends = Arc::default();
    let (told, waits_for) = (end.told(), !matches!(end, Served::Stdio(_)));
    let mut line = Line::new(terminal.clone(), Arc::clone(&bell), Arc::clone(&ends));
    let thread = thread::Builder::new()
        .name("serial".to_owned())
        .spawn(move || {
            if let Err(error) = end.serve(&mut line) {
                line.set_carrier(false);
                warn!("a serial line has ended: {error}");
            }
        })
        .map_err(ConnectError::Thread)?;
    Ok(Some(Connected {
        told,
        bell,
        ends,
        // Input and output may block, for others have them as well.
        thread: waits_for.then_some(thread),
    }))
}

/// What a line's thread serves.
#[derive(Debug)]
enum Served {
    Pty(Pty),
    Listening(Listening),
    Connecting(Connecting),
    Stdio(Stdio),
}

impl Served {
    fn socket(place: &Place, connect: bool) -> Result<Self, ConnectError> {
        Ok(match connect {
            true => Self::Connecting(Connecting::new(place)?),
            false => Self::Listening(Listening::new(place)?),
        })
    }

    fn stdio() -> Result<Self, ConnectError> {
        match STDIO_IS_TAKEN.swap(true, Ordering::Relaxed) {
            true => Err(ConnectError::StdioIsTaken),
            false => Ok(Self::Stdio(Stdio)),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Pty(pty) => pty.told(),
            Self::Listening(listening) => listening.told(),
            Self::Connecting(connecting) => connecting.told(),
            Self::Stdio(_) => "line at this command's input and output".to_owned(),
        }
    }

    fn serve(self, line: &mut Line) -> io::Result<()> {
        match self {
            Self::Pty(pty) => pty.serve(line),
            Self::Listening(listening) => listening.serve(line),
            Self::Connecting(connecting) => connecting.serve(line),
            Self::Stdio(stdio) => stdio.serve(line),
        }
    }
}

/// The process's input and output, which one line has at a time.
#[derive(Debug)]
struct Stdio;

impl Stdio {
    fn serve(&self, line: &mut Line) -> io::Result<()> {
        let (input, output) = (io::stdin(), io::stdout());
        line.set_carrier(true);
        line.run(Peer {
            input: Some(input.as_fd()),
            output: output.as_fd(),
            blocking: true,
        })?;
        line.set_carrier(false);
        Ok(())
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        STDIO_IS_TAKEN.store(false, Ordering::Relaxed);
    }
}
