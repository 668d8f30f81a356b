//! A packet with its payload and its descriptor.

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
}

impl From<Header> for Packet {
    fn from(header: Header) -> Self {
        Self {
            header,
            payload: Bytes::new(),
            descriptor: None,
        }
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
        let (header, payload) = Header::open(bytes, Way::ToApplication)?;
        let payload = Bytes::copy_from_slice(payload);
        let descriptor = one_descriptor(header.kind.get() == kind::WELCOME, descriptors)?;
        Ok(Self {
            header,
            payload,
            descriptor: descriptor.map(Arc::new),
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
