//! The host executable of `packages/fx2.toml`, and of whatever else the drivers are wanted for.

use usbwright_samples::{
    bulk::BulkDriver, echo::EchoDriver, filter::InvertingFilter, fx2::Fx2Driver,
};

usbwright_driver_host::main! {
    "fx2" => || Fx2Driver,
    "filter" => || InvertingFilter,
    "bulk" => BulkDriver::default,
    "echo" => EchoDriver::default,
}
