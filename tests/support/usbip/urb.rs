//! Transfers as a client writes them, byte by byte.

use super::vhci::{HEADER, ISO_PACKET, Submitted};

/// A transfer before it has a number. Its fields may contradict each other.
#[derive(Clone, Debug)]
pub(crate) struct Urb {
    pub(crate) endpoint: u32,
    pub(crate) reads: bool,
    pub(crate) flags: u32,
    pub(crate) length: u32,
    /// `number_of_packets`.
    pub(crate) packets: u32,
    pub(crate) setup: [u8; 8],
    pub(crate) data: Vec<u8>,
    /// Offset and length of each isochronous packet.
    pub(crate) windows: Vec<(u32, u32)>,
    pub(crate) isochronous: bool,
}

impl Urb {
    /// A bulk or interrupt transfer from the device.
    pub(crate) fn read(endpoint: u32, length: u32) -> Self {
        Self {
            endpoint,
            reads: true,
            flags: 0x200,
            length,
            packets: 0,
            setup: [0; 8],
            data: Vec::new(),
            windows: Vec::new(),
            isochronous: false,
        }
    }

    /// A bulk or interrupt transfer to the device.
    pub(crate) fn write(endpoint: u32, data: &[u8]) -> Self {
        Self {
            reads: false,
            flags: 0,
            data: data.to_vec(),
            ..Self::read(endpoint, u32::try_from(data.len()).unwrap())
        }
    }

    /// A control transfer, in the direction that its setup packet tells.
    pub(crate) fn control(setup: [u8; 8], data: &[u8]) -> Self {
        let length = u16::from_le_bytes([setup[6], setup[7]]);
        let mut urb = Self::write(0, data);
        if setup[0] & 0x80 != 0 && length > 0 {
            urb = Self::read(0, length.into());
        }
        urb.setup = setup;
        urb
    }

    /// An isochronous transfer from the device, whose packets follow each other without gaps.
    pub(crate) fn stream_in(endpoint: u32, lengths: &[u32]) -> Self {
        let mut offset = 0;
        let mut windows = Vec::new();
        for length in lengths {
            windows.push((offset, *length));
            offset += length;
        }
        Self {
            packets: u32::try_from(lengths.len()).unwrap(),
            windows,
            isochronous: true,
            ..Self::read(endpoint, offset)
        }
    }

    /// An isochronous transfer to the device.
    pub(crate) fn stream_out(endpoint: u32, lengths: &[u32]) -> Self {
        let stream = Self::stream_in(endpoint, lengths);
        Self {
            reads: false,
            data: vec![0; stream.length as usize],
            ..stream
        }
    }

    /// With another number of packets.
    pub(crate) fn with_packets(self, packets: u32) -> Self {
        Self { packets, ..self }
    }

    /// With another length, whatever the data's is.
    pub(crate) fn with_length(self, length: u32) -> Self {
        Self { length, ..self }
    }

    /// What the client's book keeps of it.
    pub(crate) fn submitted(&self) -> Submitted {
        Submitted {
            reads: self.reads,
            length: self.length,
            packets: self.packets,
            isochronous: self.isochronous,
        }
    }

    /// The message, under a number.
    pub(crate) fn bytes(&self, sequence: u32) -> Vec<u8> {
        let words = [
            1,
            sequence,
            0x0001_0001,
            u32::from(self.reads),
            self.endpoint,
            self.flags,
            self.length,
            0xffff_ffff,
            self.packets,
            8,
        ];
        let mut bytes = message(&words);
        bytes.truncate(HEADER - 8);
        bytes.extend_from_slice(&self.setup);
        bytes.extend_from_slice(&self.data);
        for (offset, length) in &self.windows {
            // As Linux' client sends them: nothing moved yet, and -EXDEV.
            let description = message(&[*offset, *length, 0, 0xffff_ffee]);
            bytes.extend_from_slice(&description[..ISO_PACKET]);
        }
        bytes
    }
}

/// An unlink's message.
pub(crate) fn unlink(sequence: u32, target: u32) -> Vec<u8> {
    message(&[2, sequence, 0x0001_0001, 0, 0, target])
}

/// A header of these words, and zeros.
pub(crate) fn message(words: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.resize(HEADER, 0);
    bytes
}
