//! Answers that no device gives: an enumeration ends whatever comes.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Requests that one device is asked at the most: device, BOS and qualifier, 510 configurations twice, 256 strings.
const REQUESTS: usize = 4 + 510 * 2 + 256;

fn statuses() -> impl Strategy<Value = Status> {
    prop_oneof![
        8 => Just(Status::Done),
        1 => Just(Status::Stalled),
        1 => Just(Status::ProtocolError),
    ]
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_end(
        speed in prop::sample::select(Speed::ALL.to_vec()),
        answers in vec((statuses(), vec(any::<u8>(), 0..300)), 1..20),
    ) {
        let mut next = answers.iter().cycle();
        let mut asked = 0;
        let _ = now(enumerate(speed, async |_| {
            asked += 1;
            let (status, bytes) = next.next().expect("a cycle does not end");
            ControlAnswer { status: *status, data: bytes.clone().into() }
        }));
        prop_assert!(asked <= REQUESTS);
    }

    #[test]
    fn good_devices_with_a_few_wrong_bytes_never_panic_and_end(
        speed in prop::sample::select(vec![Speed::Full, Speed::High, Speed::Super]),
        wrong in vec((0_usize..24, 0_usize..64, any::<u8>()), 1..6),
        every_time in any::<bool>(),
    ) {
        let descriptors = Descriptors::build(speed, composite).unwrap();
        let mut asked = 0;
        let outcome = now(enumerate(speed, async |setup| {
            let mut answer = answer(&descriptors, setup);
            let mut bytes = answer.data.to_vec();
            for (request, offset, byte) in &wrong {
                let here = every_time || *request == asked;
                if let Some(place) = bytes.get_mut(*offset).filter(|_| here) {
                    *place = *byte;
                }
            }
            asked += 1;
            answer.data = bytes.into();
            answer
        }));
        prop_assert!(asked <= REQUESTS);
        if let Ok(description) = outcome {
            prop_assert!(!description.configurations().is_empty());
        }
    }
}
