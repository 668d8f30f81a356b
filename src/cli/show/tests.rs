//! What is shown of devices.
