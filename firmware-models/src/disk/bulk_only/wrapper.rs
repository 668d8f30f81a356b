//! The wrappers around a command and its status (Bulk-Only Transport 1.0 §5).

use bytes::{BufMut, Bytes, BytesMut};

use crate::disk::scsi::Data;

/// A command block wrapper.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "CBW")]
pub(super) struct CommandWrapper {
    pub(super) tag: u32,
    pub(super) lun: u8,
    /// What the host is going to move.
    pub(super) host: Data,
    pub(super) cdb: [u8; 16],
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "bCSWStatus")]
pub(super) enum Status {
    Passed = 0,
    Failed = 1,
    PhaseError = 2,
}

/// A command status wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "CSW")]
pub(super) struct StatusWrapper {
    pub(super) tag: u32,
    /// Bytes that the host was going to move, and the command had no use for.
    #[doc(alias = "dCSWDataResidue")]
    pub(super) residue: u32,
    pub(super) status: Status,
}

impl CommandWrapper {
    /// Reads a wrapper; `None` where it is not valid or not meaningful (§6.2) for a device with units up to `highest`.
    pub(super) fn read(bytes: &[u8], highest: u8) -> Option<Self> {
        let bytes: &[u8; 31] = bytes.try_into().ok()?;
        let (head, cdb) = bytes.split_at(15);
        let word = |place: usize| {
            let word = [0, 1, 2, 3].map(|i| head[place + i]);
            u32::from_le_bytes(word)
        };
        let (length, flags, lun) = (word(8), head[12], head[13]);
        let meaningful = flags & 0x7f == 0 && lun <= highest && (1..=16).contains(&head[14]);
        if &head[..4] != b"USBC" || !meaningful {
            return None;
        }
        let mut padded = [0; 16];
        let told = usize::from(head[14]);
        padded[..told].copy_from_slice(&cdb[..told]);
        Some(Self {
            tag: word(4),
            lun,
            host: match (length, flags & 0x80) {
                (0, _) => Data::None,
                (length, 0) => Data::Out(length.into()),
                (length, _) => Data::In(length.into()),
            },
            cdb: padded,
        })
    }
}

impl StatusWrapper {
    /// The wrapper, in memory of `room`, which is used again.
    pub(super) fn bytes(self, room: &mut BytesMut) -> Bytes {
        const LENGTH: usize = 13;
        room.reserve(LENGTH);
        room.extend_from_slice(b"USBS");
        room.put_u32_le(self.tag);
        room.put_u32_le(self.residue);
        room.put_u8(self.status as u8);
        room.split().freeze()
    }
}
