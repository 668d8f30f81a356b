//! Policies as WinUSB has them: numbers, values, which pipes have which, and how long they hold.

use std::time::Duration;

use usbwright_target::{
    AnyKind, AnyWay, Pipe, PipePolicy, PolicyError, PolicyId, Wait,
    protocol::{Direction, TransferType},
};

use crate::support::{BULK_IN, Bench, LARGEST};

const FLAGS: [PolicyId; 7] = [
    PolicyId::ShortPacketTerminate,
    PolicyId::AutoClearStall,
    PolicyId::IgnoreShortPackets,
    PolicyId::AllowPartialReads,
    PolicyId::AutoFlush,
    PolicyId::RawIo,
    PolicyId::ResetOnResume,
];

/// Pipes of every type and direction.
fn pipes(bench: &Bench) -> Vec<Pipe> {
    bench.interface.set_alternate(1).wait().unwrap();
    let pipes = bench.interface.pipes();
    assert_eq!(pipes.len(), 6);
    pipes
}

/// Whether WinUSB's table has the policy apply to such pipes.
fn applies(id: PolicyId, pipe: &Pipe) -> bool {
    let bytes = pipe.transfer_type() != TransferType::Isochronous;
    match id {
        PolicyId::TransferTimeout | PolicyId::MaximumTransferSize => true,
        PolicyId::ShortPacketTerminate => bytes && pipe.direction() == Direction::Out,
        PolicyId::ResetOnResume => bytes,
        _ => bytes && pipe.direction() == Direction::In,
    }
}

#[test]
fn policies_have_winusbs_numbers() {
    for (number, id) in (1..).zip(PolicyId::ALL) {
        assert_eq!(PolicyId::from_number(number), Ok(id));
        assert_eq!(id as u32, number);
    }
    for number in [0, 10, u32::MAX] {
        assert_eq!(
            PolicyId::from_number(number),
            Err(PolicyError::Unknown(number))
        );
    }
}

#[test]
fn policies_begin_with_winusbs_defaults() {
    let bench = Bench::new();
    for pipe in pipes(&bench) {
        assert_eq!(pipe.policy(), PipePolicy::default());
        for id in PolicyId::ALL.into_iter().filter(|id| applies(*id, &pipe)) {
            let expected = match id {
                PolicyId::AllowPartialReads => vec![1],
                PolicyId::TransferTimeout => vec![0; 4],
                PolicyId::MaximumTransferSize => {
                    let largest = u32::try_from(pipe.largest_transfer()).unwrap();
                    largest.to_le_bytes().to_vec()
                }
                _ => vec![0],
            };
            assert_eq!(pipe.policy_value(id), Ok(expected), "{id:?}");
        }
    }
}

#[test]
fn a_flag_is_set_by_any_byte_but_0() {
    let bench = Bench::new();
    for pipe in pipes(&bench) {
        for id in FLAGS.into_iter().filter(|id| applies(*id, &pipe)) {
            for (value, told) in [(1, 1), (0, 0), (0xff, 1)] {
                pipe.set_policy_value(id, &[value]).unwrap();
                assert_eq!(pipe.policy_value(id), Ok(vec![told]));
            }
        }
    }
}

#[test]
fn a_timeout_is_in_milliseconds_and_never_told_as_none_by_rounding() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let id = PolicyId::TransferTimeout;
    pipe.set_policy_value(id, &1500u32.to_le_bytes()).unwrap();
    assert_eq!(
        pipe.policy().transfer_timeout,
        Some(Duration::from_millis(1500))
    );
    let told = |timeout| {
        let pipe = bench.source(PipePolicy {
            transfer_timeout: Some(timeout),
            ..PipePolicy::DEFAULT
        });
        u32::from_le_bytes(pipe.policy_value(id).unwrap().try_into().unwrap())
    };
    assert_eq!(told(Duration::from_micros(1)), 1);
    assert_eq!(told(Duration::from_micros(1001)), 2);
    assert_eq!(told(Duration::MAX), u32::MAX);
}

#[test]
fn values_of_another_size_are_refused() {
    let bench = Bench::new();
    for pipe in pipes(&bench) {
        let policies = PolicyId::ALL.into_iter().filter(|id| applies(*id, &pipe));
        for policy in policies.filter(|id| *id != PolicyId::MaximumTransferSize) {
            for given in (0..9).filter(|given| *given != policy.size()) {
                let takes = policy.size();
                let refused = pipe.set_policy_value(policy, &vec![1; given]);
                assert_eq!(
                    refused,
                    Err(PolicyError::Size {
                        policy,
                        takes,
                        given
                    })
                );
            }
        }
        assert_eq!(pipe.policy(), PipePolicy::default(), "nothing was set");
    }
}

#[test]
fn the_maximum_transfer_size_can_only_be_read() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let id = PolicyId::MaximumTransferSize;
    assert_eq!(
        pipe.policy_value(id),
        Ok((LARGEST as u32).to_le_bytes().to_vec())
    );
    for value in [&[][..], &[1], &[0, 0, 1, 0]] {
        assert_eq!(
            pipe.set_policy_value(id, value),
            Err(PolicyError::ReadOnly(id))
        );
    }
}

#[test]
fn policies_that_are_not_for_a_pipe_are_refused() {
    let bench = Bench::new();
    for pipe in pipes(&bench) {
        let address = pipe.address();
        for policy in PolicyId::ALL.into_iter().filter(|id| !applies(*id, &pipe)) {
            let refused = PolicyError::NotFor { policy, address };
            assert_eq!(pipe.policy_value(policy), Err(refused));
            assert_eq!(pipe.set_policy_value(policy, &[1]), Err(refused));
        }
    }
    let source = bench.source(PipePolicy::default());
    let refused = source.set_policy(PipePolicy {
        short_packet_terminate: true,
        auto_clear_stall: true,
        ..PipePolicy::DEFAULT
    });
    let (policy, address) = (PolicyId::ShortPacketTerminate, BULK_IN);
    assert_eq!(refused, Err(PolicyError::NotFor { policy, address }));
    assert_eq!(source.policy(), PipePolicy::default(), "nothing was set");
}

#[test]
fn policies_are_kept_for_each_pipe_by_itself_and_for_all_of_its_handles() {
    let bench = Bench::new();
    let set = PipePolicy {
        transfer_timeout: Some(Duration::from_millis(7)),
        ..PipePolicy::DEFAULT
    };
    let source = bench.source(set);
    let sink = bench
        .interface
        .first::<usbwright_target::Bulk, usbwright_target::Out>();
    assert_eq!(sink.unwrap().policy(), PipePolicy::default());
    let again: Pipe<AnyKind, AnyWay> = bench.interface.pipe(BULK_IN).unwrap();
    assert_eq!(again.policy(), set);
    assert_eq!(source.untyped().policy(), set);
}

#[test]
fn policies_are_at_their_defaults_again_when_a_setting_is_chosen() {
    for alternate in [1, 0] {
        let bench = Bench::new();
        let source = bench.source(PipePolicy {
            raw_io: true,
            ..PipePolicy::DEFAULT
        });
        bench.interface.set_alternate(alternate).wait().unwrap();
        assert!(source.is_stale());
        let again: Pipe = bench.interface.pipe(BULK_IN).unwrap();
        assert_eq!(again.policy(), PipePolicy::default());
    }
}
