//! A pipe's policies: how its reads and writes treat packets, errors and time.

use std::time::Duration;

use usbwright_protocol::{Direction, EndpointAddress, TransferType};

/// How a pipe behaves (WinUSB's pipe policies). [`Pipe::set_policy`](crate::Pipe::set_policy) sets them.
///
/// A pipe begins with the [default](Self::DEFAULT): policies belong to a pipe of one setting, and are at their defaults again when
/// the setting is chosen anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipePolicy {
    /// OUT: a write whose length is a multiple of the packet size is followed by a zero-length packet. Default: no.
    #[doc(alias = "SHORT_PACKET_TERMINATE")]
    pub short_packet_terminate: bool,
    /// IN: a read that fails, but for being cancelled, timed out or the device being gone, resets the pipe before it ends, so that the next
    /// one can succeed. Default: no. Without effect with [`raw_io`](Self::raw_io).
    #[doc(alias = "AUTO_CLEAR_STALL")]
    pub auto_clear_stall: bool,
    /// How long a transfer may take, from when its turn has come; `None` for ever. Default: `None`.
    #[doc(alias = "PIPE_TRANSFER_TIMEOUT")]
    pub transfer_timeout: Option<Duration>,
    /// IN: a read goes on after a short packet, until it has all of its bytes. Default: no. Without effect with [`raw_io`](Self::raw_io).
    #[doc(alias = "IGNORE_SHORT_PACKETS")]
    pub ignore_short_packets: bool,
    /// IN: the device may send more than a read asks for; [`auto_flush`](Self::auto_flush) says what becomes of it. Otherwise the read
    /// fails as [`Status::Overflow`](crate::protocol::Status::Overflow), and the excess is kept for the next read. Default: yes.
    #[doc(alias = "ALLOW_PARTIAL_READS")]
    pub allow_partial_reads: bool,
    /// IN: what comes beyond what a read asked for is thrown away, rather than kept for the next read. Default: no. Without effect where
    /// [`allow_partial_reads`](Self::allow_partial_reads) is off.
    #[doc(alias = "AUTO_FLUSH")]
    pub auto_flush: bool,
    /// IN: reads go to the device as they are, without the queueing and handling of errors that the others describe. Their lengths
    /// have to be multiples of the packet size, and at most the largest transfer. Default: no.
    #[doc(alias = "RAW_IO")]
    pub raw_io: bool,
    /// The pipe is reset when the device [has resumed](crate::Device::resumed). Default: no.
    #[doc(alias = "RESET_PIPE_ON_RESUME")]
    pub reset_on_resume: bool,
}

impl PipePolicy {
    /// The policies that a pipe begins with.
    pub const DEFAULT: Self = Self {
        short_packet_terminate: false,
        auto_clear_stall: false,
        transfer_timeout: None,
        ignore_short_packets: false,
        allow_partial_reads: true,
        auto_flush: false,
        raw_io: false,
        reset_on_resume: false,
    };
}

impl Default for PipePolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A policy, by WinUSB's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum PolicyId {
    /// See [`PipePolicy::short_packet_terminate`].
    ShortPacketTerminate = 1,
    /// See [`PipePolicy::auto_clear_stall`].
    AutoClearStall = 2,
    /// See [`PipePolicy::transfer_timeout`]; in ms, 0 for ever.
    TransferTimeout = 3,
    /// See [`PipePolicy::ignore_short_packets`].
    IgnoreShortPackets = 4,
    /// See [`PipePolicy::allow_partial_reads`].
    AllowPartialReads = 5,
    /// See [`PipePolicy::auto_flush`].
    AutoFlush = 6,
    /// See [`PipePolicy::raw_io`].
    RawIo = 7,
    /// The most bytes in one transfer on the bus. Read only.
    #[doc(alias = "MAXIMUM_TRANSFER_SIZE")]
    MaximumTransferSize = 8,
    /// See [`PipePolicy::reset_on_resume`].
    ResetOnResume = 9,
}

impl PolicyId {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ShortPacketTerminate,
        Self::AutoClearStall,
        Self::TransferTimeout,
        Self::IgnoreShortPackets,
        Self::AllowPartialReads,
        Self::AutoFlush,
        Self::RawIo,
        Self::MaximumTransferSize,
        Self::ResetOnResume,
    ];

    /// The policy of that number.
    ///
    /// # Errors
    /// Where there is none.
    pub fn from_number(number: u32) -> Result<Self, PolicyError> {
        let all = Self::ALL.into_iter();
        all.into_iter()
            .find(|id| *id as u32 == number)
            .ok_or(PolicyError::Unknown(number))
    }

    /// Bytes of its value: a number of four, or one that is 0 or not.
    pub const fn size(self) -> usize {
        match self {
            Self::TransferTimeout | Self::MaximumTransferSize => 4,
            _ => 1,
        }
    }

    /// Whether a pipe of this kind has it.
    fn applies(self, transfer_type: TransferType, direction: Direction) -> bool {
        match self {
            Self::TransferTimeout | Self::MaximumTransferSize => true,
            _ if !matches!(transfer_type, TransferType::Bulk | TransferType::Interrupt) => false,
            Self::ShortPacketTerminate => direction == Direction::Out,
            Self::ResetOnResume => true,
            _ => direction == Direction::In,
        }
    }
}

/// Why a policy is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is none of that number.
    #[error("there is no pipe policy {0:#x}: they are 0x1 to 0x9")]
    Unknown(u32),
    /// Pipes of this kind don't have it.
    #[error("policy {policy:?} is not for endpoint {address}, by its type and direction")]
    NotFor {
        /// The policy.
        policy: PolicyId,
        /// The endpoint.
        address: EndpointAddress,
    },
    /// It can only be read.
    #[error("policy {0:?} can only be read")]
    ReadOnly(PolicyId),
    /// A value of another size.
    #[error("policy {policy:?} takes {takes} bytes, not {given}")]
    Size {
        /// The policy.
        policy: PolicyId,
        /// Bytes that it takes.
        takes: usize,
        /// Bytes that were given.
        given: usize,
    },
}

impl PipePolicy {
    /// The first of these policies that differs from its default though a pipe of this kind does not have it.
    pub(super) fn unfit(
        &self,
        transfer_type: TransferType,
        direction: Direction,
    ) -> Option<PolicyId> {
        let own = Self::default();
        let mut ids = PolicyId::ALL.into_iter();
        ids.find(|id| {
            !id.applies(transfer_type, direction) && self.value(*id, 0) != own.value(*id, 0)
        })
    }

    /// A policy's value as WinUSB has it.
    pub(super) fn value(&self, id: PolicyId, largest: usize) -> Vec<u8> {
        let flag = match id {
            PolicyId::ShortPacketTerminate => self.short_packet_terminate,
            PolicyId::AutoClearStall => self.auto_clear_stall,
            PolicyId::IgnoreShortPackets => self.ignore_short_packets,
            PolicyId::AllowPartialReads => self.allow_partial_reads,
            PolicyId::AutoFlush => self.auto_flush,
            PolicyId::RawIo => self.raw_io,
            PolicyId::ResetOnResume => self.reset_on_resume,
            PolicyId::TransferTimeout => {
                // 0 would be for ever.
                let in_ms = |it: Duration| it.as_micros().div_ceil(1000).max(1);
                let timeout = self.transfer_timeout.map_or(0, in_ms);
                return u32::try_from(timeout)
                    .unwrap_or(u32::MAX)
                    .to_le_bytes()
                    .into();
            }
            PolicyId::MaximumTransferSize => {
                return u32::try_from(largest)
                    .unwrap_or(u32::MAX)
                    .to_le_bytes()
                    .into();
            }
        };
        vec![flag.into()]
    }

    /// Sets a policy by WinUSB's value of it.
    pub(super) fn set_value(&mut self, id: PolicyId, value: &[u8]) -> Result<(), PolicyError> {
        let wrong = PolicyError::Size {
            policy: id,
            takes: id.size(),
            given: value.len(),
        };
        let flag = match id {
            PolicyId::MaximumTransferSize => return Err(PolicyError::ReadOnly(id)),
            PolicyId::TransferTimeout => {
                let millis = u32::from_le_bytes(value.try_into().map_err(|_| wrong)?);
                let timeout = Duration::from_millis(millis.into());
                self.transfer_timeout = (millis > 0).then_some(timeout);
                return Ok(());
            }
            PolicyId::ShortPacketTerminate => &mut self.short_packet_terminate,
            PolicyId::AutoClearStall => &mut self.auto_clear_stall,
            PolicyId::IgnoreShortPackets => &mut self.ignore_short_packets,
            PolicyId::AllowPartialReads => &mut self.allow_partial_reads,
            PolicyId::AutoFlush => &mut self.auto_flush,
            PolicyId::RawIo => &mut self.raw_io,
            PolicyId::ResetOnResume => &mut self.reset_on_resume,
        };
        let [byte] = value else {
            return Err(wrong);
        };
        *flag = *byte != 0;
        Ok(())
    }

    /// Whether pipes of this kind have the policy.
    pub(super) fn check(
        id: PolicyId,
        transfer_type: TransferType,
        address: EndpointAddress,
    ) -> Result<(), PolicyError> {
        match id.applies(transfer_type, address.direction()) {
            true => Ok(()),
            false => Err(PolicyError::NotFor {
                policy: id,
                address,
            }),
        }
    }
}
