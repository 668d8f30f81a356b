//! Isochronous transfers: packets, each in its (micro)frame.

use bytes::Bytes;
use usbwright_protocol::{Direction, IsoPacket, TransferKind};

use super::core::PipeCore;
use crate::completion::{Completion, TransferError};

/// The most packets in a transfer, as Linux has it.
const MOST: usize = 1024;

impl PipeCore {
    /// Receives a packet in each of `count` service intervals.
    pub(super) async fn receive(&self, count: usize) -> Completion {
        let length = self.endpoint.bytes_per_interval();
        let packets = (0..count as u32).map(|index| (index * length, length));
        match self.refuse_packets(Direction::In) {
            Ok(()) => self.packets(Bytes::new(), count, packets).await,
            Err(error) => Completion::failed(error),
        }
    }

    /// Sends packets, one in each service interval.
    pub(super) async fn send(&self, packets: &[Bytes]) -> Completion {
        if let Err(error) = self.refuse_packets(Direction::Out) {
            return Completion::failed(error);
        }
        let most = self.endpoint.bytes_per_interval() as usize;
        if let Some(packet) = packets.iter().find(|it| it.len() > most) {
            let length = packet.len();
            return Completion::failed(TransferError::TooLong { length, most });
        }
        let mut offset = 0;
        let windows = packets.iter().map(|packet| {
            let window = (offset, packet.len() as u32);
            offset += window.1;
            window
        });
        let data = match packets {
            [packet] => packet.clone(),
            packets => packets.concat().into(),
        };
        self.packets(data, packets.len(), windows).await
    }

    async fn packets(
        &self,
        data: Bytes,
        count: usize,
        windows: impl Iterator<Item = (u32, u32)>,
    ) -> Completion {
        if count > MOST {
            return Completion::failed(TransferError::TooLong {
                length: count,
                most: MOST,
            });
        }
        let packets = windows.map(|(offset, length)| IsoPacket {
            offset,
            length,
            ..IsoPacket::default()
        });
        let kind = TransferKind::Isochronous {
            data,
            packets: packets.collect(),
        };
        let until = self.until(&self.policy());
        self.unless_stale(self.fly(kind, until).await.into())
    }
}
