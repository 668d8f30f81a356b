//! What a driver package stands for, once it is right.

use std::{path::Path, time::Duration};

use proptest::prelude::*;
use usbwright_driver_manager::package::{
    Directives, HostCheck, HostPolicy, HostProcessSharing, Limits, MethodNeitherAction, Package,
    Role,
};
use usbwright_host_stack::{Access, IoType, Retrieval};

fn package(text: &str) -> Package {
    let path = Path::new("drivers/fx2.toml");
    Package::parse(path, text, HostCheck::Skipped).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_package_of_few_lines_has_the_defaults_of_the_framework() {
    let package = package(
        r"
        devices = ['USB\VID_0547&PID_1002']
        [[driver]]
        UmdfService = 'fx2'
        ",
    );
    assert_eq!(package.name(), "fx2");
    assert_eq!(package.host(), Path::new("drivers/fx2"));
    assert_eq!(package.directives(), &Directives::default());
    assert_eq!(package.drivers()[0].role, Role::Function);
    assert_eq!(IoType::from(&package.drivers()[0]), IoType::default());
    let policy = package.policy();
    assert_eq!(policy, &HostPolicy::default());
    assert_eq!(policy.restarts, 5);
    assert_eq!(policy.restart_reset, Duration::from_mins(30));
    assert_eq!(policy.deadline, Duration::from_secs(60));
    assert_eq!(policy.limits, Limits::default());
}

#[test]
fn what_a_package_says_is_what_it_has() {
    let package = package(
        r"
        host = '../bin/fx2-host'
        devices = ['USB\VID_0547&PID_1002&MI_00', 'USB\Class_FF']
        [[driver]]
        UmdfService = 'inverter'
        filter = 'upper'
        [[driver]]
        UmdfService = 'fx2'
        RetrievalMode = 'Deferred'
        RWPreference = 'BufferedOrDirect'
        DirectTransferThreshold = 16_384
        UmdfLibraryVersion = '2.15.0'
        [framework]
        UmdfServiceOrder = ['fx2', 'inverter']
        UmdfMethodNeitherAction = 'Copy'
        UmdfHostProcessSharing = 'ProcessSharingDisabled'
        [host-policy]
        restarts = 0
        memory-mebibytes = 256
        cpu-percent = 50
        descriptors = 64
        ",
    );
    assert_eq!(
        package.to_string(),
        r"USB\VID_0547&PID_1002&MI_00, USB\Class_FF: inverter over fx2"
    );
    let names: Vec<&str> = package.drivers().iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["fx2", "inverter"]);
    let wanted = IoType {
        retrieval: Retrieval::Deferred,
        read_write: Access::BufferedOrDirect,
        control: Access::Buffered,
        direct_threshold: 16384,
    };
    assert_eq!(package.drivers()[0].io_type, wanted);
    let directives = package.directives();
    assert_eq!(directives.method_neither_action, MethodNeitherAction::Copy);
    assert_eq!(directives.host_process_sharing, HostProcessSharing::Own);
    assert_eq!(package.policy().restarts, 0);
    let limits = Limits {
        memory: Some(256 << 20),
        cpu_percent: Some(50),
        descriptors: Some(64),
    };
    assert_eq!(package.policy().limits, limits);
}

/// Parts of packages, right and wrong.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("[[driver]]\n".to_owned()),
        Just("[framework]\n".to_owned()),
        Just("[host-policy]\n".to_owned()),
        "(host|devices|driver|framework|filter|UmdfService|UmdfServiceOrder|restarts|RWPreference|RetrievalMode) = ('[a-zé\t]{0,3}'|'upper'|'Direct'|'Deferred'|[0-9]{1,50}|\\['a', 'é', \\{\\}\\]|\\{ a = 1 \\}|-0x|\"\\\\u00)\n",
        Just("devices = ['USB\\Class_FF']\n".to_owned()),
        Just("host = \"\\u001b[2J\"\n".to_owned()),
        Just("\u{feff}\r".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_text_panics_and_each_that_is_wrong_is_told(parts in prop::collection::vec(part(), 0..12)) {
        let text = parts.concat();
        if let Err(error) = Package::parse(Path::new("a/b.toml"), &text, HostCheck::Required) {
            prop_assert!(!error.problems().is_empty());
            let told = error.to_string();
            prop_assert!(told.contains("a/b.toml:"));
            prop_assert!(!told.contains('\u{1b}'), "no control character reaches a terminal");
        }
    }
}
