//! What a raw client of UAS gets.

mod load;

use std::sync::{Arc, Mutex};

use usbwright_emulator::{
    EmulatedDevice,
    protocol::{EndpointAddress, Port, Speed, Status as Ended},
};

use crate::{
    disk::{
        BlockSize, Disk, Drive, Unit,
        descriptors::{COMMAND_OUT, DATA_IN, DATA_OUT, STATUS_IN},
        medium::{
            Sparse,
            faulty::{Faulty, Script},
        },
        tests::named,
    },
    testing::Host,
};

const READ_READY: u8 = 6;
const WRITE_READY: u8 = 7;
const STATUS: u8 = 3;
const RESPONSE: u8 = 4;
const INVALID: u8 = 2;
const COMPLETE: u8 = 0;
const SUCCEEDED: u8 = 8;

struct Client(Host);

impl Client {
    /// A disk of two units: the first has a medium that does what a script says.
    fn new() -> (Self, Arc<Mutex<Script>>) {
        let (strings, identity) = named("A");
        let (medium, script) = Faulty::new(64 << 20);
        let drives = [
            Drive::new(Some(Box::new(medium))),
            Drive::new(Some(Box::new(Sparse::new(1 << 20)))),
        ];
        let units = drives.map(|drive| Unit::new(drive, BlockSize::B512, identity.clone()));
        let disk = Disk::new(Speed::High, strings, units.into());
        let host = Host::of(|now| EmulatedDevice::new(disk, Speed::High, now).unwrap());
        let mut client = Self(host);
        client.control([0, 9, 1, 0, 0, 0, 0, 0]);
        client.control([1, 11, 1, 0, 0, 0, 0, 0]);
        for lun in 0..2 {
            client.command(1, lun, &[0; 6]);
            assert_eq!(client.check(1), (6, 0x2900));
        }
        (client, script)
    }

    fn control(&mut self, setup: [u8; 8]) {
        assert_eq!(self.0.control(setup, Vec::new()).status, Ended::Done);
    }

    fn write(&mut self, endpoint: EndpointAddress, data: Vec<u8>) {
        self.0.write(endpoint, data, false);
        assert_eq!(self.0.worked_for().unwrap().status, Ended::Done);
    }

    fn read(&mut self, endpoint: EndpointAddress, length: u32) -> Vec<u8> {
        self.0.read(endpoint, length);
        let completion = self.0.worked_for().unwrap();
        assert_eq!(completion.status, Ended::Done);
        completion.data.to_vec()
    }

    fn command(&mut self, tag: u16, lun: u8, cdb: &[u8]) {
        self.write(COMMAND_OUT, command(tag, lun, cdb));
    }

    /// Reads an information unit and expects it to be of that kind and tag.
    fn unit(&mut self, kind: u8, tag: u16) -> Vec<u8> {
        let unit = self.read(STATUS_IN, 112);
        let told = (unit[0], u16::from_be_bytes([unit[2], unit[3]]));
        assert_eq!(told, (kind, tag), "{unit:02x?}");
        unit
    }

    fn good(&mut self, tag: u16) {
        let unit = self.unit(STATUS, tag);
        assert_eq!((unit.len(), unit[6]), (16, 0));
    }

    /// Sense key and code of a command that has failed.
    fn check(&mut self, tag: u16) -> (u8, u16) {
        let unit = self.unit(STATUS, tag);
        assert_eq!((unit.len(), unit[6], &unit[14..16]), (34, 2, &[0, 18][..]));
        (unit[18], u16::from_be_bytes([unit[28], unit[29]]))
    }

    /// Asks for task management, and gives the answer.
    fn manage(&mut self, tag: u16, function: u8, about: u16, lun: u8) -> u8 {
        let mut bytes = vec![5, 0];
        bytes.extend(tag.to_be_bytes());
        bytes.extend([function, 0]);
        bytes.extend(about.to_be_bytes());
        bytes.extend([0, lun, 0, 0, 0, 0, 0, 0]);
        self.write(COMMAND_OUT, bytes);
        let unit = self.unit(RESPONSE, tag);
        assert_eq!(unit.len(), 8);
        unit[7]
    }

    fn is_quiet(&mut self) {
        let read = self.0.read(STATUS_IN, 112);
        assert!(self.0.ended().is_none());
        self.0.device.cancel(read, self.0.now);
        assert_eq!(self.0.worked_for().unwrap().status, Ended::Cancelled);
    }
}

fn command(tag: u16, lun: u8, cdb: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0, lun, 0, 0, 0, 0, 0, 0]);
    bytes.extend(cdb);
    bytes.resize(32, 0);
    bytes
}

fn cdb_10(code: u8, block: u32, count: u16) -> [u8; 10] {
    let (b, c) = (block.to_be_bytes(), count.to_be_bytes());
    [code, 0, b[0], b[1], b[2], b[3], 0, c[0], c[1], 0]
}

fn read_10(block: u32, count: u16) -> [u8; 10] {
    cdb_10(0x28, block, count)
}

fn write_10(block: u32, count: u16) -> [u8; 10] {
    cdb_10(0x2a, block, count)
}

/// Takes several steps.
const LONG_VERIFY: [u8; 10] = [0x2f, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0];

#[test]
fn data_moves_once_the_device_is_ready_for_it_and_the_status_follows() {
    let (mut client, _) = Client::new();
    client.command(7, 0, &write_10(3, 4));
    client.unit(WRITE_READY, 7);
    client.write(DATA_OUT, vec![9; 2048]);
    client.good(7);
    client.command(8, 0, &read_10(2, 6));
    client.unit(READ_READY, 8);
    let data = client.read(DATA_IN, 3072);
    assert_eq!(data, [vec![0; 512], vec![9; 2048], vec![0; 512]].concat());
    client.good(8);
    client.command(9, 0, &[0; 6]);
    client.good(9);
    client.command(10, 0, &[0xff]);
    assert_eq!(client.check(10), (5, 0x2000));
    client.is_quiet();
}

#[test]
fn commands_that_wait_are_done_in_turn_and_each_gets_its_own_data() {
    let (mut client, _) = Client::new();
    for tag in 1..=30 {
        client.command(tag, 0, &write_10(tag.into(), 1));
    }
    for tag in 1..=30 {
        client.unit(WRITE_READY, tag);
        client.write(DATA_OUT, vec![tag as u8; 512]);
        client.good(tag);
    }
    for tag in 1..=30 {
        client.command(tag, 0, &read_10(tag.into(), 1));
    }
    // Status and data are asked for before, as Linux does.
    for tag in 1..=30 {
        client.unit(READ_READY, tag);
        let status = client.0.read(STATUS_IN, 112);
        let data = client.0.read(DATA_IN, 512);
        let mut ended: Vec<_> = [
            client.0.worked_for().unwrap(),
            client.0.worked_for().unwrap(),
        ]
        .into();
        ended.sort_by_key(|it| it.id);
        assert_eq!((ended[0].id, ended[1].id), (status, data));
        assert_eq!(ended[1].data.to_vec(), [tag as u8; 512]);
    }
    client.is_quiet();
}

#[test]
fn data_that_is_shorter_than_the_hosts_room_ends_its_transfer() {
    let (mut client, _) = Client::new();
    client.command(1, 0, &[0x12, 0, 0, 0, 200, 0]);
    client.unit(READ_READY, 1);
    assert_eq!(client.read(DATA_IN, 200).len(), 36);
    client.good(1);
    // Where the data ends with a full packet, an empty one follows it.
    client.command(2, 0, &read_10(0, 1));
    client.unit(READ_READY, 2);
    assert_eq!(client.read(DATA_IN, 4096).len(), 512);
    client.good(2);
    client.command(3, 0, &read_10(0, 1));
    client.unit(READ_READY, 3);
    assert_eq!(client.read(DATA_IN, 512).len(), 512);
    client.good(3);
    client.command(4, 0, &read_10(0, 2));
    client.unit(READ_READY, 4);
    assert_eq!(client.read(DATA_IN, 1024).len(), 1024);
    client.good(4);
}

#[test]
fn no_data_is_taken_for_anothers_where_a_command_fails() {
    let (mut client, script) = Client::new();
    script.lock().unwrap().unreadable = 1024..2048;
    let full = std::io::ErrorKind::StorageFull;
    script.lock().unwrap().unwritable = Some((1024..2048, full));
    client.command(1, 0, &write_10(0, 8));
    client.command(2, 0, &write_10(100, 1));
    client.unit(WRITE_READY, 1);
    // All of it is taken, in several transfers, before the failure is told.
    client.write(DATA_OUT, vec![1; 1024]);
    client.write(DATA_OUT, vec![1; 2048]);
    client.is_quiet();
    client.write(DATA_OUT, vec![1; 1024]);
    assert_eq!(client.check(1), (7, 0x2707));
    client.unit(WRITE_READY, 2);
    client.write(DATA_OUT, vec![2; 512]);
    client.good(2);
    client.command(3, 0, &read_10(0, 8));
    client.command(4, 0, &read_10(100, 1));
    client.unit(READ_READY, 3);
    assert_eq!(client.read(DATA_IN, 4096), vec![1; 1024]);
    assert_eq!(client.check(3), (3, 0x1100));
    client.unit(READ_READY, 4);
    assert_eq!(client.read(DATA_IN, 512), [2; 512]);
    client.good(4);
}

#[test]
fn a_write_that_ends_too_early_fails() {
    let (mut client, _) = Client::new();
    client.command(1, 0, &write_10(0, 4));
    client.unit(WRITE_READY, 1);
    client.write(DATA_OUT, vec![1; 700]);
    assert_eq!(client.check(1), (0xb, 0x4b00));
    client.command(2, 0, &[0; 6]);
    client.good(2);
}

#[test]
fn commands_are_aborted_by_tag_and_by_unit() {
    const ABORT_TASK: u8 = 1;
    const ABORT_TASK_SET: u8 = 2;
    const QUERY_TASK: u8 = 0x80;
    const QUERY_TASK_SET: u8 = 0x81;
    let (mut client, _) = Client::new();
    client.command(1, 0, &write_10(0, 1));
    client.unit(WRITE_READY, 1);
    client.command(2, 0, &read_10(0, 1));
    client.command(3, 1, &read_10(0, 1));
    assert_eq!(client.manage(90, QUERY_TASK, 2, 0), SUCCEEDED);
    assert_eq!(client.manage(91, QUERY_TASK, 2, 1), COMPLETE);
    assert_eq!(client.manage(92, ABORT_TASK, 2, 0), COMPLETE);
    assert_eq!(client.manage(93, QUERY_TASK, 2, 0), COMPLETE);
    // The command under way ends, and the next one begins.
    assert_eq!(client.manage(94, ABORT_TASK_SET, 0, 0), COMPLETE);
    client.unit(READ_READY, 3);
    assert_eq!(client.manage(95, QUERY_TASK_SET, 0, 0), COMPLETE);
    assert_eq!(client.manage(96, QUERY_TASK_SET, 0, 1), SUCCEEDED);
    client.read(DATA_IN, 512);
    client.good(3);
    client.is_quiet();
}

#[test]
fn a_host_that_uses_a_tag_before_it_has_its_status_gets_the_data_of_others_whole() {
    const ABORT_TASK: u8 = 1;
    let (mut client, _) = Client::new();
    client.command(1, 0, &read_10(0, 1));
    client.unit(READ_READY, 1);
    assert_eq!(client.read(DATA_IN, 512).len(), 512);
    client.command(1, 0, &read_10(0, 1));
    // The status of the first goes with the second.
    assert_eq!(client.manage(90, ABORT_TASK, 1, 0), COMPLETE);
    client.command(2, 0, &read_10(0, 1));
    client.unit(READ_READY, 2);
    assert_eq!(client.read(DATA_IN, 512).len(), 512);
    client.good(2);
}

#[test]
fn a_reset_of_a_unit_is_told_by_that_unit() {
    const LOGICAL_UNIT_RESET: u8 = 8;
    const I_T_NEXUS_RESET: u8 = 0x10;
    let (mut client, _) = Client::new();
    client.command(1, 1, &write_10(0, 1));
    client.unit(WRITE_READY, 1);
    assert_eq!(client.manage(2, LOGICAL_UNIT_RESET, 0, 1), COMPLETE);
    client.command(3, 0, &[0; 6]);
    client.good(3);
    client.command(4, 1, &[0; 6]);
    assert_eq!(client.check(4), (6, 0x2900));
    assert_eq!(client.manage(5, I_T_NEXUS_RESET, 0, 0), COMPLETE);
    client.command(6, 0, &[0; 6]);
    assert_eq!(client.check(6), (6, 0x2900));
    // There is no unit 2, and no function 0x40.
    assert_eq!(client.manage(7, LOGICAL_UNIT_RESET, 0, 2), 9);
    assert_eq!(client.manage(8, 0x40, 0, 0), 4);
}

#[test]
fn what_is_no_request_is_told_and_harms_nothing() {
    let (mut client, _) = Client::new();
    let long = |tag| {
        let mut bytes = command(tag, 0, &[0; 6]);
        bytes.truncate(31);
        bytes
    };
    for bytes in [long(5), vec![9, 0, 0, 5], vec![5, 0, 0, 5, 1]] {
        client.write(COMMAND_OUT, bytes);
        assert_eq!(client.unit(RESPONSE, 5)[7], INVALID);
    }
    client.write(COMMAND_OUT, vec![]);
    assert_eq!(client.unit(RESPONSE, 0)[7], INVALID);
    let mut extended = command(6, 0, &[0; 6]);
    extended[8] = 0xc0;
    client.write(COMMAND_OUT, extended);
    assert_eq!(client.unit(RESPONSE, 6)[7], 9);
    client.command(7, 2, &[0; 6]);
    assert_eq!(client.check(7), (5, 0x2500));
    client.command(8, 0, &[0; 6]);
    client.good(8);
}

#[test]
fn two_commands_of_one_tag_are_both_dropped() {
    let (mut client, _) = Client::new();
    client.command(1, 0, &write_10(0, 1));
    client.command(2, 0, &write_10(0, 1));
    client.command(2, 0, &write_10(0, 1));
    client.unit(WRITE_READY, 1);
    assert_eq!(client.unit(RESPONSE, 2)[7], 0x0a);
    client.write(DATA_OUT, vec![1; 512]);
    client.good(1);
    client.is_quiet();
}

#[test]
fn a_command_at_the_head_of_the_queue_comes_first() {
    let (mut client, _) = Client::new();
    client.command(1, 0, &LONG_VERIFY);
    client.0.device.deadline().expect("it takes a while");
    client.command(2, 0, &read_10(0, 1));
    let mut urgent = command(3, 0, &[0; 6]);
    urgent[4] = 1;
    client.write(COMMAND_OUT, urgent);
    client.good(1);
    client.good(3);
    client.unit(READ_READY, 2);
}

#[test]
fn a_host_that_reads_no_status_can_send_so_many_commands_and_no_more() {
    let (mut client, _) = Client::new();
    for tag in 1..=64 {
        client.command(tag, 0, &[0; 6]);
    }
    client.0.write(COMMAND_OUT, command(65, 0, &[0; 6]), false);
    assert!(client.0.ended().is_none());
    client.0.read(STATUS_IN, 112);
    let ended = [
        client.0.worked_for().unwrap(),
        client.0.worked_for().unwrap(),
    ];
    assert!(ended.iter().all(|it| it.status == Ended::Done));
}

#[test]
fn to_choose_the_other_transport_drops_what_waits() {
    let (mut client, _) = Client::new();
    client.command(1, 0, &LONG_VERIFY);
    client.command(2, 0, &read_10(0, 1));
    client.control([1, 11, 0, 0, 0, 0, 0, 0]);
    client.control([1, 11, 1, 0, 0, 0, 0, 0]);
    client.is_quiet();
    client.command(1, 0, &[0; 6]);
    client.good(1);
}
