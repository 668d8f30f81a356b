//! Descriptor types: `bDescriptorType` of USB 2.0 table 9-5 and USB 3.2 table 9-6.
#![expect(missing_docs, reason = "each is the specification's own name")]

pub const DEVICE: u8 = 1;
pub const CONFIGURATION: u8 = 2;
pub const STRING: u8 = 3;
pub const INTERFACE: u8 = 4;
pub const ENDPOINT: u8 = 5;
pub const DEVICE_QUALIFIER: u8 = 6;
pub const OTHER_SPEED_CONFIGURATION: u8 = 7;
pub const INTERFACE_ASSOCIATION: u8 = 11;
pub const BOS: u8 = 15;
pub const DEVICE_CAPABILITY: u8 = 16;
pub const SUPERSPEED_ENDPOINT_COMPANION: u8 = 48;
