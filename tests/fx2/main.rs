//! The sample drivers on the OSR USB-FX2 board: the same on the model in this process, behind our server, behind two servers, and attached to a kernel; with the drivers in
//! this process, and in a host process of a driver manager. This program is the host as well.

#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../stacks/bench.rs"]
mod bench;
mod here;
mod hosts;
#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/lab.rs"]
mod lab;
#[path = "../support/pluggable.rs"]
mod pluggable;
#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/usbip/server.rs"]
mod server;
mod suite;
#[macro_use]
#[path = "../support/trials.rs"]
mod trials;
mod wire;

use std::{env, process::ExitCode, time::Instant};

use here::Here;
use hosts::InHost;
use libtest_mimic::Arguments;
use pluggable::Plug;
use server::{Place, Served};
use usbwright::{
    emulator::{BusId, EmulatedDevice, server::Limits},
    models::osr_fx2::{Board, Options, OsrFx2},
    protocol::{Port, Speed},
    remote::{RemoteDevice, RemotePort},
};
use usbwright_driver_host::Drivers;
use usbwright_samples::{filter::InvertingFilter, fx2::Fx2Driver};
use wire::{Wire, Wired};

fn main() -> ExitCode {
    if env::var_os("USBWRIGHT_HOST_CONTROL").is_some() {
        let drivers = Drivers::new().with("fx2", || Fx2Driver);
        return drivers.with("filter", || InvertingFilter).run();
    }
    let here = trials! {
        the_samples_work_on_a_board_in_this_process
        the_samples_work_on_a_board_behind_a_server
        the_samples_work_on_a_board_behind_two_servers
        the_samples_work_on_a_board_that_a_kernel_has
        the_samples_work_in_a_host_on_a_board_in_this_process
        the_samples_work_in_a_host_on_a_board_behind_a_server
        the_samples_work_in_a_host_on_a_board_behind_two_servers
        the_samples_work_in_a_host_on_a_board_that_a_kernel_has
    };
    let in_the_lab = trials! {
        with_the_drivers_in_this_process
        with_the_drivers_in_a_host
    };
    let in_the_lab = in_the_lab.into_iter().map(|it| it.with_ignored_flag(true));
    let trials = here.into_iter().chain(in_the_lab).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A board's user's side, and its wire.
type Sides = (Board, Wire);

/// A board, and what is known of it here.
fn board() -> (Wired<EmulatedDevice>, Sides) {
    let mut firmware = OsrFx2::new(Options::default());
    let board = firmware.board();
    let port = EmulatedDevice::new(firmware, Speed::High, Instant::now()).unwrap();
    let wire = Wire::default();
    let sides = (board, wire.clone());
    (Wired { port, wire }, sides)
}

/// Runs all of it.
fn run(place: &impl suite::Place, (board, wire): &Sides, unplug: impl FnOnce()) {
    suite::run(place, (board, wire), unplug);
}

fn the_samples_work_on_a_board_in_this_process() {
    let (port, board) = board();
    let plug = Plug::default();
    let Wired { port, wire } = port;
    let port = plug.of(port);
    let here = Here::with(Wired { port, wire });
    run(&here, &board, || plug.pull());
}

fn the_samples_work_in_a_host_on_a_board_in_this_process() {
    let (port, board) = board();
    let (host, unplug) = InHost::model(port);
    run(&host, &board, unplug);
}

/// A device that a server has: its name there, and by which others import it.
fn plug(server: &Served, port: Box<dyn Port>) -> (BusId, RemoteDevice) {
    let bus_id = server.bus.plug(port, None).unwrap();
    let device = format!("{}/{}", server.address, bus_id.as_str());
    (bus_id, device.parse().unwrap())
}

fn unplug(server: &Served, bus_id: &BusId) {
    assert!(server.bus.unplug(bus_id));
}

/// Runs it on a board behind a server.
fn behind_a_server(run: impl Fn(&RemoteDevice, &Sides, &dyn Fn())) {
    for place in [Place::V4, Place::Unix] {
        let server = Served::new(place, vec![], Limits::default());
        let (port, board) = board();
        let (bus_id, device) = plug(&server, Box::new(port));
        run(&device, &board, &|| unplug(&server, &bus_id));
    }
}

fn the_samples_work_on_a_board_behind_a_server() {
    behind_a_server(on_a_remote_board);
}

fn the_samples_work_in_a_host_on_a_board_behind_a_server() {
    behind_a_server(in_a_host_on_a_remote_board);
}

/// Runs it on a board behind a server, which another one has imported.
fn behind_two_servers(run: impl Fn(&RemoteDevice, &Sides, &dyn Fn())) {
    let near = Served::new(Place::Unix, vec![], Limits::default());
    let far = Served::new(Place::V4, vec![], Limits::default());
    let (port, board) = board();
    let (bus_id, device) = plug(&far, Box::new(port));
    let between = RemotePort::open(&device).unwrap();
    let (_, device) = plug(&near, Box::new(between));
    run(&device, &board, &|| unplug(&far, &bus_id));
}

fn the_samples_work_on_a_board_behind_two_servers() {
    behind_two_servers(on_a_remote_board);
}

fn the_samples_work_in_a_host_on_a_board_behind_two_servers() {
    behind_two_servers(in_a_host_on_a_remote_board);
}

fn on_a_remote_board(device: &RemoteDevice, board: &Sides, unplug: &dyn Fn()) {
    let here = Here::with(RemotePort::open(device).unwrap());
    run(&here, board, unplug);
}

fn in_a_host_on_a_remote_board(device: &RemoteDevice, board: &Sides, unplug: &dyn Fn()) {
    let host = InHost::device(&device.to_string());
    run(&host, board, unplug);
}

/// What runs in the lab: the board is attached to that kernel, and opened by libusb.
mod guest {
    use std::process::Command;

    use usbwright::target::libusb::{self, Change, LibusbPort, Selector};

    use super::*;

    const BOARD: &str = "id=0547:1002";

    /// Runs it on a board that is attached.
    fn attached(run: impl FnOnce(&Sides, &dyn Fn())) {
        let server = Served::new(Place::V4, vec![], Limits::default());
        let (port, board) = board();
        let (bus_id, _) = plug(&server, Box::new(port));
        let mut changes = libusb::watch().unwrap();
        let address = server.address.to_string();
        let attached = Command::new("usbwright")
            .args(["attach", "-r", &address, "-b", bus_id.as_str()])
            .status()
            .unwrap();
        assert!(attached.success());
        assert!(matches!(changes.next(), Some(Change::Arrived(it)) if it.vendor_id == 0x0547));
        run(&board, &|| unplug(&server, &bus_id));
    }

    pub(super) fn with_the_drivers_in_this_process() {
        attached(|board, unplug| {
            let selector: Selector = BOARD.parse().unwrap();
            let here = Here::with(LibusbPort::open(&selector).unwrap());
            super::run(&here, board, unplug);
        });
    }

    pub(super) fn with_the_drivers_in_a_host() {
        attached(|board, unplug| {
            let host = InHost::device(&format!("libusb:{BOARD}"));
            super::run(&host, board, unplug);
        });
    }
}

use guest::{with_the_drivers_in_a_host, with_the_drivers_in_this_process};

/// Runs one of the tests above in the lab.
fn in_the_lab(test: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!("{} --ignored --exact --nocapture {test}", program.display());
    let ran = lab::Guest::new(&[]).run(&script);
    ran.assert_success();
    assert!(
        ran.stdout().contains("test result: ok. 1 passed"),
        "{}",
        ran.stdout()
    );
}

fn the_samples_work_on_a_board_that_a_kernel_has() {
    in_the_lab("with_the_drivers_in_this_process");
}

fn the_samples_work_in_a_host_on_a_board_that_a_kernel_has() {
    in_the_lab("with_the_drivers_in_a_host");
}
