//! The loopback from endpoint 6 to endpoint 8: four packets, each in a buffer of its own.

use std::collections::VecDeque;

use bytes::Bytes;
use usbwright_emulator::{In, Out};

/// Both endpoints have two buffers, and a packet takes a whole one, however short it is.
const BUFFERS: usize = 4;

/// The packets on their way back.
#[derive(Debug, Default)]
pub(super) struct Loopback(VecDeque<Bytes>);

impl Loopback {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes as many packets as there are free buffers.
    pub(super) fn receive(&mut self, data: &Bytes, packet_size: usize) -> Out {
        let free = BUFFERS - self.0.len();
        if free == 0 {
            return Out::NotYet;
        }
        if data.is_empty() {
            self.0.push_back(Bytes::new());
            return Out::Taken;
        }
        let taken = data.len().min(free * packet_size);
        // A slice would keep all of the buffer alive that the host's data came in.
        let packets = data[..taken].chunks(packet_size);
        self.0.extend(packets.map(Bytes::copy_from_slice));
        Out::TakenPart(taken)
    }

    /// Sends the oldest packet.
    pub(super) fn send(&mut self) -> In {
        self.0.pop_front().map_or(In::NotYet, In::Data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACKET: usize = 8;

    /// Data to be written, or a read.
    fn steps() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        let data = prop::collection::vec(any::<u8>(), 0..PACKET * 6);
        prop::collection::vec(prop::option::of(data), 0..60)
    }

    proptest! {
        #[test]
        fn what_is_taken_comes_back_in_its_packets_and_never_more_than_four_are_held(
            steps in steps(),
        ) {
            let mut loopback = Loopback::default();
            let mut held = VecDeque::new();
            for step in steps {
                let Some(data) = step else {
                    let sent = match loopback.send() {
                        In::Data(packet) => Some(packet.to_vec()),
                        _ => None,
                    };
                    prop_assert_eq!(sent, held.pop_front());
                    continue;
                };
                let data = Bytes::from(data);
                let taken = match loopback.receive(&data, PACKET) {
                    Out::Taken => Some(data.len()),
                    Out::TakenPart(part) => Some(part),
                    _ => None,
                };
                prop_assert_eq!(taken.is_none(), held.len() == 4);
                match taken {
                    Some(0) => held.push_back(Vec::new()),
                    taken => held.extend(data[..taken.unwrap_or(0)].chunks(PACKET).map(<[u8]>::to_vec)),
                }
                prop_assert!(held.len() <= 4);
                prop_assert!(taken.is_none_or(|taken| taken == data.len() || held.len() == 4));
            }
        }
    }
}
