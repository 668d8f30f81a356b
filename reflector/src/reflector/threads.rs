//! The threads of a reflector, which it waits for when it ends.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// What one of its threads needs at the most.
const STACK: usize = 512 * 1024;

/// The threads that run.
#[derive(Debug, Default)]
pub(super) struct Threads {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Threads {
    fn running(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one more.
    pub(super) fn spawn(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        *self.running() += 1;
        let runs = Running(Arc::clone(self));
        // A name of more than 15 bytes is cut by the kernel.
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK);
        thread.spawn(move || {
            let _runs = runs;
            work();
        })?;
        Ok(())
    }

    /// Waits until all have ended.
    pub(super) fn wait(&self) {
        let mut running = self.running();
        while *running > 0 {
            running = self
                .ended
                .wait(running)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One of them.
struct Running(Arc<Threads>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.running() -= 1;
        self.0.ended.notify_all();
    }
}
