//! Real devices, in the lab: stacks come and go as they are plugged in and out.

use std::{env, fs, os::unix::fs::symlink};

use crate::lab::Guest;

/// One boot for all of it.
pub(crate) fn a_real_board_has_its_stack_whenever_it_is_plugged_in() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("fx2.toml"), crate::PACKAGE).unwrap();
    symlink(env::current_exe().unwrap(), at("fx2-host")).unwrap();
    fs::copy("tests/stacks/plugged.sh", at("plugged.sh")).unwrap();
    let guest = Guest::new(&[]).programs(&[("setpriv", "util-linux")]);
    let ran = guest.run_in(folder.path(), "exec timeout -k 10 300 sh plugged.sh");
    ran.assert_success();
    let told = ran.stdout();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.last(), Some(&"done"), "{told:?}");
}
