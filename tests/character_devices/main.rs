//! The devices of a manager as character devices (CUSE), in the lab: ordinary programs move data through a driver in its host process. This program is the host as well.

#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/lab.rs"]
mod lab;

use std::{env, fs, os::unix::fs::symlink, path::Path, process::ExitCode};

use lab::Guest;
use libtest_mimic::{Arguments, Trial};
use usbwright_driver_host::Drivers;
use usbwright_samples::{filter::InvertingFilter, fx2::Fx2Driver};

fn main() -> ExitCode {
    if env::var_os("USBWRIGHT_HOST_CONTROL").is_some() {
        let drivers = Drivers::new().with("fx2", || Fx2Driver);
        return drivers.with("filter", || InvertingFilter).run();
    }
    let name = "cat_dd_and_ioctl_reach_a_driver_in_its_host_process_whatever_becomes_of_that";
    let trial = Trial::test(name, || {
        in_a_kernel();
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// One boot for all of it.
fn in_a_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy("host-stack/samples/packages/fx2.toml", at("fx2.toml")).unwrap();
    symlink(env::current_exe().unwrap(), at("fx2-host")).unwrap();
    let here = Path::new("tests/character_devices");
    for file in ["script.sh", "control.py", "poll.py"] {
        fs::copy(here.join(file), at(file)).unwrap();
    }
    let guest = Guest::new(&[]).programs(&[("python3", "python3"), ("setpriv", "util-linux")]);
    let ran = guest.run_in(folder.path(), "exec timeout -k 10 300 sh script.sh");
    ran.assert_success();
    let told = ran.stdout();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.last(), Some(&"done"), "{told:?}");
}
