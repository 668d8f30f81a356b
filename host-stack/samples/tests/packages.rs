//! The packages of the samples say what is in the samples.

use std::path::Path;

use usbwright_driver_manager::package::{HardwareId, HostCheck, Package};
use usbwright_samples::host_stack::usb_target::protocol::Class;

#[test]
fn the_fx2_package_fits_the_board_and_has_the_filter_above_its_driver() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packages/fx2.toml");
    let package = Package::load(&path, HostCheck::Skipped).unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(
        package.to_string(),
        r"USB\VID_0547&PID_1002: filter over fx2"
    );
    let board = HardwareId::of_device(0x0547, 0x1002, 0, Class::VENDOR);
    assert!(!package.rank(&board).unwrap().by_compatible_id);
}
