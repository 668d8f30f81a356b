//! Linux' `usbtest` driver, which drives a test device (a Gadget Zero) through cases of its own.
//!
//! The driver takes `0525:a4a0` and some others as soon as they are attached. A case is run by an ioctl on the device's node, as
//! the kernel's `tools/usb/testusb.c` does. Source: `drivers/usb/misc/usbtest.c`.

mod case;
mod ioctl;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use rustix::io::Errno;

pub use self::case::{Case, Cases, CasesError};
use crate::sysfs::{Sysfs, SysfsError, UsbDevice};

const DRIVER: &str = "bus/usb/drivers/usbtest";
const MODULE_PARAMETERS: &str = "module/usbtest/parameters";

/// What a case is given. The names are those of `testusb`'s options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often it does what it does (`-c`).
    pub iterations: u32,
    /// Bytes in one transfer, or in one entry of a scatter list (`-s`).
    pub length: u32,
    /// By how many bytes the length varies, where it does (`-v`); none for what suits the case.
    pub vary: Option<u32>,
    /// Transfers in flight, or entries of a scatter list, up to 128 (`-g`).
    #[doc(alias = "sglen")]
    pub queue: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            iterations: 100,
            length: 1024,
            vary: None,
            queue: 32,
        }
    }
}

impl Settings {
    fn parameters(&self, case: Case) -> ioctl::Parameters {
        let vary = if case.reads_back() { 1 } else { 1024 };
        ioctl::Parameters {
            case: case.number().into(),
            iterations: self.iterations,
            length: self.length,
            vary: self.vary.unwrap_or(vary),
            queue: self.queue,
            ..ioctl::Parameters::default()
        }
    }
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should, after that long.
    Passed(Duration),
    /// The device, or the alternate setting that the driver chose, lacks what it takes.
    NotSupported,
    /// It failed, or was given what it can't take (`EINVAL`).
    Failed(Errno),
}

/// Which device is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// One of these vendor and product ids.
    Ids(u16, u16),
    /// The one of that name in Linux, such as `3-1.2`.
    Name(String),
}

/// A text that means no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` means no device: use VID:PID (0525:a4a0) or BUS-PORT (3-1.2)")]
pub struct SelectorError(String);

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let id = |text| u16::from_str_radix(text, 16).ok();
        let ids = text.split_once(':');
        if let Some((vendor, product)) = ids.and_then(|it| Some((id(it.0)?, id(it.1)?))) {
            return Ok(Self::Ids(vendor, product));
        }
        let number = |text: &str| text.parse::<u16>().is_ok();
        match text.split_once('-') {
            Some((bus, ports)) if number(bus) && ports.split('.').all(number) => {
                Ok(Self::Name(text.to_owned()))
            }
            _ => Err(SelectorError(text.to_owned())),
        }
    }
}

/// Why there is nothing to test.
#[derive(Debug, thiserror::Error)]
pub enum UsbtestError {
    /// The kernel has no usbtest.
    #[error(
        "the usbtest driver is not there: `modprobe usbtest` as root, or use `usbwright lab`, whose kernel has it"
    )]
    NoDriver,
    /// No such device is bound to the driver.
    #[error(
        "no such device is bound to the usbtest driver: attach one, such as with `usbwright attach gadget-zero`"
    )]
    NoDevice,
    /// More than one is.
    #[error("more than one device is bound to the usbtest driver: choose one of {0} with --device")]
    Several(String),
    /// Only root may do this.
    #[error("only root may write to {0}: run this as root, such as with sudo")]
    NotRoot(PathBuf),
    /// The device's node can't be opened.
    #[error("can't open {path}: {cause}")]
    Open {
        /// The node.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A file of sysfs can't be read or written.
    #[error(transparent)]
    Sysfs(SysfsError),
}

impl From<SysfsError> for UsbtestError {
    fn from(error: SysfsError) -> Self {
        match error {
            SysfsError::Io { path, cause, .. }
                if cause.kind() == io::ErrorKind::PermissionDenied =>
            {
                Self::NotRoot(path)
            }
            error => Self::Sysfs(error),
        }
    }
}

/// A device that the driver is bound to.
#[derive(Debug)]
pub struct Target {
    device: UsbDevice,
    /// The interface's name, such as `3-1.2:3.0`.
    interface: String,
}

impl Target {
    /// The device that is meant; without a selector, the only one that the driver is bound to.
    ///
    /// # Errors
    /// Where there is none, or it is not clear which.
    pub fn find(sysfs: &Sysfs, selector: Option<&Selector>) -> Result<Self, UsbtestError> {
        let mut found = Self::all(sysfs)?;
        found.retain(|target| selector.is_none_or(|it| target.is(it)));
        match (found.pop(), found.as_slice()) {
            (None, _) => Err(UsbtestError::NoDevice),
            (Some(target), []) => Ok(target),
            (Some(last), others) => {
                let names = others.iter().chain([&last]).map(|it| it.device.name());
                Err(UsbtestError::Several(names.collect::<Vec<_>>().join(", ")))
            }
        }
    }

    /// Every device that the driver is bound to, by name.
    ///
    /// # Errors
    /// Where the driver is not there.
    pub fn all(sysfs: &Sysfs) -> Result<Vec<Self>, UsbtestError> {
        let interfaces = sysfs.names(DRIVER).map_err(|error| match error.errno() {
            Some(Errno::NOENT) => UsbtestError::NoDriver,
            _ => error.into(),
        })?;
        let targets = interfaces.into_iter();
        let mut targets: Vec<_> = targets.filter_map(|it| Self::of(sysfs, it)).collect();
        targets.sort_by(|a, b| a.interface.cmp(&b.interface));
        Ok(targets)
    }

    /// The device of an interface zero; the driver knows no other.
    fn of(sysfs: &Sysfs, interface: String) -> Option<Self> {
        let (device, numbers) = interface.split_once(':')?;
        let device = sysfs.device(device)?;
        numbers
            .ends_with(".0")
            .then_some(Self { device, interface })
    }

    fn is(&self, selector: &Selector) -> bool {
        match selector {
            Selector::Name(name) => self.device.name() == name,
            Selector::Ids(vendor, product) => {
                self.device.vendor_id().is_ok_and(|it| it == *vendor)
                    && self.device.product_id().is_ok_and(|it| it == *product)
            }
        }
    }

    /// The device.
    pub fn device(&self) -> &UsbDevice {
        &self.device
    }

    /// Has the driver look at the device again, so that it takes another alternate setting: the parameter is read then
    /// only. The setting stays for devices that are attached later; -1 has the driver choose.
    ///
    /// # Errors
    /// Where this is not root, or the driver does not take the device any more.
    pub fn choose_alternate(&self, sysfs: &Sysfs, alternate: i32) -> Result<(), UsbtestError> {
        sysfs.write(
            Path::new(MODULE_PARAMETERS).join("alt"),
            &alternate.to_string(),
        )?;
        for file in ["unbind", "bind"] {
            sysfs.write(Path::new(DRIVER).join(file), &self.interface)?;
        }
        Ok(())
    }

    /// Opens the device's node to run cases.
    ///
    /// # Errors
    /// Where this is not root, or the device is gone.
    pub fn open(&self) -> Result<Runner, UsbtestError> {
        let path = self.device.node()?;
        match File::options().read(true).write(true).open(&path) {
            Ok(node) => Ok(Runner(node)),
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                Err(UsbtestError::NotRoot(path))
            }
            Err(cause) => Err(UsbtestError::Open { path, cause }),
        }
    }
}

/// Tells which data the driver sends, and wants to read: see [`choose_pattern`].
///
/// # Errors
/// Where the driver is not there.
pub fn pattern(sysfs: &Sysfs) -> Result<u8, UsbtestError> {
    let file = Path::new(MODULE_PARAMETERS).join("pattern");
    let text = sysfs.read(&file).map_err(|error| match error.errno() {
        Some(Errno::NOENT) => UsbtestError::NoDriver,
        _ => error.into(),
    })?;
    text.parse().map_err(|_| {
        let path = sysfs.path(&file);
        UsbtestError::Sysfs(SysfsError::Number { path, text })
    })
}

/// Says which data the driver sends, and wants to read: 0 zeros, 1 each byte its place in the packet modulo 63. It stays for every
/// device of the driver.
///
/// # Errors
/// Where this is not root, or the driver is not there.
pub fn choose_pattern(sysfs: &Sysfs, pattern: u8) -> Result<(), UsbtestError> {
    let file = Path::new(MODULE_PARAMETERS).join("pattern");
    Ok(sysfs.write(file, &pattern.to_string())?)
}

/// Runs cases on a device.
#[derive(Debug)]
pub struct Runner(File);

impl Runner {
    /// Runs a case. It blocks until the case has ended, and nothing but the device's end can cut it short.
    pub fn run(&self, case: Case, settings: &Settings) -> Outcome {
        let mut parameters = settings.parameters(case);
        match ioctl::run(&self.0, &mut parameters) {
            Ok(()) => {
                let seconds = u64::try_from(parameters.seconds).unwrap_or(0);
                let microseconds = u64::try_from(parameters.microseconds).unwrap_or(0);
                Outcome::Passed(Duration::from_secs(seconds) + Duration::from_micros(microseconds))
            }
            Err(Errno::OPNOTSUPP) => Outcome::NotSupported,
            Err(errno) => Outcome::Failed(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A sysfs with Gadget Zeros of these names, bound to the driver.
    fn tree(names: &[&str]) -> (tempfile::TempDir, Sysfs) {
        let root = tempfile::tempdir().unwrap();
        let driver = root.path().join(DRIVER);
        for name in names {
            let folder = root.path().join("bus/usb/devices").join(name);
            fs::create_dir_all(&folder).unwrap();
            for (attribute, text) in [
                ("idVendor", "0525\n"),
                ("idProduct", "a4a0\n"),
                ("busnum", "1\n"),
            ] {
                fs::write(folder.join(attribute), text).unwrap();
            }
            for interface in ["3.0", "3.1"] {
                fs::create_dir_all(driver.join(format!("{name}:{interface}"))).unwrap();
            }
        }
        let sysfs = Sysfs::new(root.path());
        (root, sysfs)
    }

    fn found(names: &[&str], selector: Option<&str>) -> Result<String, String> {
        let (_root, sysfs) = tree(names);
        let selector = selector.map(|it| it.parse().unwrap());
        match Target::find(&sysfs, selector.as_ref()) {
            Ok(target) => Ok(target.interface),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_device_that_the_driver_is_bound_to_is_found() {
        assert_eq!(found(&["2-1"], None).unwrap(), "2-1:3.0");
        assert_eq!(found(&["2-1", "3-1"], Some("3-1")).unwrap(), "3-1:3.0");
        assert_eq!(found(&["2-1"], Some("0525:a4a0")).unwrap(), "2-1:3.0");
    }

    #[test]
    fn what_is_missing_is_told() {
        let error = |names, selector| found(names, selector).unwrap_err();
        assert!(error(&[], None).starts_with("the usbtest driver is not there"));
        assert!(error(&["2-1"], Some("0525:a4a1")).starts_with("no such device is bound"));
        assert!(error(&["3-1", "2-1"], None).contains("choose one of 2-1, 3-1 with"));
    }

    #[test]
    fn another_alternate_setting_has_the_driver_look_again() {
        let (root, sysfs) = tree(&["2-1"]);
        let parameters = root.path().join(MODULE_PARAMETERS);
        fs::create_dir_all(&parameters).unwrap();
        let driver = root.path().join(DRIVER);
        for file in [
            parameters.join("alt"),
            driver.join("unbind"),
            driver.join("bind"),
        ] {
            fs::write(file, "").unwrap();
        }
        let target = Target::find(&sysfs, None).unwrap();
        target.choose_alternate(&sysfs, 2).unwrap();
        assert_eq!(sysfs.read(parameters.join("alt")).unwrap(), "2");
        assert_eq!(sysfs.read(driver.join("bind")).unwrap(), "2-1:3.0");
    }

    #[test]
    fn a_device_is_meant_by_ids_or_name() {
        assert_eq!("0525:A4A0".parse(), Ok(Selector::Ids(0x525, 0xa4a0)));
        assert_eq!("3-1.2".parse(), Ok(Selector::Name("3-1.2".to_owned())));
        for text in ["", "3", "3-", "x-1", "0525:", "3-1:3.0"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_length_varies_as_suits_the_case() {
        let vary = |settings: Settings, number: &str| {
            let cases: Cases = number.parse().unwrap();
            settings.parameters(cases.iter().next().unwrap()).vary
        };
        assert_eq!(vary(Settings::default(), "3"), 1024);
        assert_eq!(vary(Settings::default(), "14"), 1);
        let given = Settings {
            vary: Some(7),
            ..Settings::default()
        };
        assert_eq!(vary(given, "14"), 7);
    }
}
