//! Periodic endpoints keep their period, over a real socket and by the real clock.
//!
//! `cargo test --release --test pacing -- --nocapture --test-threads 1` tells how exactly.

#[allow(dead_code, reason = "the hostile clients ask for other parts of it")]
#[path = "support/usbip/mod.rs"]
mod support;

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use usbwright::{
    emulator::{
        Bus,
        server::{Limits, serve},
    },
    models::Spec,
};

use self::support::{
    urb::Urb,
    vhci::{HEADER, ISO_PACKET, word},
};

const LENGTH: Duration = Duration::from_secs(2);
/// The client has so much under way: as long as neither thread stands still for longer, all that is missed is caught up.
const AHEAD: Duration = Duration::from_millis(250);

/// When transfers have ended, from the first submission on, of a client that submits another for each that ends.
fn ends(spec: &str, setting: u8, urb: &Urb, period: Duration) -> Vec<Duration> {
    let bus = Bus::new();
    let device = spec.parse::<Spec>().unwrap().build(Instant::now()).unwrap();
    let bus_id = bus.plug(Box::new(device), None).unwrap();
    let lease = bus.lease(&bus_id, Instant::now()).unwrap();
    let (mut socket, other_end) = UnixStream::pair().unwrap();
    let other_end = Arc::new(OwnedFd::from(other_end));
    let server = thread::spawn(move || serve(&other_end, lease, Limits::default()));
    for (sequence, setup) in [
        (1, [0, 9, 3, 0, 0, 0, 0, 0]),
        (2, [1, 11, setting, 0, 0, 0, 0, 0]),
    ] {
        let request = Urb::control(setup, &[]).bytes(sequence);
        socket.write_all(&request).unwrap();
        socket.read_exact(&mut [0; HEADER]).unwrap();
    }

    let under_way = AHEAD.as_micros() / period.as_micros();
    let mut submissions = &socket;
    let (submit, more) = mpsc::channel();
    (0..under_way).for_each(|_| submit.send(()).unwrap());
    let begin = Instant::now();
    let ends = thread::scope(|scope| {
        // On a thread of its own, so that replies are read even where the server is not.
        scope.spawn(move || {
            for (sequence, ()) in (3..).zip(more) {
                submissions.write_all(&urb.bytes(sequence)).unwrap();
            }
        });
        let mut ends = Vec::new();
        let mut reply = vec![0; HEADER + urb.length as usize + urb.windows.len() * ISO_PACKET];
        while begin.elapsed() < LENGTH {
            (&socket).read_exact(&mut reply).unwrap();
            ends.push(begin.elapsed());
            assert_eq!((word(&reply, 0x14), word(&reply, 0x18)), (0, urb.length));
            submit.send(()).unwrap();
        }
        drop(submit);
        ends
    });
    socket.shutdown(Shutdown::Both).unwrap();
    server.join().unwrap();
    ends
}

/// How many transfers have ended, by how many there should be. Prints how exact the single ones were.
fn pace(period: Duration, spec: &str, setting: u8, urb: &Urb) -> f64 {
    let ends = ends(spec, setting, urb, period);
    let mut jitter: Vec<Duration> = ends
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs_diff(period))
        .collect();
    jitter.sort();
    let [p50, p99] = [50, 99].map(|percent| jitter[jitter.len() * percent / 100]);
    let count = ends.len();
    println!("{spec}: {count} ends in 2 s; off the period of {period:?}: p50 {p50:?}, p99 {p99:?}");
    count as f64 * period.as_secs_f64() / LENGTH.as_secs_f64()
}

#[track_caller]
fn keeps_its_period(period: Duration, spec: &str, setting: u8, urb: &Urb) {
    // A machine that is busy may stand still for longer than can be caught up; it does not do so all the time.
    let mut paces = (0..5).map(|_| pace(period, spec, setting, urb));
    assert!(paces.any(|pace| (0.99..1.01).contains(&pace)));
}

#[test]
fn an_interrupt_endpoint_of_1_khz_keeps_its_period() {
    let spec = "gadget-zero,speed=full,int_interval=1";
    keeps_its_period(Duration::from_millis(1), spec, 2, &Urb::read(3, 64));
}

#[test]
fn an_interrupt_endpoint_of_8_khz_keeps_its_period() {
    let spec = "gadget-zero,int_interval=1";
    keeps_its_period(Duration::from_micros(125), spec, 2, &Urb::read(3, 64));
}

#[test]
fn isochronous_streams_are_paced_by_the_frame_clock() {
    let eight_microframes = Urb::stream_in(2, &[512; 8]);
    let spec = "gadget-zero,isoc_interval=1";
    keeps_its_period(Duration::from_millis(1), spec, 1, &eight_microframes);
}
