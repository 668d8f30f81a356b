//! What somebody who has written a driver package is told of it: each mistake by its line, and with what to do.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use usbwright_driver_manager::package::{HostCheck, LoadError, Package};

const DEVICES: &str = r"devices = ['USB\VID_0547&PID_1002']
";
const FX2: &str = "
[[driver]]
UmdfService = 'fx2'
";

/// What is told of a package.
fn told(parts: &[&str]) -> String {
    let text = parts.concat();
    let path = Path::new("drivers/fx2.toml");
    let invalid = Package::parse(path, &text, HostCheck::Skipped).unwrap_err();
    invalid.to_string()
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    insta::assert_snapshot!(told(&[
        "hots = 'fx2-host'\n",
        DEVICES,
        FX2,
        "RetrivalMode = 'Deferred'\n",
        "[framework]\nUmdfHostProcesSharing = 'ProcessSharingEnabled'\ncolour = 1\n",
    ]));
}

#[test]
fn a_value_that_does_not_exist_is_told_with_those_that_do() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        FX2,
        "filter = 'uper'\nRWPreference = 'Quick'\n",
        "[framework]\n",
        "UmdfImpersonationLevel = 'identification'\n",
        "UmdfMethodNeitherAction = 'Refuse'\n",
        "UmdfHostPriority = 'PriorityLow'\n",
    ]));
}

#[test]
fn a_value_out_of_range_is_told_with_the_range() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        FX2,
        "DirectTransferThreshold = -1\n",
        "[host-policy]\n",
        "restarts = 1001\n",
        "restart-reset-minutes = 0\n",
        "deadline-seconds = 99999999999999999999999999999999999999999\n",
        "memory-mebibytes = 0x1\n",
        "cpu-percent = 0\n",
        "descriptors = 3\n",
    ]));
}

#[test]
fn a_value_of_another_type_is_told_with_the_right_one() {
    insta::assert_snapshot!(told(&[
        "host = 1\n",
        r"devices = 'USB\VID_0547&PID_1002'",
        "\ndriver = ['fx2']\nframework = 'none'\n[host-policy]\nrestarts = '5'\n",
    ]));
}

#[test]
fn a_hardware_id_of_no_known_form_is_told_with_the_part_that_is_wrong() {
    insta::assert_snapshot!(told(&[
        "devices = [\n",
        r"    'USB\VID_547&PID_1002',
    'PCI\VEN_8086&DEV_1234',
    'USB\VID_0547&PID_1002&MI_00&REV_0000',
    'USB\Class_FF&Prot_00',
",
        "]\n",
        FX2,
    ]));
}

#[test]
fn a_hardware_id_that_is_there_twice_is_told_with_both_places() {
    insta::assert_snapshot!(told(&[
        r"devices = [
    'USB\VID_0547&PID_100A',
    'usb\vid_0547&pid_100a',
]
",
        FX2,
    ]));
}

#[test]
fn a_package_for_nothing_is_told_what_is_missing() {
    insta::assert_snapshot!(told(&[""]));
    insta::assert_snapshot!(told(&["devices = []\n[[driver]]\nfilter = 'upper'\n"]));
    let told = told(&[DEVICES, "driver = []\n"]);
    assert!(
        told.contains("error: the package has no drivers\n"),
        "{told}"
    );
}

#[test]
fn two_drivers_of_one_name_are_told_with_both_places() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        FX2,
        "[[driver]]\nUmdfService = 'FX2'\nfilter = 'upper'\n"
    ]));
}

#[test]
fn a_name_that_no_driver_can_have_is_told_with_what_it_may_be() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        "[[driver]]\nUmdfService = 'fx 2'\n",
        "[[driver]]\nUmdfService = 'a-name-of-more-than-thirty-one-characters'\nfilter = 'upper'\n",
    ]));
}

#[test]
fn filters_on_the_wrong_side_are_told_with_the_driver_of_the_device() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        "[[driver]]\nUmdfService = 'above'\nfilter = 'upper'\n",
        FX2,
        "[[driver]]\nUmdfService = 'below'\nfilter = 'lower'\n",
        "[[driver]]\nUmdfService = 'second'\n",
    ]));
}

#[test]
fn a_stack_of_filters_only_is_told() {
    insta::assert_snapshot!(told(&[DEVICES, FX2, "filter = 'upper'\n"]));
}

#[test]
fn an_order_that_does_not_name_each_driver_once_is_told() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        FX2,
        "[[driver]]\nUmdfService = 'inverter'\nfilter = 'upper'\n",
        "[framework]\nUmdfServiceOrder = ['fx2', 'invertor', 'fx2']\n",
    ]));
}

#[test]
fn preferences_that_do_not_go_together_are_told_with_both_drivers() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        FX2,
        "RetrievalMode = 'Deferred'\nRWPreference = 'Direct'\nIoctlPreference = 'Direct'\n",
        "[[driver]]\nUmdfService = 'inverter'\nfilter = 'upper'\nRWPreference = 'Buffered'\n",
        "[framework]\nUmdfHostProcessSharing = 'ProcessSharingDisabled'\n",
    ]));
}

#[test]
fn direct_access_without_what_it_needs_is_told() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        FX2,
        "RetrievalMode = 'CopyImmediately'\nRWPreference = 'Direct'\n",
    ]));
}

#[test]
fn drivers_for_different_frameworks_and_ids_of_no_form_are_told() {
    insta::assert_snapshot!(told(&[
        DEVICES,
        FX2,
        "UmdfLibraryVersion = '1.9.0'\nDriverCLSID = '0123'\n",
        "[[driver]]\nUmdfService = 'inverter'\nfilter = 'upper'\nUmdfLibraryVersion = '2.15.0'\n",
        "[[driver]]\nUmdfService = 'counter'\nfilter = 'upper'\nUmdfLibraryVersion = '1.9'\n",
    ]));
}

#[test]
fn what_is_not_toml_is_told_with_every_place() {
    insta::assert_snapshot!(told(&[
        "host = fx2-host\n",
        "devices = [\"USB\\VID_0547\"]\n",
        "[[driver]\nUmdfService = 'fx2\n",
    ]));
}

#[test]
fn a_stack_of_too_many_drivers_is_told_with_the_limit() {
    let filter = |it: i32| format!("[[driver]]\nUmdfService = 'f{it}'\nfilter = 'upper'\n");
    let filters: String = (0..32).map(filter).collect();
    let told = told(&[DEVICES, FX2, &filters]);
    assert!(
        told.starts_with("error: the stack has 33 drivers\n"),
        "{told}"
    );
    assert!(told.ends_with("= help: a stack has at most 32"), "{told}");
}

#[test]
fn of_very_many_mistakes_the_first_ones_are_told() {
    let keys: String = (0..1000).map(|it| format!("key{it} = 1\n")).collect();
    let told = told(&[&keys, DEVICES, FX2]);
    assert_eq!(told.matches("error: ").count(), 20);
    assert!(told.ends_with("\n\nand 980 more"), "{told}");
}

/// A folder with a package in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("fx2.toml", [DEVICES, FX2].concat());
        folder
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn load(&self) -> Result<Package, LoadError> {
        Package::load(&self.0.path().join("fx2.toml"), HostCheck::Required)
    }

    /// What is told of its package.
    fn told(&self) -> String {
        let told = self.load().unwrap_err().to_string();
        told.replace(self.0.path().to_str().unwrap(), "FOLDER")
    }
}

#[test]
fn a_host_that_is_missing_or_not_executable_is_told() {
    let folder = Folder::new();
    insta::assert_snapshot!("a host that is missing", folder.told());
    folder.write(
        "fx2.toml",
        ["host = 'bin/fx2-host'\n", DEVICES, FX2].concat(),
    );
    fs::create_dir_all(folder.0.path().join("bin/fx2-host")).unwrap();
    insta::assert_snapshot!("a host that is a folder", folder.told());
    fs::remove_dir(folder.0.path().join("bin/fx2-host")).unwrap();
    let host = folder.write("bin/fx2-host", "");
    fs::set_permissions(&host, fs::Permissions::from_mode(0o644)).unwrap();
    insta::assert_snapshot!("a host that is not executable", folder.told());
    fs::set_permissions(&host, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(folder.load().unwrap().host(), host);
}

#[test]
fn a_file_that_is_no_package_is_told() {
    let folder = Folder::new();
    folder.write("fx2.toml", b"host = 'a'\n# \xff\n");
    assert_eq!(
        folder.told(),
        "FOLDER/fx2.toml is not UTF-8 at line 2: write it as UTF-8, as TOML is"
    );
    folder.write("fx2.toml", " ".repeat((64 << 10) + 1));
    assert_eq!(
        folder.told(),
        "FOLDER/fx2.toml has more than 65536 bytes: it is no driver package"
    );
    fs::remove_file(folder.0.path().join("fx2.toml")).unwrap();
    assert_eq!(
        folder.told(),
        "can't read FOLDER/fx2.toml: No such file or directory (os error 2)"
    );
}
