//! What a package says of its host, and what is wrong with that.

mod engine;

use std::path::Path;

use proptest::prelude::*;
use usbwright_driver_manager::{
    confinement::Measure,
    package::{HostCheck, Invalid, Package},
};

fn parse(policy: &str) -> Result<Package, Invalid> {
    let text = format!(
        "devices = ['USB\\Class_FF']\n[[driver]]\nUmdfService = 'x'\n[host-policy]\n{policy}\n"
    );
    Package::parse(Path::new("x.toml"), &text, HostCheck::Skipped)
}

#[test]
fn a_package_lists_what_its_host_may_open_and_what_has_to_hold() {
    let policy = "read = ['/usr/share/x']\nwrite = ['/var/lib/x', '/tmp']\nrequire = ['Landlock']";
    let package = parse(policy).unwrap();
    assert_eq!(package.policy().read, [Path::new("/usr/share/x")]);
    assert_eq!(package.policy().write.len(), 2);
    assert_eq!(package.policy().required, [Measure::Landlock]);
}

#[test]
fn a_path_that_leads_from_nowhere_and_a_measure_that_is_none_are_told() {
    let wrong = parse("read = ['share']\nrequire = ['landlock', 'x']").unwrap_err();
    let told: Vec<&str> = wrong.problems().iter().map(|it| it.what()).collect();
    assert_eq!(
        told,
        [
            "`read` has \"share\", which is no path from the root on",
            "`require` can't be \"landlock\"",
            "`require` can't be \"x\"",
        ]
    );
    assert_eq!(wrong.problems()[1].remedy(), "did you mean \"Landlock\"?");
}

proptest! {
    #[test]
    fn no_text_panics(bytes: Vec<u8>) {
        engine::run(&bytes);
    }
}
