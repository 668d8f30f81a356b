//! What an emulated device promises its host, whatever the host does and whatever the firmware answers.

mod engine;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_transfer_ends_once_in_order_and_with_the_bytes_that_moved(
        script in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        engine::run(&script);
    }
}
