//! The devices that a driver manager has from here: models, other servers' devices, and real ones.

mod applications;
mod exported;
mod nodes;
mod real;
mod remote;
mod search;

use std::{sync::Arc, time::Instant};

use usbwright_driver_manager::manager::{Offer, OpenError, Plug, ids_of};

pub use self::applications::{Applications, device_name};
pub use self::exported::{ExportError, Exported};
pub use self::nodes::Nodes;
use self::{
    real::RealDevices,
    remote::{RemoteDevices, listed},
};
use crate::{
    emulator::{Bus, PlugError},
    models::BuildError,
    protocol::Port as _,
    remote::{RemoteDevice, RemoteError},
    source::Source,
    target::libusb::LibusbError,
};

/// Devices that a manager is told of. Dropping this ends what serves them; the manager should have ended before.
pub struct Devices {
    plug: Plug,
    bus: Bus,
    names: Vec<String>,
    exported: Vec<Arc<Exported>>,
    real: Vec<RealDevices>,
    remote: Option<RemoteDevices>,
}

/// Why a device is not there.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// A model can't make it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It finds no place on the bus.
    #[error(transparent)]
    Plug(#[from] PlugError),
    /// Its server does not tell of it.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Its server does not export it.
    #[error(
        "the server at {server} exports no device {bus_id}: `usbwright list {server}` tells what there is"
    )]
    NoSuchDevice {
        /// The server.
        server: String,
        /// The device.
        bus_id: String,
    },
    /// The system has no thread that looks for the devices of servers that have gone.
    #[error("there is no thread that looks after devices of servers: {0}")]
    Thread(std::io::Error),
    /// Real devices can't be watched.
    #[error(transparent)]
    Libusb(#[from] LibusbError),
}

impl Devices {
    /// None yet.
    pub fn new(plug: Plug) -> Self {
        Self {
            plug,
            bus: Bus::new(),
            names: Vec::new(),
            exported: Vec::new(),
            real: Vec::new(),
            remote: None,
        }
    }

    /// Adds a device, under a name that gets a number where it is there already. A real one may come later, and come and go; one of a server that goes is had again once
    /// it is back.
    ///
    /// # Errors
    /// Where it can't be made, or its server does not export it.
    pub fn add(&mut self, name: &str, source: &Source) -> Result<(), AddError> {
        let same = self.names.iter().filter(|it| *it == name).count();
        self.names.push(name.to_owned());
        let name = match same {
            0 => name.to_owned(),
            same => format!("{name} ({})", same + 1),
        };
        match source {
            Source::Model(spec) => {
                let port = spec.build(Instant::now())?;
                let ids = ids_of(&port.summary());
                let bus_id = self.bus.plug(Box::new(port), spec.bus_id().cloned())?;
                let exported = Arc::new(Exported::new(&self.bus, bus_id));
                let serving = Arc::clone(&exported);
                self.exported.push(exported);
                self.plug.arrived(Offer {
                    name,
                    ids,
                    source: Arc::new(move || serving.open().map_err(OpenError::from)),
                });
            }
            Source::Remote(device) => self.add_remote(name, device)?,
            Source::Libusb(selector) => {
                let real = RealDevices::watch(selector.clone(), name, self.plug.clone())?;
                self.real.push(real);
            }
        }
        Ok(())
    }

    fn add_remote(&mut self, name: String, device: &RemoteDevice) -> Result<(), AddError> {
        let ids = listed(device)?.ok_or_else(|| AddError::NoSuchDevice {
            server: device.remote.to_string(),
            bus_id: device.bus_id.clone(),
        })?;
        let remote = match self.remote.take() {
            Some(remote) => remote,
            None => RemoteDevices::start(self.plug.clone()).map_err(AddError::Thread)?,
        };
        self.remote.insert(remote).add(name, device.clone(), ids);
        Ok(())
    }
}
