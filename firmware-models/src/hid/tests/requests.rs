//! The requests of the class.

use super::*;

fn set(host: &mut Host, request: u8, value: u16, data: &[u8]) -> Status {
    let [low, high] = value.to_le_bytes();
    let length = u8::try_from(data.len()).unwrap();
    let setup = [0x21, request, low, high, 0, 0, length, 0];
    host.control(setup, data.to_vec()).status
}

fn ask(host: &mut Host, request: u8, value: u16) -> Option<Vec<u8>> {
    let [low, high] = value.to_le_bytes();
    let asked = host.control([0xa1, request, low, high, 0, 0, 64, 0], Vec::new());
    (asked.status == Status::Done).then(|| asked.data.to_vec())
}

#[test]
fn the_idle_rate_repeats_the_last_report_by_the_clock_of_the_device() {
    let (mut host, keyboard) = keyboard("keyboard");
    assert_eq!(ask(&mut host, 2, 0), Some(vec![125]), "500 ms at first");
    assert_eq!(set(&mut host, 10, 0x0a00, &[]), Status::Done);
    assert_eq!(ask(&mut host, 2, 0), Some(vec![10]));
    keyboard.press(&[Key::SPACE]).unwrap();
    let first = read(&mut host).unwrap();
    let told = host.now;
    for _ in 0..5 {
        let before = host.now;
        host.read(REPORTS, 8);
        let mut passed = Duration::ZERO;
        while passed < Duration::from_millis(100) {
            host.pass(Duration::from_millis(1));
            passed = host.now - before;
            if let Some(completion) = host.ended() {
                assert_eq!(completion.data.to_vec(), first);
                break;
            }
        }
    }
    // Five times 40 ms, and at each the ms until the next frame.
    let took = host.now - told;
    assert!((200..=206).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn without_an_idle_rate_a_report_is_told_once() {
    let (mut host, keyboard) = keyboard("keyboard");
    assert_eq!(set(&mut host, 10, 0, &[]), Status::Done);
    keyboard.press(&[Key::SPACE]).unwrap();
    assert!(read(&mut host).is_some());
    host.pass(Duration::from_secs(60));
    assert_eq!(read(&mut host), None);
    assert_eq!(
        ask(&mut host, 1, 0x0100).unwrap()[2],
        0x2c,
        "but may be asked for"
    );
}

#[test]
fn the_protocol_may_be_chosen_of_devices_with_a_boot_protocol() {
    for spec in ["keyboard", "mouse"] {
        let (mut host, _handle) = configured(spec);
        assert_eq!(ask(&mut host, 3, 0), Some(vec![1]));
        assert_eq!(set(&mut host, 11, 0, &[]), Status::Done);
        assert_eq!(ask(&mut host, 3, 0), Some(vec![0]));
        assert_eq!(set(&mut host, 11, 2, &[]), Status::Stalled);
        host.configure(1);
        assert_eq!(ask(&mut host, 3, 0), Some(vec![1]));
    }
    for spec in ["tablet", "gamepad"] {
        let (mut host, _handle) = configured(spec);
        assert_eq!(ask(&mut host, 3, 0), None);
        assert_eq!(set(&mut host, 11, 0, &[]), Status::Stalled);
    }
}

#[test]
fn what_the_class_does_not_know_stalls() {
    let (mut host, _handle) = configured("mouse");
    assert_eq!(
        ask(&mut host, 1, 0x0200),
        None,
        "a mouse has no output report"
    );
    assert_eq!(ask(&mut host, 1, 0x0300), None, "and no feature report");
    assert_eq!(ask(&mut host, 1, 0x0101), None, "and no report ids");
    assert_eq!(ask(&mut host, 7, 0), None);
    assert_eq!(set(&mut host, 9, 0x0200, &[1]), Status::Stalled);
    assert_eq!(set(&mut host, 10, 1, &[]), Status::Stalled);
    assert_eq!(set(&mut host, 12, 0, &[]), Status::Stalled);
    let (mut host, _keyboard) = keyboard("keyboard");
    assert_eq!(set(&mut host, 9, 0x0200, &[]), Status::Stalled, "no LEDs");
    assert_eq!(set(&mut host, 9, 0x0200, &[1, 2]), Status::Stalled);
    assert_eq!(set(&mut host, 9, 0x0100, &[0; 8]), Status::Stalled);
}

#[test]
fn remote_wake_up_may_be_armed() {
    let (mut host, _handle) = configured("mouse");
    let armed = |host: &mut Host| {
        host.control([0x80, 0, 0, 0, 0, 0, 2, 0], Vec::new())
            .data
            .to_vec()
    };
    assert_eq!(armed(&mut host), [0, 0]);
    let arm = host.control([0, 3, 1, 0, 0, 0, 0, 0], Vec::new());
    assert_eq!((arm.status, armed(&mut host)), (Status::Done, vec![2, 0]));
}
