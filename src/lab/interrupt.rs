//! Signals while a kernel is built: the running step is ended, so that the build can clean up after itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::error::LabError;

/// Watches for signals until dropped.
pub(super) struct Interrupt {
    state: Arc<Mutex<State>>,
    signals: Handle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    signal: Option<i32>,
    group: Option<Pid>,
}

impl Interrupt {
    /// Starts to watch.
    pub(super) fn watch() -> Result<Self, LabError> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(LabError::system("watch for signals"))?;
        let state = Arc::new(Mutex::new(State::default()));
        let (handle, shared) = (signals.handle(), Arc::clone(&state));
        let thread = std::thread::spawn(move || {
            for signal in signals.forever() {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                state.signal = Some(signal);
                if let Some(group) = state.group {
                    let _ = kill_process_group(group, Signal::TERM);
                }
            }
        });
        Ok(Self {
            state,
            signals: handle,
            thread: Some(thread),
        })
    }

    /// Names the process group to end when a signal comes; an error where one has come already.
    pub(super) fn guard(&self, group: Option<Pid>) -> Result<(), LabError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.group = group;
        let Some(signal) = state.signal else {
            return Ok(());
        };
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::TERM);
        }
        Err(LabError::Interrupted { signal })
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
