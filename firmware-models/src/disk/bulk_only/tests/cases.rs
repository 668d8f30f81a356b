//! The thirteen cases of host and device about the data stage (Bulk-Only Transport 1.0 §6.7), each by its number there.
//! `Hn`, `Hi`, `Ho`: the host expects no data, data in, data out; `Dn`, `Di`, `Do`: so does the device.

use super::*;

const BLOCK: [u8; 512] = [7; 512];

/// Sends a command of `cdb` with a data stage of `length` bytes on which host and device do not agree, and shows that nothing moves,
/// that the status tells of a phase error, and that the device works on after a reset recovery.
fn assert_phase_error(length: u32, flags: u8, cdb: &[u8]) {
    let mut client = Client::new();
    client.command(0, length, flags, cdb);
    let (_, _, status) = match (length, flags) {
        (0, _) => client.status(),
        (_, 0x80) => {
            assert_eq!(client.read(length), (Ended::Stalled, vec![]));
            client.status_behind(IN)
        }
        _ => {
            let sent = client.write(vec![9; length as usize]);
            assert_eq!(sent, (Ended::Stalled, 0));
            client.status_behind(OUT)
        }
    };
    assert_eq!(status, PHASE_ERROR);
    client.reset_recovery();
    client.assert_works();
    assert!(client.blocks(0, 8).iter().all(|byte| *byte == 0));
}

#[test]
fn case_1_hn_dn_has_a_status_alone() {
    let mut client = Client::new();
    client.command(0, 0, 0, &TEST_UNIT_READY);
    assert_eq!(client.status(), (TAG, 0, PASSED));
    // Which way no data would go does not matter; the status tells of a failure as well.
    client.command(0, 0, 0x80, &cdb_10(0xff, 0, 0));
    assert_eq!(client.status(), (TAG, 0, FAILED));
    assert_eq!(client.sense(0), (5, 0x2000));
    client.assert_works();
}

#[test]
fn case_2_hn_di_is_a_phase_error() {
    assert_phase_error(0, 0, &read_10(0, 1));
}

#[test]
fn case_3_hn_do_is_a_phase_error() {
    assert_phase_error(0, 0, &write_10(0, 1));
}

#[test]
fn case_4_hi_dn_stalls_and_tells_that_nothing_came() {
    let mut client = Client::new();
    for (cdb, status) in [
        (&TEST_UNIT_READY[..], PASSED),
        (&read_10(u32::MAX, 1), FAILED),
    ] {
        client.command(0, 512, 0x80, cdb);
        assert_eq!(client.read(512), (Ended::Stalled, vec![]));
        assert_eq!(client.status_behind(IN), (TAG, 512, status));
    }
    assert_eq!(client.sense(0), (5, 0x2100));
    client.assert_works();
}

#[test]
fn case_5_hi_greater_than_di_sends_what_there_is_and_stalls() {
    let mut client = Client::new();
    // A short packet ends the data.
    client.command(0, 100, 0x80, &[0x12, 0, 0, 0, 36, 0]);
    let (ended, data) = client.read(100);
    assert_eq!((ended, data.len()), (Ended::Done, 36));
    assert_eq!(client.read(13), (Ended::Stalled, vec![]));
    assert_eq!(client.status_behind(IN), (TAG, 64, PASSED));
    // Full packets: the stall does.
    client.command(0, 4096, 0x80, &read_10(0, 2));
    let (ended, data) = client.read(4096);
    assert_eq!((ended, data.len()), (Ended::Stalled, 1024));
    assert_eq!(client.status_behind(IN), (TAG, 3072, PASSED));
    client.assert_works();
}

#[test]
fn case_6_hi_is_di_moves_all_of_it() {
    let mut client = Client::new();
    client.command(0, 1024, 0x80, &read_10(0, 2));
    assert_eq!(client.read(1024), (Ended::Done, vec![0; 1024]));
    assert_eq!(client.status(), (TAG, 0, PASSED));
    client.assert_works();
}

#[test]
fn case_7_hi_less_than_di_is_a_phase_error() {
    assert_phase_error(512, 0x80, &read_10(0, 2));
}

#[test]
fn case_8_hi_do_is_a_phase_error() {
    assert_phase_error(512, 0x80, &write_10(0, 1));
}

#[test]
fn case_9_ho_dn_stalls_and_tells_that_nothing_was_taken() {
    let mut client = Client::new();
    for (cdb, status) in [
        (&TEST_UNIT_READY[..], PASSED),
        (&write_10(u32::MAX, 1), FAILED),
    ] {
        client.command(0, 512, 0, cdb);
        assert_eq!(client.write(&BLOCK[..]), (Ended::Stalled, 0));
        assert_eq!(client.status_behind(OUT), (TAG, 512, status));
    }
    assert_eq!(client.sense(0), (5, 0x2100));
    client.assert_works();
}

#[test]
fn case_10_ho_di_is_a_phase_error() {
    assert_phase_error(512, 0, &read_10(0, 1));
}

#[test]
fn case_11_ho_greater_than_do_takes_what_is_wanted_and_stalls() {
    let mut client = Client::new();
    client.command(0, 4096, 0, &write_10(0, 2));
    assert_eq!(client.write(vec![7; 4096]), (Ended::Stalled, 1024));
    assert_eq!(client.status_behind(OUT), (TAG, 3072, PASSED));
    assert_eq!(client.blocks(0, 3), [BLOCK, BLOCK, [0; 512]].concat());
    client.assert_works();
}

#[test]
fn case_11_takes_the_rest_of_the_packet_that_it_wants_a_part_of() {
    let mut client = Client::of(Speed::Super, vec![Box::new(Sparse::new(1 << 20))]);
    client.command(0, 4096, 0, &write_10(0, 1));
    assert_eq!(client.write(vec![7; 4096]), (Ended::Stalled, 1024));
    assert_eq!(client.status_behind(OUT), (TAG, 3584, PASSED));
    // Where nothing is behind that packet, nothing has to stall.
    client.command(0, 1024, 0, &write_10(0, 1));
    assert_eq!(client.write(vec![7; 1024]), (Ended::Done, 1024));
    assert_eq!(client.status(), (TAG, 512, PASSED));
    assert_eq!(client.blocks(0, 2), [BLOCK, [0; 512]].concat());
}

#[test]
fn case_12_ho_is_do_moves_all_of_it() {
    let mut client = Client::new();
    client.command(0, 1024, 0, &write_10(5, 2));
    assert_eq!(client.write(vec![7; 1024]), (Ended::Done, 1024));
    assert_eq!(client.status(), (TAG, 0, PASSED));
    assert_eq!(client.blocks(5, 2), vec![7; 1024]);
    client.assert_works();
}

#[test]
fn case_13_ho_less_than_do_is_a_phase_error() {
    assert_phase_error(512, 0, &write_10(0, 2));
}
