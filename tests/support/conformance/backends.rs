//! The backends that the suite is run against, and what each lacks.

use usbwright::protocol::Status;

use super::{
    ability::{Ability, Refusal, Unsupported},
    data::Pattern,
};

/// A backend, as it is declared.
#[derive(Debug)]
pub(crate) struct Backend {
    /// What it is, in the table.
    pub(crate) name: &'static str,
    /// What its device's source sends and its sink takes.
    pub(crate) pattern: Pattern,
    /// What it lacks.
    pub(crate) lacks: &'static [Unsupported],
}

impl Backend {
    /// How it refuses what it lacks; `None` where it has it.
    pub(crate) fn refusal(&self, ability: Ability) -> Option<Refusal> {
        let lack = self.lacks.iter().find(|it| it.ability == ability);
        lack.map(|it| it.refusal)
    }

    pub(crate) fn has(&self, ability: Ability) -> bool {
        self.refusal(ability).is_none()
    }
}

/// All of them, in the order of the table.
pub(crate) static ALL: [&Backend; 8] = [
    &IN_PROCESS,
    &SERVER,
    &TWO_HOPS,
    &PEER,
    &USBIPD,
    &VUDC,
    &LIBUSB_ATTACHED,
    &LIBUSB_GADGET,
];

/// An emulated device in the same process.
pub(crate) static IN_PROCESS: Backend = Backend {
    name: "in process",
    pattern: Pattern::Mod63,
    lacks: &[],
};

/// One of our servers.
pub(crate) static SERVER: Backend = Backend {
    name: "our server",
    pattern: Pattern::Mod63,
    lacks: &[],
};

/// One of our servers, whose device is a remote one of another.
pub(crate) static TWO_HOPS: Backend = Backend {
    name: "two of our servers",
    pattern: Pattern::Mod63,
    lacks: &[],
};

/// The server of the crate `usbip`, whose device is a bulk source and sink and nothing else.
pub(crate) static PEER: Backend = Backend {
    name: "the crate `usbip`",
    pattern: Pattern::Zeros,
    lacks: &[
        unsupported(Ability::ControlData, Refusal::Ends(Status::ProtocolError)),
        unsupported(Ability::ControlStall, Refusal::Ends(Status::ProtocolError)),
        unsupported(Ability::Loopback, Refusal::NotDescribed),
        unsupported(Ability::ZeroLength, Refusal::OutOfReach),
        unsupported(Ability::Overflow, Refusal::OutOfReach),
        unsupported(Ability::PartialData, Refusal::OutOfReach),
        unsupported(Ability::Interrupt, Refusal::NotDescribed),
        unsupported(Ability::Isochronous, Refusal::NotDescribed),
        unsupported(Ability::Halts, Refusal::Ignored),
        unsupported(Ability::Unconfigure, Refusal::Ignored),
        unsupported(Ability::BusReset, Refusal::Ignored),
        unsupported(Ability::Unplug, Refusal::OutOfReach),
    ],
};

/// Linux' own server, with the kernel's gadget on its emulated controllers.
pub(crate) static USBIPD: Backend = Backend {
    name: "`usbipd`, `dummy_hcd`",
    pattern: Pattern::Mod63,
    lacks: &[
        unsupported(Ability::Interrupt, Refusal::NotDescribed),
        unsupported(Ability::Isochronous, Refusal::NotDescribed),
        unsupported(Ability::PartialData, Refusal::Ignored),
        unsupported(Ability::BusReset, Refusal::OutOfReach),
        unsupported(Ability::Unplug, Refusal::OutOfReach),
    ],
};

/// Linux' own server, with the kernel's gadget on its USB/IP device controller.
pub(crate) static VUDC: Backend = Backend {
    name: "`usbipd --device`",
    pattern: Pattern::Mod63,
    lacks: &[
        unsupported(Ability::Interrupt, Refusal::NotDescribed),
        unsupported(Ability::Isochronous, Refusal::Ends(Status::Missed)),
        unsupported(Ability::PartialData, Refusal::Ignored),
        unsupported(Ability::BusReset, Refusal::OutOfReach),
        unsupported(Ability::Unplug, Refusal::OutOfReach),
    ],
};

/// libusb, with an emulated device that a kernel has attached.
pub(crate) static LIBUSB_ATTACHED: Backend = Backend {
    name: "libusb, attached",
    pattern: Pattern::Mod63,
    lacks: &[
        // The kernel's virtual controller has nobody to tell of it.
        unsupported(Ability::BusReset, Refusal::Ignored),
        unsupported(Ability::Unplug, Refusal::OutOfReach),
    ],
};

/// libusb, with the kernel's gadget on its emulated controllers.
pub(crate) static LIBUSB_GADGET: Backend = Backend {
    name: "libusb, `dummy_hcd`",
    pattern: Pattern::Mod63,
    lacks: &[
        unsupported(Ability::Interrupt, Refusal::NotDescribed),
        unsupported(Ability::Isochronous, Refusal::NotDescribed),
        unsupported(Ability::BusReset, Refusal::OutOfReach),
        unsupported(Ability::Unplug, Refusal::OutOfReach),
    ],
};

const fn unsupported(ability: Ability, refusal: Refusal) -> Unsupported {
    Unsupported { ability, refusal }
}
