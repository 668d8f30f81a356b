//! Linux' sysfs, as far as it tells of USB devices.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A sysfs that is mounted somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysfs(PathBuf);

impl Default for Sysfs {
    /// The system's own, at `/sys`.
    fn default() -> Self {
        Self::new("/sys")
    }
}

/// A file of sysfs that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SysfsError {
    /// The system refused.
    #[error("can't {verb} {path}: {cause}")]
    Io {
        /// What was tried: `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// What it says can't be understood.
    #[error("{path} says `{text}`, which is no number")]
    Number {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
    },
}

impl SysfsError {
    /// The error number of the system, where it was the system that refused.
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Self::Io { cause, .. } => rustix::io::Errno::from_io_error(cause),
            Self::Number { .. } => None,
        }
    }
}

impl Sysfs {
    /// The sysfs that is mounted at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Where a file of it is.
    pub fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.0.join(file)
    }

    /// Reads a file, without the white space around its text.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<String, SysfsError> {
        let path = self.path(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(cause) => Err(SysfsError::Io {
                verb: "read",
                path,
                cause,
            }),
        }
    }

    /// Writes a file in one write, as its attributes want it.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write(&self, file: impl AsRef<Path>, text: &str) -> Result<(), SysfsError> {
        let path = self.path(file);
        let written = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|cause| SysfsError::Io {
            verb: "write",
            path,
            cause,
        })
    }

    /// The names of what a folder holds.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn names(&self, folder: impl AsRef<Path>) -> Result<Vec<String>, SysfsError> {
        let path = self.path(folder);
        let names = fs::read_dir(&path).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        });
        names.map_err(|cause| SysfsError::Io {
            verb: "read",
            path,
            cause,
        })
    }

    /// The device of that name, such as `1-1`; none, if there is no such device.
    pub fn device(&self, name: &str) -> Option<UsbDevice> {
        let folder = Path::new("bus/usb/devices").join(name);
        self.path(&folder)
            .join("busnum")
            .exists()
            .then(|| UsbDevice {
                sysfs: self.clone(),
                name: name.to_owned(),
                folder,
            })
    }
}

/// A USB device that Linux has found.
#[derive(Clone, Debug)]
pub struct UsbDevice {
    sysfs: Sysfs,
    name: String,
    folder: PathBuf,
}

impl UsbDevice {
    /// Its name: its bus and the ports on the way to it, such as `3-1.2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its `idVendor`.
    ///
    /// # Errors
    /// Where sysfs can't be read, as after the device is gone.
    pub fn vendor_id(&self) -> Result<u16, SysfsError> {
        self.hexadecimal("idVendor")
    }

    /// Its `idProduct`.
    ///
    /// # Errors
    /// Where sysfs can't be read, as after the device is gone.
    pub fn product_id(&self) -> Result<u16, SysfsError> {
        self.hexadecimal("idProduct")
    }

    /// Its bus's number, of Linux.
    ///
    /// # Errors
    /// Where sysfs can't be read, as after the device is gone.
    pub fn bus_number(&self) -> Result<u16, SysfsError> {
        self.number("busnum", str::parse)
    }

    /// Its number on that bus, of Linux.
    ///
    /// # Errors
    /// Where sysfs can't be read, as after the device is gone.
    pub fn device_number(&self) -> Result<u16, SysfsError> {
        self.number("devnum", str::parse)
    }

    /// The configuration it is in; none, while it is in none.
    ///
    /// Linux tells no configuration before the drivers have looked at its interfaces.
    ///
    /// # Errors
    /// Where sysfs can't be read, as after the device is gone.
    pub fn configuration(&self) -> Result<Option<u8>, SysfsError> {
        let file = self.folder.join("bConfigurationValue");
        if self.sysfs.read(&file)?.is_empty() {
            return Ok(None);
        }
        let number = self.number("bConfigurationValue", u8::from_str)?;
        Ok((number != 0).then_some(number))
    }

    /// The device node that gives access to it, such as `/dev/bus/usb/001/002`.
    ///
    /// # Errors
    /// Where sysfs can't be read, as after the device is gone.
    pub fn node(&self) -> Result<PathBuf, SysfsError> {
        let (bus, device) = (self.bus_number()?, self.device_number()?);
        Ok(format!("/dev/bus/usb/{bus:03}/{device:03}").into())
    }

    fn hexadecimal(&self, attribute: &str) -> Result<u16, SysfsError> {
        self.number(attribute, |text| u16::from_str_radix(text, 16))
    }

    fn number<T, E>(
        &self,
        attribute: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SysfsError> {
        let file = self.folder.join(attribute);
        let text = self.sysfs.read(&file)?;
        parse(&text).map_err(|_| SysfsError::Number {
            path: self.sysfs.path(&file),
            text: text.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tells_its_numbers() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("bus/usb/devices/3-1.2");
        fs::create_dir_all(&folder).unwrap();
        for (attribute, text) in [
            ("idVendor", "0525\n"),
            ("idProduct", "a4a0\n"),
            ("busnum", "3\n"),
            ("devnum", "17\n"),
            ("bConfigurationValue", "\n"),
        ] {
            fs::write(folder.join(attribute), text).unwrap();
        }
        let sysfs = Sysfs::new(root.path());
        assert!(sysfs.device("3-1").is_none());
        let device = sysfs.device("3-1.2").unwrap();
        assert_eq!(device.vendor_id().unwrap(), 0x0525);
        assert_eq!(device.product_id().unwrap(), 0xa4a0);
        assert_eq!(device.node().unwrap(), Path::new("/dev/bus/usb/003/017"));
        assert_eq!(device.configuration().unwrap(), None);
        fs::write(folder.join("bConfigurationValue"), "3\n").unwrap();
        assert_eq!(device.configuration().unwrap(), Some(3));
        fs::write(folder.join("devnum"), "x").unwrap();
        let error = device.device_number().unwrap_err().to_string();
        assert!(error.ends_with("devnum says `x`, which is no number"));
    }
}
