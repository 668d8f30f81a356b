//! A device, opened: its configurations, its interfaces and endpoint zero.

mod open;
mod reset;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use usbwright_protocol::{
    DeviceSummary, Port, Setup, Speed,
    descriptor::{ConfigurationDescriptor, DeviceDescriptor},
    request,
};

pub use self::{
    open::{OpenError, Options},
    reset::ResetOutcome,
};
use crate::{
    cancel::Cancel,
    completion::{Completion, TransferFailed},
    control,
    engine::{Engine, Gone},
    enumerate::{Description, Rigour},
    interface::{Claim, Interface},
    pipe::PipePolicy,
    power::{PowerPolicy, PowerUnsupported},
};

/// A USB device, seen from its host (UMDF's target device). Clones are handles of the same device.
///
/// Every operation is a future, which runs on any runtime or on none; [`wait`](crate::Wait::wait) is its blocking form.
#[derive(Clone, Debug)]
#[doc(alias = "IWDFUsbTargetDevice")]
pub struct Device(Arc<Shared>);

/// A device as its handles, interfaces and pipes share it.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Arc<Engine>,
    speed: Speed,
    description: RwLock<Arc<Description>>,
    present: Mutex<Present>,
    rigour: Rigour,
    /// One change of configuration or setting, or reset, at a time.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Present {
    configuration: u8,
    claims: BTreeMap<u8, Weak<Claim>>,
    control_timeout: Option<Duration>,
}

/// Why a configuration was not chosen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// There is none of that value.
    #[error("the device has no configuration {value}; it has {has:?}")]
    Unknown {
        /// The value asked for.
        value: u8,
        /// The values there are.
        has: Vec<u8>,
    },
    /// Interfaces are claimed.
    #[error("interfaces {0:?} are claimed: drop them and their pipes first")]
    Claimed(Vec<u8>),
    /// The device did not take it.
    #[error("the device did not take the configuration: {0}")]
    Refused(#[from] TransferFailed),
}

/// Why an interface can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// No configuration is in force.
    #[error("the device is not configured: choose a configuration first")]
    NotConfigured,
    /// There is none of that number.
    #[error("configuration {configuration} has no interface {number}; it has {has:?}")]
    Unknown {
        /// The configuration in force.
        configuration: u8,
        /// The number asked for.
        number: u8,
        /// The numbers there are.
        has: Vec<u8>,
    },
    /// Somebody has it.
    #[error(
        "interface {0} is claimed already: use a clone of that handle, or drop it and its pipes"
    )]
    Claimed(u8),
}

impl Shared {
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn speed(&self) -> Speed {
        self.speed
    }

    /// A turn to change the device.
    pub(crate) async fn change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An interface is free again.
    pub(crate) fn release(&self, number: u8) {
        let mut present = self.present();
        let gone = |claim: &Weak<Claim>| claim.strong_count() == 0;
        if present.claims.get(&number).is_some_and(gone) {
            present.claims.remove(&number);
        }
    }

    fn claims(&self) -> Vec<Arc<Claim>> {
        let present = self.present();
        present.claims.values().filter_map(Weak::upgrade).collect()
    }

    fn descriptor(&self) -> Option<ConfigurationDescriptor> {
        let value = self.present().configuration;
        let description = self.description();
        let fetched = description.configuration(value)?;
        Some(fetched.descriptor.clone())
    }

    fn description(&self) -> Arc<Description> {
        let description = self.description.read();
        Arc::clone(&description.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Device {
    /// Opens a device with the [default options](Options): reads its descriptors, and has it take its first configuration where none is in force.
    ///
    /// # Errors
    /// Where its descriptors can't be read or are malformed, or it does not take the configuration.
    pub async fn open(port: impl Port + 'static) -> Result<Self, OpenError> {
        Options::new().open(port).await
    }

    /// Everything that the device tells of itself.
    pub fn description(&self) -> Arc<Description> {
        self.0.description()
    }

    /// Its device descriptor.
    pub fn descriptor(&self) -> DeviceDescriptor {
        self.description().device().descriptor
    }

    /// The speed it runs at.
    pub fn speed(&self) -> Speed {
        self.0.speed
    }

    /// What it is, as lists tell it.
    pub fn summary(&self) -> DeviceSummary {
        self.0.engine.summary()
    }

    /// Whether it is still plugged in.
    pub fn is_connected(&self) -> bool {
        self.0.engine.is_connected()
    }

    /// Ends once the device is unplugged, whether anything is asked of it or not; what was outstanding has ended before. It is told more than once: each of
    /// these futures ends.
    ///
    /// It costs no thread for each device: one thread of the process learns which USB/IP servers hang up, and a real or emulated device that can go by itself
    /// wakes its host. A server that goes without hanging up, as where a cable is cut, is noticed by what is asked of it.
    #[doc(alias = "DBT_DEVICEREMOVECOMPLETE")]
    pub fn gone(&self) -> Gone {
        Gone::new(Arc::clone(&self.0.engine))
    }

    /// The value of the configuration in force; `None` where there is none.
    #[doc(alias = "GET_CONFIGURATION")]
    pub fn configuration(&self) -> Option<u8> {
        let value = self.0.present().configuration;
        (value != 0).then_some(value)
    }

    /// Has the device take a configuration, by its value; 0 leaves it with none.
    ///
    /// # Errors
    /// Where there is none of that value, interfaces are claimed, or the device does not take it.
    #[doc(alias = "SET_CONFIGURATION")]
    pub async fn set_configuration(&self, value: u8) -> Result<(), ConfigurationError> {
        let description = self.description();
        if value != 0 && description.configuration(value).is_none() {
            let all = description.configurations().iter();
            let has = all.map(|it| it.descriptor.value).collect();
            return Err(ConfigurationError::Unknown { value, has });
        }
        let _one = self.0.change().await;
        let claimed: Vec<_> = self.0.claims().iter().map(|it| it.number()).collect();
        if !claimed.is_empty() {
            return Err(ConfigurationError::Claimed(claimed));
        }
        self.configure(value).await?;
        self.0.present().configuration = value;
        Ok(())
    }

    async fn configure(&self, value: u8) -> Result<(), TransferFailed> {
        let setup = Setup {
            request_type: 0x00,
            request: request::SET_CONFIGURATION,
            value: value.into(),
            index: 0,
            length: 0,
        };
        let taken = control::transfer(&self.0.engine, setup, Bytes::new()).await;
        taken.ok().map(drop)
    }

    /// Claims an interface of the configuration in force, by its number. Its setting is asked for, and is taken to be 0 where the device does
    /// not tell.
    ///
    /// # Errors
    /// Where there is no such interface, or somebody has it.
    pub async fn interface(&self, number: u8) -> Result<Interface, ClaimError> {
        let _one = self.0.change().await;
        let claim = self.claim(number)?;
        let alternate = match claim.settings() {
            0 | 1 => 0,
            _ => self.present_alternate(number).await,
        };
        claim.enter(alternate);
        Ok(Interface::new(claim))
    }

    fn claim(&self, number: u8) -> Result<Arc<Claim>, ClaimError> {
        let configuration = self.0.descriptor().ok_or(ClaimError::NotConfigured)?;
        let Some(descriptor) = configuration.interface(number) else {
            let all = configuration.interfaces.iter();
            return Err(ClaimError::Unknown {
                configuration: configuration.value,
                number,
                has: all.map(|it| it.number).collect(),
            });
        };
        let mut present = self.0.present();
        let taken = present.claims.get(&number);
        if taken.is_some_and(|claim| claim.strong_count() > 0) {
            return Err(ClaimError::Claimed(number));
        }
        let claim = Arc::new(Claim::new(Arc::clone(&self.0), descriptor.clone()));
        present.claims.insert(number, Arc::downgrade(&claim));
        Ok(claim)
    }

    async fn present_alternate(&self, number: u8) -> u8 {
        let setup = Setup {
            request_type: 0x81,
            request: request::GET_INTERFACE,
            value: 0,
            index: number.into(),
            length: 1,
        };
        let told = control::transfer(&self.0.engine, setup, Bytes::new()).await;
        let told = told.ok().map(|it| it.data.into_bytes());
        told.ok()
            .and_then(|data| data.first().copied())
            .unwrap_or(0)
    }

    /// How long [`control`](Self::control) transfers may take; `None` for ever. At first, 5 s.
    #[doc(alias = "PIPE_TRANSFER_TIMEOUT")]
    pub fn control_timeout(&self) -> Option<Duration> {
        self.0.present().control_timeout
    }

    /// Sets how long [`control`](Self::control) transfers may take; `None` for ever.
    pub fn set_control_timeout(&self, timeout: Option<Duration>) {
        self.0.present().control_timeout = timeout;
    }

    /// Does a control transfer. `data` is the data stage where it goes OUT, and empty where it comes IN.
    ///
    /// SET_ADDRESS, SET_CONFIGURATION and SET_INTERFACE are refused: the host has to know of them.
    #[doc(alias = "WinUsb_ControlTransfer")]
    pub async fn control(&self, setup: Setup, data: impl Into<Bytes>) -> Completion {
        self.control_unless(setup, data.into(), Cancel::default())
            .await
    }

    /// Does a control transfer as [`control`](Self::control) does, until `cancelled` has ended: then it is taken back, and its end tells
    /// what had moved.
    pub async fn control_cancelable(
        &self,
        setup: Setup,
        data: impl Into<Bytes>,
        cancelled: impl Future<Output = ()> + Send,
    ) -> Completion {
        let cancelled = pin!(cancelled);
        let cancel = Cancel::when(cancelled);
        self.control_unless(setup, data.into(), cancel).await
    }

    async fn control_unless(&self, setup: Setup, data: Bytes, cancel: Cancel<'_>) -> Completion {
        match control::check(&setup, &data) {
            Ok(()) => {
                let timeout = self.control_timeout();
                control::timed(&self.0.engine, setup, data, timeout, cancel).await
            }
            Err(error) => Completion::failed(error),
        }
    }

    /// The power policy in force; `None` where the device can't be suspended, as with every backend here.
    #[doc(alias = "WinUsb_GetPowerPolicy")]
    pub fn power_policy(&self) -> Option<PowerPolicy> {
        None
    }

    /// Sets when the device is to be suspended.
    ///
    /// # Errors
    /// Where its backend knows no suspend, which is true of every one here; unless the policy is not to suspend it.
    #[doc(alias = "WinUsb_SetPowerPolicy")]
    pub fn set_power_policy(&self, policy: PowerPolicy) -> Result<(), PowerUnsupported> {
        match policy.auto_suspend {
            true => Err(PowerUnsupported),
            false => Ok(()),
        }
    }

    /// To be told by whoever manages its power that the device has resumed from suspend: pipes whose policy says so are reset. No backend
    /// here hears of it by itself.
    ///
    /// # Errors
    /// Where a pipe can't be reset: the first of such errors. The others are reset all the same.
    #[doc(alias = "RESET_PIPE_ON_RESUME")]
    pub async fn resumed(&self) -> Result<(), TransferFailed> {
        let mut outcome = Ok(());
        for claim in self.0.claims() {
            for pipe in claim.pipes() {
                let PipePolicy {
                    reset_on_resume, ..
                } = pipe.policy();
                if reset_on_resume {
                    outcome = outcome.and(pipe.reset().await.ok().map(drop));
                }
            }
        }
        outcome
    }
}
