//! Task management among many commands: whoever is not meant gets what it asked for.

use super::*;

const ABORT_TASK: u8 = 0x01;
const LOGICAL_UNIT_RESET: u8 = 0x08;
/// The answers to task management have tags of their own.
const TASK: u16 = 1000;
const COMMANDS: u16 = 40;

/// The block that a command writes, and the unit that has it.
fn place(tag: u16) -> (u8, u32) {
    ((tag % 2) as u8, u32::from(tag) * 4)
}

/// Sends writes of four blocks each, to both units in turn.
fn send_writes(client: &mut Client) {
    for tag in 1..=COMMANDS {
        let (lun, block) = place(tag);
        client.command(tag, lun, &write_10(block, 4));
    }
}

/// Does the writes that are left.
fn finish_writes(client: &mut Client, is_left: impl Fn(u16) -> bool) {
    for tag in (1..=COMMANDS).filter(|tag| is_left(*tag)) {
        client.unit(WRITE_READY, tag);
        client.write(DATA_OUT, vec![tag as u8; 2048]);
        client.good(tag);
    }
    client.is_quiet();
}

/// What a unit has where a command was to write.
fn written(client: &mut Client, tag: u16) -> Vec<u8> {
    let (lun, block) = place(tag);
    client.command(tag, lun, &read_10(block, 4));
    client.unit(READ_READY, tag);
    let data = client.read(DATA_IN, 2048);
    client.good(tag);
    data
}

#[test]
fn commands_that_are_aborted_among_many_leave_all_others_as_they_are() {
    let (mut client, _) = Client::new();
    let is_left = |tag: u16| !tag.is_multiple_of(3) && tag != 1;
    send_writes(&mut client);
    client.unit(WRITE_READY, 1);
    for tag in (1..=COMMANDS).filter(|tag| tag.is_multiple_of(3)) {
        let lun = place(tag).0;
        assert_eq!(client.manage(TASK + tag, ABORT_TASK, tag, lun), COMPLETE);
    }
    // The one whose data moves goes in the middle of it.
    client.write(DATA_OUT, vec![1; 1024]);
    assert_eq!(client.manage(TASK, ABORT_TASK, 1, 1), COMPLETE);
    finish_writes(&mut client, is_left);
    for tag in 2..=COMMANDS {
        let expected = if is_left(tag) { tag as u8 } else { 0 };
        assert_eq!(written(&mut client, tag), [expected; 2048], "{tag}");
    }
    let part = [[1; 1024], [0; 1024]].concat();
    assert_eq!(written(&mut client, 1), part);
}

#[test]
fn a_unit_that_is_reset_among_many_commands_leaves_those_of_the_other_as_they_are() {
    let (mut client, _) = Client::new();
    send_writes(&mut client);
    client.unit(WRITE_READY, 1);
    client.write(DATA_OUT, vec![1; 512]);
    assert_eq!(client.manage(TASK, LOGICAL_UNIT_RESET, 0, 1), COMPLETE);
    finish_writes(&mut client, |tag| tag.is_multiple_of(2));
    client.command(1, 1, &[0; 6]);
    assert_eq!(client.check(1), (6, 0x2900));
    for tag in 3..=COMMANDS {
        let expected = if tag.is_multiple_of(2) { tag as u8 } else { 0 };
        assert_eq!(written(&mut client, tag), [expected; 2048], "{tag}");
    }
}

#[test]
fn a_read_that_is_aborted_in_the_middle_leaves_nothing_for_the_next_one() {
    let (mut client, _) = Client::new();
    client.command(1, 0, &write_10(100, 1));
    client.unit(WRITE_READY, 1);
    client.write(DATA_OUT, vec![7; 512]);
    client.good(1);
    client.command(1, 0, &read_10(0, 64));
    client.command(2, 0, &read_10(100, 1));
    client.unit(READ_READY, 1);
    assert_eq!(client.read(DATA_IN, 4096), vec![0; 4096]);
    assert_eq!(client.manage(TASK, ABORT_TASK, 1, 0), COMPLETE);
    client.unit(READ_READY, 2);
    assert_eq!(client.read(DATA_IN, 512), [7; 512]);
    client.good(2);
    client.is_quiet();
}
