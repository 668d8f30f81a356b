//! How drivers are written, chapter by chapter, from "[a driver in 40 lines](crate)" to the driver of a real board. Every piece of code is compiled and run.
//!
//! 1. [`queues`]: how requests come to a driver.
//! 2. [`requests`]: who owns them, and how they end.
//! 3. [`buffers`]: their data.
//! 4. [`sending`]: how they go on to the next driver.
//! 5. [`usb`]: how they go to a USB device, and how its messages come.
//! 6. [`life`]: how devices start, sleep, wake and go.
//! 7. [`files`]: who has a device open.
//! 8. [`testing`]: clocks, seeds and faults.
//! 9. [`fx2`]: all of it, in the driver of the OSR USB-FX2 board.

#[doc = include_str!("book/queues.md")]
pub mod queues {}

#[doc = include_str!("book/requests.md")]
pub mod requests {}

#[doc = include_str!("book/buffers.md")]
pub mod buffers {}

#[doc = include_str!("book/sending.md")]
pub mod sending {}

#[doc = include_str!("book/usb.md")]
pub mod usb {}

#[doc = include_str!("book/life.md")]
pub mod life {}

#[doc = include_str!("book/files.md")]
pub mod files {}

#[doc = include_str!("book/testing.md")]
pub mod testing {}

#[doc = include_str!("book/fx2.md")]
pub mod fx2 {}
