//! Reads descriptors, one request after another, and notes what is wrong with those that a host can do without.

use bytes::Bytes;
use usbwright_protocol::{
    Setup, Speed, Status,
    descriptor::{ConfigurationDescriptor, ParseError, kind},
};

use super::{
    ControlAnswer, Defect, DescriptorName, EnumerationError, Fetched, Flaw, Rigour, check,
    get_descriptor,
};

/// The most that is read of BOS and configurations together, in bytes: far more than any device has.
const BUDGET: u32 = 1 << 20;
/// The bytes of a configuration's head.
const CONFIGURATION_HEAD: u16 = 9;

/// One device's answers, and what was wrong with them.
pub(super) struct Reader<C> {
    control: C,
    rigour: Rigour,
    /// Bytes that may still be read.
    budget: u32,
    defects: Vec<Defect>,
}

impl<C: AsyncFnMut(Setup) -> ControlAnswer> Reader<C> {
    pub(super) fn new(control: C, rigour: Rigour) -> Self {
        Self {
            control,
            rigour,
            budget: BUDGET,
            defects: Vec::new(),
        }
    }

    /// What was wrong, in the order in which it was found.
    pub(super) fn into_defects(self) -> Vec<Defect> {
        self.defects
    }

    /// Notes what is wrong with a descriptor that a host can do without; fails where the device is gone.
    pub(super) fn tolerate<T>(
        &mut self,
        read: Result<T, Defect>,
    ) -> Result<Option<T>, EnumerationError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(defect) if defect.ends_it_all() => Err(defect.into()),
            Err(defect) => {
                self.defects.push(defect);
                Ok(None)
            }
        }
    }

    /// What comes of a descriptor when `length` bytes of it are asked for.
    pub(super) async fn descriptor(
        &mut self,
        name: DescriptorName,
        length: u16,
    ) -> Result<Bytes, Defect> {
        let answer = (self.control)(get_descriptor(name, length)).await;
        match answer.status {
            Status::Done => {
                let mut data = answer.data;
                data.truncate(usize::from(length));
                Ok(data)
            }
            Status::Stalled => Err(name.flawed(Flaw::Refused)),
            status => Err(name.flawed(Flaw::Unread(status))),
        }
    }

    /// All of a descriptor that has a total: its head of `head` bytes first, then as many as that says.
    pub(super) async fn chain(&mut self, name: DescriptorName, head: u16) -> Result<Bytes, Defect> {
        let bytes = self.descriptor(name, head).await?;
        let first = total(name, &bytes, head)?;
        self.budget = self
            .budget
            .checked_sub(first.into())
            .ok_or_else(|| name.flawed(Flaw::TooMuch(BUDGET)))?;
        let bytes = self.descriptor(name, first).await?;
        let second = total(name, &bytes, head)?;
        if first == second {
            Ok(bytes)
        } else {
            Err(name.flawed(Flaw::Inconsistent { first, second }))
        }
    }

    /// Every configuration that the device descriptor counts. As in Linux, one that is refused ends them, but for the first; so does
    /// one that got no answer at all, which may have taken seconds.
    pub(super) async fn configurations(
        &mut self,
        count: u8,
        speed: Speed,
    ) -> Result<Vec<Fetched<ConfigurationDescriptor>>, EnumerationError> {
        let mut configurations = Vec::new();
        for index in 0..count {
            let name = DescriptorName::Configuration(index);
            match self.configuration(name, speed).await {
                Ok(configuration) => {
                    self.check(name, &configuration, &configurations, speed);
                    configurations.push(configuration);
                }
                Err(defect) if index > 0 && defect.flaw == Flaw::Refused => {
                    self.defects.push(defect);
                    break;
                }
                Err(defect) if self.rigour == Rigour::Lenient => {
                    let silent = defect.flaw.is_silence();
                    self.tolerate::<()>(Err(defect))?;
                    if silent {
                        break;
                    }
                }
                Err(defect) => return Err(defect.into()),
            }
        }
        Ok(configurations)
    }

    /// The configurations at the other of full and high speed, up to the first that is bad.
    pub(super) async fn other_speed_configurations(
        &mut self,
        count: u8,
        speed: Speed,
    ) -> Result<Vec<Fetched<ConfigurationDescriptor>>, EnumerationError> {
        let mut configurations = Vec::new();
        for index in 0..count {
            let name = DescriptorName::OtherSpeedConfiguration(index);
            let read = self.configuration(name, speed).await;
            let Some(configuration) = self.tolerate(read)? else {
                break;
            };
            self.check(name, &configuration, &configurations, speed);
            configurations.push(configuration);
        }
        Ok(configurations)
    }

    async fn configuration(
        &mut self,
        name: DescriptorName,
        speed: Speed,
    ) -> Result<Fetched<ConfigurationDescriptor>, Defect> {
        let bytes = self.chain(name, CONFIGURATION_HEAD).await?;
        let descriptor = ConfigurationDescriptor::parse(&bytes, speed);
        let descriptor = descriptor.map_err(|error| name.broken(error))?;
        Ok(Fetched { descriptor, bytes })
    }

    fn check(
        &mut self,
        name: DescriptorName,
        configuration: &Fetched<ConfigurationDescriptor>,
        before: &[Fetched<ConfigurationDescriptor>],
        speed: Speed,
    ) {
        let broken = check::configuration(configuration, before, speed);
        let defects = broken.into_iter().map(|error| name.broken(error));
        self.defects.extend(defects);
    }
}

/// The total in a descriptor's head.
fn total(name: DescriptorName, bytes: &[u8], least: u16) -> Result<u16, Defect> {
    let came = bytes.len();
    let (found, low, high) = match *bytes {
        [_, found, low, high, ..] if came >= usize::from(least) => (found, low, high),
        _ => {
            let expected = least;
            return Err(name.flawed(Flaw::Short { came, expected }));
        }
    };
    let (kind, descriptor) = match name {
        DescriptorName::Bos => (kind::BOS, "BOS descriptor"),
        DescriptorName::OtherSpeedConfiguration(_) => (
            kind::OTHER_SPEED_CONFIGURATION,
            "other-speed configuration descriptor",
        ),
        _ => (kind::CONFIGURATION, "configuration descriptor"),
    };
    if found != kind {
        return Err(name.broken(ParseError {
            descriptor,
            offset: 0,
            rule: "bDescriptorType is of another descriptor",
        }));
    }
    let total = u16::from_le_bytes([low, high]);
    if total < least {
        return Err(name.flawed(Flaw::Total { total, least }));
    }
    Ok(total)
}
