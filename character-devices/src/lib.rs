//! Devices of driver stacks as character devices of Linux, by CUSE: `cat`, `dd` and any program's `ioctl` reach the drivers.
//!
//! A [`CharacterDevice`] answers a kernel's requests over `/dev/cuse`, and does what they ask for by the
//! [library for applications](usbwright_reflector::application): each open file is one there. So it needs no more rights than those of an application, besides the
//! right to `/dev/cuse`. `docs/character-devices.md` tells users of it.
//!
//! ```no_run
//! use usbwright_character_devices::CharacterDevice;
//! use usbwright_reflector::{DeviceName, application::OpenOptions};
//!
//! let name: DeviceName = "osr-fx2".parse()?;
//! let device = CharacterDevice::start(&name, OpenOptions::new(name.clone()))?;
//! println!("cat {}", device.path().display());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod ahead;
mod channel;
mod device;
mod errno;
mod file;
mod ioctl;
mod registered;
mod service;
#[doc(hidden)]
pub mod wire;

pub use channel::{CUSE, StartError, probe};
pub use device::CharacterDevice;
pub use errno::{errno, ioctl_errno};
pub use ioctl::{Asked, CONTROL, Control, ControlBlock, FLUSH, QUERY, SET, Step};
