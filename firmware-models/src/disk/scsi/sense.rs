//! Sense data: what a target tells of a command that it could not do (SPC-4 §4.5).

use std::io;

use tracing::warn;

/// Why a command failed, or what the host has to know before its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sense {
    #[doc(alias = "SENSE KEY")]
    pub(crate) key: u8,
    #[doc(alias = "ASC")]
    #[doc(alias = "ASCQ")]
    pub(crate) code: u16,
    /// The logical block it is about.
    #[doc(alias = "INFORMATION")]
    pub(crate) block: Option<u64>,
}

const NOT_READY: u8 = 2;
const MEDIUM_ERROR: u8 = 3;
const ILLEGAL_REQUEST: u8 = 5;
const UNIT_ATTENTION: u8 = 6;
const DATA_PROTECT: u8 = 7;
const ABORTED_COMMAND: u8 = 0xb;
const MISCOMPARE: u8 = 0xe;

/// The codes are those of SPC-4 annex F.1, by their names there.
impl Sense {
    pub(crate) const NONE: Self = Self::new(0, 0);
    pub(crate) const MEDIUM_NOT_PRESENT: Self = Self::new(NOT_READY, 0x3a00);
    /// LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED.
    pub(crate) const STOPPED: Self = Self::new(NOT_READY, 0x0402);
    pub(crate) const INVALID_OPERATION_CODE: Self = Self::new(ILLEGAL_REQUEST, 0x2000);
    pub(crate) const BLOCK_OUT_OF_RANGE: Self = Self::new(ILLEGAL_REQUEST, 0x2100);
    pub(crate) const INVALID_FIELD_IN_CDB: Self = Self::new(ILLEGAL_REQUEST, 0x2400);
    pub(crate) const LOGICAL_UNIT_NOT_SUPPORTED: Self = Self::new(ILLEGAL_REQUEST, 0x2500);
    pub(crate) const PARAMETER_LIST_LENGTH: Self = Self::new(ILLEGAL_REQUEST, 0x1a00);
    pub(crate) const INVALID_FIELD_IN_PARAMETERS: Self = Self::new(ILLEGAL_REQUEST, 0x2600);
    pub(crate) const SAVING_NOT_SUPPORTED: Self = Self::new(ILLEGAL_REQUEST, 0x3900);
    pub(crate) const REMOVAL_PREVENTED: Self = Self::new(ILLEGAL_REQUEST, 0x5302);
    pub(crate) const MEDIUM_MAY_HAVE_CHANGED: Self = Self::new(UNIT_ATTENTION, 0x2800);
    /// POWER ON, RESET, OR BUS DEVICE RESET OCCURRED.
    pub(crate) const RESET: Self = Self::new(UNIT_ATTENTION, 0x2900);
    pub(crate) const WRITE_PROTECTED: Self = Self::new(DATA_PROTECT, 0x2700);
    /// SPACE ALLOCATION FAILED WRITE PROTECT.
    const NO_SPACE: Self = Self::new(DATA_PROTECT, 0x2707);
    const WRITE_ERROR: Self = Self::new(MEDIUM_ERROR, 0x0c00);
    const UNRECOVERED_READ_ERROR: Self = Self::new(MEDIUM_ERROR, 0x1100);
    pub(crate) const MISCOMPARE_DURING_VERIFY: Self = Self::new(MISCOMPARE, 0x1d00);

    /// DATA PHASE ERROR.
    pub(crate) const DATA_PHASE: Self = Self::new(ABORTED_COMMAND, 0x4b00);

    const fn new(key: u8, code: u16) -> Self {
        Self {
            key,
            code,
            block: None,
        }
    }

    pub(crate) fn at(self, block: u64) -> Self {
        Self {
            block: Some(block),
            ..self
        }
    }

    pub(crate) fn of_read(error: &io::Error, block: u64) -> Self {
        warn!(block, "the disk's medium can't be read: {error}");
        Self::UNRECOVERED_READ_ERROR.at(block)
    }

    pub(crate) fn of_write(error: &io::Error, block: u64) -> Self {
        warn!(block, "the disk's medium can't be written: {error}");
        Self::of_kind(error.kind()).at(block)
    }

    pub(crate) fn of_flush(error: &io::Error) -> Self {
        warn!("what was written to the disk's medium may be lost: {error}");
        Self::of_kind(error.kind())
    }

    fn of_kind(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NO_SPACE,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::WRITE_PROTECTED
            }
            _ => Self::WRITE_ERROR,
        }
    }

    /// In fixed format (SPC-4 §4.5.3). A block beyond 32 bits has no room in it.
    pub(crate) fn fixed(&self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[0] = 0x70;
        bytes[2] = self.key;
        bytes[7] = 10;
        bytes[12..14].copy_from_slice(&self.code.to_be_bytes());
        if let Some(block) = self.block.and_then(|block| u32::try_from(block).ok()) {
            bytes[0] |= 0x80;
            bytes[3..7].copy_from_slice(&block.to_be_bytes());
        }
        bytes
    }

    /// In descriptor format (SPC-4 §4.5.2).
    pub(crate) fn descriptors(&self) -> Vec<u8> {
        let [asc, ascq] = self.code.to_be_bytes();
        let mut bytes = vec![0x72, self.key, asc, ascq, 0, 0, 0, 0];
        if let Some(block) = self.block {
            bytes[7] = 12;
            bytes.extend([0, 10, 0x80, 0]);
            bytes.extend(block.to_be_bytes());
        }
        bytes
    }
}
