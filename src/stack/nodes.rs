//! The devices of stacks as character devices, if that is wanted.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::{info, warn};
use usbwright_character_devices::{self as character_devices, CharacterDevice, StartError};
use usbwright_driver_manager::policy::DeviceKey;
use usbwright_reflector::{DeviceName, NameSpace, Subject, application::OpenOptions};

/// What makes a character device of each device that applications reach, and takes it away with it.
#[derive(Debug)]
pub struct Nodes {
    allowed: Vec<Subject>,
    /// None, once all is to end.
    devices: Mutex<Option<HashMap<DeviceKey, CharacterDevice>>>,
}

impl Nodes {
    /// Character devices that those may open whom `allowed` tells, besides their owner.
    ///
    /// # Errors
    /// Where no character devices can be made here.
    pub fn new(allowed: Vec<Subject>) -> Result<Self, StartError> {
        character_devices::probe()?;
        Ok(Self {
            allowed,
            devices: Mutex::new(Some(HashMap::new())),
        })
    }

    fn devices(&self) -> MutexGuard<'_, Option<HashMap<DeviceKey, CharacterDevice>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device can be opened, by this name in `space`. One that has come back is the same character device.
    pub(super) fn add(&self, device: DeviceKey, name: &DeviceName, space: &NameSpace) {
        let mut devices = self.devices();
        let Some(devices) = devices.as_mut().filter(|it| !it.contains_key(&device)) else {
            return;
        };
        let options = OpenOptions::new(name.clone()).name_space(space.clone());
        let node = match CharacterDevice::start(name, options) {
            Ok(node) => node,
            Err(error) => return warn!("{name} is no character device: {error}"),
        };
        let path = node.path().display();
        match node.let_in(&self.allowed) {
            Ok(()) => info!("{name} is {path}"),
            Err(error) => warn!("{path} can't be opened by those who may open {name}: {error}"),
        }
        devices.insert(device, node);
    }

    /// A device has gone.
    pub(super) fn remove(&self, device: DeviceKey) {
        let node = self.devices().as_mut().and_then(|it| it.remove(&device));
        drop(node);
    }

    /// All devices have gone, and no other comes.
    pub(super) fn end(&self) {
        let nodes = self.devices().take();
        drop(nodes);
    }
}
