//! Every backend does the same, or says that it does not: the suite of `support/conformance`, run against each of them.

#[path = "../support/conformance/mod.rs"]
mod conformance;

use conformance::{Subject, backends, local};

/// The speeds that emulated devices are tested at.
const SPEEDS: [&str; 4] = ["full", "high", "super", "super-plus"];

/// Runs the suite, on threads enough for tasks to run side by side.
#[track_caller]
fn conforms(subject: Subject) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(conformance::run(subject));
    println!("{report}");
    report.assert_conforms();
}

#[test]
fn a_device_in_process_conforms_at_every_speed() {
    for speed in SPEEDS {
        let spec = format!("gadget-zero,pattern=1,speed={speed}");
        conforms(local::subject(&backends::IN_PROCESS, &spec));
    }
}
