//! What a real kernel makes of a serial port: its driver `cdc_acm`, and ordinary programs at both ends of the line.
//!
//! The tests boot the lab. Some run one of [`guest`]'s functions in it: this very program, with `--ignored`.

mod guest;
#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/lab.rs"]
mod lab;
mod modem;
#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/usbip/server.rs"]
mod server;

use lab::Guest;

/// What the scripts begin with: they stop at the first error, and `line SPEC` attaches a serial port that is in raw mode.
const BEGIN: &str = "set -e
    line() {
        usbwright attach \"$1\" >attached 2>&1 & server=$!
        until grep -q ready attached; do kill -0 $server; sleep 0.02; done
        until [ -c /dev/ttyACM0 ]; do sleep 0.02; done
        stty -F /dev/ttyACM0 raw -echo
    }
    fails() {
        if \"$@\" 2>/dev/null; then echo \"passed: $*\"; exit 1; fi
    }\n";

fn run(script: &str) -> String {
    let ran = Guest::new(&[]).run(&format!("{BEGIN}{script}"));
    ran.assert_success();
    ran.stdout()
}

/// Runs functions of [`guest`] in one lab.
fn run_in_guest(functions: &[&str]) {
    let program = std::env::current_exe().unwrap();
    let program = program.display();
    let script: String = functions
        .iter()
        .map(|it| format!("{program} --ignored --exact --nocapture guest::{it} || exit 1\n"))
        .collect();
    let ran = Guest::new(&[]).run(&script);
    ran.assert_success();
    println!("{}", ran.stdout());
    let passed = ran.stdout().matches("test result: ok. 1 passed").count();
    assert_eq!(passed, functions.len(), "{}", ran.stdout());
}

#[test]
fn what_a_host_sets_and_what_a_line_tells_is_seen_at_the_other_end() {
    run_in_guest(&[
        "what_stty_sets_is_seen_at_the_other_end",
        "modem_lines_are_seen_both_ways",
        "breaks_and_errors_are_told_both_ways",
    ]);
}

#[test]
fn bytes_pass_both_ways_at_once_whoever_stops_reading_and_until_it_is_unplugged() {
    run_in_guest(&[
        "bytes_pass_both_ways_at_once",
        "a_terminal_that_stops_reading_makes_programs_wait",
        "a_program_that_stops_reading_makes_the_terminal_wait",
        "a_program_that_reads_slowly_loses_nothing",
        "a_port_that_is_unplugged_in_the_middle_ends_its_programs_and_loses_nothing_before",
    ]);
}

#[test]
#[ignore = "it moves 600 MB, which takes minutes"]
fn a_hundred_megabytes_pass_both_ways_at_once() {
    run_in_guest(&["a_hundred_megabytes_pass_both_ways_at_once"]);
}

#[test]
fn programs_talk_over_a_terminal_one_after_the_other() {
    run("line serial,pty=$PWD/tty
         head -c 3M /dev/urandom >data
         for round in 1 2 3; do
             ( exec <tty; head -c 3M >out ) & reader=$!
             cat data >/dev/ttyACM0
             wait $reader
             cmp data out
             ( exec </dev/ttyACM0; head -c 3M >back ) & reader=$!
             cat data >tty
             wait $reader
             cmp data back
         done
         kill $server
         wait $server
         [ ! -L tty ]");
}

#[test]
fn a_program_at_a_terminal_keeps_xon_and_xoff_if_it_wants_to() {
    run("line serial,pty=$PWD/tty
         exec 3<>tty 4<>/dev/ttyACM0
         stty -F tty ixon
         # Once the x has come, so has the XOFF before it.
         printf '\\023x' >&4
         [ \"$(head -c 1 <&3)\" = x ]
         fails dd if=/dev/zero of=tty bs=1 count=1 oflag=nonblock
         ( printf held >&3 ) & writer=$!
         printf '\\021y' >&4
         [ \"$(head -c 1 <&3)\" = y ]
         [ \"$(head -c 4 <&4)\" = held ]
         wait $writer
         # Otherwise they are characters as any others.
         stty -F tty -ixon
         printf '\\023\\021' >&4
         [ \"$(head -c 2 <&3 | od -An -tx1)\" = ' 13 11' ]
         printf '\\021\\023' >&3
         [ \"$(head -c 2 <&4 | od -An -tx1)\" = ' 11 13' ]");
}

#[test]
fn a_line_is_a_socket_or_the_commands_input_and_output() {
    run("line serial,unix=$PWD/line
         usbwright attach serial,unix=$PWD/line,connect >other 2>&1 &
         until [ -c /dev/ttyACM1 ]; do sleep 0.02; done
         stty -F /dev/ttyACM1 raw -echo
         exec 4<>/dev/ttyACM0 5<>/dev/ttyACM1
         head -c 2M /dev/urandom >data
         ( head -c 2M <&5 >out ) & reader=$!
         cat data >&4
         wait $reader
         cmp data out
         ( head -c 2M <&4 >back ) & reader=$!
         cat data >&5
         wait $reader
         cmp data back
         exec 4<&- 5<&-
         usbwright detach --all
         mkfifo in
         usbwright attach serial,stdio <in >stdout 2>attached &
         exec 3>in
         until grep -q ready attached; do sleep 0.02; done
         until [ -c /dev/ttyACM0 ]; do sleep 0.02; done
         stty -F /dev/ttyACM0 raw -echo
         exec 4<>/dev/ttyACM0
         printf 'to the host' >&3
         [ \"$(head -c 11 <&4)\" = 'to the host' ]
         cat data >&4
         until cmp data stdout 2>/dev/null; do sleep 0.02; done");
}

#[test]
fn a_loopback_gives_back_what_a_program_writes() {
    run("line serial,loopback
         exec 4<>/dev/ttyACM0
         head -c 3M /dev/urandom >data
         ( head -c 3M <&4 >out ) & reader=$!
         cat data >&4
         wait $reader
         cmp data out
         fails usbwright attach --background serial,stdio
         fails usbwright lab --device serial,stdio true");
}
