//! What an emulated device promises its host, whatever the host does and whatever the firmware answers.

mod engine;

use proptest::{prelude::*, test_runner::RngSeed};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        // The same scripts every time; the fuzz target looks for new ones.
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_transfer_ends_once_in_order_and_with_the_bytes_that_moved(
        script in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        engine::run(&script);
    }
}
