//! The `usbwright` command.
fn main() {}
