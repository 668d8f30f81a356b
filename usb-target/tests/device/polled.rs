//! What a device does in its own time: interrupt endpoints, and firmware that is woken by another thread.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use usbwright_emulator::EmulatedDevice;
use usbwright_target::{Device, In, Interrupt, Wait, protocol::Speed};

use crate::support::{Bench, Firmware, Script, bounded, now, pending};

#[test]
fn an_interrupt_endpoint_is_served_in_the_next_microframe_of_a_clock_that_is_advanced() {
    let bench = Bench::new();
    let pipe = bench.interface().first::<Interrupt, In>().unwrap();
    for _ in 0..3 {
        bench.script.sends("polled");
        let mut read = pin!(pipe.read(64));
        pending(read.as_mut());
        bench.clock.advance(Duration::from_micros(125));
        assert_eq!(now(read).data.to_vec(), b"polled");
    }
}

#[test]
fn an_interrupt_endpoint_is_served_by_the_system_s_clock() {
    let script = Script::default();
    (0..100).for_each(|_| script.sends("polled"));
    let firmware = Firmware(script);
    let port = EmulatedDevice::new(firmware, Speed::High, Instant::now()).unwrap();
    bounded(|| {
        let device = Device::open(port).wait().unwrap();
        let interface = device.interface(0).wait().unwrap();
        let pipe = interface.first::<Interrupt, In>().unwrap();
        for _ in 0..100 {
            assert_eq!(pipe.read(64).wait().data.to_vec(), b"polled");
        }
    });
}

#[test]
fn a_read_ends_when_another_thread_wakes_the_firmware() {
    let bench = Bench::new();
    let (pipe, script) = (bench.pipe(), bench.script.clone());
    let mut read = Box::pin(async move { pipe.read(512).await });
    pending(read.as_mut());
    let other = std::thread::spawn(move || script.sends("woken"));
    let came = bounded(move || read.wait().data.to_vec());
    assert_eq!(came, b"woken");
    other.join().unwrap();
}
