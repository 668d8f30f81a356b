//! Descriptors that a driver asks for anew, of devices that tell nonsense too.

mod usb_support;

use std::{
    thread,
    time::{Duration, Instant},
};

use usbwright_host_stack::{
    status::NtStatus,
    usb_target::protocol::{RequestKind, Status, descriptor::kind, request},
};

use crate::usb_support::Rig;

/// A configuration descriptor of one interface, and its length.
const CONFIGURATION: [u8; 18] = [
    9, 2, 18, 0, 1, 1, 0, 0x80, 50, //
    9, 4, 0, 0, 0, 0xFF, 0, 0, 0,
];

/// How a configuration is refused where the device answers so.
fn configuration(first: &[u8], second: &[u8]) -> Result<Vec<u8>, NtStatus> {
    let rig = Rig::new(0);
    rig.wire.describes(first.to_vec());
    rig.wire.describes(second.to_vec());
    let told = rig.usb.retrieve_configuration(0);
    told.map(Vec::from).map_err(NtStatus::from_hresult)
}

/// The same, where both answers are of this descriptor.
fn whole(bytes: &[u8]) -> Result<Vec<u8>, NtStatus> {
    configuration(bytes, bytes)
}

/// A descriptor with a byte that is another one.
fn with(place: usize, byte: u8) -> [u8; 18] {
    let mut bytes = CONFIGURATION;
    bytes[place] = byte;
    bytes
}

#[test]
fn a_device_is_asked_for_its_descriptors() {
    let rig = Rig::new(0);
    let device = rig.usb.retrieve_descriptor(kind::DEVICE, 0, 0, 64).unwrap();
    assert_eq!(device[..], rig.usb.descriptor().to_bytes());
    let beginning = rig.usb.retrieve_descriptor(kind::DEVICE, 0, 0, 8).unwrap();
    assert_eq!(beginning, device[..8]);
    let none = rig.usb.retrieve_descriptor(kind::DEVICE, 0, 0, 0).unwrap();
    assert!(none.is_empty());
    let asked = rig.wire.asked();
    let asked: Vec<_> = asked.iter().map(|it| (it.request, it.length)).collect();
    let get = request::GET_DESCRIPTOR;
    assert_eq!(asked, [(get, 64), (get, 8), (get, 0)]);
    let description = rig.usb.usb().description();
    for (index, fetched) in (0..).zip(description.configurations()) {
        let configuration = rig.usb.retrieve_configuration(index).unwrap();
        assert_eq!(configuration, fetched.bytes);
    }
}

#[test]
fn a_descriptor_that_there_is_not_is_a_stall() {
    let rig = Rig::new(0);
    let unsuccessful = Err(NtStatus::UNSUCCESSFUL.into());
    assert_eq!(rig.usb.retrieve_descriptor(0x55, 0, 0, 9), unsuccessful);
    assert_eq!(rig.usb.retrieve_configuration(9), unsuccessful);
}

#[test]
fn a_device_has_two_seconds_for_a_descriptor() {
    let rig = Rig::new(0);
    rig.wire.hold_control(RequestKind::Standard);
    let (begun, patience) = (rig.clock.now(), Instant::now() + Duration::from_secs(30));
    let usb = rig.usb.clone();
    let asks = thread::spawn(move || usb.retrieve_descriptor(0x55, 0, 0, 9));
    while !asks.is_finished() {
        assert!(Instant::now() < patience, "it waits for ever");
        rig.clock.advance(Duration::from_millis(100));
        thread::yield_now();
    }
    assert!(rig.clock.now() - begun >= Duration::from_secs(2));
    let told = asks.join().unwrap();
    assert_eq!(told, Err(NtStatus::IO_TIMEOUT.into()));
}

#[test]
fn a_configuration_that_tells_less_than_it_has_is_unsuccessful() {
    assert_eq!(whole(&CONFIGURATION).unwrap(), CONFIGURATION);
    for length in [0, 1, 8] {
        let short = whole(&with(2, length));
        assert_eq!(short, Err(NtStatus::UNSUCCESSFUL), "{length}");
    }
    assert_eq!(whole(&CONFIGURATION[..5]), Err(NtStatus::UNSUCCESSFUL));
    assert_eq!(whole(&[]), Err(NtStatus::UNSUCCESSFUL));
}

#[test]
fn a_device_that_contradicts_itself_is_a_data_error() {
    for second in [&with(2, 19)[..], &with(3, 1), &CONFIGURATION[..17], &[]] {
        let told = configuration(&CONFIGURATION, second);
        assert_eq!(told, Err(NtStatus::DEVICE_DATA_ERROR), "{second:?}");
    }
}

#[test]
fn a_descriptor_without_a_length_or_beyond_the_end_is_an_invalid_parameter() {
    for (place, length) in [(9, 0), (9, 1), (9, 10), (9, 255), (0, 0), (0, 17)] {
        let told = whole(&with(place, length));
        assert_eq!(told, Err(NtStatus::INVALID_PARAMETER), "{place}: {length}");
    }
}

#[test]
fn a_configuration_without_the_interfaces_that_it_tells_of_is_an_invalid_request() {
    assert_eq!(
        whole(&with(10, 0x24)),
        Err(NtStatus::INVALID_DEVICE_REQUEST)
    );
    let mut none = with(10, 0x24);
    none[4] = 0;
    assert_eq!(whole(&none).unwrap(), none);
}

/// A string descriptor.
fn descriptor(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    let mut bytes = vec![0, kind::STRING];
    bytes.extend(units);
    bytes[0] = bytes.len() as u8;
    bytes
}

#[test]
fn a_string_comes_as_a_whole_or_into_a_buffer() {
    let rig = Rig::new(0);
    let index = rig.usb.descriptor().product_index;
    let description = rig.usb.usb().description();
    let (language, text) = (
        description.languages()[0],
        description.string(index).unwrap(),
    );
    assert_eq!(rig.usb.string(index, language).as_deref(), Ok(text));
    let units: Vec<_> = text.encode_utf16().collect();
    let length = rig.usb.query_string(index, language, &mut []);
    assert_eq!(length, Ok(units.len()));
    let mut buffer = vec![0; units.len() + 1];
    let length = rig.usb.query_string(index, language, &mut buffer);
    assert_eq!(length, Ok(units.len()));
    assert_eq!(buffer[..units.len()], units);
}

#[test]
fn a_string_that_is_longer_than_its_buffer_is_a_buffer_overflow_and_fills_it() {
    let rig = Rig::new(0);
    rig.wire.describes(descriptor("hello"));
    let mut buffer = [0; 4];
    let told = rig.usb.query_string(1, 0x409, &mut buffer);
    assert_eq!(told, Err(NtStatus::BUFFER_OVERFLOW.into()));
    assert!(buffer.into_iter().eq("hell".encode_utf16()));
    rig.wire.describes(descriptor("hello"));
    assert_eq!(rig.usb.query_string(1, 0x409, &mut [0; 5]), Ok(5));
}

#[test]
fn a_string_of_an_odd_length_or_too_short_is_a_data_error() {
    let rig = Rig::new(0);
    let odd = [&descriptor("ab")[..], &[0]].concat();
    let nonsense: [&[u8]; 7] = [
        &[7, 3, b'a', 0, b'b', 0, 0],
        &[0, 3, b'a', 0],
        &[1, 3],
        &[3, 3, 0],
        &[8, 3, b'a', 0],
        &[4, 2, b'a', 0],
        &[],
    ];
    for bytes in nonsense {
        rig.wire.describes(bytes.to_vec());
        let told = rig.usb.query_string(1, 0x409, &mut [0; 9]);
        assert_eq!(told, Err(NtStatus::DEVICE_DATA_ERROR.into()), "{bytes:?}");
    }
    rig.wire.describes(odd);
    // What comes behind a descriptor is not of it.
    assert_eq!(rig.usb.string(1, 0x409).as_deref(), Ok("ab"));
    rig.wire.describes([2, 3].to_vec());
    assert_eq!(rig.usb.string(1, 0x409).as_deref(), Ok(""));
}

#[test]
fn a_string_that_the_device_does_not_have_is_a_stall() {
    let rig = Rig::new(0);
    rig.wire
        .answers(0x80, request::GET_DESCRIPTOR, Status::Stalled, "");
    let told = rig.usb.string(9, 0x409);
    assert_eq!(told, Err(NtStatus::UNSUCCESSFUL.into()));
}
