//! What the ends of all channels promise, whatever the others do.

mod engine;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_request_ends_once_whatever_the_other_ends_do(
        script in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        engine::run(&script);
    }
}
