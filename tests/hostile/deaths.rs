//! A client dies in every way in every phase, and its device is there for the next one.

use std::time::Duration;

use usbwright::emulator::server::Limits;

use crate::support::{
    client::{Client, Death, import_request},
    devices::gadget_zero,
    server::{Place, Served},
    urb::Urb,
};

/// How soon a device is free again.
const SOON: Duration = Duration::from_secs(1);

/// What a client has done when it dies.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Connected,
    HalfRequest,
    HalfBusId,
    Listed,
    ImportNotRead,
    Imported,
    HalfHeader,
    HalfPayload,
    Pending,
    RepliesNotRead,
}

const PHASES: [Phase; 10] = [
    Phase::Connected,
    Phase::HalfRequest,
    Phase::HalfBusId,
    Phase::Listed,
    Phase::ImportNotRead,
    Phase::Imported,
    Phase::HalfHeader,
    Phase::HalfPayload,
    Phase::Pending,
    Phase::RepliesNotRead,
];

fn bring_to(phase: Phase, served: &Served) -> Client {
    let mut client = match phase {
        Phase::Connected
        | Phase::HalfRequest
        | Phase::HalfBusId
        | Phase::Listed
        | Phase::ImportNotRead => Client::connect(&served.address),
        _ => Client::attach(&served.address, "1-1", SOON),
    };
    match phase {
        Phase::Connected | Phase::Imported => {}
        Phase::HalfRequest => client.send(&[0x01, 0x11, 0x80]),
        Phase::HalfBusId => client.send(&import_request(b"1-1")[..20]),
        Phase::Listed => assert!(client.list().len() <= 1),
        Phase::ImportNotRead => client.send(&import_request(b"1-1")),
        Phase::HalfHeader => client.send(&Urb::read(1, 512).bytes(1)[..20]),
        Phase::HalfPayload => client.send(&Urb::write(1, &[0; 1000]).bytes(1)[..548]),
        Phase::Pending => {
            client.set_configuration(2);
            for _ in 0..20 {
                client.submit(&Urb::read(1, 4096));
                client.submit(&Urb::write(1, &[7; 100]));
            }
            // The submit of this one is never to come.
            client.unlink(1000);
        }
        Phase::RepliesNotRead => {
            client.set_configuration(3);
            for _ in 0..50 {
                client.submit(&Urb::read(1, 1 << 20));
            }
        }
    }
    client
}

fn die_everywhere(place: Place) {
    let served = Served::new(place, vec![gadget_zero()], Limits::default());
    for phase in PHASES {
        for death in Death::ALL {
            println!("{death:?} after {phase:?} at {place:?}");
            bring_to(phase, &served).die(death);
            let mut next = Client::attach(&served.address, "1-1", SOON);
            // It is as if just plugged in, and whatever the one before left does not show.
            assert_eq!(next.control([0x80, 8, 0, 0, 0, 0, 1, 0], &[]), [0]);
            next.is_quiet();
        }
    }
}

#[test]
fn every_death_of_a_tcp_client_gives_its_device_back_within_a_second() {
    die_everywhere(Place::V4);
}

#[test]
fn every_death_of_a_tcp_client_over_ipv6_gives_its_device_back_within_a_second() {
    die_everywhere(Place::V6);
}

#[test]
fn every_death_of_a_unix_client_gives_its_device_back_within_a_second() {
    die_everywhere(Place::Unix);
}

#[test]
fn replies_on_their_way_reach_a_client_that_says_nothing_more() {
    let served = Served::new(Place::V4, vec![gadget_zero()], Limits::default());
    let mut client = Client::attach(&served.address, "1-1", SOON);
    client.set_configuration(3);
    let all: Vec<u32> = (0..20)
        .map(|_| client.submit(&Urb::read(1, 100_000)))
        .collect();
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    for sequence in all {
        assert_eq!(client.end_of(sequence).actual_length, 100_000);
    }
    client.wait_for_close();
}
