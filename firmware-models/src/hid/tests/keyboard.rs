//! Keys, text, and what a slow host reads of them.

use std::task::{Context, Poll, Waker};

use super::*;

fn keys(names: &str) -> Vec<Key> {
    names.split('+').map(|name| name.parse().unwrap()).collect()
}

/// The modifiers and the first key of each report.
fn short(reports: &[Vec<u8>]) -> Vec<(u8, u8)> {
    reports.iter().map(|it| (it[0], it[2])).collect()
}

#[test]
fn each_change_of_a_key_is_a_report_of_its_own_however_slowly_the_host_asks() {
    let (mut host, keyboard) = keyboard("keyboard");
    keyboard.press(&keys("ctrl+a")).unwrap();
    keyboard.press(&keys("b")).unwrap();
    keyboard.release(&keys("a")).unwrap();
    keyboard.release(&keys("ctrl+b+c")).unwrap();
    host.pass(Duration::from_secs(3600));
    let reports = read_all(&mut host);
    let expected: Vec<[u8; 8]> = vec![
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 4, 0, 0, 0, 0, 0],
        [1, 0, 4, 5, 0, 0, 0, 0],
        [1, 0, 5, 0, 0, 0, 0, 0],
        [0, 0, 5, 0, 0, 0, 0, 0],
        [0; 8],
    ];
    assert_eq!(reports, expected);
}

#[test]
fn more_than_six_keys_are_told_to_be_too_many() {
    let (mut host, keyboard) = keyboard("keyboard");
    keyboard.press(&keys("a+b+c+d+e+f+shift+g+h")).unwrap();
    let reports = read_all(&mut host);
    assert_eq!(reports[5], [0, 0, 4, 5, 6, 7, 8, 9]);
    assert_eq!(reports[6], [2, 0, 4, 5, 6, 7, 8, 9]);
    assert_eq!(reports[7..], [[2, 0, 1, 1, 1, 1, 1, 1]]);
    keyboard.release(&keys("a+b")).unwrap();
    assert_eq!(read_all(&mut host), [[2, 0, 6, 7, 8, 9, 10, 11]]);
}

#[test]
fn text_is_typed_key_by_key_with_its_modifiers() {
    let (mut host, keyboard) = keyboard("keyboard,layout=de");
    keyboard.type_text("aAÄ@ê\n").unwrap();
    assert_eq!(
        short(&read_all(&mut host)),
        [
            (0, 0x04),
            (0, 0),
            (2, 0),
            (2, 0x04),
            (2, 0),
            (2, 0x34),
            (2, 0),
            (0x40, 0),
            (0x40, 0x14),
            (0x40, 0),
            (0, 0),
            (0, 0x35),
            (0, 0),
            (0, 0x08),
            (0, 0),
            (0, 0x28),
            (0, 0),
        ]
    );
}

#[test]
fn keys_are_tapped_together() {
    let (mut host, keyboard) = keyboard("keyboard");
    let chord = keyboard.chord("ctrl+alt+del").unwrap();
    keyboard.tap(&chord).unwrap();
    assert_eq!(
        short(&read_all(&mut host)),
        [(1, 0), (5, 0), (5, 0x4c), (5, 0), (1, 0), (0, 0)]
    );
}

#[test]
fn a_single_character_names_the_key_that_types_it() {
    let (_, french) = keyboard("keyboard,layout=fr");
    assert_eq!(french.chord("ctrl+a").unwrap(), keys("ctrl+q"));
    assert_eq!(french.chord("ctrl++").unwrap(), keys("ctrl+equal"));
    assert_eq!(french.chord("+").unwrap(), keys("equal"));
    assert_eq!(french.chord("1").unwrap(), keys("1"));
    assert_eq!(french.chord("F5").unwrap(), keys("f5"));
    let told = french.chord("ctrl+any").unwrap_err().to_string();
    assert!(told.starts_with("`any` names no key"), "{told}");
    assert!(french.chord("").is_err());
}

#[test]
fn a_text_with_a_character_that_is_on_no_key_is_not_typed_at_all() {
    let (mut host, keyboard) = keyboard("keyboard");
    let told = keyboard.type_text("Grüße").unwrap_err().to_string();
    assert!(
        told.starts_with("character 3, `ü` (U+00FC), is not on the layout us"),
        "{told}"
    );
    assert_eq!(read(&mut host), None);
}

#[test]
fn nothing_is_typed_while_a_key_is_held() {
    let (mut host, keyboard) = keyboard("keyboard");
    keyboard.press(&keys("shift")).unwrap();
    let told = keyboard.type_text("a").unwrap_err().to_string();
    assert_eq!(told, "shift is held down: release it first");
    assert_eq!(read_all(&mut host).len(), 1);
}

#[test]
fn what_passes_is_refused_where_no_host_uses_the_keyboard_and_what_is_held_is_told_to_the_next() {
    let (mut host, handle) = attached("keyboard");
    let Handle::Keyboard(keyboard) = handle else {
        panic!("it is no keyboard");
    };
    let refused = TypeError::Input(InputError::NotConfigured);
    assert_eq!(keyboard.type_text("a"), Err(refused));
    assert_eq!(keyboard.tap(&keys("a")), Err(InputError::NotConfigured));
    keyboard.press(&keys("shift+f8")).unwrap();
    host.configure(1);
    assert_eq!(short(&read_all(&mut host)), [(2, 0x41)]);
}

#[test]
fn a_reset_forgets_what_waits_and_tells_that_it_did() {
    let (mut host, keyboard) = keyboard("keyboard");
    keyboard.type_text("ab").unwrap();
    assert_eq!(keyboard.state().delivery.waiting, 4);
    assert_eq!(short(&[read(&mut host).unwrap()]), [(0, 4)]);
    host.device.reset(host.now);
    let delivery = keyboard.state().delivery;
    assert_eq!(
        (delivery.configured, delivery.waiting, delivery.forgotten),
        (false, 0, 3)
    );
    host.configure(1);
    assert_eq!(read(&mut host), None);
    keyboard.type_text("c").unwrap();
    assert_eq!(short(&read_all(&mut host)), [(0, 6), (0, 0)]);
}

#[test]
fn a_text_for_which_there_is_no_room_is_not_typed_at_all() {
    let (mut host, keyboard) = keyboard("keyboard");
    keyboard.type_text(&"ab".repeat(16_383)).unwrap();
    let told = keyboard.type_text("abc").unwrap_err().to_string();
    assert!(
        told.contains("65532 reports wait for the host") && told.contains("no room for 6 more"),
        "{told}"
    );
    keyboard.type_text("ab").unwrap();
    assert_eq!(
        keyboard.press(&keys("x")),
        Err(InputError::Full {
            waiting: 65536,
            wanted: 1
        })
    );
    assert_eq!(read(&mut host).unwrap()[2], 4);
}

#[test]
fn the_leds_that_a_host_lights_are_seen_and_told() {
    let (mut host, keyboard) = keyboard("keyboard");
    let mut changes = keyboard.changes();
    let mut look = || changes.poll_next(&mut Context::from_waker(Waker::noop()));
    assert!(look().is_pending());
    let lit = host.control([0x21, 9, 0, 2, 0, 0, 1, 0], vec![0xe3]);
    assert_eq!(lit.status, Status::Done);
    let Poll::Ready(Some(state)) = look() else {
        panic!("nothing was told");
    };
    assert_eq!(state.leds.to_string(), "num-lock, caps-lock");
    let asked = host.control([0xa1, 1, 0, 2, 0, 0, 1, 0], Vec::new());
    assert_eq!(asked.data.to_vec(), [3]);
    host.device.reset(host.now);
    assert_eq!(keyboard.leds().to_string(), "none");
}

#[test]
fn capitals_that_are_locked_are_unlocked_for_a_text() {
    let (mut host, keyboard) = keyboard("keyboard");
    host.control([0x21, 9, 0, 2, 0, 0, 1, 0], vec![2]);
    keyboard.type_text("a").unwrap();
    assert_eq!(
        short(&read_all(&mut host)),
        [(0, 0x39), (0, 0), (0, 4), (0, 0), (0, 0x39), (0, 0)]
    );
}

#[test]
fn a_key_wakes_the_device_so_that_a_read_that_waits_ends() {
    let (mut host, keyboard) = keyboard("keyboard");
    host.control([0x21, 10, 0, 0, 0, 0, 0, 0], Vec::new());
    host.read(REPORTS, 8);
    host.pass(Duration::from_secs(1));
    assert!(host.ended().is_none());
    assert_eq!(
        host.device.deadline(),
        None,
        "an idle keyboard costs nothing"
    );
    keyboard.press(&keys("a")).unwrap();
    host.pass(Duration::ZERO);
    host.pass(Duration::from_millis(1));
    assert_eq!(host.ended().unwrap().data.to_vec()[2], 4);
}

#[test]
fn nobody_wakes_a_keyboard_of_which_there_is_no_handle() {
    let (host, keyboard) = keyboard("keyboard");
    assert!(host.device.may_wake());
    drop(keyboard);
    assert!(!host.device.may_wake());
}
