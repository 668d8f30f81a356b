//! Linux' virtual host controllers, `vhci_hcd`: devices are attached to their ports over a socket each.
//!
//! All controllers are ruled by the files of the first, `/sys/devices/platform/vhci_hcd.0`
//! (`drivers/usb/usbip/vhci_sysfs.c`). The kernel tells of no event there, so whatever has to be waited for is polled.

mod error;
mod record;
mod status;

use std::{
    os::fd::{AsFd, AsRawFd},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::io::Errno;

pub use self::{
    error::VhciError,
    record::{Record, Records},
    status::{Hub, Port, PortState},
};
use crate::{
    protocol::{Speed, usbip::operation::speed_number},
    sysfs::{Sysfs, SysfsError, UsbDevice},
};

/// The folder of the first controller.
const CONTROLLER: &str = "devices/platform/vhci_hcd.0";
/// How long Linux may take to notice that a device is gone before its port is passed over.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(2);
/// How often what is waited for is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The virtual host controllers of this kernel.
#[derive(Clone, Debug)]
pub struct Vhci {
    sysfs: Sysfs,
}

impl Vhci {
    /// The controllers that a sysfs tells of.
    ///
    /// # Errors
    /// Where it tells of none.
    pub fn open(sysfs: Sysfs) -> Result<Self, VhciError> {
        if sysfs.path(CONTROLLER).join("status").exists() {
            Ok(Self { sysfs })
        } else {
            Err(VhciError::NotLoaded)
        }
    }

    /// Every port of every controller.
    ///
    /// # Errors
    /// Where the status can't be read or understood.
    pub fn ports(&self) -> Result<Vec<Port>, VhciError> {
        let mut ports = status::parse(0, &self.sysfs.read(format!("{CONTROLLER}/status"))?)?;
        for controller in 1.. {
            let page = format!("{CONTROLLER}/status.{controller}");
            if !self.sysfs.path(&page).exists() {
                break;
            }
            ports.extend(status::parse(controller, &self.sysfs.read(&page)?)?);
        }
        Ok(ports)
    }

    /// A port.
    ///
    /// # Errors
    /// Where there is no such port, or the status can't be read.
    pub fn port(&self, number: u32) -> Result<Port, VhciError> {
        let ports = self.ports()?;
        let last = ports.iter().map(|port| port.number).max().unwrap_or(0);
        ports
            .into_iter()
            .find(|port| port.number == number)
            .ok_or(VhciError::NoPort { port: number, last })
    }

    /// Attaches a device to the first free port of the hub that its speed needs, and tells which port that is.
    ///
    /// The kernel is the client at this end of `socket`, a stream socket of any family whose import is done; it keeps the
    /// socket, so that this process may close it. A kernel that does not know SuperSpeedPlus (before 6.12) is given the
    /// device as a SuperSpeed one.
    ///
    /// # Errors
    /// Where this is not root, no port is free or the kernel refuses.
    pub fn attach(
        &self,
        socket: impl AsFd,
        device_id: u32,
        speed: Speed,
    ) -> Result<u32, VhciError> {
        let hub = Hub::of(speed);
        let free = |port: &Port| port.hub == hub && port.state == PortState::Free;
        for port in self.ports()?.into_iter().filter(free) {
            // A device that is like the last at its port, and comes before Linux has noticed that this one is gone, is
            // taken for it: it is never given an address or a configuration.
            if poll(LEFTOVER_PATIENCE, || self.is_clear(&port))?.is_none() {
                continue;
            }
            let port = port.number;
            match self.attach_to(port, &socket, device_id, speed) {
                Ok(()) => return Ok(port),
                // Somebody else was faster.
                Err(error) if error.errno() == Some(Errno::BUSY) => {}
                Err(cause) => {
                    let refused = |cause| VhciError::Refused { port, cause };
                    return Err(denied(cause, "attach a device", refused));
                }
            }
        }
        Err(VhciError::NoFreePort(speed))
    }

    fn attach_to(
        &self,
        port: u32,
        socket: &impl AsFd,
        device_id: u32,
        speed: Speed,
    ) -> Result<(), SysfsError> {
        let socket = socket.as_fd().as_raw_fd();
        let attach = |speed| {
            let speed = speed_number(speed);
            let line = format!("{port} {socket} {device_id} {speed}");
            self.sysfs.write(format!("{CONTROLLER}/attach"), &line)
        };
        match attach(speed) {
            Err(error) if speed == Speed::SuperPlus && error.errno() == Some(Errno::INVAL) => {
                attach(Speed::Super)
            }
            result => result,
        }
    }

    /// Detaches a port's device. The port is free a while later: see [`wait_free`](Self::wait_free).
    ///
    /// # Errors
    /// Where this is not root, there is no such port, or nothing is attached to it.
    pub fn detach(&self, port: u32) -> Result<(), VhciError> {
        if self.port(port)?.state == PortState::Free {
            return Err(VhciError::Detached(port));
        }
        self.sysfs
            .write(format!("{CONTROLLER}/detach"), &port.to_string())
            .map_err(|error| match error.errno() {
                // The controller of a port is gone, or is not there yet: so is its device.
                Some(Errno::INVAL | Errno::AGAIN) => VhciError::Detached(port),
                _ => denied(error, "detach a device", VhciError::Sysfs),
            })
    }

    /// Waits until a port is free, and Linux has noticed that its device is gone.
    ///
    /// # Errors
    /// Where it is not within `timeout`.
    pub fn wait_free(&self, port: u32, timeout: Duration) -> Result<(), VhciError> {
        let free = poll(timeout, || match self.port(port)? {
            port if port.state == PortState::Free => self.is_clear(&port),
            _ => Ok(None),
        })?;
        free.ok_or(VhciError::StillInUse {
            port,
            waited: timeout,
        })
    }

    /// Something, once Linux has no device at a port.
    fn is_clear(&self, port: &Port) -> Result<Option<()>, VhciError> {
        let bus = self.bus(port)?;
        let device = bus.and_then(|bus| self.sysfs.device(&format!("{bus}-{}", port.hub_port)));
        Ok(device.is_none().then_some(()))
    }

    /// The number of the bus that a port belongs to; none, while its controller has no such bus.
    fn bus(&self, port: &Port) -> Result<Option<u32>, VhciError> {
        let controller = format!("devices/platform/vhci_hcd.{}", port.controller);
        for name in self.sysfs.names(&controller)? {
            let Some(bus) = name.strip_prefix("usb").and_then(|it| it.parse().ok()) else {
                continue;
            };
            let speed = self.sysfs.read(format!("{controller}/{name}/speed"))?;
            let hub = match speed.as_str() {
                "480" => Hub::High,
                _ => Hub::Super,
            };
            if hub == port.hub {
                return Ok(Some(bus));
            }
        }
        Ok(None)
    }

    /// The Linux device at a port; none, before it has an address.
    ///
    /// # Errors
    /// Where nothing is attached to the port.
    pub fn device(&self, port: u32) -> Result<Option<UsbDevice>, VhciError> {
        let status = self.port(port)?;
        if status.state == PortState::Free {
            return Err(VhciError::Detached(port));
        }
        let name = status.device.as_deref();
        Ok(name.and_then(|name| self.sysfs.device(name)))
    }

    /// Waits until Linux has configured the device at a port and its drivers have looked at it.
    ///
    /// # Errors
    /// Where that has not happened within `timeout`, or the device has been detached meanwhile.
    pub fn wait_configured(&self, port: u32, timeout: Duration) -> Result<UsbDevice, VhciError> {
        let device = poll(timeout, || {
            let device = self.device(port)?;
            // A device that can't be read is on its way in or out: the port's next state tells.
            let is_configured = |it: &UsbDevice| it.configuration().is_ok_and(|it| it.is_some());
            Ok(device.filter(is_configured))
        })?;
        device.ok_or(VhciError::NotConfigured {
            port,
            waited: timeout,
        })
    }
}

/// Tells a lack of rights from other errors.
fn denied(
    error: SysfsError,
    deed: &'static str,
    other: impl FnOnce(SysfsError) -> VhciError,
) -> VhciError {
    match error.errno() {
        Some(Errno::ACCESS | Errno::PERM) => VhciError::NotRoot(deed),
        Some(Errno::ROFS) => VhciError::ReadOnly(deed),
        _ => other(error),
    }
}

/// Looks until there is something to see or the time is up.
fn poll<T>(
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>, VhciError>,
) -> Result<Option<T>, VhciError> {
    let deadline = Instant::now() + timeout;
    loop {
        match look()? {
            None if Instant::now() < deadline => sleep(POLL_INTERVAL),
            seen => return Ok(seen),
        }
    }
}

#[cfg(test)]
mod tests;
