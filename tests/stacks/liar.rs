//! A host whose answers to applications make no sense.

use std::{env, io, os::fd::OwnedFd, os::unix::fs::symlink, thread};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use usbwright_driver_host::{Drivers, Operations, Serving};
use usbwright_host_stack::Stack;
use usbwright_reflector::status::Win32Error;
use usbwright_samples::fx2::Fx2Driver;

use crate::bench::{Bench, package};

/// What its program is called.
pub(crate) const PROGRAM: &str = "liar-host";

pub(crate) fn drivers() -> Drivers {
    Drivers::new().channels(lie).with("fx2", || Fx2Driver)
}

/// Whatever the reflector says, the answer is no packet.
fn lie(_: &Stack, data: OwnedFd, cancel: OwnedFd, _: Operations) -> io::Result<Serving> {
    let lies = thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((1.., _)) = recv(&data, &mut buffer, RecvFlags::empty()) {
            let _ = send(&data, b"what?", SendFlags::empty());
        }
    });
    Ok(Box::new((lies, cancel)))
}

pub(crate) fn a_host_whose_answers_make_no_sense_is_ended_as_a_bad_reply_until_its_board_is_offline()
 {
    let package = package("fx2", "restarts = 1").replace("fx2-host", PROGRAM);
    let bench = Bench::with(&package);
    symlink(env::current_exe().unwrap(), bench.path(PROGRAM)).unwrap();
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("10110 host 1 has failed: BadReply, detected by Reflector");
    run.wait_for("10112");
    let error = bench.open("osr-fx2").unwrap_err();
    assert_eq!(error.error(), Win32Error::DRIVER_PROCESS_TERMINATED);
    assert!(run.hosts().is_empty());
}
