//! What a program may spawn on a runtime of many threads.

use std::time::Instant;

use usbwright_models::Spec;
use usbwright_target::{Device, ResetOutcome};

#[test]
fn a_device_is_opened_configured_and_reset_in_a_spawned_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let spec: Spec = "gadget-zero".parse().unwrap();
    let port = spec.build(Instant::now()).unwrap();
    let task = runtime.spawn(async move {
        let device = Device::open(port).await.unwrap();
        device.set_configuration(2).await.unwrap();
        let interface = device.interface(0).await.unwrap();
        interface.set_alternate(0).await.unwrap();
        device.reset().await.unwrap()
    });
    assert_eq!(runtime.block_on(task).unwrap(), ResetOutcome::Kept);
}
