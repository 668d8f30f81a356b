//! The OSR USB-FX2 board with somebody at its switches while a program uses it, in process and over USB/IP.

#[allow(dead_code, reason = "the hostile clients ask for other parts of it")]
#[path = "support/usbip/mod.rs"]
mod support;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use support::server::{Place, Served};
use usbwright::{
    emulator::{EmulatedDevice, server::Limits},
    models::osr_fx2::{Board, Options, OsrFx2, Switches},
    protocol::{Port, Speed},
    remote::{RemoteDevice, RemotePort},
    target::{Bulk, Device, In, Interrupt, Out, PipePolicy, Wait},
};

fn board() -> (EmulatedDevice, Board) {
    let mut firmware = OsrFx2::new(Options::default());
    let board = firmware.board();
    let device = EmulatedDevice::new(firmware, Speed::High, Instant::now());
    (device.unwrap(), board)
}

/// Uses the board as a driver does, and its switches as a user.
fn use_both_sides(port: impl Port + 'static, board: &Board) {
    let device = Device::open(port).wait().unwrap();
    let interface = device.interface(0).wait().unwrap();
    let switches = interface.first::<Interrupt, In>().unwrap();
    // Only for the case that nothing comes.
    let policy = PipePolicy {
        transfer_timeout: Some(Duration::from_secs(60)),
        ..switches.policy()
    };
    switches.set_policy(policy).unwrap();
    assert_eq!(switches.read(1).wait().ok().unwrap().data.to_vec(), [0]);
    for bits in 1..=100 {
        let mut read = pin!(switches.read(1));
        let waits = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(waits.is_pending());
        let told = thread::scope(|scope| {
            scope.spawn(|| board.set_switches(Switches::new(bits)));
            read.wait().ok().unwrap()
        });
        assert_eq!(told.data.to_vec(), [bits]);
    }
    let mut changes = board.changes();
    let output = interface.first::<Bulk, Out>().unwrap();
    let input = interface.first::<Bulk, In>().unwrap();
    for _ in 0..10 {
        output.write(b"round and round").wait().ok().unwrap();
        let came = input.read(512).wait().ok().unwrap();
        assert_eq!(came.data.to_vec(), b"round and round");
    }
    let state = changes.next().wait().unwrap();
    assert_eq!((state.packets, state.bar_graph.is_lit(1)), (10, Ok(true)));
}

#[test]
fn a_switch_that_is_flipped_in_process_ends_the_read_that_waits_for_it() {
    let (device, board) = board();
    use_both_sides(device, &board);
}

#[test]
fn a_switch_that_is_flipped_at_a_server_ends_the_read_that_waits_for_it() {
    let (device, board) = board();
    let served = Served::new(Place::V4, vec![device], Limits::default());
    let device = RemoteDevice {
        remote: served.address.to_string().parse().unwrap(),
        bus_id: "1-1".to_owned(),
    };
    use_both_sides(RemotePort::open(&device).unwrap(), &board);
}
