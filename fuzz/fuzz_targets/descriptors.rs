//! Descriptors from a device: nothing panics, and what parses means the same when it is encoded and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use usbwright_protocol::{
    Speed,
    descriptor::{
        BosDescriptor, ConfigurationDescriptor, DeviceDescriptor, decode_languages, decode_string,
    },
};

fuzz_target!(|bytes: &[u8]| {
    device(bytes);
    let _ = decode_string(bytes);
    let _ = decode_languages(bytes);
    for speed in Speed::ALL {
        configuration(bytes, speed);
        bos(bytes, speed);
    }
});

fn device(bytes: &[u8]) {
    if let Ok(device) = DeviceDescriptor::parse(bytes) {
        assert_eq!(&device.to_bytes()[2..], &bytes[2..18]);
    }
}

fn configuration(bytes: &[u8], speed: Speed) {
    let Ok(configuration) = ConfigurationDescriptor::parse(bytes, speed) else {
        return;
    };
    for (_, _, endpoint) in configuration.endpoints() {
        assert!(endpoint.service_interval(speed) >= 1);
        assert!((1..=48).contains(&endpoint.transactions));
        let _ = endpoint.bytes_per_interval();
    }
    // 256 interfaces parse, but no count of them can be written.
    if configuration.interfaces.len() < 256 {
        let encoded = configuration.encode(speed);
        let encoded = encoded.expect("it is no longer than it was");
        let again = ConfigurationDescriptor::parse(&encoded, speed);
        assert_eq!(again.as_ref(), Ok(&configuration));
    }
}

fn bos(bytes: &[u8], speed: Speed) {
    let Ok(bos) = BosDescriptor::parse(bytes) else {
        return;
    };
    // A capability may be there twice, which is refused when written.
    if let Ok(encoded) = bos.encode(speed) {
        assert_eq!(BosDescriptor::parse(&encoded).as_ref(), Ok(&bos));
    }
}
