//! One run on a booted machine: joins this process's input, output and signals to the guest's command, until one of them ends.

use std::io::{IsTerminal, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};

use super::channel::{Frame, STDIN_CHUNK};
use super::error::LabError;
use super::machine::Machine;
use super::terminal::{self, RawTerminal};
use super::{Lab, TIMED_OUT, ended_by};

/// How long the devices may take to be ready.
const DEVICES_LIMIT: Duration = Duration::from_secs(120);

/// What the session waits for.
enum Event {
    Frame(Frame),
    /// The guest's end of the channel is gone.
    Closed,
    /// Nobody reads our output any more.
    OutputClosed,
    Signal(i32),
}

/// How far the guest has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Booting,
    Attaching,
    Running,
}

type ToGuest = Arc<Mutex<UnixStream>>;

/// One run.
pub(super) struct Session {
    machine: Machine,
    events: Receiver<Event>,
    to_guest: ToGuest,
    signals: Handle,
    verbose: bool,
    on_terminal: bool,
    run_ends: Option<Instant>,
    stage: Stage,
    stage_ends: Option<Instant>,
    terminal: Option<RawTerminal>,
}

impl Session {
    /// Starts to listen to the guest, to the user and to signals.
    pub(super) fn new(lab: &Lab, machine: Machine) -> Result<Self, LabError> {
        let (events_in, events) = channel();
        let (wanted_in, wanted) = channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH])
            .map_err(LabError::system("watch for signals"))?;
        let handle = signals.handle();
        let to_guest = Arc::new(Mutex::new(machine.channel()?));
        let (from_guest, input) = (
            machine.channel()?,
            (machine.channel()?, Arc::clone(&to_guest)),
        );
        let for_signals = events_in.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let _ = for_signals.send(Event::Signal(signal));
            }
        });
        std::thread::spawn(move || receive(from_guest, &events_in, &wanted_in));
        std::thread::spawn(move || send_input(&wanted, &input.0, &input.1));
        let now = Instant::now();
        Ok(Self {
            run_ends: lab.timeout.map(|limit| now + limit),
            stage: Stage::Booting,
            stage_ends: Some(now + machine.boot_limit()),
            on_terminal: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
            verbose: lab.verbose,
            signals: handle,
            terminal: None,
            machine,
            events,
            to_guest,
        })
    }

    /// Waits for the end, and ends the machine.
    pub(super) fn run(mut self) -> Result<u8, LabError> {
        let result = loop {
            let ends = [self.run_ends, self.stage_ends].into_iter().flatten().min();
            let event = match ends {
                None => self
                    .events
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self
                    .events
                    .recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let outcome = match event {
                Ok(event) => self.on_event(event),
                Err(RecvTimeoutError::Disconnected) => Some(Err(Stop::Closed)),
                Err(RecvTimeoutError::Timeout) => self.on_timeout(),
            };
            if let Some(outcome) = outcome {
                break outcome;
            }
        };
        self.finish(result)
    }

    fn on_event(&mut self, event: Event) -> Option<Result<u8, Stop>> {
        match event {
            Event::Frame(Frame::Started) => self.enter(Stage::Attaching, Some(DEVICES_LIMIT)),
            Event::Frame(Frame::Running) => {
                self.enter(Stage::Running, None);
                if self.on_terminal {
                    self.send_window();
                    match RawTerminal::take() {
                        Ok(terminal) => self.terminal = Some(terminal),
                        Err(error) => return Some(Err(Stop::Failed(error))),
                    }
                }
            }
            Event::Frame(Frame::Log(bytes)) if self.verbose => {
                let _ = std::io::stderr().write_all(&bytes);
            }
            Event::Frame(Frame::Exit(code)) => return Some(Ok(code)),
            Event::Frame(Frame::Failed(reason)) => {
                return Some(Err(Stop::Failed(LabError::Guest(reason))));
            }
            Event::Frame(_) => {}
            Event::Closed => return Some(Err(Stop::Closed)),
            Event::OutputClosed => return Some(Ok(ended_by(SIGPIPE))),
            Event::Signal(SIGWINCH) if self.on_terminal && self.stage == Stage::Running => {
                self.send_window();
            }
            Event::Signal(SIGWINCH) => {}
            Event::Signal(signal) => return Some(Ok(ended_by(signal))),
        }
        None
    }

    fn on_timeout(&self) -> Option<Result<u8, Stop>> {
        let now = Instant::now();
        if self.run_ends.is_some_and(|at| now >= at) {
            return Some(Ok(TIMED_OUT));
        }
        self.stage_ends
            .is_some_and(|at| now >= at)
            .then_some(Err(Stop::TooLate))
    }

    fn enter(&mut self, stage: Stage, limit: Option<Duration>) {
        self.stage = stage;
        self.stage_ends = limit.map(|limit| Instant::now() + limit);
    }

    fn send_window(&self) {
        if let Some((rows, columns)) = terminal::size() {
            send(&self.to_guest, &Frame::Window { rows, columns });
        }
    }

    fn finish(self, result: Result<u8, Stop>) -> Result<u8, LabError> {
        let Self {
            machine,
            terminal,
            signals,
            stage,
            to_guest,
            ..
        } = self;
        drop(terminal);
        signals.close();
        // Ends the threads that read from the guest and wait for input.
        let _ = to_guest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .shutdown(Shutdown::Both);
        let tail = machine.end();
        result.map_err(|stop| match (stop, stage) {
            (Stop::Failed(error), _) => error,
            (Stop::TooLate, Stage::Booting) => LabError::Boot {
                reason: "it took too long",
                tail,
            },
            (Stop::TooLate, _) => LabError::Guest("the devices were not ready in time".to_owned()),
            (Stop::Closed, Stage::Running) => LabError::Died { tail },
            (Stop::Closed, _) => LabError::Boot {
                reason: "it ended",
                tail,
            },
        })
    }
}

/// Why a run ends without an exit code.
enum Stop {
    Closed,
    TooLate,
    Failed(LabError),
}

/// Passes on the guest's output, and everything else as events.
fn receive(mut channel: UnixStream, events: &Sender<Event>, wanted: &Sender<()>) {
    loop {
        let event = match Frame::read_from(&mut channel) {
            Ok(Some(Frame::Stdout(bytes))) => write_out(&mut std::io::stdout().lock(), &bytes),
            Ok(Some(Frame::Stderr(bytes))) => write_out(&mut std::io::stderr().lock(), &bytes),
            Ok(Some(Frame::StdinWanted)) => {
                let _ = wanted.send(());
                None
            }
            Ok(Some(frame)) => Some(Event::Frame(frame)),
            Ok(None) | Err(_) => Some(Event::Closed),
        };
        let last = matches!(event, Some(Event::Closed | Event::OutputClosed));
        if event.is_some_and(|event| events.send(event).is_err()) || last {
            return;
        }
    }
}

fn write_out(stream: &mut impl Write, bytes: &[u8]) -> Option<Event> {
    stream
        .write_all(bytes)
        .and_then(|()| stream.flush())
        .err()
        .map(|_| Event::OutputClosed)
}

/// Sends input as the guest asks for it, to its end or the machine's.
fn send_input(wanted: &Receiver<()>, channel: &UnixStream, to_guest: &ToGuest) {
    let stdin = rustix::stdio::stdin();
    let mut chunk = [0; STDIN_CHUNK];
    while wanted.recv().is_ok() {
        let mut ready = [
            PollFd::new(channel, PollFlags::empty()),
            PollFd::new(&stdin, PollFlags::IN),
        ];
        let waited = poll(&mut ready, None);
        if waited.is_err() || ready[0].revents().contains(PollFlags::HUP) {
            return;
        }
        let count = rustix::io::retry_on_intr(|| rustix::io::read(stdin, &mut chunk)).unwrap_or(0);
        send(to_guest, &Frame::Stdin(chunk[..count].to_vec()));
        if count == 0 {
            return;
        }
    }
}

/// Sends a frame; where the guest is gone, the reading thread finds out.
fn send(to_guest: &ToGuest, frame: &Frame) {
    let _ = frame.write_to(&mut *to_guest.lock().unwrap_or_else(PoisonError::into_inner));
}
