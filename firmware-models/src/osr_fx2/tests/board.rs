//! The handle.

use std::{
    sync::Mutex,
    task::{Context, Poll},
};

use super::*;
use crate::{Spec, osr_fx2::Changes};

#[test]
fn a_handle_may_be_used_on_any_thread() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let (_host, board) = fresh(Speed::High);
    shared(&board);
}

#[test]
fn clones_are_one_board() {
    let mut firmware = OsrFx2::new(Options {
        switches: Switches::new(0x10),
    });
    let (one, other) = (firmware.board(), firmware.board().clone());
    assert_eq!(one.switches(), Switches::new(0x10));
    one.set_switch(8, true).unwrap();
    assert_eq!(other.switches(), Switches::new(0x11));
}

#[test]
fn nothing_may_wake_a_device_of_whose_board_there_is_no_handle() {
    assert!(!host().device.may_wake());
    let (host, board) = configured();
    let clone = board.clone();
    drop(board);
    assert!(host.device.may_wake());
    drop(clone);
    assert!(!host.device.may_wake());
}

fn look(changes: &mut Changes, count: &Arc<Count>) -> Poll<Option<super::super::State>> {
    changes.poll_next(&mut Context::from_waker(&count.waker()))
}

#[test]
fn whoever_waits_is_told_of_each_change_of_switches_displays_and_packets() {
    let (mut host, board) = configured();
    let mut changes = board.changes();
    let count = Arc::new(Count::default());
    let steps: [fn(&mut Host, &Board); 6] = [
        |_, board| board.set_switch(5, true).unwrap(),
        |host, _| set(host, 0xd8, 0x11),
        |host, _| set(host, 0xdb, 0x22),
        |host, _| loop_packets(host, 1),
        |_, board| board.suspend(),
        |host, _| host.device.reset(host.now),
    ];
    for step in steps {
        assert_eq!(look(&mut changes, &count), Poll::Pending);
        step(&mut host, &board);
        assert!(count.rung());
        assert_eq!(look(&mut changes, &count), Poll::Ready(Some(board.state())));
    }
    assert_eq!(look(&mut changes, &count), Poll::Pending);
    ask(&mut host, 0xd6);
    board.set_switches(board.switches());
    assert!(!count.rung(), "nothing has changed");
}

#[test]
fn the_show_at_start_is_a_change_as_well() {
    let (mut host, board) = configured();
    let mut changes = board.changes();
    let count = Arc::new(Count::default());
    assert_eq!(look(&mut changes, &count), Poll::Pending);
    host.pass(Duration::from_millis(500));
    assert!(count.rung());
}

/// Looks whenever it is woken, as a thread of its own would.
struct Looks(Mutex<(Changes, Vec<Option<char>>)>);

impl Looks {
    fn look(self: &Arc<Self>) {
        let mut looks = self.0.lock().unwrap();
        let waker = Waker::from(Arc::clone(self));
        while let Poll::Ready(Some(state)) = looks.0.poll_next(&mut Context::from_waker(&waker)) {
            looks.1.push(state.segments.character());
        }
    }
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

#[test]
fn a_reset_is_one_change_and_whoever_is_told_may_look_at_once() {
    let (mut host, board) = configured();
    let looks = Arc::new(Looks(Mutex::new((board.changes(), Vec::new()))));
    looks.look();
    set(&mut host, 0xdb, 0x76);
    host.device.reset(host.now);
    set(&mut host, 0xda, 0);
    assert_eq!(looks.0.lock().unwrap().1, [Some('H'), Some('1'), Some('1')]);
}

#[test]
fn changes_before_one_looks_count_as_one_and_those_before_one_waits_as_none() {
    let (_host, board) = configured();
    board.set_switches(Switches::new(1));
    let (mut first, mut second) = (board.changes(), board.changes());
    board.set_switches(Switches::new(2));
    board.set_switches(Switches::new(3));
    let count = Arc::new(Count::default());
    for changes in [&mut first, &mut second] {
        assert_eq!(look(changes, &count), Poll::Ready(Some(board.state())));
        assert_eq!(look(changes, &count), Poll::Pending);
    }
    drop(first);
    drop(second);
    board.set_switches(Switches::new(4));
    assert!(!count.rung(), "nobody waits any more");
}

#[test]
fn a_wait_ends_when_the_device_is_gone() {
    let (host, board) = configured();
    let mut changes = board.changes();
    let count = Arc::new(Count::default());
    assert_eq!(look(&mut changes, &count), Poll::Pending);
    drop(host);
    assert!(count.rung());
    assert_eq!(look(&mut changes, &count), Poll::Ready(None));
    board.set_switches(Switches::new(1));
    assert_eq!(board.switches(), Switches::new(1));
}

#[test]
fn a_spec_says_the_speed_and_the_switches() {
    let mut host = Host::new("osr-fx2,speed=full,switches=0xA0", 1);
    assert_eq!((ask(&mut host, 0xd9), ask(&mut host, 0xd6)), (0, 0xa0));
    let refused = |text: &str| match text.parse::<Spec>() {
        Ok(spec) => spec
            .build(std::time::Instant::now())
            .unwrap_err()
            .to_string(),
        Err(error) => error.to_string(),
    };
    assert!(refused("osr-fx2,speed=super").contains("it takes one of high, full"));
    let told = refused("osr-fx2,switches=on");
    assert!(
        told.contains("`on` is no value for parameter `switches`: it takes a byte"),
        "{told}"
    );
    assert!(refused("osr-fx2,leds=1").contains("it takes speed, busid, switches"));
}
