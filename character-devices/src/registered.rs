//! The one place that is `unsafe`: a descriptor that a runtime watches.
#![allow(unsafe_code)]

use std::{io, os::fd::OwnedFd};

use tokio::io::unix::AsyncFd;

/// Has the present runtime watch a descriptor.
///
/// # Errors
/// Where the system can't watch it.
pub(crate) fn register(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, is the same descriptor for as long as it lives, and nobody but the `AsyncFd` has it.
    let registered = unsafe { AsyncFd::register(descriptor) };
    registered.map_err(|error| error.into_parts().1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio::runtime;

    use super::*;

    #[test]
    fn a_descriptor_is_watched_until_it_is_dropped() {
        let runtime = runtime::Builder::new_current_thread().enable_io().build();
        runtime.unwrap().block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let watched = register(ours.into()).unwrap();
            drop(theirs);
            watched.readable().await.unwrap().clear_ready();
            drop(watched);
            let file = tempfile::tempfile().unwrap();
            assert!(register(file.into()).is_err(), "no file can be watched");
        });
    }
}
