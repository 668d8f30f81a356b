//! The kernel's USB/IP device controller, `usbip-vudc`: its gadget, attached to the kernel's own host controller.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use super::{
    error::KernelError,
    gadget::{Controller, Gadget},
    subject::{PATIENCE, wait},
};
use crate::{
    protocol::{Direction, Speed},
    sysfs::Sysfs,
    vhci::Vhci,
};

const CONTROLLER: Controller = Controller {
    name: "usbip-vudc.0",
    option: "CONFIG_USBIP_VUDC",
    module: "usbip-vudc",
};
const FOLDER: &str = "devices/platform/usbip-vudc.0";
/// The status of a device that may be exported (`SDEV_ST_AVAILABLE`).
const AVAILABLE: &str = "1";

/// A gadget of the controller, attached over a TCP connection. Dropping it takes it away.
#[derive(Debug)]
pub(super) struct Vudc {
    sysfs: Sysfs,
    vhci: Vhci,
    port: u32,
    // Goes last: the connection has to be over.
    _gadget: Gadget,
}

impl Vudc {
    /// Makes the gadget, and hands both controllers an end of a connection each, as `usbipd --device` and `usbip attach` do.
    pub(super) fn new(sysfs: &Sysfs, direction: Direction) -> Result<Self, KernelError> {
        let vhci = Vhci::open(sysfs.clone())?;
        let gadget = Gadget::new(sysfs, &CONTROLLER, direction)?;
        wait(PATIENCE, "freed", || Ok(is_available(sysfs).then_some(())))?;
        let (client, server) = loopback().map_err(KernelError::Loopback)?;
        let number = server.as_raw_fd().to_string();
        sysfs.write(format!("{FOLDER}/usbip_sockfd"), &number)?;
        // The controller does not look at the number that a device is imported with.
        let port = vhci.attach(&client, 0, Speed::High)?;
        Ok(Self {
            sysfs: sysfs.clone(),
            vhci,
            port,
            _gadget: gadget,
        })
    }
}

impl Drop for Vudc {
    fn drop(&mut self) {
        let _ = self.vhci.detach(self.port);
        let _ = wait(PATIENCE, "freed", || {
            Ok(is_available(&self.sysfs).then_some(()))
        });
    }
}

fn is_available(sysfs: &Sysfs) -> bool {
    let status = sysfs.read(format!("{FOLDER}/usbip_status"));
    status.is_ok_and(|it| it == AVAILABLE)
}

/// The two ends of a TCP connection.
fn loopback() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}
