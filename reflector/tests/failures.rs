//! What becomes of applications when hosts die, hang or answer nonsense, and of hosts when applications do. Hosts and applications are processes of their own here.

mod process;
mod support;

use std::time::{Duration, Instant};

use process::{Process, Role};
use support::{ECHO, EXIT, NEVER, PANIC, PEND, Probe, Setup, WHO, channels, until};
use usbwright_reflector::{
    Critical, Event, HostInfo, SecurityDescriptor, Violation,
    application::{Device, Io},
    status::{NtStatus, Win32Error},
};

/// How long it may take until an application knows that a host is dead; a machine that has much else to do gets more.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn the_other_process() {
    process::play();
}

/// A device whose host is a process.
fn hosted(role: Role) -> (Setup, Process) {
    let (end, ends) = channels();
    let host = Process::host(role, ends);
    let setup = Setup::with(SecurityDescriptor::default(), end, Probe::default());
    (setup, host)
}

fn rehost(setup: &Setup, role: Role) -> Process {
    let (end, ends) = channels();
    let host = Process::host(role, ends);
    let info = HostInfo { pid: host.pid() };
    setup.reflector.replace_host(setup.key, end, info).unwrap();
    host
}

fn kept_waiting(setup: &Setup, device: &Device, count: usize) -> Vec<Io> {
    let all = (0..count).map(|at| match at % 3 {
        0 => device.control(PEND, "", 0),
        1 => device.query_information(NEVER, 8),
        _ => device.set_information(NEVER, vec![0; 8]),
    });
    let all: Vec<Io> = all.collect();
    until("all are at the host", || {
        setup.reflector.status(setup.key).unwrap().outstanding == count
    });
    all
}

fn ends_with_1291(all: Vec<Io>) {
    for io in all {
        let ended = io.wait();
        assert_eq!(ended.error(), Win32Error::DRIVER_PROCESS_TERMINATED);
    }
}

fn disconnected(setup: &Setup) {
    setup.event(|it| matches!(it, Event::HostDisconnected).then_some(()));
}

#[test]
fn a_host_is_another_process() {
    let (setup, host) = hosted(Role::Host);
    let device = setup.open();
    let who = device.control(WHO, "", 64).wait().ok().unwrap();
    assert_eq!(who.data, format!("{} ", std::process::id()));
    assert_ne!(host.pid(), std::process::id());
    let data = vec![0x5A; 1_000_000];
    assert_eq!(device.write(data.clone()).wait().information, data.len());
    assert_eq!(device.read(data.len()).wait().data, data);
}

#[test]
fn a_host_that_is_killed_ends_a_thousand_requests_with_1291_two_hundred_times_in_a_row() {
    let (setup, mut host) = hosted(Role::Host);
    let mut times = Vec::new();
    for _ in 0..200 {
        let device = setup.open();
        let waits = kept_waiting(&setup, &device, 1000);
        let begin = Instant::now();
        host.kill();
        ends_with_1291(waits);
        times.push(begin.elapsed());
        disconnected(&setup);
        host = rehost(&setup, Role::Host);
        let dead = device.control(ECHO, "", 0).wait().error();
        assert_eq!(dead, Win32Error::DRIVER_PROCESS_TERMINATED);
    }
    times.sort();
    let (median, longest) = (times[100], times[199]);
    assert!(median < Duration::from_millis(100), "{median:?}");
    assert!(longest < AT_ONCE, "{longest:?}");
}

#[test]
fn what_ends_with_a_host_as_its_device_goes_is_told_that_the_device_is_gone() {
    let dies: [fn(&Setup, Process); 2] = [
        |_, host| host.kill(),
        |setup, host| {
            // The manager knows of it before the reflector does.
            host.stop();
            setup.reflector.host_died(setup.key).unwrap();
        },
    ];
    for dies in dies {
        let (setup, host) = hosted(Role::Host);
        let device = setup.open();
        let waits = kept_waiting(&setup, &device, 10);
        setup.reflector.device_leaves(setup.key).unwrap();
        dies(&setup, host);
        for io in waits {
            assert_eq!(io.wait().error(), Win32Error::DEVICE_REMOVED);
        }
        let late = device.read(1).wait().error();
        assert_eq!(late, Win32Error::DEVICE_REMOVED);
    }
}

#[test]
fn a_dead_device_fails_fast_and_is_opened_anew_as_soon_as_another_host_has_it() {
    let (setup, host) = hosted(Role::Host);
    let old = setup.open();
    host.kill();
    disconnected(&setup);
    let ended = old.read(1).wait().error();
    assert_eq!(ended, Win32Error::DRIVER_PROCESS_TERMINATED);
    let refused = setup.try_open().unwrap_err();
    assert_eq!(refused.error(), Win32Error::DRIVER_PROCESS_TERMINATED);
    let gone = setup.reflector.status(setup.key).unwrap().gone;
    assert_eq!(gone, Some(NtStatus::DRIVER_PROCESS_TERMINATED));
    let _host = rehost(&setup, Role::Host);
    let new = setup.open();
    assert_eq!(new.control(ECHO, "x", 1).wait().data, "x");
    let ended = old.read(1).wait().error();
    assert_eq!(ended, Win32Error::DRIVER_PROCESS_TERMINATED);
}

#[test]
fn a_host_that_exits_or_panics_is_as_one_that_was_killed() {
    let (setup, host) = hosted(Role::Host);
    let device = setup.open();
    let waits = kept_waiting(&setup, &device, 1000);
    let exits = device.control(EXIT, "", 0).wait().error();
    assert_eq!(exits, Win32Error::DRIVER_PROCESS_TERMINATED);
    ends_with_1291(waits);
    drop(host);
    let _host = rehost(&setup, Role::Host);
    let device = setup.open();
    // A driver's panic fails its stack, and the host may live.
    let panics = device.control(PANIC, "", 0).wait().error();
    assert_eq!(panics, Win32Error::DRIVER_PROCESS_TERMINATED);
    let refused = setup.try_open().unwrap_err().error();
    assert_eq!(refused, Win32Error::DRIVER_PROCESS_TERMINATED);
}

#[test]
fn a_host_that_was_stopped_holds_nobody_beyond_a_deadline() {
    let (setup, host) = hosted(Role::Host);
    let device = setup.open();
    host.stop();
    let begin = Instant::now();
    let all: Vec<Io> = (0..3000)
        .map(|_| device.control(ECHO, vec![0; 1000], 1000))
        .map(|it| it.timeout(Duration::from_millis(50)))
        .collect();
    for io in all {
        assert_eq!(io.wait().error(), Win32Error::SEM_TIMEOUT);
    }
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    let opens = setup.options().timeout(Duration::from_millis(50));
    assert_eq!(opens.open().unwrap_err().error(), Win32Error::SEM_TIMEOUT);
    until("the host owes a cancel", || {
        let owes = setup.reflector.status(setup.key).unwrap().critical;
        matches!(owes, Some((Critical::Cancel, _)))
    });
    host.resume();
    let ended = device.control(ECHO, "x", 1).wait();
    assert_eq!(ended.data, "x");
    until("all has ended", || {
        setup.reflector.status(setup.key).unwrap().outstanding == 0
    });
}

#[test]
fn a_stopped_host_that_is_given_up_ends_all_at_once() {
    let (setup, host) = hosted(Role::Host);
    let device = setup.open();
    host.stop();
    let waits: Vec<Io> = (0..1000)
        .map(|_| device.control(ECHO, vec![0; 1000], 1000))
        .collect();
    setup.reflector.host_died(setup.key).unwrap();
    ends_with_1291(waits);
    drop(device);
    until("nobody is left", || {
        setup.reflector.status(setup.key).unwrap().applications == 0
    });
}

#[test]
fn a_host_that_answers_nonsense_loses_its_requests_and_is_told_of() {
    for role in [
        Role::Garbage,
        Role::Unasked,
        Role::Twice,
        Role::TooMuch,
        Role::WrongKind,
        Role::NoGreeting,
    ] {
        let (setup, _host) = hosted(role);
        let opened = setup.try_open();
        let error = opened.err().map(|it| it.error());
        let error = error.unwrap_or(Win32Error::DRIVER_PROCESS_TERMINATED);
        assert_eq!(error, Win32Error::DRIVER_PROCESS_TERMINATED, "{role:?}");
        let violation = setup.event(|it| match it {
            Event::BadReply { violation } => Some(violation),
            _ => None,
        });
        let is_told = match role {
            Role::Garbage => matches!(violation, Violation::Short(_)),
            Role::Unasked | Role::Twice => matches!(violation, Violation::Unasked(_)),
            Role::TooMuch => matches!(violation, Violation::Excess { .. }),
            Role::WrongKind => matches!(violation, Violation::Kind(_)),
            _ => matches!(violation, Violation::Time(_)),
        };
        assert!(is_told, "{role:?}: {violation}");
    }
}

#[test]
fn an_application_that_is_killed_has_its_requests_cancelled_and_its_file_closed() {
    let setup = Setup::new();
    let other = setup.open();
    let mut application = Process::application(Role::Keeper, &setup.space);
    application.hear("a thousand wait");
    until("all are at the host", || {
        setup.reflector.status(setup.key).unwrap().outstanding == 1000
    });
    application.kill();
    let last = setup.event(|it| match it {
        Event::Closed { last, .. } => Some(last),
        _ => None,
    });
    assert!(!last);
    until("the drivers are told, in order", || {
        setup.probe.diary() == ["cleanup \\keeper", "close \\keeper"]
    });
    let status = setup.reflector.status(setup.key).unwrap();
    assert_eq!((status.outstanding, status.open_files), (0, 1));
    assert_eq!(other.control(ECHO, "x", 1).wait().data, "x");
}

#[test]
fn an_application_that_reads_nothing_holds_up_nobody_else() {
    let setup = Setup::new();
    let mut application = Process::application(Role::Deaf, &setup.space);
    application.hear("it asks");
    let device = setup.open();
    for round in 0..1000_u32 {
        let ended = device.control(ECHO, round.to_le_bytes().to_vec(), 4).wait();
        assert_eq!(ended.data, round.to_le_bytes()[..]);
    }
    application.kill();
    until("it has gone", || {
        setup.reflector.status(setup.key).unwrap().applications == 1
    });
}

#[test]
fn an_application_that_breaks_the_protocol_loses_its_connection_and_harms_nobody() {
    let setup = Setup::new();
    let device = setup.open();
    for role in [Role::BadKind, Role::BadNumber, Role::BadDescriptor] {
        let _application = Process::application(role, &setup.space);
        setup.event(|it| matches!(it, Event::BadRequest { .. }).then_some(()));
        assert_eq!(device.control(ECHO, "x", 1).wait().data, "x");
    }
    let _application = Process::application(Role::BadGreeting, &setup.space);
    until("it has gone", || {
        setup.reflector.status(setup.key).unwrap().applications == 1
    });
}

#[test]
fn after_a_hundred_rounds_nothing_is_left() {
    // Alone in its process, so that nobody else's descriptors count.
    let output = process::alone("a_hundred_rounds");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_hundred_rounds() {
    if !process::is_alone() {
        return;
    }
    round(0);
    let before = process::belongings();
    for number in 1..=100 {
        round(number);
    }
    until("all descriptors, threads and mappings are gone", || {
        process::belongings() == before
    });
}

/// A reflector's whole life, with a host that is killed in the middle, or ends otherwise.
fn round(number: usize) {
    let (setup, host) = hosted(Role::Host);
    let device = setup.open();
    assert_eq!(device.write(vec![1; 200_000]).wait().information, 200_000);
    let buffer = device.direct_buffer(100_000).unwrap();
    let read = device.read_direct(&buffer, 0..100_000, 0).wait();
    assert_eq!(read.information, 100_000);
    let waits = kept_waiting(&setup, &device, 100);
    match number % 4 {
        0 => {
            host.kill();
            ends_with_1291(waits);
        }
        1 => {
            setup.reflector.remove_device(setup.key).unwrap();
            for io in waits {
                assert_eq!(io.wait().error(), Win32Error::DEVICE_REMOVED);
            }
        }
        2 => drop((device, buffer)),
        _ => drop(setup),
    }
}
