//! What a host gets of a device of several functions.

use std::time::{Duration, Instant};

use usbwright_emulator::{
    EmulatedDevice,
    protocol::{Direction, EndpointAddress, Port, Speed, Status},
};

use super::*;
use crate::{
    Handle, model,
    osr_fx2::{Options, OsrFx2},
    serial::Serial,
    testing::Host,
};

fn input(number: u8) -> EndpointAddress {
    EndpointAddress::new(number, Direction::In)
}

fn output(number: u8) -> EndpointAddress {
    EndpointAddress::new(number, Direction::Out)
}

/// A serial port (IN 1 for notifications, IN 2 and OUT 1 for data), a Gadget Zero (IN 3 and OUT 2 in bulk), another serial port
/// (IN 6, IN 7 and OUT 5).
const SPEC: &str = "composite,of=serial,,loopback,of=gadget-zero,,pattern=1,of=serial,,loopback";

fn class_request(host: &mut Host, request: u8, value: u8, interface: u8) -> Status {
    let setup = [0x21, request, value, 0, interface, 0, 0, 0];
    host.control(setup, Vec::new()).status
}

#[test]
fn each_function_has_its_own_interfaces_and_endpoints() {
    let mut host = Host::new(SPEC, 1);
    host.write(output(1), &b"first"[..], false);
    assert_eq!(host.ended().unwrap().status, Status::Done);
    assert_eq!(host.got(input(2), 100), b"first");
    assert_eq!(host.got(input(3), 100).len(), 100);
    // IN and OUT endpoints of alternate settings have numbers of their own as well.
    host.write(output(5), &b"second"[..], false);
    assert_eq!(host.ended().unwrap().status, Status::Done);
    assert_eq!(host.got(input(7), 100), b"second");
}

#[test]
fn a_request_goes_to_the_function_whose_interface_it_names() {
    let mut host = Host::new(SPEC, 1);
    let coding = vec![0, 0xc2, 1, 0, 0, 0, 8];
    let set = host.control([0x21, 0x20, 0, 0, 3, 0, 7, 0], coding.clone());
    assert_eq!(set.status, Status::Done);
    let read = |host: &mut Host, interface| {
        let read = host.control([0xa1, 0x21, 0, 0, interface, 0, 7, 0], Vec::new());
        (read.status, read.data.to_vec())
    };
    assert_eq!(read(&mut host, 3), (Status::Done, coding));
    let default = vec![0x80, 0x25, 0, 0, 0, 0, 8];
    assert_eq!(read(&mut host, 0), (Status::Done, default));
    for other in [1, 2, 4, 5] {
        assert_eq!(read(&mut host, other).0, Status::Stalled);
    }
    // Gadget Zero has a request for the whole device, which none of the others knows.
    let written = host.control([0x40, 0x5b, 0, 0, 0, 0, 2, 0], vec![1, 2]);
    assert_eq!(written.status, Status::Done);
}

#[test]
fn an_alternate_setting_is_its_functions_own() {
    let mut host = Host::new(SPEC, 1);
    host.write(output(1), &b"kept"[..], false);
    assert_eq!(host.ended().unwrap().status, Status::Done);
    let chosen = host.control([1, 11, 2, 0, 2, 0, 0, 0], Vec::new());
    assert_eq!(chosen.status, Status::Done);
    assert_eq!(host.got(input(2), 100), b"kept");
    let halted = host.control([2, 3, 0, 0, 0x83, 0, 0, 0], Vec::new());
    assert_eq!(halted.status, Status::Done);
    assert_eq!(host.device.is_halted(input(3)), Some(true));
    assert_eq!(host.device.is_halted(input(2)), Some(false));
}

#[test]
fn functions_that_wait_for_times_of_their_own_are_woken_each_at_its_own() {
    let strings = || Strings::of("Serial port");
    let mut ports = [(); 3].map(|()| Serial::new(Speed::High, strings()));
    let terminals: Vec<_> = ports.iter_mut().map(Serial::terminal).collect();
    let firmwares = ports.map(|port| Box::new(port) as Box<dyn Firmware>);
    let composite = Composite::new(Speed::High, &Device::new(1, 2), firmwares.into()).unwrap();
    let mut host = Host::of(|now| EmulatedDevice::new(composite, Speed::High, now).unwrap());
    host.configure(1);
    for (interface, length) in [(0, 30), (2, 10), (4, 20)] {
        assert_eq!(
            class_request(&mut host, 0x23, length, interface),
            Status::Done
        );
    }
    let breaking = || {
        terminals
            .iter()
            .map(|it| it.state().breaking)
            .collect::<Vec<_>>()
    };
    assert_eq!(breaking(), [true, true, true]);
    for expected in [
        [true, false, true],
        [true, false, false],
        [false, false, false],
    ] {
        let due = host.device.deadline().unwrap();
        host.pass(due - host.now);
        assert_eq!(breaking(), expected);
    }
    assert_eq!(host.device.deadline(), None);
    host.pass(Duration::from_secs(1));
}

#[test]
fn each_functions_user_has_a_handle() {
    let spec = "composite,of=osr-fx2,of=serial,,pty,of=serial,,stdio";
    let spec: Spec = spec.parse().unwrap();
    let made = spec.build_with_handles(Instant::now()).unwrap();
    let kinds: Vec<_> = made.handles.iter().map(Handle::kind).collect();
    assert_eq!(kinds, ["osr-fx2", "serial", "serial"]);
}

#[test]
fn every_other_model_can_be_a_function_at_every_speed_that_it_has() {
    for (name, parameters) in [
        ("gadget-zero", ""),
        ("disk", ",,size=1M"),
        ("serial", ",,loopback"),
        ("osr-fx2", ""),
    ] {
        for speed in model(name).unwrap().speeds {
            let speed = speed.name();
            Host::new(
                &format!("composite,speed={speed},of={name}{parameters},of={name}{parameters}"),
                1,
            );
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_the_function_it_is_about() {
    let serials = ",of=serial,,loopback".repeat(8);
    for (spec, told) in [
        ("", "which functions it has: use of=MODEL for each"),
        (
            ",of=disc",
            "`disc` is no value for parameter `of`: there is no model `disc`",
        ),
        (
            ",of=disk,,size=x",
            "function `disk,size=x`: `x` is no value for parameter `size`",
        ),
        (
            ",of=serial",
            "function `serial`: what is at the other end of the line",
        ),
        (
            ",of=serial,,speed=full",
            "`speed=full` is of the whole device",
        ),
        (
            ",of=osr-fx2,speed=super",
            "osr-fx2 does not run at super speed",
        ),
        (",of=composite,,of=osr-fx2", "a composite is no function"),
        (
            &serials,
            "function 8 finds no IN endpoint left: a device has 15 of them",
        ),
        (&serials, "1: serial,loopback, 2: serial,loopback"),
    ] {
        let made = format!("composite{spec}").parse::<Spec>().unwrap();
        let error = made.build(Instant::now()).unwrap_err().to_string();
        assert!(error.contains(told), "{spec}: {error}");
    }
}

#[test]
fn a_program_joins_firmwares_of_its_own() {
    let mut firmware = OsrFx2::new(Options::default());
    let board = firmware.board();
    let functions: Vec<Box<dyn Firmware>> = vec![
        Box::new(Serial::new(Speed::Full, Strings::of("Serial port")).loopback()),
        Box::new(firmware),
    ];
    let identity = Device::new(0x1209, 1).product("Both");
    let composite = Composite::new(Speed::Full, &identity, functions).unwrap();
    let mut host = Host::of(|now| EmulatedDevice::new(composite, Speed::Full, now).unwrap());
    host.configure(1);
    let shown = host.control([0x40, 0xd8, 0x15, 0, 0, 0, 0, 0], Vec::new());
    assert_eq!(
        (shown.status, board.bar_graph().bits()),
        (Status::Done, 0x15)
    );
}
