//! Commands, data and status in turn; what breaks that, and how the host mends it.

use super::*;
use crate::disk::medium::faulty::Faulty;

#[test]
fn what_is_no_command_stalls_everything_until_a_reset_recovery() {
    let good = wrapper(0, 0, 0, &TEST_UNIT_READY);
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let wrong = [
        good[..30].to_vec(),
        [&good[..], &[0]].concat(),
        vec![0; 512],
        vec![],
        // The signature; reserved bits; a unit that is not there; a command of no bytes, and of too many.
        with(0, b'u'),
        with(12, 1),
        with(13, 1),
        with(14, 0),
        with(14, 17),
    ];
    for bytes in wrong {
        let mut client = Client::new();
        let told = format!("{bytes:02x?}");
        assert_eq!(client.write(bytes), (Ended::Stalled, 0), "{told}");
        assert_eq!(client.read(13), (Ended::Stalled, vec![]));
        // To clear the halts is not enough (§6.6.1).
        client.clear_halt(IN);
        client.clear_halt(OUT);
        assert_eq!(client.read(13), (Ended::Stalled, vec![]), "{told}");
        assert_eq!(client.write(good.clone()), (Ended::Stalled, 0));
        client.reset_recovery();
        client.assert_works();
    }
}

#[test]
fn a_reset_ends_a_command_in_any_stage() {
    let mut client = Client::new();
    client.command(0, 1024, 0x80, &read_10(0, 2));
    client.read(512);
    client.reset_recovery();
    client.assert_works();
    client.command(0, 1024, 0, &write_10(0, 2));
    client.write(vec![1; 512]);
    client.reset_recovery();
    client.assert_works();
    client.command(0, 512, 0x80, &TEST_UNIT_READY);
    client.reset_recovery();
    client.assert_works();
}

#[test]
fn the_highest_unit_is_told_and_each_has_its_own_blocks_and_sense() {
    let media = (0..15).map(|_| Box::new(Sparse::new(1 << 20)) as Box<dyn Medium>);
    let mut client = Client::of(Speed::High, media.collect());
    let highest = client.control([0xa1, 0xfe, 0, 0, 0, 0, 1, 0]);
    assert_eq!(highest, Ok(vec![14]));
    client.command(14, 512, 0, &write_10(0, 1));
    client.write(vec![9; 512]);
    assert_eq!(client.status().2, PASSED);
    assert_eq!(client.blocks(0, 1), [0; 512]);
    client.command(14, 512, 0x80, &read_10(0, 1));
    assert_eq!(client.read(512).1, [9; 512]);
    assert_eq!(client.status().2, PASSED);
    client.command(3, 0, 0, &[0xff]);
    assert_eq!(client.status().2, FAILED);
    assert_eq!(client.sense(4), (0, 0));
    assert_eq!(client.sense(3), (5, 0x2000));
}

#[test]
fn requests_of_the_class_are_refused_where_a_field_is_wrong() {
    let mut client = Client::new();
    for setup in [
        [0xa1, 0xfe, 1, 0, 0, 0, 1, 0],
        [0xa1, 0xfe, 0, 0, 1, 0, 1, 0],
        [0xa1, 0xfe, 0, 0, 0, 0, 2, 0],
        [0xa0, 0xfe, 0, 0, 0, 0, 1, 0],
        [0x21, 0xff, 1, 0, 0, 0, 0, 0],
        [0x21, 0xff, 0, 0, 1, 0, 0, 0],
        [0x21, 0xfd, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(client.control(setup), Err(Ended::Stalled), "{setup:02x?}");
    }
    client.assert_works();
}

#[test]
fn a_host_may_ask_for_data_and_status_before_it_sends_the_command() {
    let mut client = Client::new();
    let data = client.0.read(IN, 1024);
    let status = client.0.read(IN, 13);
    assert!(client.0.worked_for().is_none());
    client.begin_write(wrapper(0, 1024, 0x80, &read_10(0, 2)));
    let mut ended: Vec<_> = std::iter::from_fn(|| client.0.worked_for()).collect();
    ended.sort_by_key(|it| it.id);
    assert_eq!((ended[0].id, ended[0].data.len()), (data, 1024));
    assert_eq!((ended[1].id, ended[1].data.len()), (status, 13));
    // A second command waits until the first one's status is read.
    client.begin_write(wrapper(0, 0, 0, &TEST_UNIT_READY));
    client.begin_write(wrapper(0, 0, 0, &TEST_UNIT_READY));
    assert_eq!(client.0.worked_for().unwrap().status, Ended::Done);
    assert!(client.0.worked_for().is_none());
    client.0.read(IN, 13);
    let both = [
        client.0.worked_for().unwrap(),
        client.0.worked_for().unwrap(),
    ];
    assert!(both.iter().all(|it| it.status == Ended::Done));
    assert_eq!(client.status(), (TAG, 0, PASSED));
}

#[test]
fn data_comes_and_goes_in_transfers_of_any_size() {
    let mut client = Client::new();
    let data: Vec<u8> = (0..200 * 512).map(|i| (i / 512) as u8).collect();
    client.command(0, 200 * 512, 0, &write_10(3, 200));
    let mut rest = &data[..];
    for size in [512, 1024, 51_200, 49_664] {
        let (part, after) = rest.split_at(size);
        assert_eq!(client.write(part.to_vec()), (Ended::Done, size));
        rest = after;
    }
    assert!(rest.is_empty());
    assert_eq!(client.status(), (TAG, 0, PASSED));
    client.command(0, 200 * 512, 0x80, &read_10(3, 200));
    let mut got = Vec::new();
    for size in [1024, 512, 51_200, 49_664] {
        got.extend(client.read(size).1);
    }
    assert_eq!(client.status(), (TAG, 0, PASSED));
    assert_eq!(got, data);
}

#[test]
fn a_read_of_32_mebibytes_is_read_from_the_medium_as_the_host_asks_for_it() {
    let (medium, script) = Faulty::new(64 << 20);
    let mut client = Client::of(Speed::High, vec![Box::new(medium)]);
    let cdb = [0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    client.command(0, 32 << 20, 0x80, &cdb);
    assert_eq!(script.lock().unwrap().read, 0);
    for place in 1..=512 {
        assert_eq!(client.read(65536).0, Ended::Done);
        assert_eq!(script.lock().unwrap().read, place * 65536);
    }
    assert_eq!(client.status(), (TAG, 0, PASSED));
}

#[test]
fn a_host_with_less_room_than_a_packet_overflows() {
    let mut client = Client::new();
    client.command(0, 512, 0x80, &read_10(0, 1));
    let (ended, data) = client.read(100);
    assert_eq!((ended, data.len()), (Ended::Overflow, 100));
    assert_eq!(client.status(), (TAG, 0, PASSED));
}

#[test]
fn data_that_ends_too_early_is_a_phase_error() {
    let (medium, _) = Faulty::new(64 << 20);
    let mut client = Client::of(Speed::High, vec![Box::new(medium)]);
    for short in [0, 100, 700] {
        client.command(0, 1024, 0, &write_10(0, 2));
        assert_eq!(client.write(vec![1; short]), (Ended::Done, short));
        assert_eq!(client.status().2, PHASE_ERROR);
        client.reset_recovery();
    }
    client.assert_works();
}

#[test]
fn an_error_in_the_middle_of_the_data_ends_it_and_fails_the_command() {
    let (medium, script) = Faulty::new(1 << 20);
    let mut client = Client::of(Speed::High, vec![Box::new(medium)]);
    script.lock().unwrap().unreadable = 1024..2048;
    client.command(0, 4096, 0x80, &read_10(0, 8));
    let (ended, data) = client.read(4096);
    assert_eq!((ended, data.len()), (Ended::Stalled, 1024));
    assert_eq!(client.status_behind(IN), (TAG, 3072, FAILED));
    assert_eq!(client.sense(0), (3, 0x1100));
    let full = std::io::ErrorKind::StorageFull;
    script.lock().unwrap().unwritable = Some((1024..2048, full));
    client.command(0, 4096, 0, &write_10(0, 8));
    assert_eq!(client.write(vec![1; 1024]), (Ended::Done, 1024));
    assert_eq!(client.write(vec![1; 3072]), (Ended::Stalled, 0));
    assert_eq!(client.status_behind(OUT), (TAG, 3072, FAILED));
    assert_eq!(client.sense(0), (7, 0x2707));
    client.assert_works();
}

#[test]
fn a_long_command_lets_the_host_be_heard_and_ends() {
    let mut client = Client::new();
    // VERIFY of 64 MiB takes several steps.
    client.begin_write(wrapper(0, 0, 0, &cdb_10(0x2f, 0, 65535)));
    assert_eq!(client.0.ended().unwrap().status, Ended::Done);
    client.0.read(IN, 13);
    assert!(client.0.ended().is_none());
    assert!(client.0.device.deadline().is_some());
    // The host asks something else meanwhile.
    let highest = client.control([0xa1, 0xfe, 0, 0, 0, 0, 1, 0]);
    assert_eq!(highest, Ok(vec![0]));
    let ended = client.0.worked_for().unwrap();
    assert_eq!(
        (ended.status, ended.data.to_vec()[12]),
        (Ended::Done, PASSED)
    );
    assert!(client.0.device.deadline().is_none());
    // A reset ends the command.
    client.begin_write(wrapper(0, 0, 0, &cdb_10(0x2f, 0, 65535)));
    assert!(client.0.ended().is_some());
    client.reset_recovery();
    client.assert_works();
}

#[test]
fn a_bus_reset_makes_all_anew() {
    let mut client = Client::new();
    client.command(0, 1024, 0, &write_10(0, 2));
    client.0.device.reset(client.0.now);
    client.control([0, 9, 1, 0, 0, 0, 0, 0]).unwrap();
    client.command(0, 0, 0, &TEST_UNIT_READY);
    assert_eq!(client.status(), (TAG, 0, FAILED));
    assert_eq!(client.sense(0), (6, 0x2900));
    client.assert_works();
}
