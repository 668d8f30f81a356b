//! The sample drivers on the OSR USB-FX2 board: the same on the model in this process, behind our server, behind two servers, and attached to a kernel.

#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/lab.rs"]
mod lab;
#[path = "../support/pluggable.rs"]
mod pluggable;
#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/usbip/server.rs"]
mod server;
mod suite;

use std::time::Instant;

use pluggable::Plug;
use server::{Place, Served};
use usbwright::{
    emulator::{BusId, EmulatedDevice, server::Limits},
    models::osr_fx2::{Board, Options, OsrFx2},
    protocol::{Port, Speed},
    remote::{RemoteDevice, RemotePort},
    target::{Device, Wait as _},
};

/// A board, and its user's side.
fn board() -> (EmulatedDevice, Board) {
    let mut firmware = OsrFx2::new(Options::default());
    let board = firmware.board();
    let device = EmulatedDevice::new(firmware, Speed::High, Instant::now()).unwrap();
    (device, board)
}

#[test]
fn the_samples_work_on_a_board_in_this_process() {
    let (port, board) = board();
    let plug = Plug::default();
    let device = Device::open(plug.of(port)).wait().unwrap();
    suite::run(&device, &board, || plug.pull());
}

/// Opens a device of a server.
fn open(server: &Served, port: Box<dyn Port>) -> (RemotePort, BusId) {
    let bus_id = server.bus.plug(port, None).unwrap();
    let device: RemoteDevice = format!("{}/{}", server.address, bus_id.as_str())
        .parse()
        .unwrap();
    (RemotePort::open(&device).unwrap(), bus_id)
}

fn unplug(server: &Served, bus_id: &BusId) {
    assert!(server.bus.unplug(bus_id));
}

#[test]
fn the_samples_work_on_a_board_behind_a_server() {
    for place in [Place::V4, Place::Unix] {
        let server = Served::new(place, vec![], Limits::default());
        let (port, board) = board();
        let (port, bus_id) = open(&server, Box::new(port));
        let device = Device::open(port).wait().unwrap();
        suite::run(&device, &board, || unplug(&server, &bus_id));
    }
}

#[test]
fn the_samples_work_on_a_board_behind_two_servers() {
    let near = Served::new(Place::Unix, vec![], Limits::default());
    let far = Served::new(Place::V4, vec![], Limits::default());
    let (port, board) = board();
    let (between, bus_id) = open(&far, Box::new(port));
    let (port, _) = open(&near, Box::new(between));
    let device = Device::open(port).wait().unwrap();
    suite::run(&device, &board, || unplug(&far, &bus_id));
}

/// What runs in the lab: the board is attached to that kernel, and opened by libusb.
mod guest {
    use std::process::Command;

    use usbwright::target::libusb::{self, Change, LibusbPort, Selector};

    use super::*;

    #[test]
    #[ignore = "it runs in the lab"]
    fn the_samples_work_on_a_board_that_a_kernel_has() {
        let server = Served::new(Place::V4, vec![], Limits::default());
        let (port, board) = board();
        let bus_id = server.bus.plug(Box::new(port), None).unwrap();
        let mut changes = libusb::watch().unwrap();
        let attached = Command::new("usbwright")
            .args([
                "attach",
                "-r",
                &server.address.to_string(),
                "-b",
                bus_id.as_str(),
            ])
            .status()
            .unwrap();
        assert!(attached.success());
        let selector: Selector = "id=0547:1002".parse().unwrap();
        assert!(matches!(changes.next(), Some(Change::Arrived(it)) if it.vendor_id == 0x0547));
        let port = LibusbPort::open(&selector).unwrap();
        let device = Device::open(port).wait().unwrap();
        suite::run(&device, &board, || unplug(&server, &bus_id));
    }
}

#[test]
fn the_samples_work_on_a_board_that_a_kernel_has() {
    let program = std::env::current_exe().unwrap();
    let test = "guest::the_samples_work_on_a_board_that_a_kernel_has";
    let script = format!("{} --ignored --exact --nocapture {test}", program.display());
    let ran = lab::Guest::new(&[]).run(&script);
    ran.assert_success();
    assert!(
        ran.stdout().contains("test result: ok. 1 passed"),
        "{}",
        ran.stdout()
    );
}
