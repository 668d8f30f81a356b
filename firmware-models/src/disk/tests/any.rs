//! Whatever a host sends, the disk answers, stays within its medium, and works on after a bus reset.

use proptest::prelude::*;
use usbwright_emulator::protocol::{EndpointAddress, Port, Setup, TransferId};

use crate::testing::Host;

/// What a host does.
#[derive(Clone, Debug)]
enum Step {
    Control([u8; 8]),
    Read(u8, u32),
    Write(u8, Vec<u8>),
    Cancel,
    Work,
}

/// Commands with fields that are often nearly right.
fn cdb() -> impl Strategy<Value = Vec<u8>> {
    let codes: Vec<u8> = crate::disk::scsi::codes().collect();
    let byte = prop_oneof![4 => Just(0u8), 2 => 0u8..32, 1 => any::<u8>()];
    let code = prop_oneof![9 => prop::sample::select(codes), 1 => any::<u8>()];
    (code, prop::collection::vec(byte, 15)).prop_map(|(code, mut rest)| {
        rest.insert(0, code);
        rest
    })
}

/// A command wrapper, or an information unit.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![Just(0u32), Just(512), Just(1024), 0u32..5000, any::<u32>()];
    let wrapped = (cdb(), length, any::<bool>()).prop_map(|(cdb, length, to_host)| {
        let mut bytes = b"USBC\x01\0\0\0".to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend([u8::from(to_host) << 7, 0, 16]);
        bytes.extend(cdb);
        bytes
    });
    let unit = (cdb(), 1u8..4, 0u8..2).prop_map(|(cdb, tag, first)| {
        let mut bytes = vec![1, 0, 0, tag, first];
        bytes.resize(16, 0);
        bytes.extend(cdb);
        bytes
    });
    let task = (any::<u8>(), 1u8..4).prop_map(|(function, about)| {
        let mut bytes = vec![5, 0, 0, 9, function, 0, 0, about];
        bytes.resize(16, 0);
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![4 => wrapped, 4 => unit, 1 => task, 1 => noise]
}

fn step() -> impl Strategy<Value = Step> {
    let control = prop_oneof![
        Just([0x21, 0xff, 0, 0, 0, 0, 0, 0]),
        Just([2, 1, 0, 0, 1, 0, 0, 0]),
        Just([2, 1, 0, 0, 0x81, 0, 0, 0]),
        Just([1, 11, 1, 0, 0, 0, 0, 0]),
        any::<[u8; 8]>(),
    ];
    let length = prop_oneof![Just(13u32), Just(112), Just(512), 0u32..70_000];
    prop_oneof![
        2 => control.prop_map(Step::Control),
        4 => (1u8..3, length).prop_map(|(endpoint, length)| Step::Read(endpoint, length)),
        4 => (1u8..3, request()).prop_map(|(endpoint, bytes)| Step::Write(endpoint, bytes)),
        2 => (1u8..3, 0usize..3000).prop_map(|(endpoint, length)| Step::Write(endpoint, vec![1; length])),
        1 => Just(Step::Cancel),
        1 => Just(Step::Work),
    ]
}

/// Does a step, as the transfer before it was `last`; gives the transfer that it began.
fn take(host: &mut Host, step: Step, last: Option<TransferId>) -> Option<TransferId> {
    use usbwright_emulator::protocol::Direction::{In, Out};
    let began = match step {
        Step::Control(setup) => {
            let length = Setup::from_bytes(setup).length;
            host.control(setup, vec![0; length.into()]);
            None
        }
        Step::Read(number, length) => Some(host.read(EndpointAddress::new(number, In), length)),
        Step::Write(number, data) => {
            Some(host.write(EndpointAddress::new(number, Out), data, false))
        }
        Step::Cancel => {
            if let Some(last) = last {
                host.device.cancel(last, host.now);
            }
            None
        }
        Step::Work => {
            host.device.poll(host.now);
            None
        }
    };
    while host.ended().is_some() {}
    began
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_disk_answers_whatever_it_is_sent(
        uas in any::<bool>(), steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut host = Host::new("disk,size=1M,removable,block=4096,lun=size=64K", 1);
        host.control([1, 11, u8::from(uas), 0, 0, 0, 0, 0], Vec::new());
        let mut last = None;
        for step in steps {
            last = take(&mut host, step, last);
            // A panic would have unplugged it.
            prop_assert!(host.device.is_connected());
        }
        host.device.reset(host.now);
        while host.ended().is_some() {}
        host.configure(1);
        let highest = host.control([0xa1, 0xfe, 0, 0, 0, 0, 1, 0], Vec::new());
        prop_assert_eq!(highest.data.to_vec(), [1]);
    }
}
