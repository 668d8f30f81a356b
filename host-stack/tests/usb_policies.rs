//! A pipe's policies, as a driver sets them: their values as WinUSB has them, and what they do to its requests.

mod usb_support;

use std::time::Duration;

use usbwright_host_stack::{
    Memory, MemoryOffset, SendOptions,
    status::{HResult, NtStatus, Win32Error},
    usb::UsbTargetPipe,
    usb_target::{
        PipePolicy, PolicyError, PolicyId, PowerPolicy,
        protocol::{Status, TransferKind, request},
    },
};

use crate::usb_support::{
    BULK_IN, BULK_OUT, INTERRUPT_IN, INTERRUPT_OUT, ISO_IN, PACKET, Rig, ended, room,
};

/// Sets a policy by its number, as a driver does that has numbers.
fn set(pipe: &UsbTargetPipe, number: u32, value: &[u8]) -> Result<(), HResult> {
    pipe.set_policy_value(PolicyId::from_number(number)?, value)?;
    Ok(())
}

fn value(pipe: &UsbTargetPipe, number: u32) -> Result<Vec<u8>, HResult> {
    Ok(pipe.policy_value(PolicyId::from_number(number)?)?)
}

/// A read of any number of bytes, which the device answers so: its status, and what came.
fn read(rig: &Rig, length: usize, answers: &[(Status, &[u8])]) -> (NtStatus, Vec<u8>) {
    rig.pipe(BULK_IN).set_no_maximum_packet_size_check();
    let memory = room(length);
    let sent = rig.read(BULK_IN, &memory);
    for (status, data) in answers {
        rig.end(BULK_IN, *status, data);
    }
    let (status, _, came) = ended(sent.wait(), &memory);
    (status, came)
}

#[test]
fn policies_have_winusbs_numbers_sizes_and_defaults() {
    let rig = Rig::new(0);
    let (input, output) = (rig.pipe(BULK_IN), rig.pipe(BULK_OUT));
    let largest = (2_u32 << 20).to_le_bytes();
    let expected: [(u32, &UsbTargetPipe, &[u8]); 11] = [
        (1, &output, &[0]),
        (2, &input, &[0]),
        (3, &input, &[0; 4]),
        (3, &output, &[0; 4]),
        (4, &input, &[0]),
        (5, &input, &[1]),
        (6, &input, &[0]),
        (7, &input, &[0]),
        (8, &input, &largest),
        (8, &output, &largest),
        (9, &output, &[0]),
    ];
    for (number, pipe, is) in expected {
        assert_eq!(value(pipe, number).unwrap(), is, "{number}");
    }
}

#[test]
fn every_policy_but_the_largest_transfer_can_be_set_and_is_told_again() {
    let rig = Rig::new(2);
    for address in [BULK_IN, BULK_OUT, INTERRUPT_IN, INTERRUPT_OUT] {
        let pipe = rig.pipe(address);
        let numbers: &[u32] = match pipe.is_in() {
            true => &[2, 3, 4, 5, 6, 7, 9],
            false => &[1, 3, 9],
        };
        for number in numbers {
            let wanted: &[u8] = match number {
                3 => &[0x10, 0x27, 0, 0],
                5 => &[0],
                _ => &[1],
            };
            set(&pipe, *number, wanted).unwrap();
            assert_eq!(value(&pipe, *number).unwrap(), wanted, "{number}");
        }
    }
    let timeout = rig.pipe(BULK_IN).policy().transfer_timeout;
    assert_eq!(timeout, Some(Duration::from_secs(10)));
}

#[test]
fn a_value_of_another_size_is_an_invalid_argument_and_changes_nothing() {
    let rig = Rig::new(0);
    for (address, number) in [(BULK_OUT, 1), (BULK_IN, 2), (BULK_IN, 5), (BULK_IN, 9)] {
        let pipe = rig.pipe(address);
        for wrong in [&[][..], &[1, 0], &[1, 0, 0, 0]] {
            assert_eq!(set(&pipe, number, wrong), Err(HResult::INVALIDARG));
        }
    }
    for wrong in [&[][..], &[1], &[1; 3], &[1; 5], &[1; 8]] {
        assert_eq!(set(&rig.pipe(BULK_IN), 3, wrong), Err(HResult::INVALIDARG));
    }
    assert_eq!(rig.pipe(BULK_IN).policy(), PipePolicy::DEFAULT);
    assert_eq!(
        HResult::INVALIDARG,
        HResult::from_win32(Win32Error::INVALID_PARAMETER)
    );
}

#[test]
fn the_largest_transfer_can_only_be_read() {
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    assert_eq!(set(&pipe, 8, &[0; 4]), Err(HResult::INVALIDARG));
    let typed = pipe.set_policy_value(PolicyId::MaximumTransferSize, &[0; 4]);
    let read_only = PolicyError::ReadOnly(PolicyId::MaximumTransferSize);
    assert_eq!(typed, Err(read_only));
}

#[test]
fn a_policy_that_a_pipe_does_not_have_is_an_invalid_argument() {
    let rig = Rig::new(1);
    let refused = [
        (BULK_IN, 1),
        (BULK_OUT, 2),
        (BULK_OUT, 4),
        (BULK_OUT, 5),
        (BULK_OUT, 6),
        (BULK_OUT, 7),
        (ISO_IN, 2),
        (ISO_IN, 9),
        (BULK_IN, 0),
        (BULK_IN, 10),
    ];
    for (address, number) in refused {
        let pipe = rig.pipe(address);
        assert_eq!(set(&pipe, number, &[1]), Err(HResult::INVALIDARG));
        assert_eq!(value(&pipe, number), Err(HResult::INVALIDARG));
    }
    let unfit = PipePolicy {
        raw_io: true,
        ..PipePolicy::DEFAULT
    };
    assert!(rig.pipe(BULK_OUT).set_policy(unfit).is_err());
}

#[test]
fn policies_are_of_one_pipe_and_of_all_its_handles() {
    let rig = Rig::new(0);
    set(&rig.pipe(BULK_IN), 3, &[9, 0, 0, 0]).unwrap();
    assert_eq!(value(&rig.pipe(BULK_IN), 3).unwrap(), [9, 0, 0, 0]);
    assert_eq!(value(&rig.pipe(BULK_OUT), 3).unwrap(), [0; 4]);
}

#[test]
fn policies_are_at_their_defaults_in_each_setting_that_is_chosen() {
    let rig = Rig::new(0);
    let interface = rig.interface();
    set(&rig.pipe(BULK_IN), 7, &[1]).unwrap();
    interface.select_setting(0).unwrap();
    assert_eq!(
        value(&rig.pipe(BULK_IN), 7).unwrap(),
        [1],
        "nothing is chosen"
    );
    interface.select_setting(2).unwrap();
    assert_eq!(rig.pipe(BULK_IN).policy(), PipePolicy::DEFAULT);
    set(&rig.pipe(BULK_IN), 7, &[1]).unwrap();
    interface.select_setting(0).unwrap();
    assert_eq!(rig.pipe(BULK_IN).policy(), PipePolicy::DEFAULT);
}

#[test]
fn a_write_of_whole_packets_ends_with_a_zero_length_packet_where_that_is_wished() {
    for (length, wished, zero) in [
        (PACKET, false, false),
        (PACKET, true, true),
        (3 * PACKET, true, true),
        (0, true, false),
    ] {
        let rig = Rig::new(0);
        let (pipe, mut request) = (rig.pipe(BULK_OUT), rig.request());
        set(&pipe, 1, &[wished.into()]).unwrap();
        let memory = (length > 0).then(|| room(length));
        pipe.format_for_write(&mut request, memory.as_ref(), None)
            .unwrap();
        let _sent = request.send(pipe.target(), SendOptions::new()).unwrap();
        let outstanding = rig.wire.outstanding(BULK_OUT);
        assert!(
            matches!(&outstanding[..], [TransferKind::Out { data, zero_packet }]
                if data.len() == length && *zero_packet == zero),
            "{outstanding:?}"
        );
    }
}

#[test]
fn what_comes_beyond_a_read_is_kept_thrown_away_or_an_error() {
    let more: &[u8] = b"abcdef";
    for (partial, flush, status, next) in [
        (true, false, NtStatus::SUCCESS, Some(&b"cdef"[..])),
        (true, true, NtStatus::SUCCESS, None),
        (false, false, NtStatus::UNSUCCESSFUL, Some(b"cdef")),
        (false, true, NtStatus::UNSUCCESSFUL, Some(b"cdef")),
    ] {
        let rig = Rig::new(0);
        let pipe = rig.pipe(BULK_IN);
        set(&pipe, 5, &[partial.into()]).unwrap();
        set(&pipe, 6, &[flush.into()]).unwrap();
        let first = read(&rig, 2, &[(Status::Done, more)]);
        assert_eq!(first, (status, b"ab".to_vec()));
        let second = match next {
            Some(_) => read(&rig, 64, &[]),
            None => read(&rig, 64, &[(Status::Done, b"next")]),
        };
        let expected = next.unwrap_or(b"next").to_vec();
        assert_eq!(second, (NtStatus::SUCCESS, expected));
    }
}

#[test]
fn a_stall_is_cleared_before_the_read_ends_where_that_is_wished() {
    for clears in [false, true] {
        let rig = Rig::new(0);
        set(&rig.pipe(BULK_IN), 2, &[clears.into()]).unwrap();
        let memory = room(PACKET);
        let sent = rig.read(BULK_IN, &memory);
        rig.wire.end(BULK_IN, Status::Stalled, b"some");
        rig.poke();
        let told = ended(sent.wait(), &memory);
        assert_eq!(told, (NtStatus::UNSUCCESSFUL, 4, b"some".to_vec()));
        let asked = rig.wire.asked();
        let cleared = asked
            .iter()
            .filter(|it| it.request_type == 0x02 && it.request == request::CLEAR_FEATURE);
        assert_eq!(cleared.count(), usize::from(clears));
    }
}

#[test]
fn a_read_goes_on_after_short_packets_where_that_is_wished() {
    let rig = Rig::new(0);
    set(&rig.pipe(BULK_IN), 4, &[1]).unwrap();
    let parts = [(Status::Done, &b"abc"[..]), (Status::Done, b"def")];
    let whole = read(&rig, 6, &parts);
    assert_eq!(whole, (NtStatus::SUCCESS, b"abcdef".to_vec()));
}

#[test]
fn a_read_that_goes_on_after_short_packets_tells_what_came_until_its_time_is_up() {
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    set(&pipe, 4, &[1]).unwrap();
    set(&pipe, 3, &50_u32.to_le_bytes()).unwrap();
    let memory = room(2 * PACKET);
    let sent = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"abc");
    rig.clock.advance(Duration::from_millis(50));
    rig.stack.run();
    let told = ended(sent.wait(), &memory);
    assert_eq!(told, (NtStatus::IO_TIMEOUT, 3, b"abc".to_vec()));
}

#[test]
fn a_pipe_is_reset_when_the_device_has_resumed_where_that_is_wished() {
    use usbwright_host_stack::usb_target::Wait;
    for resets in [false, true] {
        let rig = Rig::new(0);
        set(&rig.pipe(BULK_OUT), 9, &[resets.into()]).unwrap();
        rig.usb.usb().resumed().wait().unwrap();
        let asked = rig.wire.asked();
        let cleared: Vec<_> = asked.iter().map(|it| (it.request, it.index)).collect();
        let expected = [(request::CLEAR_FEATURE, u16::from(BULK_OUT.byte()))];
        assert_eq!(cleared, expected[..usize::from(resets)]);
    }
}

#[test]
fn policies_hold_for_what_is_sent_afterwards() {
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    let memory = Memory::zeroed(2 * PACKET).unwrap();
    let first = rig.read(BULK_IN, &memory);
    set(&pipe, 3, &50_u32.to_le_bytes()).unwrap();
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(rig.wire.pending(BULK_IN), 1);
    let mut request = rig.request();
    let half = MemoryOffset {
        offset: PACKET,
        length: 0,
    };
    pipe.format_for_read(&mut request, Some(&memory), Some(half))
        .unwrap();
    let second = request.send(pipe.target(), SendOptions::new()).unwrap();
    rig.clock.advance(Duration::from_millis(50));
    let (_, params) = second.wait();
    assert_eq!(params.nt_status(), NtStatus::IO_TIMEOUT);
    rig.end(BULK_IN, Status::Done, b"first");
    assert_eq!(ended(first.wait(), &memory).0, NtStatus::SUCCESS);
}

#[test]
fn no_backend_follows_a_power_policy() {
    let rig = Rig::new(0);
    let not_supported = HResult::from(NtStatus::NOT_SUPPORTED);
    assert_eq!(rig.usb.power_policy(), Err(not_supported));
    let set = |auto_suspend| {
        rig.usb.set_power_policy(PowerPolicy {
            auto_suspend,
            ..PowerPolicy::default()
        })
    };
    assert_eq!((set(true), set(false)), (Err(not_supported), Ok(())));
}
