//! The operation phase, garbage, and messages that no client may send.

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use usbwright::emulator::server::Limits;

use crate::support::{
    client::{Client, PATIENCE, import_request},
    devices::gadget_zero,
    server::{Place, Served},
    urb::{Urb, message, unlink},
};

fn served() -> Served {
    let devices = vec![gadget_zero(), gadget_zero()];
    Served::new(Place::V4, devices, Limits::default())
}

/// The device can be had and works.
#[track_caller]
fn is_well(served: &Served) {
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(3);
    assert_eq!(client.transfer(&Urb::read(1, 512)).actual_length, 512);
}

/// A client that sends these bytes after an import is shown the door.
#[track_caller]
fn is_closed_after(served: &Served, bytes: &[u8]) {
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(3);
    client.send_in_vain(bytes);
    client.wait_for_close();
    is_well(served);
}

#[test]
fn an_import_tells_what_was_asked_for() {
    let served = served();
    for (bus_id, device_id) in [("1-1", 0x10001), ("1-2", 0x10002)] {
        let mut client = Client::connect(&served.address);
        let imported = client.import(bus_id).unwrap();
        assert_eq!(imported.bus_id, bus_id);
        assert_eq!(imported.device_id, device_id);
        assert_eq!((imported.speed, imported.interfaces), (3, 1));
    }
}

#[test]
fn an_import_that_is_refused_is_a_header_alone() {
    let served = served();
    let mut client = Client::connect(&served.address);
    for unknown in ["9-9", "", "../1-1", "0123456789012345678901234567890"] {
        assert_eq!(client.import(unknown), Err(4), "{unknown}");
    }
    // Nothing but the header has come: the next reply is understood.
    assert_eq!(client.import("1-2").unwrap().bus_id, "1-2");
    client.is_quiet();
}

#[test]
fn a_device_in_use_is_busy_and_a_second_import_gives_it_back() {
    let served = served();
    let mut owner = Client::attach(&served.address, "1-1", PATIENCE);
    let mut other = Client::connect(&served.address);
    assert_eq!(other.import("1-1"), Err(2));
    owner.is_quiet();
    // A second import on one connection is no command of the transfer phase.
    owner.send_in_vain(&[import_request(b"1-2"), vec![0; 8]].concat());
    owner.wait_for_close();
    is_well(&served);
    assert_eq!(other.import("1-2").unwrap().bus_id, "1-2");
}

#[test]
fn a_list_is_answered_while_others_are_attached() {
    let served = served();
    let ids = |list: Vec<(String, Vec<[u8; 3]>)>| -> Vec<String> {
        list.into_iter().map(|(bus_id, _)| bus_id).collect()
    };
    let mut visitor = Client::connect(&served.address);
    let list = visitor.list();
    assert!(list.iter().all(|(_, classes)| *classes == [[0xff, 0, 0]]));
    assert_eq!(ids(list), ["1-1", "1-2"]);
    let owner = Client::attach(&served.address, "1-1", PATIENCE);
    assert_eq!(ids(visitor.list()), ["1-2"]);
    let second = Client::attach(&served.address, "1-2", PATIENCE);
    assert_eq!(ids(Client::connect(&served.address).list()), [""; 0]);
    drop((owner, second));
    is_well(&served);
}

#[test]
fn a_client_of_another_version_is_turned_away_and_nobody_else() {
    let served = served();
    for code in [0x03, 0x05] {
        let mut client = Client::connect(&served.address);
        let mut request = import_request(b"1-1");
        request[1] = 0x06;
        request[3] = code;
        client.send(&request);
        assert_eq!(client.read_exactly(8), [0x01, 0x11, 0, code, 0, 0, 0, 1]);
        client.wait_for_close();
    }
    is_well(&served);
}

#[test]
fn a_bus_id_without_end_is_turned_away() {
    let served = served();
    let mut client = Client::connect(&served.address);
    client.send(&import_request(&[b'1'; 32]));
    client.wait_for_close();
    is_well(&served);
}

#[test]
fn transfers_before_an_import_are_turned_away() {
    let served = served();
    for bytes in [Urb::read(1, 512).bytes(1), unlink(2, 1)] {
        let mut client = Client::connect(&served.address);
        client.send_in_vain(&bytes);
        client.wait_for_close();
    }
    is_well(&served);
}

#[test]
fn garbage_before_and_after_an_import_ends_its_connection_alone() {
    let served = served();
    let mut bystander = Client::attach(&served.address, "1-2", PATIENCE);
    for seed in 0..40u8 {
        println!("seed {seed}");
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut garbage = vec![0; 4096];
        random.fill_bytes(&mut garbage);
        let mut client = Client::connect(&served.address);
        client.send_in_vain(&garbage);
        client.wait_for_close();
        is_closed_after(&served, &garbage);
        bystander.is_quiet();
    }
}

#[test]
fn nothing_is_read_after_a_message_that_cannot_be_meant() {
    let served = served();
    let headers: [&[u32]; 6] = [
        &[0, 50],
        &[3, 50],
        &[9, 50],
        &[1, 50, 0x10001, 2, 1],
        &[1, 50, 0x10001, 0, 16],
        &[1, 50, 0x10001, 0xffff_ffff, 0xffff_ffff],
    ];
    for header in headers {
        let mut client = Client::attach(&served.address, "1-1", PATIENCE);
        client.set_configuration(3);
        // The write behind it must not run: it would be answered.
        let mut bytes = message(header);
        bytes.extend_from_slice(&Urb::write(1, &[0; 10]).bytes(51));
        client.send_in_vain(&bytes);
        assert_eq!(client.wait_for_close(), 0);
        is_well(&served);
    }
}

#[test]
fn transfers_over_the_limits_end_the_connection() {
    let served = served();
    let limit = Limits::default().transfer;
    for length in [limit + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        is_closed_after(&served, &Urb::read(1, length).bytes(9));
        is_closed_after(&served, &Urb::write(1, &[]).with_length(length).bytes(9));
        is_closed_after(&served, &Urb::read(0, length).bytes(9));
    }
    for packets in [1025, 1_000_000, 0x8000_0000, u32::MAX] {
        let stream = Urb::stream_in(2, &[]).with_packets(packets);
        is_closed_after(&served, &stream.bytes(9));
    }
}

#[test]
fn isochronous_packets_outside_of_their_buffer_end_the_connection() {
    let served = served();
    let windows: [&[(u32, u32)]; 5] = [
        &[(0, 101)],
        &[(101, 0)],
        &[(u32::MAX, 1)],
        &[(u32::MAX, u32::MAX), (1, 1)],
        &[(0, 60), (0, 60)],
    ];
    for list in windows {
        let mut stream = Urb::stream_in(2, &[100]);
        stream.windows = list.to_vec();
        let count = u32::try_from(list.len()).unwrap();
        is_closed_after(&served, &stream.with_packets(count).bytes(9));
    }
}

#[test]
fn a_device_that_is_unplugged_while_in_use_is_gone_and_its_client_is_told() {
    let served = served();
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(2);
    client.submit(&Urb::read(1, 512));
    client.is_quiet();
    assert!(served.bus.unplug(&"1-1".parse().unwrap()));
    client.wait_for_close();
    let mut visitor = Client::connect(&served.address);
    assert_eq!(visitor.list().len(), 1);
    assert_eq!(visitor.import("1-1"), Err(4));
}
