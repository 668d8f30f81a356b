//! One client: its requests, and the answers to them.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Answer, LONGEST_REQUEST, Request};
use crate::{manager::ManagerHandle, policy::HostKey};

/// How long a client may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether a client that follows events is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Answers requests until the client hangs up, or asks for what is no request.
pub(super) fn serve(stream: &UnixStream, manager: &ManagerHandle) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut limited = reader.by_ref().take(LONGEST_REQUEST);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        match serde_json::from_slice(&line) {
            Ok(request) => answer(stream, manager, request)?,
            Err(error) => {
                refuse(stream, &format!("this is no request: {error}"));
                return Ok(());
            }
        }
    }
}

/// Tells why nothing is done. The client may be gone.
pub(super) fn refuse(stream: &UnixStream, why: &str) {
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let _ = say(stream, &Answer::Error(why.to_owned()));
}

fn say(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn answer(stream: &UnixStream, manager: &ManagerHandle, request: Request) -> io::Result<()> {
    match request {
        Request::View => say(stream, &Answer::View(manager.view())),
        Request::Events { after, follow } => events(stream, manager, after, follow),
        Request::Change { device, change } => {
            let outcomes = manager.change(device.as_deref(), change);
            say(stream, &Answer::Changed(outcomes))
        }
        Request::KillHost { host } => match manager.kill_host(HostKey(host)) {
            true => say(stream, &Answer::Done),
            false => say(stream, &Answer::Error(format!("there is no host {host}"))),
        },
    }
}

fn events(
    stream: &UnixStream,
    manager: &ManagerHandle,
    mut after: u64,
    follow: bool,
) -> io::Result<()> {
    let journal = manager.journal();
    loop {
        let is_closed = journal.is_closed();
        let entries = match follow && !is_closed {
            true => journal.wait_after(after, LOOK),
            false => journal.after(after),
        };
        for entry in &entries {
            after = entry.number;
            say(stream, &Answer::Event((**entry).clone()))?;
        }
        if !follow || is_closed {
            return say(stream, &Answer::Done);
        }
        // Where the manager has ended meanwhile, the last events are told first.
        if !journal.is_closed() && is_gone(stream) {
            return Ok(());
        }
    }
}

/// Whether the client has hung up.
fn is_gone(stream: &UnixStream) -> bool {
    let mut watched = [PollFd::new(stream, PollFlags::RDHUP)];
    let _ = poll(&mut watched, Some(&Timespec::default()));
    !watched[0].revents().is_empty()
}
