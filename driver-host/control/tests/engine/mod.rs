//! What is done with a packet of random bytes, or one that was a message once: it is refused, or is a message that reads back as it was.

use usbwright_host_control::{FromHost, HEADER_SIZE, Message, ToHost};

/// The first byte chooses how many descriptors have come, and whether the header's length is made right, so that bodies are reached.
pub(crate) fn run(script: &[u8]) {
    let Some((first, packet)) = script.split_first() else {
        return;
    };
    let descriptors = usize::from(first & 3);
    let mut packet = packet.to_vec();
    if first & 4 != 0 && packet.len() >= HEADER_SIZE {
        let length = u32::try_from(packet.len() - HEADER_SIZE).unwrap_or(u32::MAX);
        packet[2..4].fill(0);
        packet[4..8].copy_from_slice(&length.to_le_bytes());
    }
    check::<FromHost>(&packet, descriptors);
    check::<ToHost>(&packet, descriptors);
}

fn check<M: Message + PartialEq + std::fmt::Debug>(packet: &[u8], descriptors: usize) {
    match M::decode(packet, descriptors) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(message) => {
            assert_eq!(message.descriptors(), descriptors);
            // What was read in few bytes may take more when it is written, and be too long.
            if let Ok(again) = message.encode() {
                assert_eq!(M::decode(&again, descriptors).unwrap(), message);
            }
        }
    }
}
