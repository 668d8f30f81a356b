//! How drivers are written, chapter by chapter, from "[a driver in 40 lines](crate)" to the driver of a real board. Every piece of code is compiled and run.
//!
//! 1. [`queues`]: how requests come to a driver.
//! 2. [`requests`]: who owns them, and how they end.
//! 3. [`buffers`]: their data.
//! 4. [`sending`]: how they go on to the next driver.
//! 5. [`usb`]: how they go to a USB device, and how its messages come.
//! 6. [`life`]: how devices start, sleep, wake and go.
//! 7. [`power`]: how they wait, sleep for want of work, and wake.
//! 8. [`files`]: who has a device open, and what is kept with that.
//! 9. [`descriptors`]: how requests go to files, pipes and sockets of the operating system.
//! 10. [`names`]: how devices are found, and how requests go to those of other stacks.
//! 11. [`testing`]: clocks, seeds and faults.
//! 12. [`fx2`]: all of it, in the driver of the OSR USB-FX2 board.

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

#[doc = include_str!("book/power.md")]
pub mod power {}

#[doc = include_str!("book/files.md")]
pub mod files {}

#[doc = include_str!("book/descriptors.md")]
pub mod descriptors {}

#[doc = include_str!("book/names.md")]
pub mod names {}

#[doc = include_str!("book/testing.md")]
pub mod testing {}

#[doc = include_str!("book/fx2.md")]
pub mod fx2 {}
