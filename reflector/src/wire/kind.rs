//! The kinds of packets, which way each may go, and the fields that it uses then.

use super::{Header, Part};

/// Whoever begins a connection says this first.
pub const HELLO: u16 = 0x01;
/// The answer to [`HELLO`]. An application gets the descriptor of its cancel channel with it.
pub const WELCOME: u16 = 0x02;
/// The answer to [`HELLO`], where there is no connection; and the last packet then.
pub const REFUSED: u16 = 0x03;
/// The last packet to an application: what it had opened is gone.
pub const GONE: u16 = 0x04;
/// Open the device; the first request of a file.
pub const OPEN: u16 = 0x10;
/// Read.
pub const READ: u16 = 0x11;
/// Write.
pub const WRITE: u16 = 0x12;
/// A control code.
pub const CONTROL: u16 = 0x13;
/// Write what is buffered.
pub const FLUSH: u16 = 0x14;
/// Close the file; its last request.
pub const CLOSE: u16 = 0x15;
/// A region of shared memory, whose descriptor comes with the packet.
pub const REGION: u16 = 0x16;
/// A region is not needed any more.
pub const RELEASE: u16 = 0x17;
/// Ask for information about the file.
pub const QUERY: u16 = 0x18;
/// Set information about the file.
pub const SET: u16 = 0x19;
/// A request is to be taken back.
pub const CANCEL: u16 = 0x20;
/// How a request has ended.
pub const REPLY: u16 = 0x80;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From an application to the reflector.
    FromApplication,
    /// From the reflector to an application.
    ToApplication,
    /// From the reflector to a host.
    ToHost,
    /// From a host to the reflector.
    FromHost,
    /// By a cancel channel.
    Cancel,
}

/// Fields of a header, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields(u8);

const CODE: u8 = 1;
const NUMBER: u8 = 2;
const FILE: u8 = 4;
const POSITION: u8 = 8;
const INPUT: u8 = 16;
const OUTPUT: u8 = 32;
/// Fields that no kind uses.
const OTHERS: u8 = 64;

impl Fields {
    pub(crate) fn used(header: &Header) -> Self {
        let bit = |used: bool, bit: u8| if used { bit } else { 0 };
        Self(
            bit(header.code.get() != 0, CODE)
                | bit(header.request.get() != 0, NUMBER)
                | bit(header.file.get() != 0, FILE)
                | bit(header.position.get() != 0, POSITION)
                | bit(header.input != Part::default(), INPUT)
                | bit(header.output != Part::default(), OUTPUT)
                | bit(header.flags.get() != 0, OTHERS),
        )
    }

    pub(crate) fn contain(self, fields: Self) -> bool {
        fields.0 & !self.0 == 0
    }
}

/// The fields that a kind of packet may use this way; none where it does not go this way.
pub(crate) fn fields(kind: u16, way: Way) -> Option<Fields> {
    let request = match way {
        Way::ToHost => NUMBER | FILE,
        _ => NUMBER,
    };
    let of_request = match kind {
        OPEN if way == Way::ToHost => CODE | POSITION | INPUT,
        OPEN => CODE | INPUT,
        READ => POSITION | OUTPUT,
        WRITE => POSITION | INPUT,
        CONTROL => CODE | INPUT | OUTPUT,
        QUERY => CODE | OUTPUT,
        SET => CODE | INPUT,
        FLUSH | CLOSE => 0,
        REGION => POSITION | OUTPUT,
        RELEASE => OUTPUT,
        _ => OTHERS,
    };
    let fields = match (way, kind) {
        (Way::FromApplication | Way::ToHost, HELLO) => CODE | NUMBER,
        (Way::ToApplication | Way::FromHost, WELCOME) => CODE | NUMBER,
        (Way::ToApplication, REFUSED) => CODE | INPUT,
        (Way::ToApplication, GONE) => CODE,
        (Way::ToApplication | Way::FromHost, REPLY) => CODE | NUMBER | POSITION | INPUT,
        (Way::Cancel, CANCEL) => NUMBER,
        (Way::FromApplication | Way::ToHost, _) if of_request != OTHERS => request | of_request,
        _ => return None,
    };
    Some(Fields(fields))
}

/// The name of a kind of request, as records tell it.
pub(crate) fn name(kind: u16) -> &'static str {
    match kind {
        OPEN => "open",
        READ => "read",
        WRITE => "write",
        CONTROL => "control",
        FLUSH => "flush",
        CLOSE => "close",
        REGION => "region",
        RELEASE => "release",
        QUERY => "query information",
        SET => "set information",
        _ => "unknown",
    }
}
