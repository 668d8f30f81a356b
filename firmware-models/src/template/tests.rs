//! What a host and a user get from the bell: a test for each sentence of its manual.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use usbwright_emulator::{
    EmulatedDevice,
    protocol::{Port, Speed, Status},
};

use super::*;
use crate::testing::Host;

/// How often the host asks for presses.
const INTERVAL: Duration = Duration::from_millis(1);

/// A bell that its host has configured.
fn bell(speed: Speed) -> (Host, Bell) {
    let mut firmware = Template::new(Options::default());
    let bell = firmware.bell();
    let mut host = Host::of(|now| EmulatedDevice::new(firmware, speed, now).unwrap());
    host.configure(1);
    (host, bell)
}

/// What the host is told of presses, if anything.
fn told(host: &mut Host) -> Option<u8> {
    let id = host.read(descriptors::PRESSES, 1);
    host.pass(INTERVAL);
    if let Some(completion) = host.ended() {
        assert_eq!(completion.status, Status::Done);
        return Some(completion.data.to_vec()[0]);
    }
    host.device.cancel(id, host.now);
    assert_eq!(host.ended().unwrap().status, Status::Cancelled);
    None
}

fn set_lamp(host: &mut Host, value: u8) -> Status {
    let setup = [0x40, SET_LAMP, value, 0, 0, 0, 0, 0];
    host.control(setup, Vec::new()).status
}

fn lamp(host: &mut Host) -> Vec<u8> {
    let setup = [0xc0, GET_LAMP, 0, 0, 0, 0, 1, 0];
    host.control(setup, Vec::new()).data.to_vec()
}

#[test]
fn it_is_a_device_at_each_of_its_speeds_and_knows_its_parameters() {
    for &speed in MODEL.speeds {
        let mut parameters = Parameters::default();
        parameters.add("lit", None).unwrap();
        let made = (MODEL.make)(speed, &mut parameters).unwrap();
        let mut host = Host::of(|now| EmulatedDevice::boxed(made.firmware, speed, now).unwrap());
        host.configure(1);
        assert_eq!(lamp(&mut host), [1]);
    }
    let mut wrong = Parameters::default();
    wrong.add("lit", Some("1")).unwrap();
    assert!((MODEL.make)(Speed::Full, &mut wrong).is_err());
}

#[test]
fn the_host_is_told_how_often_the_button_was_pressed() {
    for &speed in MODEL.speeds {
        let (mut host, bell) = bell(speed);
        assert_eq!(told(&mut host), None);
        bell.press();
        bell.press();
        assert_eq!(bell.state().waiting, 2);
        assert_eq!(told(&mut host), Some(2));
        assert_eq!(told(&mut host), None);
    }
}

#[test]
fn no_more_presses_are_told_than_a_byte_counts() {
    let (mut host, bell) = bell(Speed::High);
    (0..300).for_each(|_| bell.press());
    assert_eq!(told(&mut host), Some(255));
    assert_eq!(told(&mut host), None);
}

#[test]
fn a_press_ends_a_read_that_waits() {
    let (mut host, bell) = bell(Speed::High);
    host.read(descriptors::PRESSES, 1);
    host.pass(INTERVAL);
    assert!(host.ended().is_none());
    bell.press();
    // The device's waker has been woken: it is polled, and asked at its next interval.
    host.pass(Duration::ZERO);
    host.pass(INTERVAL);
    assert_eq!(host.ended().unwrap().data.to_vec(), [1]);
}

#[test]
fn the_host_lights_the_lamp_and_the_user_is_told() {
    let (mut host, bell) = bell(Speed::Full);
    let mut changes = bell.changes();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(changes.poll_next(&mut cx).is_pending());
    assert_eq!(set_lamp(&mut host, 1), Status::Done);
    let lit = State {
        lit: true,
        waiting: 0,
    };
    assert_eq!(changes.poll_next(&mut cx), Poll::Ready(Some(lit)));
    assert_eq!(lamp(&mut host), [1]);
    drop(host);
    assert_eq!(changes.poll_next(&mut cx), Poll::Ready(None));
}

#[test]
fn what_it_does_not_know_stalls() {
    let (mut host, _) = bell(Speed::Full);
    assert_eq!(set_lamp(&mut host, 2), Status::Stalled);
    let unknown = host.control([0xc0, 9, 0, 0, 0, 0, 1, 0], Vec::new());
    assert_eq!(unknown.status, Status::Stalled);
}

#[test]
fn a_reset_turns_the_lamp_off_and_forgets_presses() {
    let (mut host, bell) = bell(Speed::Full);
    assert_eq!(set_lamp(&mut host, 1), Status::Done);
    bell.press();
    host.device.reset(host.now);
    let (lit, waiting) = (bell.state().lit, bell.state().waiting);
    assert_eq!((lit, waiting), (false, 0));
    bell.press();
    host.configure(1);
    assert_eq!(told(&mut host), None);
}
