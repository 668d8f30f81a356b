//! A first look: an emulated Gadget Zero, opened in process.
use std::time::Instant;
use usbwright_target::{Bulk, Device, In, Out, Wait};

#[test]
fn reads_and_writes_in_process() {
    let spec: usbwright_models::Spec = "gadget-zero".parse().unwrap();
    let port = spec.build(Instant::now()).unwrap();
    let device = Device::open(port).wait().unwrap();
    let interface = device.interface(0).wait().unwrap();
    let source = interface.first::<Bulk, In>().unwrap();
    let sink = interface.first::<Bulk, Out>().unwrap();
    let data = source.read(100_000).wait().ok().unwrap();
    assert_eq!(data.length, 100_000);
    let data = source.read(5_000_000).wait().ok().unwrap();
    assert_eq!(data.length, 5_000_000);
    let written = sink.write(data.data).wait().ok().unwrap();
    assert_eq!(written.length, 5_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let data = source.read(512).await.ok().unwrap();
        assert_eq!(data.length, 512);
    });
}
