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

/// Among them are those that once showed a fault, of the disk or of the model.
#[test]
fn a_disk_does_as_its_model_does_with_what_the_fuzz_target_begins_with() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/disk");
    for seed in std::fs::read_dir(seeds).unwrap() {
        let seed = seed.unwrap().path();
        println!("{}", seed.display());
        disk_engine::run(&std::fs::read(seed).unwrap());
    }
}
