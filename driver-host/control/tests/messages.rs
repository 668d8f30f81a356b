//! What arrives of a message: what was sent, or an error that names what is wrong.

mod engine;

use std::{fs::File, os::fd::AsFd};

use proptest::prelude::*;
use usbwright_host_control::{
    Build, Change, Changed, Channel, Confine, Delivery, DriverEntry, FromHost, HEADER_SIZE, Hello,
    Holds, LONGEST_BODY, Malformed, Measure, MeasureState, Message, OperationKind, Phase,
    ReceiveError, Received, Report, ToHost, clip,
};
use usbwright_host_stack::{Access, IoType, Retrieval};
use usbwright_protocol::{Class, DeviceSummary, Speed, usbip::operation::ExportedDevice};

fn device() -> ExportedDevice {
    ExportedDevice {
        path: "/sys/devices/usbwright/usb1/1-1".to_owned(),
        bus_id: "1-1".to_owned(),
        bus_number: 1,
        device_number: 2,
        summary: DeviceSummary {
            speed: Speed::High,
            vendor_id: 0x0547,
            product_id: 0x1002,
            device_release: 0,
            class: Class::VENDOR,
            configuration: 1,
            configurations: 1,
            interfaces: Vec::new(),
        },
    }
}

fn build(has_channels: bool) -> ToHost {
    ToHost::Build(Build {
        stack: 7,
        name: "board".to_owned(),
        drivers: vec![DriverEntry {
            name: "fx2".to_owned(),
            io_type: IoType {
                retrieval: Retrieval::Deferred,
                read_write: Access::BufferedOrDirect,
                control: Access::Direct,
                direct_threshold: 16384,
            },
        }],
        copies_neither: true,
        device: device(),
        has_channels,
    })
}

fn report(text: &str) -> Report {
    Report {
        stack: 7,
        text: text.to_owned(),
    }
}

#[test]
fn every_message_reads_back_as_it_was() {
    let stack = 7;
    let confine = Confine {
        memory: Some(256 << 20),
        read: vec!["/usr/share/x".into()],
        ..Confine::default()
    };
    for message in [
        ToHost::Confine(confine),
        build(false),
        build(true),
        ToHost::TearDown { stack },
        ToHost::SurpriseRemove { stack },
        ToHost::Change {
            stack,
            change: Change::Suspend,
        },
        ToHost::Shutdown,
    ] {
        let packet = message.encode().unwrap();
        let read = ToHost::decode(&packet, message.descriptors()).unwrap();
        // The classes of interfaces are told in a list only.
        assert_eq!(read, message);
    }
    let hello = Hello {
        version: 1,
        pid: 8,
        drivers: vec!["fx2".to_owned()],
    };
    let state = MeasureState::Missing("no".to_owned());
    let phase = |begun| Phase {
        stack,
        number: 3,
        begun,
    };
    for message in [
        FromHost::Hello(hello),
        FromHost::Confined(Holds(vec![(Measure::Landlock, state)])),
        FromHost::Built { stack },
        FromHost::Refused(report("no such pipe")),
        FromHost::TornDown { stack },
        FromHost::Changed(Changed { stack, error: None }),
        FromHost::Changed(Changed {
            stack,
            error: Some("a driver objects".to_owned()),
        }),
        FromHost::Unplugged { stack },
        FromHost::Operation(phase(Some(OperationKind::Power))),
        FromHost::Operation(phase(None)),
        FromHost::Progress { stack },
        FromHost::Failed(report("a\nb")),
        FromHost::RuleBroken(report("")),
        FromHost::Panicked(report("…")),
    ] {
        let packet = message.encode().unwrap();
        assert_eq!(FromHost::decode(&packet, 0).unwrap(), message);
    }
}

fn told(packet: &[u8], descriptors: usize) -> String {
    FromHost::decode(packet, descriptors)
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_no_message_is_told_by_what_is_wrong() {
    let good = FromHost::Built { stack: 1 }.encode().unwrap();
    assert_eq!(
        told(&good[..15], 0),
        "the packet has 15 bytes, and its header would have 16"
    );
    assert_eq!(
        told(&[&good[..], b"x"].concat(), 0),
        "the header tells a body of 0 bytes, and 1 have come"
    );
    let mut bits = good.clone();
    bits[2] = 1;
    assert_eq!(
        told(&bits, 0),
        "the header has 0x0001 where zeros should be"
    );
    let other_way = ToHost::Shutdown.encode().unwrap();
    assert_eq!(
        told(&other_way, 0),
        "there is no message of kind 0x0005 in this direction"
    );
    assert_eq!(
        told(&good, 1),
        "message 0x0083 has come with 1 descriptors instead of 0"
    );
    let mut body = FromHost::Failed(report("x")).encode().unwrap();
    body[HEADER_SIZE] = b'{';
    assert!(told(&body, 0).starts_with("the body of message 0x0089 can't be read: "));
}

#[test]
fn a_message_that_is_too_long_is_not_sent_and_a_clipped_text_is_not_too_long() {
    let long = "é".repeat(LONGEST_BODY);
    let message = FromHost::Failed(report(&long));
    assert!(matches!(message.encode(), Err(Malformed::TooLong)));
    let message = FromHost::Failed(report(&clip(&long)));
    assert!(message.encode().is_ok());
}

#[test]
fn descriptors_arrive_with_their_message() {
    let (manager, host) = Channel::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let sent = manager.send(&build(false), &[file.as_fd()], true).unwrap();
    assert_eq!(sent, Delivery::Sent);
    let received = host.receive::<ToHost>(&mut Channel::buffer(), true);
    match received.unwrap() {
        Received::Message(message, descriptors) => {
            assert_eq!(message, build(false));
            assert_eq!(descriptors.len(), 1);
        }
        other => panic!("{other:?}"),
    }
    drop(manager);
    let received = host.receive::<ToHost>(&mut Channel::buffer(), true);
    assert!(matches!(received, Ok(Received::End)));
}

#[test]
fn a_peer_that_does_not_read_is_told_apart_from_one_that_is_gone() {
    let (manager, host) = Channel::pair().unwrap();
    let full = (0..100_000).find(|_| {
        let sent = manager.send(&ToHost::Shutdown, &[], false);
        sent.unwrap() == Delivery::Full
    });
    assert!(full.is_some());
    drop(host);
    assert!(manager.send(&ToHost::Shutdown, &[], false).is_err());
}

#[test]
fn a_packet_longer_than_one_may_be_is_malformed() {
    let (manager, host) = Channel::pair().unwrap();
    let long = vec![0; HEADER_SIZE + LONGEST_BODY + 1];
    let flags = rustix::net::SendFlags::empty();
    rustix::net::send(&host, &long, flags).unwrap();
    let received = manager.receive::<FromHost>(&mut Channel::buffer(), true);
    assert!(matches!(
        received,
        Err(ReceiveError::Malformed(Malformed::TooLong))
    ));
}

proptest! {
    #[test]
    fn no_bytes_panic(script: Vec<u8>) {
        engine::run(&script);
    }

    #[test]
    fn a_message_that_was_damaged_is_refused_or_read(
        stack: u64,
        text: String,
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        flags: u8,
    ) {
        for packet in [
            build(false).encode().unwrap(),
            FromHost::Failed(Report { stack, text }).encode().unwrap(),
        ] {
            let mut script = [&[flags][..], &packet].concat();
            for (place, byte) in &places {
                let place = place.index(script.len());
                script[place] = *byte;
            }
            engine::run(&script);
        }
    }
}
