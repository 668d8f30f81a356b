//! Loads drivers as devices appear, as udev would: for kernels whose drivers are modules.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with,
};

/// Events of the kernel itself, rather than of a udev.
const KERNEL_EVENTS: u32 = 1;
/// An event that we make ourselves, to learn when all earlier ones have been seen: a device that is always there, and a name.
const MARK_DEVICE: &str = "/sys/class/mem/null/uevent";
const MARK: &str = "5fa31b52-6d73-4c1a-9ad6-1d0d4a3ffb6c";

/// A thread that loads drivers.
pub(super) struct Hotplug {
    marks: Receiver<()>,
}

impl Hotplug {
    /// Starts to listen to the kernel.
    pub(super) fn start() -> io::Result<Self> {
        let protocol = Some(netlink::KOBJECT_UEVENT);
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, KERNEL_EVENTS))?;
        let (seen, marks) = channel();
        std::thread::spawn(move || listen(&socket, &seen));
        Ok(Self { marks })
    }

    /// Waits, so long at most, until drivers are loaded for every device that is there by now.
    pub(super) fn settle(&self, limit: Duration) {
        if std::fs::write(MARK_DEVICE, format!("change {MARK}")).is_ok() {
            let _ = self.marks.recv_timeout(limit);
        }
    }
}

fn listen(socket: &OwnedFd, seen: &Sender<()>) {
    let mut event = vec![0; 64 * 1024];
    loop {
        let length = match recv(socket, &mut event, RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => continue, // events were lost; others follow
            Err(_) => return,
        };
        match meaning(&event[..length]) {
            Meaning::Device(alias) => {
                let mut modprobe = Command::new("modprobe");
                modprobe
                    .args(["-q", "-b"])
                    .arg(alias)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                let _ = modprobe.status(); // most devices have no driver that is a module
            }
            Meaning::Mark => {
                let _ = seen.send(());
            }
            Meaning::Other => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// A device appeared, and this finds its driver.
    Device(String),
    Mark,
    Other,
}

fn meaning(event: &[u8]) -> Meaning {
    let text = String::from_utf8_lossy(event);
    let value = |name: &str| {
        text.split('\0')
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    match (value("ACTION"), value("MODALIAS"), value("SYNTH_UUID")) {
        (_, _, Some(MARK)) => Meaning::Mark,
        (Some("add"), Some(alias), _) => Meaning::Device(alias.to_owned()),
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart() {
        let device = b"add@/devices/x\0ACTION=add\0MODALIAS=usb:v0525pA4A0\0SEQNUM=1\0";
        assert_eq!(
            meaning(device),
            Meaning::Device("usb:v0525pA4A0".to_owned())
        );
        assert_eq!(
            meaning(b"remove@/x\0ACTION=remove\0MODALIAS=usb:v\0"),
            Meaning::Other
        );
        let mark = format!("change@/x\0ACTION=change\0SYNTH_UUID={MARK}\0");
        assert_eq!(meaning(mark.as_bytes()), Meaning::Mark);
        assert_eq!(meaning(b""), Meaning::Other);
    }
}
