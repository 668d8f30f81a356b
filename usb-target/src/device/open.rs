//! Opening a device: which configuration it takes, and what it tells of itself.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, RwLock},
};

use bytes::Bytes;
use usbwright_protocol::{Port, Setup, Speed, Status};

use super::{ConfigurationError, Device, Present, Shared};
use crate::{
    control,
    engine::{Clock, Engine},
    enumerate::{self, ControlAnswer, Description, EnumerationError, Rigour},
};

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
pub(super) async fn describe(
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

/// A control transfer for the enumeration. What is not answered in time is asked once more, as Linux does (`usb_get_descriptor`): this process, or the device's,
/// may have been stopped meanwhile.
///
/// It is a future of a known type that borrows nothing: the compiler does not see through others
/// that they may go to another thread.
fn ask(engine: &Arc<Engine>, setup: Setup) -> Pin<Box<dyn Future<Output = ControlAnswer> + Send>> {
    let engine = Arc::clone(engine);
    Box::pin(async move {
        let mut answer = control::transfer(&engine, setup, Bytes::new()).await;
        if answer.status() == Some(Status::TimedOut) {
            answer = control::transfer(&engine, setup, Bytes::new()).await;
        }
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
