//! Interfaces: claimed by one program part at a time, with the pipes of their present settings.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use usbwright_protocol::{
    Class, EndpointAddress, Setup,
    descriptor::{InterfaceDescriptor, SettingDescriptor},
    request,
};

use crate::{
    completion::TransferFailed,
    control,
    device::Shared,
    pipe::{Kind, Pipe, PipeCore, Way},
};

/// An interface that nobody else has. Clones are handles of the same claim; it is free again when they and its pipes are dropped.
#[derive(Clone, Debug)]
#[doc(alias = "IWDFUsbInterface")]
pub struct Interface(Arc<Claim>);

/// A claimed interface, as its handles and pipes share it.
#[derive(Debug)]
pub(crate) struct Claim {
    device: Arc<Shared>,
    descriptor: InterfaceDescriptor,
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    alternate: u8,
    pipes: BTreeMap<EndpointAddress, Arc<PipeCore>>,
}

/// Why there is no such pipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PipeError {
    /// The present setting has no such endpoint.
    #[error("interface {interface} has no endpoint {address} in setting {alternate}; it has {has}")]
    NoEndpoint {
        /// The interface's number.
        interface: u8,
        /// The setting.
        alternate: u8,
        /// The endpoint asked for.
        address: EndpointAddress,
        /// The endpoints there are.
        has: String,
    },
    /// The endpoint is of another kind or direction.
    #[error("endpoint {address} is a pipe of another kind or direction: {is:?}")]
    Kind {
        /// The endpoint.
        address: EndpointAddress,
        /// Its type.
        is: usbwright_protocol::TransferType,
    },
    /// The present setting has no endpoint of this kind and direction.
    #[error(
        "interface {interface} has no pipe of this kind and direction in setting {alternate}; it has {has}"
    )]
    None {
        /// The interface's number.
        interface: u8,
        /// The setting.
        alternate: u8,
        /// The endpoints there are.
        has: String,
    },
}

/// Why a setting was not chosen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettingError {
    /// There is none of that number.
    #[error("interface {interface} has no alternate setting {alternate}; it has {has:?}")]
    Unknown {
        /// The interface's number.
        interface: u8,
        /// The setting asked for.
        alternate: u8,
        /// The settings there are.
        has: Vec<u8>,
    },
    /// The device did not take it. The setting before is still in force.
    #[error("the device did not take the setting: {0}")]
    Refused(#[from] TransferFailed),
}

impl Claim {
    pub(crate) fn new(device: Arc<Shared>, descriptor: InterfaceDescriptor) -> Self {
        Self {
            device,
            descriptor,
            present: Mutex::default(),
        }
    }

    pub(crate) fn number(&self) -> u8 {
        self.descriptor.number
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many settings it has.
    pub(crate) fn settings(&self) -> usize {
        self.descriptor.settings.len()
    }

    pub(crate) fn alternate(&self) -> u8 {
        self.present().alternate
    }

    /// The pipes of the present setting.
    pub(crate) fn pipes(&self) -> Vec<Arc<PipeCore>> {
        self.present().pipes.values().cloned().collect()
    }

    /// Has the pipes of a setting made anew.
    pub(crate) fn enter(&self, alternate: u8) {
        let engine = self.device.engine();
        let speed = self.device.speed();
        let setting = self.descriptor.setting(alternate);
        let endpoints = setting.map_or(&[][..], |setting| &setting.endpoints);
        let pipes = endpoints.iter().map(|endpoint| {
            let core = PipeCore::new(engine, endpoint, speed);
            (endpoint.address, Arc::new(core))
        });
        let present = Present {
            alternate,
            pipes: pipes.collect(),
        };
        let before = std::mem::replace(&mut *self.present(), present);
        before.pipes.values().for_each(|pipe| pipe.retire());
    }

    /// Has the device take a setting.
    pub(crate) async fn set(&self, alternate: u8) -> Result<(), TransferFailed> {
        let setup = Setup {
            request_type: 0x01,
            request: request::SET_INTERFACE,
            value: alternate.into(),
            index: self.number().into(),
            length: 0,
        };
        let taken = control::transfer(self.device.engine(), setup, Bytes::new()).await;
        taken.ok().map(drop)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.device.release(self.number());
    }
}

impl Interface {
    pub(crate) fn new(claim: Arc<Claim>) -> Self {
        Self(claim)
    }

    /// Its number.
    #[doc(alias = "bInterfaceNumber")]
    pub fn number(&self) -> u8 {
        self.0.number()
    }

    /// Its descriptors, of every setting.
    pub fn descriptor(&self) -> &InterfaceDescriptor {
        &self.0.descriptor
    }

    /// The number of the setting in force.
    #[doc(alias = "bAlternateSetting")]
    pub fn alternate(&self) -> u8 {
        self.0.alternate()
    }

    /// The setting in force.
    pub fn setting(&self) -> Option<&SettingDescriptor> {
        self.descriptor().setting(self.alternate())
    }

    /// The class of the setting in force.
    pub fn class(&self) -> Class {
        self.setting().map_or(Class::default(), |it| it.class)
    }

    /// The pipes of the setting in force, by address.
    pub fn pipes(&self) -> Vec<Pipe> {
        let pipes = self.0.pipes().into_iter();
        pipes
            .map(|core| Pipe::new(core, Arc::clone(&self.0)))
            .collect()
    }

    /// The pipe of an endpoint; `pipe::<Bulk, In>(…)`, or `pipe::<AnyKind, AnyWay>(…)` for one of any kind.
    ///
    /// # Errors
    /// Where the setting in force has no such endpoint, or it is of another kind or direction.
    pub fn pipe<K: Kind, W: Way>(&self, address: EndpointAddress) -> Result<Pipe<K, W>, PipeError> {
        let core = self.0.present().pipes.get(&address).cloned();
        let Some(core) = core else {
            return Err(PipeError::NoEndpoint {
                interface: self.number(),
                alternate: self.alternate(),
                address,
                has: self.listed(),
            });
        };
        let pipe = Pipe::new(core, Arc::clone(&self.0)).typed();
        pipe.map_err(|pipe| PipeError::Kind {
            address,
            is: pipe.transfer_type(),
        })
    }

    /// The first pipe of a kind and direction, by address.
    ///
    /// # Errors
    /// Where the setting in force has none.
    pub fn first<K: Kind, W: Way>(&self) -> Result<Pipe<K, W>, PipeError> {
        let mut pipes = self.pipes().into_iter().filter_map(|it| it.typed().ok());
        pipes.next().ok_or_else(|| PipeError::None {
            interface: self.number(),
            alternate: self.alternate(),
            has: self.listed(),
        })
    }

    fn listed(&self) -> String {
        let pipes = self.pipes();
        let told = pipes.iter().map(|pipe| {
            let (address, is) = (pipe.address(), pipe.transfer_type());
            format!("{address} ({is:?} {})", pipe.direction())
        });
        match pipes.is_empty() {
            true => "none".to_owned(),
            false => told.collect::<Vec<_>>().join(", "),
        }
    }

    /// Chooses a setting. What is outstanding on the pipes of the one before is taken back, and the pipes are stale, though it may be the
    /// same setting: the device has begun anew with its endpoints.
    ///
    /// # Errors
    /// Where there is no such setting, or the device does not take it: the pipes stay as they were then.
    #[doc(alias = "SET_INTERFACE")]
    #[doc(alias = "SelectSetting")]
    pub async fn set_alternate(&self, alternate: u8) -> Result<(), SettingError> {
        if self.descriptor().setting(alternate).is_none() {
            let settings = self.descriptor().settings.iter();
            return Err(SettingError::Unknown {
                interface: self.number(),
                alternate,
                has: settings.map(|it| it.alternate).collect(),
            });
        }
        let _one = self.0.device.change().await;
        for pipe in self.0.pipes() {
            pipe.abort().await;
        }
        self.0.set(alternate).await?;
        self.0.enter(alternate);
        Ok(())
    }
}
