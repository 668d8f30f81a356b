//! What one client or one device does is nobody else's trouble.

use std::time::Duration;

use usbwright::emulator::server::Limits;

use crate::support::{
    client::{Client, PATIENCE},
    devices::{fragile, gadget_zero},
    server::{Place, Served},
    urb::Urb,
    vhci::TAKEN_BACK,
};

#[test]
fn an_endpoint_that_waits_delays_no_other() {
    let devices = vec![gadget_zero(), gadget_zero()];
    let served = Served::new(Place::V4, devices, Limits::default());
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(2);
    let waits: Vec<u32> = (0..10).map(|_| client.submit(&Urb::read(1, 512))).collect();
    for _ in 0..100 {
        // Endpoint zero goes on, and the reads that wait are not answered with nothing.
        client.is_quiet();
    }
    let mut other = Client::attach(&served.address, "1-2", PATIENCE);
    other.set_configuration(3);
    assert_eq!(other.transfer(&Urb::read(1, 512)).actual_length, 512);
    let write = client.submit(&Urb::write(1, b"to the first"));
    assert_eq!(client.end_of(write).status, 0);
    assert_eq!(client.end_of(waits[0]).data, b"to the first");
    for read in &waits[1..] {
        let unlink = client.unlink(*read);
        assert_eq!(client.unlinked(unlink), TAKEN_BACK);
    }
}

#[test]
fn a_full_loopback_holds_writes_back_and_loses_none() {
    let served = Served::new(Place::Unix, vec![gadget_zero()], Limits::default());
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(2);
    let packet = |number: u8| Urb::write(1, &[number; 4000]);
    // Four fit, the fifth waits for a part of its room and the rest behind it.
    let writes: Vec<u32> = (0..8).map(|i| client.submit(&packet(i))).collect();
    for write in &writes[..4] {
        assert_eq!(client.end_of(*write).actual_length, 4000);
    }
    client.is_quiet();
    let mut read = Vec::new();
    let expected: Vec<u8> = (0..8).flat_map(|i| [i; 4000]).collect();
    while read.len() < expected.len() {
        let number = client.submit(&Urb::read(1, 512));
        read.extend(client.end_among(number, &writes).data);
    }
    assert!(read == expected, "the bytes come back as they went");
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_else() {
    let devices = vec![gadget_zero(), gadget_zero()];
    let served = Served::new(Place::V4, devices, Limits::default());
    let mut deaf = Client::attach(&served.address, "1-1", PATIENCE);
    deaf.set_configuration(3);
    for _ in 0..100 {
        deaf.submit(&Urb::read(1, 1 << 20));
    }
    let mut other = Client::attach(&served.address, "1-2", PATIENCE);
    other.set_configuration(3);
    for _ in 0..50 {
        assert_eq!(other.transfer(&Urb::read(1, 4096)).actual_length, 4096);
    }
    assert_eq!(Client::connect(&served.address).list().len(), 0);
    // It can be unplugged, too.
    assert!(served.bus.unplug(&"1-1".parse().unwrap()));
    deaf.wait_for_close();
}

#[test]
fn clients_that_say_nothing_do_not_keep_others_from_importing() {
    let served = Served::new(Place::Unix, vec![gadget_zero()], Limits::default());
    let silent: Vec<Client> = (0..50).map(|_| Client::connect(&served.address)).collect();
    let mut client = Client::attach(&served.address, "1-1", Duration::from_secs(1));
    client.is_quiet();
    drop(silent);
}

#[test]
fn a_firmware_that_panics_unplugs_its_device_alone() {
    let devices = vec![fragile(), gadget_zero()];
    let served = Served::new(Place::V4, devices, Limits::default());
    let mut other = Client::attach(&served.address, "1-2", PATIENCE);
    other.set_configuration(3);
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.submit(&Urb::control([0x40, 1, 0, 0, 0, 0, 0, 0], &[]));
    client.wait_for_close();
    assert_eq!(other.transfer(&Urb::read(1, 512)).actual_length, 512);
    let mut visitor = Client::connect(&served.address);
    assert_eq!(visitor.import("1-1"), Err(4));
    assert_eq!(visitor.list(), []);
    drop(other);
    Client::attach(&served.address, "1-2", PATIENCE).is_quiet();
}
