//! The emulated devices of usbwright.
