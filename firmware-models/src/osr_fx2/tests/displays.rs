//! Seven segments and bar graph.

use super::*;

const DIGIT: Duration = Duration::from_millis(500);

fn shown(board: &Board) -> Option<char> {
    board.segments().character()
}

#[test]
fn the_versions_digits_are_shown_at_start_for_half_a_second_each_and_then_the_speed() {
    for (speed, letter) in [(Speed::High, 'H'), (Speed::Full, 'F')] {
        let (mut host, board) = fresh(speed);
        host.device.reset(host.now);
        for digit in ['1', '0'] {
            assert_eq!(shown(&board), Some(digit));
            assert_eq!(host.device.deadline(), Some(host.now + DIGIT));
            host.pass(DIGIT - Duration::from_nanos(1));
            assert_eq!(shown(&board), Some(digit));
            host.pass(Duration::from_nanos(1));
        }
        assert_eq!(shown(&board), Some(letter));
        assert_eq!(host.device.deadline(), None);
    }
}

#[test]
fn a_board_is_dark_until_a_host_resets_or_configures_it() {
    let mut firmware = OsrFx2::new(Options::default());
    let board = firmware.board();
    assert_eq!(shown(&board), Some(' '));
    let mut host = Host::of(|now| EmulatedDevice::new(firmware, Speed::High, now).unwrap());
    assert_eq!(shown(&board), Some(' '));
    host.configure(1);
    assert_eq!(shown(&board), Some('1'));
}

#[test]
fn setting_the_configuration_does_not_begin_the_show_anew() {
    let (mut host, board) = fresh(Speed::High);
    host.device.reset(host.now);
    host.pass(DIGIT);
    host.configure(1);
    assert_eq!(shown(&board), Some('0'));
    host.pass(DIGIT);
    assert_eq!(shown(&board), Some('H'));
    host.device.reset(host.now);
    assert_eq!(shown(&board), Some('1'));
}

#[test]
fn a_device_that_is_asked_late_shows_what_is_due() {
    let (mut host, board) = fresh(Speed::High);
    host.device.reset(host.now);
    host.now += DIGIT * 3 / 2;
    assert_eq!(ask(&mut host, 0xd4), SevenSegments::of('0').unwrap().bits());
    host.pass(DIGIT);
    assert_eq!(shown(&board), Some('H'));
}

#[test]
fn a_host_that_sets_the_segments_ends_the_show() {
    let (mut host, board) = configured();
    set(&mut host, 0xdb, 0x08);
    assert_eq!(
        (board.segments().bits(), board.segments().dot()),
        (0x08, true)
    );
    host.pass(DIGIT * 3);
    assert_eq!(board.segments().bits(), 0x08);
    assert_eq!(ask(&mut host, 0xd4), 0x08);
}

#[test]
fn s_is_shown_on_suspend_and_a_on_resume() {
    let (mut host, board) = configured();
    board.suspend();
    assert_eq!(board.segments(), SUSPENDED);
    assert!(board.state().suspended);
    host.pass(DIGIT * 3);
    assert_eq!(Some(board.segments()), SevenSegments::of('S'));
    board.resume();
    assert_eq!(board.segments(), RESUMED);
    assert!(!board.state().suspended);
    assert_eq!(shown(&board), Some('A'));
}

#[test]
fn a_reset_ends_the_suspension_and_a_board_without_a_host_has_none() {
    let (mut host, board) = fresh(Speed::High);
    board.suspend();
    assert!(!board.state().suspended);
    host.configure(1);
    board.suspend();
    host.device.reset(host.now);
    assert!(!board.state().suspended);
    assert_eq!(shown(&board), Some('1'));
}

#[test]
fn the_bar_graph_has_one_more_led_for_each_ten_packets_and_begins_anew_after_eight() {
    let (mut host, board) = configured();
    let lit = |board: &Board| {
        (1..=8)
            .filter(|led| board.bar_graph().is_lit(*led).unwrap())
            .count()
    };
    let leds = [0x08, 0x18, 0x38, 0x78, 0xf8, 0xf9, 0xfb, 0xff, 0x00, 0x08];
    for (place, bits) in leds.into_iter().enumerate() {
        loop_packets(&mut host, 9);
        assert_eq!(lit(&board), place % 9);
        loop_packets(&mut host, 1);
        assert_eq!(board.bar_graph().bits(), bits);
        assert_eq!(ask(&mut host, 0xd7), bits);
    }
    assert_eq!(board.packets(), 100);
}

#[test]
fn packets_that_have_not_come_back_do_not_count() {
    let (mut host, board) = configured();
    host.write(LOOP_OUT, vec![0; 4 * 512], false);
    assert_eq!(board.packets(), 0);
    host.read(LOOP_IN, 3 * 512);
    assert_eq!(board.packets(), 3);
}

#[test]
fn a_host_that_sets_the_bar_graph_takes_it_over_until_the_board_is_reset() {
    let (mut host, board) = configured();
    set(&mut host, 0xd8, 0xa5);
    loop_packets(&mut host, 10);
    assert_eq!(board.bar_graph().bits(), 0xa5);
    host.configure(1);
    assert_eq!(board.bar_graph().bits(), 0xa5);
    host.device.reset(host.now);
    assert_eq!((board.bar_graph().bits(), board.packets()), (0, 0));
}
