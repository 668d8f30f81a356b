//! Real devices, by libusb, which is compiled in.
//!
//! [`list`] tells which there are, [`watch()`] how they come and go; [`LibusbPort::open`] takes the one that a [`Selector`] names.

mod claims;
mod device;
mod error;
mod events;
mod inbox;
mod open;
mod order;
mod pool;
mod port;
mod requests;
mod selector;
mod status;
mod topology;
mod transfer;
mod watch;

pub use self::{
    device::{LibusbDevice, list},
    error::{LibusbError, Listing},
    port::LibusbPort,
    selector::{Selector, SelectorError},
    watch::{Change, Watch, WatchStop, watch},
};
