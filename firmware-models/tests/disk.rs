//! What a disk promises its host, whatever the host sends: the right status, sense and data, and on its media what was written.

mod disk_engine;

use proptest::{prelude::*, test_runner::RngSeed};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        // The same scripts every time; the fuzz target looks for new ones.
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_disk_does_as_a_plain_model_of_it_does(
        script in prop::collection::vec(any::<u8>(), 0..800),
    ) {
        disk_engine::run(&script);
    }
}
