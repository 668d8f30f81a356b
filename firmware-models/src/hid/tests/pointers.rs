//! Mice, tablets and gamepads.

use super::*;

fn mouse() -> (Host, Mouse) {
    match configured("mouse") {
        (host, Handle::Mouse(mouse)) => (host, mouse),
        (_, other) => panic!("{other:?}"),
    }
}

/// Buttons, and the motion across and down.
fn motion(report: &[u8]) -> (u8, i16, i16) {
    let word = |at: usize| i16::from_le_bytes([report[at], report[at + 1]]);
    (report[0], word(1), word(3))
}

#[test]
fn motion_adds_up_until_the_host_asks() {
    let (mut host, mouse) = mouse();
    for _ in 0..1000 {
        mouse.move_by(3, -2).unwrap();
    }
    assert_eq!(mouse.state().delivery.waiting, 1);
    assert_eq!(motion(&read(&mut host).unwrap()), (0, 3000, -2000));
    assert_eq!(read(&mut host), None);
}

#[test]
fn motion_that_one_report_can_not_tell_is_told_by_several() {
    let (mut host, mouse) = mouse();
    mouse.move_by(70_000, -40_000).unwrap();
    mouse.wheel(-200, 0).unwrap();
    let reports = read_all(&mut host);
    let told: Vec<_> = reports.iter().map(|it| motion(it)).collect();
    assert_eq!(told, [(0, 32767, -32767), (0, 32767, -7233), (0, 4466, 0)]);
    let wheel: Vec<_> = reports.iter().map(|it| it[5].cast_signed()).collect();
    assert_eq!(wheel, [-127, -73, 0]);
}

#[test]
fn buttons_change_between_the_motion_before_and_the_motion_after() {
    let (mut host, mouse) = mouse();
    mouse.move_by(10, 0).unwrap();
    mouse.press(Button::Left).unwrap();
    mouse.move_by(5, 5).unwrap();
    mouse.move_by(5, 5).unwrap();
    mouse.release(Button::Left).unwrap();
    mouse.click(Button::Right).unwrap();
    mouse.move_by(0, 1).unwrap();
    let told: Vec<_> = read_all(&mut host).iter().map(|it| motion(it)).collect();
    assert_eq!(
        told,
        [
            (0, 10, 0),
            (1, 0, 0),
            (1, 10, 10),
            (0, 0, 0),
            (2, 0, 0),
            (0, 0, 0),
            (0, 0, 1)
        ]
    );
}

#[test]
fn in_boot_protocol_a_mouse_tells_of_three_bytes() {
    let (mut host, mouse) = mouse();
    host.control([0x21, 11, 0, 0, 0, 0, 0, 0], Vec::new());
    mouse.move_by(-300, 1).unwrap();
    mouse.wheel(5, 0).unwrap();
    mouse.press(Button::Middle).unwrap();
    let told: Vec<_> = read_all(&mut host);
    assert_eq!(told, [[0, 0x81, 1], [0, 0x81, 0], [0, 0xd2, 0], [4, 0, 0]]);
}

#[test]
fn a_mouse_that_no_host_uses_does_not_move() {
    let (mut host, handle) = attached("mouse");
    let Handle::Mouse(mouse) = handle else {
        panic!("it is no mouse");
    };
    assert_eq!(mouse.move_by(1, 1), Err(InputError::NotConfigured));
    assert_eq!(mouse.click(Button::Left), Err(InputError::NotConfigured));
    mouse.press(Button::Left).unwrap();
    host.configure(1);
    assert_eq!(motion(&read(&mut host).unwrap()), (1, 0, 0));
    host.device.reset(host.now);
    mouse.release(Button::Left).unwrap();
    host.configure(1);
    assert_eq!(read(&mut host), None);
}

#[test]
fn clicks_that_nobody_reads_are_refused_in_the_end() {
    let (_host, mouse) = mouse();
    let refused = (0..).find_map(|count| Some((count, mouse.click(Button::Left).err()?)));
    let full = InputError::Full {
        waiting: 65536,
        wanted: 2,
    };
    assert_eq!(refused, Some((32768, full)));
    mouse.move_by(1, 1).unwrap_err();
}

#[test]
fn each_place_of_a_tablet_is_told() {
    let (mut host, Handle::Tablet(tablet)) = configured("tablet") else {
        panic!("it is no tablet");
    };
    tablet.move_to(1, 2).unwrap();
    tablet.move_to(0x7fff, 0x1234).unwrap();
    tablet.click(Button::Middle).unwrap();
    tablet.wheel(130).unwrap();
    tablet.wheel(-1).unwrap();
    assert_eq!(
        read_all(&mut host),
        [
            [0, 1, 0, 2, 0, 0],
            [0, 0xff, 0x7f, 0x34, 0x12, 0],
            [4, 0xff, 0x7f, 0x34, 0x12, 0],
            [0, 0xff, 0x7f, 0x34, 0x12, 0],
            [0, 0xff, 0x7f, 0x34, 0x12, 127],
            [0, 0xff, 0x7f, 0x34, 0x12, 0],
            [0, 0xff, 0x7f, 0x34, 0x12, 3],
            [0, 0xff, 0x7f, 0x34, 0x12, 0],
            [0, 0xff, 0x7f, 0x34, 0x12, 0xff],
            [0, 0xff, 0x7f, 0x34, 0x12, 0],
        ]
    );
    assert_eq!(tablet.move_to(0x8000, 0), Err(TabletError::OffTheTablet));
    assert_eq!(tablet.press(Button::Back), Err(TabletError::NoSuchButton));
}

#[test]
fn a_gamepad_is_let_go_of_and_found_as_it_was_left() {
    let (mut host, Handle::Gamepad(pad)) = configured("gamepad") else {
        panic!("it is no gamepad");
    };
    pad.click("start".parse().unwrap()).unwrap();
    let told = read_all(&mut host);
    assert_eq!(
        told.iter()
            .map(|it| (it[0], it[1], it[2]))
            .collect::<Vec<_>>(),
        [(0, 8, 8), (0, 0, 8)]
    );
    pad.set_axis(Axis::X, -5).unwrap();
    pad.set_hat(Hat::Right).unwrap();
    host.device.reset(host.now);
    host.configure(1);
    assert_eq!(
        read_all(&mut host),
        [[0, 0, 2, 0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]]
    );
    let told = pad.set_axis(Axis::Z, -1).unwrap_err().to_string();
    assert_eq!(told, "Z reaches from 0 to 255, and not to -1");
    assert!("17".parse::<PadButton>().is_err() && "0".parse::<PadButton>().is_err());
}
