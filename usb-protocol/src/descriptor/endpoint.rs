//! What an author writes of an endpoint.

use crate::{EndpointAddress, TransferType};

use super::{AudioEndpoint, Synchronization, Usage};

/// An endpoint (USB 2.0 §9.6.6; USB 3.2 §9.6.6 and §9.6.7). At SuperSpeed its companion is made of the same values.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(super) address: EndpointAddress,
    pub(super) transfer_type: TransferType,
    pub(super) max_packet_size: Option<u16>,
    pub(super) interval: u8,
    pub(super) transactions: u8,
    pub(super) burst: u8,
    pub(super) mult: u8,
    pub(super) streams: u8,
    pub(super) bytes_per_interval: Option<u16>,
    pub(super) synchronization: Synchronization,
    pub(super) usage: Usage,
    pub(super) audio: Option<AudioEndpoint>,
    pub(super) extra: Vec<u8>,
}

impl Endpoint {
    fn new(
        address: EndpointAddress,
        transfer_type: TransferType,
        max_packet_size: Option<u16>,
        interval: u8,
    ) -> Self {
        Self {
            address,
            transfer_type,
            max_packet_size,
            interval,
            transactions: 1,
            burst: 0,
            mult: 0,
            streams: 0,
            bytes_per_interval: None,
            synchronization: Synchronization::None,
            usage: Usage::Data,
            audio: None,
            extra: Vec::new(),
        }
    }

    /// A bulk endpoint, with the largest packets of the speed: 64 bytes at full, 512 at high, 1024 at SuperSpeed.
    pub fn bulk(address: EndpointAddress) -> Self {
        Self::new(address, TransferType::Bulk, None, 0)
    }

    /// An interrupt endpoint. The interval counts frames (1 ms) up to full speed; above it is an exponent, 1 to 16, of
    /// 2^(interval − 1) microframes (125 µs).
    #[doc(alias = "wMaxPacketSize")]
    #[doc(alias = "bInterval")]
    pub fn interrupt(address: EndpointAddress, max_packet_size: u16, interval: u8) -> Self {
        let size = Some(max_packet_size);
        Self::new(address, TransferType::Interrupt, size, interval)
    }

    /// An isochronous endpoint. The interval is an exponent, 1 to 16, of 2^(interval − 1) frames or microframes.
    #[doc(alias = "wMaxPacketSize")]
    #[doc(alias = "bInterval")]
    pub fn isochronous(address: EndpointAddress, max_packet_size: u16, interval: u8) -> Self {
        let size = Some(max_packet_size);
        Self::new(address, TransferType::Isochronous, size, interval)
    }

    /// The most that one packet holds, in bytes.
    #[doc(alias = "wMaxPacketSize")]
    pub fn max_packet_size(mut self, bytes: u16) -> Self {
        self.max_packet_size = Some(bytes);
        self
    }

    /// The interval as the byte has it; for a high-speed bulk endpoint, how often it sends NAK at most.
    #[doc(alias = "bInterval")]
    pub fn interval(mut self, interval: u8) -> Self {
        self.interval = interval;
        self
    }

    /// High speed, periodic: how many packets go in one microframe, 1 to 3.
    #[doc(alias = "wMaxPacketSize")]
    pub fn transactions(mut self, packets: u8) -> Self {
        self.transactions = packets;
        self
    }

    /// SuperSpeed: how many packets a burst has, less one, 0 to 15.
    #[doc(alias = "bMaxBurst")]
    pub fn burst(mut self, packets_less_one: u8) -> Self {
        self.burst = packets_less_one;
        self
    }

    /// SuperSpeed, isochronous: how many bursts a service interval has, less one, 0 to 2.
    #[doc(alias = "Mult")]
    pub fn mult(mut self, bursts_less_one: u8) -> Self {
        self.mult = bursts_less_one;
        self
    }

    /// SuperSpeed, bulk: the base-2 logarithm of the number of streams, 1 to 16.
    #[doc(alias = "MaxStreams")]
    pub fn streams(mut self, exponent: u8) -> Self {
        self.streams = exponent;
        self
    }

    /// SuperSpeed, periodic: the most that moves in a service interval, in bytes. Where nothing is said, as much as the
    /// packets hold.
    #[doc(alias = "wBytesPerInterval")]
    pub fn bytes_per_interval(mut self, bytes: u16) -> Self {
        self.bytes_per_interval = Some(bytes);
        self
    }

    /// Isochronous: how it keeps time.
    #[doc(alias = "bmAttributes")]
    pub fn synchronization(mut self, synchronization: Synchronization) -> Self {
        self.synchronization = synchronization;
        self
    }

    /// What it is for.
    #[doc(alias = "bmAttributes")]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Makes it the nine-byte descriptor of USB Audio 1.0.
    #[doc(alias = "bRefresh")]
    #[doc(alias = "bSynchAddress")]
    pub fn audio(mut self, audio: AudioEndpoint) -> Self {
        self.audio = Some(audio);
        self
    }

    /// Appends encoded descriptors of its class, to stand after it (and its companion).
    pub fn extra(mut self, descriptors: impl AsRef<[u8]>) -> Self {
        self.extra.extend_from_slice(descriptors.as_ref());
        self
    }
}
