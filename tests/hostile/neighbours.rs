//! What one client or one device does is nobody else's trouble.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright::{
    emulator::{EmulatedDevice, protocol::Speed, server::Limits},
    models::{
        Strings,
        disk::{BlockSize, Disk, Drive, Identity, Unit, medium::Medium},
    },
};

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

/// A medium that says when it is read, and takes until it is told to go on.
#[derive(Debug)]
struct Slow {
    reads: Sender<()>,
    go_on: Receiver<()>,
}

impl Medium for Slow {
    fn size(&self) -> u64 {
        1 << 20
    }

    fn read(&mut self, _: u64, most: usize) -> io::Result<Bytes> {
        self.reads.send(()).map_err(io::Error::other)?;
        let patience = self.go_on.recv_timeout(PATIENCE);
        patience.map_err(io::Error::other)?;
        Ok(vec![5; most].into())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn discards(&self) -> bool {
        false
    }

    fn discard(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

fn slow_disk() -> (EmulatedDevice, Receiver<()>, Sender<()>) {
    let ((reads, read), (tell, go_on)) = (channel(), channel());
    let name = || "slow".to_owned();
    let identity = Identity {
        vendor: name(),
        product: name(),
        revision: name(),
        serial: name(),
    };
    let strings = Strings {
        vendor: name(),
        product: name(),
        serial: name(),
    };
    let drive = Drive::new(Some(Box::new(Slow { reads, go_on })));
    let unit = Unit::new(drive, BlockSize::B512, identity);
    let disk = Disk::new(Speed::High, strings, vec![unit]);
    let device = EmulatedDevice::new(disk, Speed::High, Instant::now());
    (device.unwrap(), read, tell)
}

/// A command of Bulk-Only Transport that reads `length` bytes.
fn wrapper(length: u32, cdb: &[u8]) -> Vec<u8> {
    let mut bytes = b"USBC\0\0\0\0".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend([0x80, 0, cdb.len() as u8]);
    bytes.extend(cdb);
    bytes.resize(31, 0);
    bytes
}

#[test]
fn a_disk_whose_file_takes_its_time_holds_up_no_other_device() {
    let (disk, read, go_on) = slow_disk();
    let devices = vec![disk, gadget_zero(), gadget_zero()];
    let served = Served::new(Place::Unix, devices, Limits::default());
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(1);
    // The first command is told of the power-on.
    client.transfer(&Urb::write(1, &wrapper(0, &[0; 6])));
    client.transfer(&Urb::read(1, 13));
    client.transfer(&Urb::write(1, &wrapper(512, &[8, 0, 0, 0, 1, 0])));
    let data = client.submit(&Urb::read(1, 512));
    read.recv_timeout(PATIENCE).unwrap();
    for bus_id in ["1-2", "1-3"] {
        assert!(!Client::connect(&served.address).list().is_empty());
        let mut other = Client::attach(&served.address, bus_id, PATIENCE);
        other.set_configuration(3);
        assert_eq!(other.transfer(&Urb::read(1, 4096)).actual_length, 4096);
    }
    go_on.send(()).unwrap();
    assert_eq!(client.end_of(data).data, [5; 512]);
}
