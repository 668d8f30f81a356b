//! What makes a firmware model a USB device: the [`Firmware`] trait, the device core, the bus, the USB/IP server.
//!
//! The device core answers chapter 9 and keeps the endpoint queues, a [`Bus`] holds the devices that are plugged in, and a
//! [`Server`](server::Server) exports them over USB/IP. Nothing here knows any particular device.
//!
//! # A device, whole
//!
//! A vendor device that sends back what it is sent, and whose vendor request 1 sets its lamp:
//!
//! ```
//! use std::collections::VecDeque;
//! use bytes::Bytes;
//! use usbwright_emulator::{Context, Firmware, In, Out};
//! use usbwright_emulator::protocol::{
//!     Class, Direction, EndpointAddress, RequestKind, Setup, Speed,
//!     descriptor::{Configuration, Device, Endpoint, Interface, Setting},
//! };
//!
//! const SEND: EndpointAddress = EndpointAddress::new(1, Direction::In);
//! const RECEIVE: EndpointAddress = EndpointAddress::new(1, Direction::Out);
//!
//! #[derive(Default)]
//! struct Echo {
//!     queue: VecDeque<Bytes>,
//!     lamp: u16,
//! }
//!
//! impl Firmware for Echo {
//!     fn describe(&self, _speed: Speed) -> Device {
//!         let setting = Setting::new(Class::VENDOR)
//!             .endpoint(Endpoint::bulk(SEND))
//!             .endpoint(Endpoint::bulk(RECEIVE));
//!         Device::new(0x1209, 0x0001)
//!             .product("Echo")
//!             .configuration(Configuration::new(1).interface(Interface::new(0).setting(setting)))
//!     }
//!
//!     fn control_out(&mut self, setup: &Setup, _: &Bytes, _: &mut Context<'_>) -> Out {
//!         match (setup.kind(), setup.request) {
//!             (RequestKind::Vendor, 1) => self.lamp = setup.value,
//!             _ => return Out::Stall,
//!         }
//!         Out::Taken
//!     }
//!
//!     fn receive(&mut self, _: EndpointAddress, data: &Bytes, _: &mut Context<'_>) -> Out {
//!         if self.queue.len() == 32 {
//!             return Out::NotYet;
//!         }
//!         self.queue.push_back(data.clone());
//!         Out::Taken
//!     }
//!
//!     fn send(&mut self, _: EndpointAddress, room: usize, _: &mut Context<'_>) -> In {
//!         let Some(front) = self.queue.front_mut() else {
//!             return In::NotYet;
//!         };
//!         let data = front.split_to(room.min(front.len()));
//!         if front.is_empty() {
//!             self.queue.pop_front();
//!         }
//!         In::Data(data)
//!     }
//! }
//!
//! // From here on it is a device: its host may be a server's client, or a test.
//! use std::time::Instant;
//! use usbwright_emulator::EmulatedDevice;
//! use usbwright_emulator::protocol::{Port, Status, Transfer, TransferId, TransferKind};
//!
//! let now = Instant::now();
//! let mut echo = EmulatedDevice::new(Echo::default(), Speed::High, now)?;
//! let mut host = |endpoint, kind| {
//!     let id = TransferId(1);
//!     echo.submit(Transfer { id, endpoint, kind }, now.into());
//!     echo.completion().expect("it ends at once")
//! };
//! let no_data = |bytes| TransferKind::Control {
//!     setup: Setup::from_bytes(bytes),
//!     data: Bytes::new(),
//!     room: 0,
//! };
//! let set_configuration = no_data([0x00, 9, 1, 0, 0, 0, 0, 0]);
//! assert_eq!(host(EndpointAddress::CONTROL, set_configuration).status, Status::Done);
//! let set_lamp = no_data([0x40, 1, 1, 0, 0, 0, 0, 0]);
//! assert_eq!(host(EndpointAddress::CONTROL, set_lamp).status, Status::Done);
//! let unknown = no_data([0x40, 2, 0, 0, 0, 0, 0, 0]);
//! assert_eq!(host(EndpointAddress::CONTROL, unknown).status, Status::Stalled);
//!
//! let data = Bytes::from_static(b"hello");
//! host(RECEIVE, TransferKind::Out { data: data.into(), zero_packet: false });
//! assert_eq!(host(SEND, TransferKind::In { length: 64 }).data.to_vec(), b"hello");
//! # Ok::<(), usbwright_emulator::protocol::descriptor::DescriptorError>(())
//! ```
//!
//! [`Bus::plug`] puts it on a bus, and a [`Server`](server::Server) of that bus exports it.

mod bus;
pub mod counters;
mod device;
mod firmware;
pub mod server;
#[cfg(test)]
mod testing;

pub use bus::{Bus, BusId, BusIdError, Lease, LeaseError, PlugError, Plugged};
pub use device::EmulatedDevice;
pub use firmware::{Context, Firmware, In, Out, Part};
pub use usbwright_protocol as protocol;
