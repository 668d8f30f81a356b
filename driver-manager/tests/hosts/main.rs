//! A manager and real host processes: what becomes of devices whose hosts are killed, stopped, starved, or talk nonsense. This program is the host as well.

mod applications;
mod bench;
mod changes;
mod deadlines;
mod failures;
mod hostile;
mod life;
mod programs;

use std::{path::Path, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

/// The tests of a module, by their names.
macro_rules! trials {
    ($($module:ident: $($test:ident)+;)+) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($test)), || {
            $module::$test();
            Ok(())
        })),+),+]
    };
}

fn main() -> ExitCode {
    if let Some(code) = programs::run() {
        return code;
    }
    let trials = trials! {
        life:
            a_device_that_fits_a_package_has_its_stack_in_a_host_and_all_of_it_ends_in_order
            a_device_that_no_package_is_for_is_told_of_until_it_goes_and_has_no_host
            an_unplugged_device_takes_its_host_with_it
            a_device_that_ends_by_itself_is_gone_for_the_manager
            pooled_devices_share_a_process
            hosts_do_not_outlive_a_manager_that_is_dropped
            a_device_that_cannot_be_had_is_refused_with_the_reason;
        failures:
            a_killed_host_is_recorded_and_its_device_runs_again
            after_five_restarts_a_device_is_offline_until_it_is_plugged_in_anew
            a_driver_that_panics_costs_its_own_host_alone_the_second_time
            a_driver_that_ends_the_process_is_told_by_its_exit_code
            a_driver_that_refuses_is_not_asked_again
            a_host_without_the_driver_refuses_and_tells_what_it_has
            a_host_that_takes_more_memory_than_it_may_dies_of_it
            a_host_that_cannot_be_started_is_told_by_its_path
            a_host_that_a_user_has_killed_starts_again;
        applications:
            a_stack_is_reached_by_the_sockets_that_its_host_was_handed
            where_a_host_dies_the_sockets_end_and_what_was_asked_last_is_recorded
            a_device_that_is_offline_is_let_go_of_when_it_is_unplugged
            a_cancel_that_a_driver_never_ends_is_late;
        changes:
            stacks_sleep_and_wake_and_their_drivers_are_told
            a_device_is_reset_while_its_stack_is_stopped_and_not_otherwise
            only_the_device_that_is_named_is_asked_and_an_unknown_one_is_told
            a_driver_that_does_not_wake_costs_its_host_and_runs_anew
            who_waits_for_a_change_is_told_that_the_host_died_over_it
            a_driver_that_never_falls_asleep_is_killed_when_its_time_is_up;
        deadlines:
            a_driver_that_hangs_is_killed_when_its_time_is_up
            a_stopped_host_does_not_hold_its_device_up
            a_cancel_that_a_stopped_host_never_reads_is_late
            a_driver_that_tells_of_progress_may_take_its_time
            a_stopped_host_is_killed_when_all_is_to_end;
        hostile:
            a_host_that_sends_no_message_is_ended_as_a_bad_reply
            a_host_of_another_version_is_told_so
            a_host_that_hangs_up_and_lives_on_is_ended
            a_host_that_answers_what_nobody_asked_is_ended
            a_host_that_floods_the_manager_harms_no_other
            a_driver_can_open_and_start_nothing_that_its_package_does_not_list
            a_package_that_requires_what_cannot_be_had_is_not_run;
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Whether there is such a process, be it dead and not reaped.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
