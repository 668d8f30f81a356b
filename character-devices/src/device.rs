//! A character device, from its first moment to its last.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::{runtime, sync::oneshot, task::LocalSet};
use tracing::warn;
use usbwright_reflector::{DeviceName, Subject, application::OpenOptions};

use crate::{
    access,
    channel::{self, StartError},
    service::Service,
};

/// The folder in `/dev`.
const FOLDER: &str = "usbwright";

/// A device of a driver stack as a character device. Dropped, it is gone: what programs have outstanding ends with `ENODEV`.
///
/// It has a thread of its own. As long as there is no host for the stack, it stays: opening it fails with `EIO`, and so does what is asked by descriptors of before.
pub struct CharacterDevice {
    path: PathBuf,
    /// Dropped, the thread ends.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CharacterDevice {
    /// Makes `/dev/usbwright/NAME`, which opens what `options` are for. The file is root's, or whose udev says.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(name: &DeviceName, options: OpenOptions) -> Result<Self, StartError> {
        Self::over(channel::open()?, name, options)
    }

    /// The same over a channel that is open, which need not be a kernel's.
    ///
    /// # Errors
    /// See [`StartError`].
    #[doc(hidden)]
    pub fn over(
        channel: OwnedFd,
        name: &DeviceName,
        options: OpenOptions,
    ) -> Result<Self, StartError> {
        let flags = fcntl_getfl(&channel).map_err(io::Error::from)?;
        fcntl_setfl(&channel, flags | OFlags::NONBLOCK).map_err(io::Error::from)?;
        let path = Path::new("/dev").join(FOLDER).join(name.as_str());
        channel::begin(&channel, &format!("{FOLDER}!{name}"))?;
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let its = path.clone();
        let thread = thread::Builder::new()
            .name(format!("cuse {name}"))
            .spawn(move || {
                let tasks = LocalSet::new();
                let ended = tasks.block_on(&runtime, async {
                    Service::new(channel, options)?.run(stopped).await
                });
                if let Err(error) = ended {
                    warn!("{} is gone: {error}", its.display());
                }
                drop(tasks);
                // Who waits for a busy reflector need not be waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            path,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets these open it, besides its owner.
    ///
    /// # Errors
    /// Where this process may not say so, or nothing makes files in `/dev`.
    pub fn let_in(&self, whom: &[Subject]) -> io::Result<()> {
        access::let_in(&self.path, whom)
    }
}

impl Drop for CharacterDevice {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for CharacterDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CharacterDevice")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
