//! What is done with a text that may be a driver package: it is one that can be shown and matched, or all that is wrong with it is told with places that are in it.

use std::path::Path;

use usbwright_driver_manager::package::{HostCheck, Package};

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Package::parse(Path::new("fuzzed.toml"), &text, HostCheck::Skipped) {
        Ok(package) => {
            assert!(!package.to_string().is_empty());
            assert!(package.rank(package.devices()).is_some());
        }
        Err(invalid) => {
            assert!(!invalid.to_string().is_empty());
            for problem in invalid.problems() {
                assert!(text.get(problem.place()).is_some(), "{problem:?}");
            }
        }
    }
}
