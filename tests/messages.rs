//! What the server owes any client: each transfer is answered once, in replies that the kernel's client takes.

mod engine;
#[allow(dead_code, reason = "the client of the other tests asks for more")]
#[path = "support/usbip/vhci.rs"]
mod vhci;

use proptest::{prelude::*, test_runner::RngSeed};

#[test]
fn a_stream_that_ends_within_a_header_is_made_whole_before_it_is_judged() {
    engine::run(include_bytes!(
        "../fuzz/seeds/messages/ends-within-a-header"
    ));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        // The same scripts every time; the fuzz target looks for new ones.
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_submit_and_every_unlink_is_answered_once_by_replies_that_the_kernel_takes(
        script in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        engine::run(&script);
    }
}
