//! How many file descriptors this process may have open: a device that is attached takes two.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// File descriptors of a device that is attached: its socket, and what wakes its thread.
const OF_A_DEVICE: u64 = 2;
/// File descriptors for everything else.
const SPARE: u64 = 64;

/// Raises the limit to what the system lets this process have, and tells it. `None` is no limit.
pub(super) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!("can't raise the limit of open file descriptors: {error}");
            limit.current
        }
    }
}

/// Raises the limit as [`raise_limit`] does, and warns where it is too low for so many devices.
pub(super) fn make_room(devices: usize) {
    let Some(limit) = raise_limit() else {
        return;
    };
    let enough_for = limit.saturating_sub(SPARE) / OF_A_DEVICE;
    if enough_for < devices as u64 {
        warn!(
            "{limit} file descriptors are enough for about {enough_for} devices that are attached at once, of {devices}: \
             raise the limit (`ulimit -H -n`)"
        );
    }
}
