//! Descriptors, by which a device tells what it is: built, looked up, parsed.
//!
//! * An author writes a [`Device`] with its [`Configuration`]s, [`Interface`]s, [`Setting`]s and [`Endpoint`]s. Lengths,
//!   counts, string indices and totals are computed; what the specification forbids at a speed is refused by a
//!   [`DescriptorError`] that names the place, the field and the rule.
//! * [`Descriptors`] is the outcome: every descriptor of the device at one speed, encoded once, ready for endpoint zero.
//! * [`DeviceDescriptor`], [`ConfigurationDescriptor`] and [`BosDescriptor`] are what the bytes mean. Hosts get them by
//!   `parse`, which takes what Linux takes and never panics.
//!
//! Sizes and intervals differ from speed to speed, so a device that runs at several is a function of the speed:
//!
//! ```
//! use usbwright_protocol::{Class, Direction, EndpointAddress, Speed};
//! use usbwright_protocol::descriptor::{
//!     Configuration, Descriptors, Device, Endpoint, Interface, Setting, kind,
//! };
//!
//! fn thermometer(speed: Speed) -> Device {
//!     let interval = if speed < Speed::High { 32 } else { 9 }; // 32 ms either way
//!     let readings = Endpoint::interrupt(EndpointAddress::new(1, Direction::In), 8, interval);
//!     Device::new(0x1209, 0x0001).product("Thermometer").configuration(
//!         Configuration::new(1)
//!             .max_power(100)
//!             .interface(Interface::new(0).setting(Setting::new(Class::VENDOR).endpoint(readings))),
//!     )
//! }
//!
//! let descriptors = Descriptors::build(Speed::High, thermometer)?;
//! assert_eq!(descriptors.get(kind::DEVICE, 0, 0).map(|bytes| bytes.len()), Some(18));
//! assert!(descriptors.get(kind::DEVICE_QUALIFIER, 0, 0).is_some());
//! # Ok::<(), usbwright_protocol::descriptor::DescriptorError>(())
//! ```

mod bos;
mod builder;
mod chain;
mod compile;
mod encode;
mod endpoint;
mod error;
mod join;
pub mod kind;
mod microsoft;
mod parse;
mod rules;
mod set;
mod strings;
mod tree;
mod webusb;

pub use bos::{BosDescriptor, Capability, PlatformCapability, SuperSpeedCapability};
pub use builder::{Association, Configuration, Device, Interface, Setting};
pub use chain::{RawDescriptor, RawDescriptors};
pub use endpoint::Endpoint;
pub use error::{DescriptorError, ParseError, Place};
pub use join::{JoinError, Numbering};
pub use microsoft::{MicrosoftFeatures, MicrosoftOs10, MicrosoftOs20, RegistryValue};
pub use set::Descriptors;
pub use strings::{decode_languages, decode_string};
pub use tree::{
    AssociationDescriptor, AudioEndpoint, Companion, ConfigurationDescriptor, DeviceDescriptor,
    EndpointDescriptor, InterfaceDescriptor, QualifierDescriptor, SettingDescriptor,
    Synchronization, Usage,
};
pub use webusb::WebUsb;

#[cfg(test)]
mod tests;
