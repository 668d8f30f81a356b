//! Random scripts for both ends of a connection; the fuzzer runs the same engine.

mod engine;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_a_peer_sends_each_operation_ends_once(script in prop::collection::vec(any::<u8>(), 0..600)) {
        engine::run(&script);
    }
}
