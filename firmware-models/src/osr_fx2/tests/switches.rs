//! Endpoint 1.

use super::*;

#[test]
fn the_switches_are_told_once_after_the_configuration_is_set() {
    let mut host = Host::new("osr-fx2,switches=0x81", 1);
    assert_eq!(told(&mut host), Some(0x81));
    assert_eq!(told(&mut host), None);
    host.configure(1);
    assert_eq!(told(&mut host), Some(0x81));
}

#[test]
fn nothing_is_told_of_what_was_before_the_configuration() {
    let (mut host, board) = fresh(Speed::High);
    board.set_switches(Switches::new(0x0f));
    board.set_switches(Switches::new(0xf0));
    host.configure(1);
    assert_eq!(told(&mut host), Some(0xf0));
    assert_eq!(told(&mut host), None);
}

#[test]
fn each_change_is_told() {
    let (mut host, board) = configured();
    for bits in [0x01, 0x03, 0x00, 0xff] {
        board.set_switches(Switches::new(bits));
        assert_eq!(told(&mut host), Some(bits));
        assert_eq!(told(&mut host), None);
    }
    board.set_switches(Switches::new(0xff));
    assert_eq!(told(&mut host), None);
}

#[test]
fn a_switch_is_set_by_the_number_printed_at_it() {
    let (mut host, board) = configured();
    board.set_switch(8, true).unwrap();
    assert_eq!(told(&mut host), Some(0x01));
    board.set_switch(1, true).unwrap();
    assert_eq!(told(&mut host), Some(0x81));
    board.set_switch(8, false).unwrap();
    assert_eq!(told(&mut host), Some(0x80));
    assert!(board.set_switch(9, true).is_err());
    assert_eq!(board.switches(), Switches::new(0x80));
}

#[test]
fn a_switch_that_bounces_is_told_as_it_is() {
    let (mut host, board) = configured();
    board.set_switch(8, true).unwrap();
    board.set_switch(8, false).unwrap();
    assert_eq!(told(&mut host), Some(0x01));
    assert_eq!(told(&mut host), Some(0x00));
}

#[test]
fn the_switches_are_not_looked_at_until_the_byte_that_waits_was_read() {
    let (mut host, board) = configured();
    for bits in [0x01, 0x02, 0x04, 0x08] {
        board.set_switches(Switches::new(bits));
    }
    assert_eq!(told(&mut host), Some(0x01));
    assert_eq!(told(&mut host), Some(0x08));
    assert_eq!(told(&mut host), None);
    // Back at what was told last, there is nothing to tell.
    for bits in [0x01, 0x02, 0x01] {
        board.set_switches(Switches::new(bits));
    }
    assert_eq!(told(&mut host), Some(0x01));
    assert_eq!(told(&mut host), None);
}

#[test]
fn the_switches_are_told_on_resume_changed_or_not() {
    let (mut host, board) = configured();
    board.suspend();
    board.resume();
    assert_eq!(told(&mut host), Some(0x00));
    board.suspend();
    board.set_switches(Switches::new(0x01));
    board.set_switches(Switches::new(0x02));
    assert_eq!(told(&mut host), None);
    board.resume();
    assert_eq!(told(&mut host), Some(0x02));
    board.resume();
    assert_eq!(told(&mut host), None);
}

#[test]
fn on_resume_a_byte_that_waits_goes_first() {
    let (mut host, board) = configured();
    board.set_switches(Switches::new(0x01));
    board.suspend();
    board.set_switches(Switches::new(0x02));
    board.resume();
    assert_eq!(told(&mut host), Some(0x01));
    assert_eq!(told(&mut host), Some(0x02));
    assert_eq!(told(&mut host), None);
}

#[test]
fn a_change_wakes_the_device_so_that_a_read_that_waits_ends() {
    let (mut host, board) = configured();
    let bell = Arc::new(Count::default());
    host.device.set_waker(bell.waker());
    host.read(SWITCHES, 1);
    host.pass(MICROFRAME);
    assert!(host.ended().is_none());
    assert!(!bell.rung());
    let board = std::thread::spawn(move || {
        board.set_switch(3, true).unwrap();
        board
    });
    let board = board.join().unwrap();
    assert!(bell.rung());
    host.pass(MICROFRAME / 2);
    host.pass(MICROFRAME);
    assert_eq!(host.ended().unwrap().data.to_vec(), [0x20]);
    // The same positions again are no change; a resume is something to tell.
    board.set_switch(3, true).unwrap();
    assert!(!bell.rung());
    board.suspend();
    assert!(!bell.rung());
    board.resume();
    assert!(bell.rung());
}

#[test]
fn a_reset_keeps_the_switches_and_tells_them_once_configured() {
    let (mut host, board) = configured();
    board.set_switches(Switches::new(0x44));
    host.device.reset(host.now);
    host.configure(1);
    assert_eq!(told(&mut host), Some(0x44));
    assert_eq!(told(&mut host), None);
}
