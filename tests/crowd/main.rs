//! Many devices of one server: what a thousand cost that are idle, and how two dozen of all kinds do that are busy at once.

mod busy;
mod guest;
mod idle;
#[allow(dead_code, reason = "other tests ask for other parts of it")]
#[path = "../support/lab.rs"]
mod lab;
#[allow(dead_code, reason = "the hostile clients ask for other parts of it")]
#[path = "../support/usbip/mod.rs"]
mod support;
