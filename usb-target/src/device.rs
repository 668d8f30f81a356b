//! A device, opened: its configurations, its interfaces, endpoint zero, and what to do when it fails.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use usbwright_protocol::{
    DeviceSummary, Port, Setup, Speed, Status,
    descriptor::{ConfigurationDescriptor, DeviceDescriptor},
    request,
};

use crate::{
    completion::{Completion, TransferFailed},
    control,
    engine::{Clock, Engine},
    enumerate::{self, ControlAnswer, Description, EnumerationError, Rigour},
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

/// How a device is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    clock: Clock,
    choice: Choice,
}

/// Which configuration a device takes as it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Choice {
    /// The one in force, or the first one where none is.
    #[default]
    Present,
    /// The one of that value.
    Value(u8),
    /// None is set.
    Untouched,
}

impl Options {
    /// The system's clock, and the configuration that is in force, or the first one where none is.
    pub fn new() -> Self {
        Self::default()
    }

    /// The clock that timeouts and an emulated device go by.
    #[must_use]
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// The configuration to choose, by its value.
    #[must_use]
    pub fn configuration(mut self, value: u8) -> Self {
        self.choice = Choice::Value(value);
        self
    }

    /// Leaves the configuration as it is, and takes a device as well whose configurations can't be read or are malformed: they are left
    /// out, and told by [`Description::defects`]. For whoever looks at a device that may be broken.
    #[must_use]
    pub fn unconfigured(mut self) -> Self {
        self.choice = Choice::Untouched;
        self
    }

    /// Opens a device: reads its descriptors and has it take a configuration.
    ///
    /// # Errors
    /// Where its descriptors can't be read or are malformed, or it does not take the configuration.
    pub async fn open(self, port: impl Port + 'static) -> Result<Device, OpenError> {
        self.open_boxed(Box::new(port)).await
    }

    /// Opens a device as [`open`](Self::open) does, where its kind is known at run time only.
    ///
    /// # Errors
    /// As `open` has them.
    pub async fn open_boxed(self, port: Box<dyn Port>) -> Result<Device, OpenError> {
        let engine = Engine::new(port, self.clock);
        let speed = engine.summary().speed;
        let rigour = match self.choice {
            Choice::Untouched => Rigour::Lenient,
            _ => Rigour::Strict,
        };
        let description = describe(&engine, speed, rigour).await?;
        let host = Arc::clone(&engine);
        let state = enumerate::read_state(move |setup| ask(&host, setup)).await;
        let told = state.configuration.unwrap_or(0);
        // One that it does not describe is of no use.
        let now = description.configuration(told).map_or(0, |_| told);
        let device = Device(Arc::new(Shared {
            engine,
            speed,
            description: RwLock::new(Arc::new(description)),
            present: Mutex::new(Present {
                configuration: now,
                claims: BTreeMap::new(),
                control_timeout: Some(control::TIMEOUT),
            }),
            rigour,
            changing: tokio::sync::Mutex::default(),
        }));
        let description = device.description();
        let first = description.configurations().first();
        let wanted = match (self.choice, now) {
            (Choice::Value(value), _) => Some(value),
            (Choice::Present, 0) => first.map(|it| it.descriptor.value),
            _ => None,
        };
        if let Some(value) = wanted {
            device.set_configuration(value).await?;
        }
        Ok(device)
    }
}

/// What a device tells of itself.
async fn describe(
    engine: &Arc<Engine>,
    speed: Speed,
    rigour: Rigour,
) -> Result<Description, EnumerationError> {
    let host = Arc::clone(engine);
    let ask = move |setup| ask(&host, setup);
    match rigour {
        Rigour::Strict => enumerate::enumerate(speed, ask).await,
        Rigour::Lenient => enumerate::enumerate_leniently(speed, ask).await,
    }
}

/// A control transfer for the enumeration. It is a future of a known type that borrows nothing: the compiler does not see through others
/// that they may go to another thread.
fn ask(engine: &Arc<Engine>, setup: Setup) -> Pin<Box<dyn Future<Output = ControlAnswer> + Send>> {
    let engine = Arc::clone(engine);
    Box::pin(async move {
        let answer = control::transfer(&engine, setup, Bytes::new()).await;
        ControlAnswer {
            status: answer.status().unwrap_or(Status::ProtocolError),
            data: answer.data.into_bytes(),
        }
    })
}

/// Why a device can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its descriptors can't be read, or are malformed.
    #[error(transparent)]
    Enumeration(#[from] EnumerationError),
    /// It does not take a configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
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

/// What a reset has left of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a device may be gone"]
pub enum ResetOutcome {
    /// It is the same device, and its configuration and settings are in force again. Pipes stay valid.
    Kept,
    /// It has become another device, which wants to be opened anew: its pipes and interfaces are stale.
    Changed,
    /// It is gone.
    Gone,
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
        let data = data.into();
        match control::check(&setup, &data) {
            Ok(()) => {
                let timeout = self.control_timeout();
                control::timed(&self.0.engine, setup, data, timeout).await
            }
            Err(error) => Completion::failed(error),
        }
    }

    /// Resets the device's port. Every transfer ends, and so continuous readers stop; where the device is still the same, its configuration
    /// and settings are restored, and pipes stay valid.
    ///
    /// It is the same where its device descriptor, its configurations, its BOS and its serial number are (as far as it tells that
    /// now), as Linux has it. Where it is not, where there is an error, or where the future is dropped, its pipes are stale and no
    /// configuration is in force.
    ///
    /// # Errors
    /// Where the device answers, but can't be brought back to where it was: it wants to be opened anew.
    #[doc(alias = "IOCTL_INTERNAL_USB_RESET_PORT")]
    pub async fn reset(&self) -> Result<ResetOutcome, OpenError> {
        let _one = self.0.change().await;
        let mut unsettled = Unsettled(Some(self));
        let outcome = self.reset_and_restore().await;
        if let Ok(ResetOutcome::Kept | ResetOutcome::Gone) = outcome {
            unsettled.0 = None;
        }
        outcome
    }

    async fn reset_and_restore(&self) -> Result<ResetOutcome, OpenError> {
        let engine = &self.0.engine;
        engine.reset();
        let found = describe(engine, self.0.speed, self.0.rigour).await;
        if !self.is_connected() {
            return Ok(ResetOutcome::Gone);
        }
        if !found?.is_of_same_device(&self.description()) {
            return Ok(ResetOutcome::Changed);
        }
        let configuration = self.0.present().configuration;
        match self.restore(configuration).await {
            Ok(()) => Ok(ResetOutcome::Kept),
            Err(_) if !self.is_connected() => Ok(ResetOutcome::Gone),
            Err(error) => Err(ConfigurationError::from(error).into()),
        }
    }

    async fn restore(&self, configuration: u8) -> Result<(), TransferFailed> {
        if configuration == 0 {
            return Ok(());
        }
        self.configure(configuration).await?;
        for claim in self.0.claims() {
            match claim.alternate() {
                0 => {}
                alternate => claim.set(alternate).await?,
            }
        }
        Ok(())
    }

    /// Makes every pipe stale, as no configuration is in force any more.
    fn retire(&self) {
        self.0.present().configuration = 0;
        for claim in self.0.claims() {
            claim.pipes().iter().for_each(|pipe| pipe.retire());
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
    #[doc(alias = "RESET_PIPE_ON_RESUME")]
    pub async fn resumed(&self) -> Result<(), TransferFailed> {
        for claim in self.0.claims() {
            for pipe in claim.pipes() {
                let PipePolicy {
                    reset_on_resume, ..
                } = *pipe.policy();
                if reset_on_resume {
                    let _ = pipe.reset().await.ok()?;
                }
            }
        }
        Ok(())
    }
}

/// A device that is being reset: its pipes are stale if that does not end well.
struct Unsettled<'a>(Option<&'a Device>);

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if let Some(device) = self.0 {
            device.retire();
        }
    }
}
