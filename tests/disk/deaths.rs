//! Disks that go in the middle of writing: what was flushed is there when they come back.

use super::guest::ROUNDS;

/// Runs a function of [`guest`](super::guest) in the lab, so often.
fn run_in_guest(function: &str, rounds: u32) {
    let program = std::env::current_exe().unwrap();
    let program = program.display();
    let ran = super::guest(&[]).run(&format!(
        "{ROUNDS}={rounds} {program} --ignored --exact --nocapture guest::{function}"
    ));
    ran.assert_success();
    println!("{}", ran.stdout());
    assert!(ran.stdout().contains("test result: ok. 1 passed"));
}

#[test]
fn what_was_flushed_is_there_though_its_server_is_killed_in_the_middle_of_writing() {
    run_in_guest("servers_are_killed", 3);
}

#[test]
#[ignore = "it takes minutes"]
fn what_was_flushed_is_there_though_servers_are_killed_fifty_times() {
    run_in_guest("servers_are_killed", 50);
}

#[test]
fn files_that_were_synced_are_there_though_the_disk_is_unplugged_in_the_middle_of_writing() {
    run_in_guest("disks_are_unplugged", 2);
}

#[test]
#[ignore = "it takes minutes"]
fn files_that_were_synced_are_there_though_disks_are_unplugged_thirty_times() {
    run_in_guest("disks_are_unplugged", 30);
}
