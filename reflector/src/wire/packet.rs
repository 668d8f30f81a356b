//! A packet with its payload and its descriptor, and the messages behind it.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use bytes::Bytes;
use usbwright_ports::{Violation, parts::Parcel};
use zerocopy::IntoBytes as _;

use super::{Header, PACKET_SIZE, Way, kind};

/// A packet, as an application's end sends and gets it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its header.
    pub header: Header,
    /// What follows it.
    pub payload: Bytes,
    /// The descriptor that goes with it.
    pub descriptor: Option<Arc<OwnedFd>>,
    /// Messages that came behind it, in the same packet.
    pub behind: Vec<(Header, Bytes)>,
}

impl From<Header> for Packet {
    fn from(header: Header) -> Self {
        Self {
            header,
            payload: Bytes::new(),
            descriptor: None,
            behind: Vec::new(),
        }
    }
}

impl Packet {
    /// Reads what came, but for its descriptor.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Violation> {
        let (header, payload, mut others) = Header::first(bytes, Way::ToApplication)?;
        let mut behind = Vec::new();
        while !others.is_empty() {
            let (header, payload, rest) = Header::first(others, Way::ToApplication)?;
            behind.push((header, Bytes::copy_from_slice(payload)));
            others = rest;
        }
        Ok(Self {
            payload: Bytes::copy_from_slice(payload),
            behind,
            ..header.into()
        })
    }
}

impl Parcel for Packet {
    const ROOM: usize = PACKET_SIZE;

    fn header(&self) -> &[u8] {
        self.header.as_bytes()
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(|it| it.as_fd())
    }

    fn open(bytes: &[u8], descriptors: Vec<OwnedFd>, _limit: usize) -> Result<Self, Violation> {
        let packet = Self::read(bytes)?;
        let wanted = packet.header.kind.get() == kind::WELCOME && packet.behind.is_empty();
        let descriptor = one_descriptor(wanted, descriptors)?;
        Ok(Self {
            descriptor: descriptor.map(Arc::new),
            ..packet
        })
    }
}

/// The descriptor that came, which is one if it is wanted, and otherwise none.
pub(crate) fn one_descriptor(
    wanted: bool,
    descriptors: Vec<OwnedFd>,
) -> Result<Option<OwnedFd>, Violation> {
    match descriptors.len() == usize::from(wanted) {
        true => Ok(descriptors.into_iter().next()),
        false => Err(Violation::Descriptors(descriptors.len())),
    }
}
