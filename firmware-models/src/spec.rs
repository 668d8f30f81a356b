//! Specs: what a user writes for a device, `MODEL[,key[=value]]…`.

use std::{collections::VecDeque, fmt, str::FromStr, time::Instant};

use usbwright_emulator::{
    BusId, EmulatedDevice,
    protocol::{
        Speed,
        descriptor::{DescriptorError, JoinError},
    },
};

use crate::{
    Function, Handle, MODELS, Made, Model, ParameterError, Parameters,
    disk::{Drive, medium::ImageError},
    model,
    nearest::did_you_mean,
};

/// A device that a user asks for, such as `gadget-zero,speed=super,busid=1-7`.
#[derive(Clone, Debug)]
pub struct Spec {
    text: String,
    model: &'static Model,
    speed: Speed,
    bus_id: Option<BusId>,
    parameters: Parameters,
}

/// A spec that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No such model.
    #[error(
        "there is no model `{name}`{}: choose one of {} (`usbwright devices` tells about them)",
        did_you_mean(name, known.iter().copied()),
        known.join(", ")
    )]
    Model {
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A parameter that can't be used.
    #[error("{model}: {cause}")]
    Parameter {
        /// The model.
        model: &'static str,
        /// What is wrong.
        cause: ParameterError,
    },
}

/// A device that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A parameter that can't be used.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Parameters that do not make a device.
    #[error("{0}")]
    Incomplete(String),
    /// An image that can't be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A function of a composite device that can't be made.
    #[error("function `{spec}`: {cause}")]
    Function {
        /// The function.
        spec: String,
        /// What is wrong.
        cause: Box<Self>,
    },
    /// Functions that do not go into one device.
    #[error("{error}; the functions are {}", numbered(specs))]
    Join {
        /// Why not.
        error: JoinError,
        /// The functions.
        specs: Vec<String>,
    },
    /// A device that can't be.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}

impl BuildError {
    /// Whether the spec is at fault, and nothing else.
    pub fn is_in_spec(&self) -> bool {
        match self {
            Self::Parameter(_) | Self::Incomplete(_) | Self::Join { .. } => true,
            Self::Function { cause, .. } => cause.is_in_spec(),
            Self::Image(_) | Self::Descriptor(_) => false,
        }
    }
}

/// Texts with their numbers from 1.
fn numbered(texts: &[String]) -> String {
    let texts = (1..).zip(texts);
    let texts: Vec<_> = texts
        .map(|(number, text)| format!("{number}: {text}"))
        .collect();
    texts.join(", ")
}

impl Spec {
    /// The model asked for.
    pub fn model(&self) -> &'static Model {
        self.model
    }

    /// The speed it is to run at.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// The bus id asked for.
    pub fn bus_id(&self) -> Option<&BusId> {
        self.bus_id.as_ref()
    }

    /// What it says to the model.
    #[cfg(test)]
    pub(crate) fn parameters(&self) -> Parameters {
        self.parameters.clone()
    }

    /// The same at another speed.
    ///
    /// # Errors
    /// Where the model does not run at it.
    pub fn at_speed(&self, speed: &str) -> Result<Self, SpecError> {
        let is_speed = |word: &String| word == "speed" || word.starts_with("speed=");
        let mut words = words(&self.text);
        words.retain(|word| !is_speed(word));
        words.insert(1, format!("speed={speed}"));
        let text: Vec<_> = words.iter().map(|word| word.replace(',', ",,")).collect();
        text.join(",").parse()
    }

    /// Makes the device. Its (micro)frames count from `now`.
    ///
    /// # Errors
    /// Where a parameter can't be used.
    pub fn build(&self, now: Instant) -> Result<EmulatedDevice, BuildError> {
        Ok(self.build_with_handles(now)?.device)
    }

    /// Makes the device as [`build`](Self::build) does, with what its user has of it.
    ///
    /// # Errors
    /// Where a parameter can't be used.
    pub fn build_with_handles(&self, now: Instant) -> Result<Made, BuildError> {
        self.build_again(now, &[])
    }

    /// Makes a device anew that was taken off its bus, with its handles of before: a disk has the drives that it had, with what is in them.
    /// (A keyboard's keys are not held any more.)
    ///
    /// # Errors
    /// Where a parameter can't be used.
    pub fn build_again(&self, now: Instant, before: &[Handle]) -> Result<Made, BuildError> {
        let mut drives = before.iter().flat_map(Handle::drives).collect();
        let Function { firmware, handles } = self.function(self.speed, &mut drives)?;
        let device = EmulatedDevice::boxed(firmware, self.speed, now)?;
        Ok(Made { device, handles })
    }

    /// Makes what goes into a device that runs at `speed`. Disks are made with the drives, as far as there are any, and take them away.
    pub(crate) fn function(
        &self,
        speed: Speed,
        drives: &mut VecDeque<Drive>,
    ) -> Result<Function, BuildError> {
        let mut parameters = self.parameters.clone();
        parameters.exchange_drives(drives);
        let made = (self.model.make)(speed, &mut parameters);
        parameters.exchange_drives(drives);
        let function = made?;
        match parameters.left_over() {
            None => Ok(function),
            Some(key) => Err(unknown(self.model, key).into()),
        }
    }
}

fn unknown(model: &Model, key: String) -> ParameterError {
    let names = ["speed", "busid"].into_iter();
    let names = names.chain(model.parameters.iter().map(|it| it.name));
    ParameterError::Unknown {
        key,
        known: names.map(str::to_owned).collect(),
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut words = words(text).into_iter();
        let name = words.next().unwrap_or_default();
        let model = model(&name).ok_or_else(|| SpecError::Model {
            name,
            known: MODELS.iter().map(|it| it.name).collect(),
        })?;
        let wrong = |cause| SpecError::Parameter {
            model: model.name,
            cause,
        };
        let mut parameters = Parameters::default();
        for word in words {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (word.as_str(), None),
            };
            let parameter = model.parameters.iter().find(|it| it.name == key);
            if !["speed", "busid"].contains(&key) && parameter.is_none() {
                return Err(wrong(unknown(model, key.to_owned())));
            }
            match parameter.is_some_and(|it| it.repeats) {
                true => parameters.add_again(key, value),
                false => parameters.add(key, value).map_err(wrong)?,
            }
        }
        Ok(Self {
            text: text.to_owned(),
            model,
            speed: speed(model, &mut parameters).map_err(wrong)?,
            bus_id: parameters.parsed("busid").map_err(wrong)?,
            parameters,
        })
    }
}

fn speed(model: &Model, parameters: &mut Parameters) -> Result<Speed, ParameterError> {
    let Some(value) = parameters.text("speed")? else {
        return Ok(model.speeds[0]);
    };
    match value.parse() {
        Ok(speed) if model.speeds.contains(&speed) => Ok(speed),
        _ => {
            let names: Vec<_> = model.speeds.iter().map(|speed| speed.name()).collect();
            Err(ParameterError::Value {
                key: "speed".to_owned(),
                value,
                rule: format!("it takes one of {}", names.join(", ")),
            })
        }
    }
}

/// The words between commas; a doubled comma is a comma within a word. So every SPEC is made up, a model's or another.
pub fn words(text: &str) -> Vec<String> {
    text.replace(",,", "\0")
        .split(',')
        .map(|word| word.replace('\0', ","))
        .collect()
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match text.parse::<Spec>() {
            Ok(spec) => spec.build(Instant::now()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_spec_names_model_speed_and_bus_id() {
        let spec: Spec = "gadget-zero,speed=super,busid=1-7,pattern=1"
            .parse()
            .unwrap();
        assert_eq!(spec.model().name, "gadget-zero");
        assert_eq!(spec.speed(), Speed::Super);
        assert_eq!(spec.bus_id().unwrap().as_str(), "1-7");
        assert_eq!("gadget-zero".parse::<Spec>().unwrap().speed(), Speed::High);
    }

    #[test]
    fn what_is_wrong_with_a_spec_is_told_with_what_would_do() {
        for (text, told) in [
            ("", "there is no model ``: choose one of gadget-zero"),
            ("disc", "there is no model `disc`"),
            (
                "gadget-zero,speed=warp",
                "it takes one of high, full, super",
            ),
            (
                "gadget-zero,speed",
                "parameter `speed` needs a value: write speed=…",
            ),
            (
                "gadget-zero,colour=red",
                "there is no parameter `colour`: it takes speed, busid, pattern",
            ),
            (
                "gadget-zero,pattern=1,pattern=1",
                "parameter `pattern` is given twice",
            ),
            (
                "gadget-zero,pattern=3",
                "`3` is no value for parameter `pattern`: it takes a number from 0 to 2",
            ),
            ("gadget-zero,busid=a b", "`a b` is no bus id"),
        ] {
            assert!(error(text).contains(told), "{text}: {}", error(text));
        }
    }

    #[test]
    fn a_spec_is_had_at_another_speed() {
        let spec: Spec = "disk,image=a,,b,speed=full,ro".parse().unwrap();
        let other = spec.at_speed("super").unwrap();
        assert_eq!(other.to_string(), "disk,speed=super,image=a,,b,ro");
        assert_eq!(other.speed(), Speed::Super);
        let told = spec.at_speed("low").unwrap_err().to_string();
        assert!(told.contains("it takes one of high, full, super"), "{told}");
    }

    #[test]
    fn a_doubled_comma_is_a_comma() {
        assert_eq!(words("a,b=c,,d,e"), ["a", "b=c,d", "e"]);
    }
}
