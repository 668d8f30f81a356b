//! Every backend does the same, or says that it does not: the suite of `support/conformance`, run against each of them.

#[path = "../support/conformance/mod.rs"]
mod conformance;
#[expect(
    dead_code,
    reason = "some of it is for the tests of the kernel's drivers"
)]
#[path = "../support/lab.rs"]
mod guest_of_lab;
mod lab;
#[path = "../../benches/support/peer.rs"]
mod peer;
#[path = "../support/pluggable.rs"]
mod pluggable;
#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/usbip/server.rs"]
mod server;

use conformance::{Subject, backends, local, served};
use server::{Place, Served};
use usbwright::emulator::server::Limits;

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

/// Runs the suite on a device behind a chain of our servers.
fn served_conforms(backend: &'static backends::Backend, places: &[Place], speed: &str) {
    let servers = places
        .iter()
        .map(|it| Served::new(*it, vec![], Limits::default()));
    let servers: Vec<_> = servers.collect();
    let spec = format!("gadget-zero,pattern=1,speed={speed}");
    let chain: Vec<_> = servers.iter().collect();
    conforms(served::subject(backend, &spec, &chain));
}

#[test]
fn a_device_of_our_server_conforms_over_tcp() {
    for speed in SPEEDS {
        served_conforms(&backends::SERVER, &[Place::V4], speed);
    }
}

#[test]
fn a_device_of_our_server_conforms_over_a_unix_socket() {
    served_conforms(&backends::SERVER, &[Place::Unix], "high");
}

#[test]
fn a_device_of_a_server_of_a_server_conforms() {
    served_conforms(&backends::TWO_HOPS, &[Place::Unix, Place::V4], "high");
}

#[test]
fn a_device_of_the_crate_usbip_conforms() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    conforms(served::peer(&backends::PEER, &runtime));
}

#[test]
fn the_table_of_backends_is_what_the_suite_checks() {
    let text = include_str!("../../docs/backends.md");
    let table = conformance::table(&backends::ALL);
    assert!(
        text.contains(&table),
        "docs/backends.md should have:\n{table}"
    );
}
