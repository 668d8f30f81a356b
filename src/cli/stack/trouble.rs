//! What goes wrong while `usbwright stack run` runs, for whoever looks at its stderr.

use std::{thread, time::Duration};

use tracing::warn;
use usbwright_driver_manager::record::{EventKind, Journal};

/// How long to wait for events at a time; the journal's end is seen at once.
const WHILE: Duration = Duration::from_secs(3600);

/// Tells of each event that is a trouble, until the journal is closed.
pub(super) fn tell(journal: Journal) -> std::io::Result<()> {
    thread::Builder::new()
        .name("trouble".to_owned())
        .spawn(move || {
            let mut seen = 0;
            while !journal.is_closed() {
                for entry in journal.wait_after(seen, WHILE) {
                    seen = entry.number;
                    if is_trouble(entry.event.kind) {
                        warn!("{}", entry.event);
                    }
                }
            }
        })?;
    Ok(())
}

/// Whether a device does not work as it should, at least for a while.
fn is_trouble(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::HostNotStarted
            | EventKind::DriversFailed
            | EventKind::HostFailed
            | EventKind::DeviceOffline
            | EventKind::NoPackage
            | EventKind::RuleBroken
            | EventKind::Panicked
    )
}
