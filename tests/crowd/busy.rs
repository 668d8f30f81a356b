//! Two dozen devices of all kinds, all of them busy, in the lab.

use std::env;

use super::lab::Guest;

/// Has [`guest`](super::guest) run in the lab for so long: this very program, with `--ignored`.
fn run(seconds: u32) {
    let program = env::current_exe().unwrap();
    let script = format!(
        "CROWD_SECONDS={seconds} {} --ignored --exact --nocapture guest::two_dozen_devices_are_busy",
        program.display()
    );
    let ran = Guest::new(&[])
        .kernel_argument("usb-storage.delay_use=0")
        .run(&script);
    println!("{}", ran.stdout());
    ran.assert_success();
    let passed = ran.stdout().contains("test result: ok. 1 passed");
    assert!(passed, "{}", ran.stdout());
}

#[test]
fn two_dozen_devices_of_all_kinds_are_busy_at_once_without_an_error() {
    run(8);
}

#[test]
#[ignore = "it takes five minutes: cargo test --test crowd -- --ignored --exact --nocapture busy::two_dozen_devices_are_busy_for_five_minutes_and_the_server_does_not_grow"]
fn two_dozen_devices_are_busy_for_five_minutes_and_the_server_does_not_grow() {
    run(300);
}
