//! The interfaces that a port has, and the kernel's drivers that had them before.

use std::sync::Arc;

use rusb::{Context, DeviceHandle, Error};

/// Claimed interfaces. Dropping this releases them and gives them back to their drivers, in the configuration that was active.
#[derive(Debug)]
pub(super) struct Claims {
    handle: Arc<DeviceHandle<Context>>,
    claimed: Vec<u8>,
    /// Those that were taken from a driver, in the present configuration.
    driven: Vec<u8>,
    /// The configuration that the device was found in.
    configuration: Option<u8>,
}

impl Claims {
    /// None yet, of a device that was found in this configuration.
    pub(super) fn new(handle: Arc<DeviceHandle<Context>>, configuration: Option<u8>) -> Self {
        Self {
            handle,
            claimed: Vec::new(),
            driven: Vec::new(),
            configuration,
        }
    }

    /// Whether an interface is claimed.
    pub(super) fn has(&self, interface: u8) -> bool {
        self.claimed.contains(&interface)
    }

    /// Takes interfaces from the drivers that have them.
    ///
    /// # Errors
    /// With the interface that can't be had; those before it are claimed.
    pub(super) fn claim(
        &mut self,
        interfaces: impl Iterator<Item = u8>,
    ) -> Result<(), (u8, Error)> {
        for interface in interfaces {
            let had_driver = self.handle.kernel_driver_active(interface);
            // Detaching and claiming in one step, so that no other driver comes between. Systems without such drivers refuse.
            let _ = self.handle.set_auto_detach_kernel_driver(true);
            let claimed = self.handle.claim_interface(interface);
            let _ = self.handle.set_auto_detach_kernel_driver(false);
            claimed.map_err(|error| (interface, error))?;
            self.claimed.push(interface);
            if had_driver.unwrap_or(false) {
                self.driven.push(interface);
            }
        }
        Ok(())
    }

    /// Lets go of all interfaces without giving them back to their drivers. Linux sets no configuration before.
    fn release(&mut self) {
        for interface in self.claimed.drain(..) {
            if let Err(error) = self.handle.release_interface(interface) {
                tracing::debug!("interface {interface} is not released: {error}");
            }
        }
    }

    /// Sets a configuration. No interface is claimed afterwards.
    pub(super) fn set_configuration(&mut self, value: u8) -> Result<(), Error> {
        self.release();
        let before = self.handle.active_configuration();
        self.handle.set_active_configuration(value)?;
        if before != Ok(value) {
            self.driven.clear(); // other interfaces have come, with drivers of their own
        }
        Ok(())
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.release();
        let present = self.handle.active_configuration().ok();
        match self.configuration {
            // With it come the drivers.
            Some(value) if present.is_some_and(|present| present != value) => {
                if let Err(error) = self.handle.set_active_configuration(value) {
                    tracing::warn!("configuration {value} can't be set again: {error}");
                }
            }
            _ => {
                for interface in &self.driven {
                    if let Err(error) = self.handle.attach_kernel_driver(*interface) {
                        tracing::debug!("interface {interface} has no driver: {error}");
                    }
                }
            }
        }
    }
}
