//! How messages become packets, and packets messages.

use serde::{Serialize, de::DeserializeOwned};
use zerocopy::IntoBytes as _;

use super::{Message, Report};
use crate::header::{Header, LONGEST_BODY, Malformed, open};

pub(super) fn packet(kind: u16, stack: u64, body: &[u8]) -> Result<Vec<u8>, Malformed> {
    if body.len() > LONGEST_BODY {
        return Err(Malformed::TooLong);
    }
    let header = Header {
        kind: kind.into(),
        reserved: 0.into(),
        length: u32::try_from(body.len()).unwrap_or(u32::MAX).into(),
        stack: stack.into(),
    };
    Ok([header.as_bytes(), body].concat())
}

pub(super) fn with_body(
    kind: u16,
    stack: u64,
    body: &impl Serialize,
) -> Result<Vec<u8>, Malformed> {
    let body = serde_json::to_vec(body).map_err(|cause| Malformed::Body { kind, cause })?;
    packet(kind, stack, &body)
}

/// A packet, taken apart.
pub(super) struct Parts<'a> {
    pub(super) kind: u16,
    pub(super) stack: u64,
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn of(packet: &'a [u8]) -> Result<Self, Malformed> {
        let (header, body) = open(packet)?;
        Ok(Self {
            kind: header.kind.get(),
            stack: header.stack.get(),
            body,
        })
    }

    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_slice(self.body).map_err(self.wrong())
    }

    pub(super) fn wrong(&self) -> impl FnOnce(serde_json::Error) -> Malformed {
        let kind = self.kind;
        move |cause| Malformed::Body { kind, cause }
    }

    /// It has no body.
    pub(super) fn bare<T>(&self, message: T) -> Result<T, Malformed> {
        match self.body.len() {
            0 => Ok(message),
            came => Err(Malformed::Length { told: 0, came }),
        }
    }

    pub(super) fn report(&self) -> Result<Report, Malformed> {
        Ok(Report {
            stack: self.stack,
            text: self.body()?,
        })
    }
}

pub(super) fn check_descriptors<M: Message>(
    message: M,
    kind: u16,
    came: usize,
) -> Result<M, Malformed> {
    match message.descriptors() {
        wanted if wanted == came => Ok(message),
        wanted => Err(Malformed::Descriptors { kind, wanted, came }),
    }
}
