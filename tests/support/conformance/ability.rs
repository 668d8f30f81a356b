//! What a backend may lack, and how it says so.

use usbwright::protocol::Status;

/// Something that not every backend, or device behind it, can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// Control transfers with data both ways: Gadget Zero's control buffer.
    ControlData,
    /// A refused control request is told as a stall.
    ControlStall,
    /// An endpoint can be halted, and its halt cleared.
    Halts,
    /// A second configuration, which sends back what it is sent; its reads wait.
    Loopback,
    /// Zero-length packets arrive, either way.
    ZeroLength,
    /// A packet that is larger than the room left is told as an overflow.
    Overflow,
    /// A transfer that is taken back tells what had moved.
    PartialData,
    /// A setting with interrupt endpoints.
    Interrupt,
    /// A setting with isochronous endpoints.
    Isochronous,
    /// The device can be left without a configuration.
    Unconfigure,
    /// A reset of the port reaches the device.
    BusReset,
    /// The test can unplug the device.
    Unplug,
}

impl Ability {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 12] = [
        Self::ControlData,
        Self::ControlStall,
        Self::Halts,
        Self::Loopback,
        Self::ZeroLength,
        Self::Overflow,
        Self::PartialData,
        Self::Interrupt,
        Self::Isochronous,
        Self::Unconfigure,
        Self::BusReset,
        Self::Unplug,
    ];

    /// What it is, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::ControlData => "control data both ways",
            Self::ControlStall => "control stalls",
            Self::Halts => "halts",
            Self::Loopback => "loopback, reads that wait",
            Self::ZeroLength => "zero-length packets",
            Self::Overflow => "overflow",
            Self::PartialData => "data of what is taken back",
            Self::Interrupt => "interrupt",
            Self::Isochronous => "isochronous",
            Self::Unconfigure => "no configuration",
            Self::BusReset => "reset reaches the device",
            Self::Unplug => "unplugging",
        }
    }
}

/// What is lacking, and what a program sees of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsupported {
    pub(crate) ability: Ability,
    pub(crate) refusal: Refusal,
}

/// How something that is lacking is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No descriptor tells of it: a typed error says so before anything is sent.
    NotDescribed,
    /// It ends so on the bus.
    Ends(Status),
    /// The device takes it and does nothing; whoever asks finds that out.
    Ignored,
    /// What the test would need for it waits in nobody's hands here.
    OutOfReach,
}

impl Refusal {
    /// What a program sees, in words.
    pub(crate) fn words(self) -> String {
        match self {
            Self::NotDescribed => "not described".to_owned(),
            Self::Ends(status) => format!("`{status:?}`"),
            Self::Ignored => "no effect".to_owned(),
            Self::OutOfReach => "not tested".to_owned(),
        }
    }
}
