//! The thread that drives a device for tasks ends with the device. Alone in its process, as it looks at all threads there.

#![cfg(target_os = "linux")]

use std::{
    fs,
    pin::pin,
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use usbwright_target::{Bulk, Device, In, Wait};

/// How many threads there are that drive devices.
fn drivers() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "usb-target").count()
}

/// Waits until there are so many, for some time.
fn until_there_are(number: usize) {
    let begin = Instant::now();
    while drivers() != number {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "there are {}",
            drivers()
        );
        thread::yield_now();
    }
}

#[test]
fn a_device_s_thread_ends_when_the_device_and_its_pipes_are_dropped() {
    let open = || {
        let spec: usbwright_models::Spec = "gadget-zero".parse().unwrap();
        Device::open(spec.build(Instant::now()).unwrap())
            .wait()
            .unwrap()
    };
    for _ in 0..20 {
        let devices = [open(), open()];
        let pipes = devices.each_ref().map(|device| {
            let interface = device.interface(0).wait().unwrap();
            interface.first::<Bulk, In>().unwrap()
        });
        for pipe in &pipes {
            // With a time to keep there is something to drive.
            let mut policy = pipe.policy();
            policy.transfer_timeout = Some(Duration::from_secs(1000));
            pipe.set_policy(policy).unwrap();
            let mut read =
                pin!(async { (pipe.read(512).await, std::future::pending::<()>().await) });
            let _ = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(devices);
        drop(pipes);
        until_there_are(0);
    }
}
