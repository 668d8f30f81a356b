//! What stands between applications and driver host processes.

pub mod application;
#[doc(hidden)]
pub mod exchange;
pub mod host;
mod order;
mod reflector;
mod region;
mod relay;
#[doc(hidden)]
pub mod wire;

pub use reflector::{
    AddError, DeviceKey, DeviceStatus, Event, HostEnd, HostInfo, NoDevice, Reflector, ReplaceError,
    Who,
};
pub use region::RegionError;
pub use relay::{Critical, RequestRecord};
pub use usbwright_host_stack::{ControlCode, IoOutcome, status};
pub use usbwright_ports::{
    NameError, NameSpace, PortName as DeviceName, Rights, SecurityDescriptor, Subject, Violation,
};
