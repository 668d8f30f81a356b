//! The client's calls with the buffers and the results that filter manager's have (`fltuser.h`): for tests, and for programs that are
//! brought over byte for byte.
//!
//! Buffers may lie at any address. Each call blocks.

use bytes::Bytes;
use thiserror::Error;
use usbwright_host_stack::status::{HResult, NtStatus, Win32Error};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{
    AnswerError, Client, GetError, ReplyMessage,
    message::{Outgoing, ReplyCall},
};
use crate::{
    layout::{FilterMessageHeader, FilterReplyHeader, HEADER_LENGTH},
    link::Operation,
};

const HEADER: usize = HEADER_LENGTH as usize;

/// A call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{hresult}")]
pub struct Failure {
    /// What the call returns.
    pub hresult: HResult,
    /// How many bytes the call is told to have moved; for a get whose buffer is too small, those that it needs, with header.
    pub bytes: usize,
}

impl From<HResult> for Failure {
    fn from(hresult: HResult) -> Self {
        Self { hresult, bytes: 0 }
    }
}

/// Gets a message: puts a [`FilterMessageHeader`] and the message into `buffer`, and tells how many bytes that is.
///
/// # Errors
/// `ERROR_INSUFFICIENT_BUFFER` where the buffer has no room for both; the message stays the next one, and the failure tells what it needs.
/// `E_INVALIDARG` where it has no room for a header. `ERROR_INVALID_HANDLE` once the connection has ended.
#[doc(alias = "FilterGetMessage")]
pub fn get_message(client: &Client, buffer: &mut [u8]) -> Result<usize, Failure> {
    let Some((header, room)) = buffer.split_at_mut_checked(HEADER) else {
        return Err(HResult::INVALIDARG.into());
    };
    let message = client
        .get_message_of(room.len())
        .wait()
        .map_err(|error| Failure {
            hresult: error.hresult(),
            bytes: match error {
                GetError::TooSmall { needed } => HEADER + needed,
                _ => 0,
            },
        })?;
    let reply = message.reply.map(|it| it.room());
    let reply = reply.map(|it| u32::try_from(it).unwrap_or(u32::MAX - HEADER_LENGTH));
    header.copy_from_slice(FilterMessageHeader::new(message.id, reply).as_bytes());
    room[..message.data.len()].copy_from_slice(&message.data);
    Ok(HEADER + message.data.len())
}

/// Replies to a message: `buffer` is a [`FilterReplyHeader`] and the reply.
///
/// # Errors
/// `ERROR_FLT_NO_WAITER_FOR_REPLY` where nobody waits, or ever has, for a reply to a message of that number; that is not fatal.
/// `ERROR_MORE_DATA` where the sender has not as much room. `E_INVALIDARG` where there is no whole header.
#[doc(alias = "FilterReplyMessage")]
pub fn reply_message(client: &Client, buffer: &[u8]) -> Result<(), Failure> {
    let Ok((header, data)) = FilterReplyHeader::ref_from_prefix(buffer) else {
        return Err(HResult::INVALIDARG.into());
    };
    let reply = Outgoing::new(
        header.message_id.get(),
        NtStatus(header.status.get()),
        Bytes::copy_from_slice(data),
        client.0.server_takes,
    );
    let operation = Operation::new(&client.0.link, ReplyCall::new(reply));
    let replied = ReplyMessage(operation).wait();
    replied.map_err(|error| error.hresult().into())
}

/// Sends the driver a message, and puts its answer into `output`: how many bytes that is.
///
/// # Errors
/// What the driver's message callback says; `ERROR_MORE_DATA` where its answer is longer than `output`, in which there is then as much as
/// fits.
#[doc(alias = "FilterSendMessage")]
pub fn send_message(client: &Client, input: &[u8], output: &mut [u8]) -> Result<usize, Failure> {
    let message = Bytes::copy_from_slice(input);
    let (data, hresult) = match client.send_message(message, output.len()).wait() {
        Ok(answer) => (answer, HResult::OK),
        Err(AnswerError::AnswerTooLong(data)) => (data, HResult::from_win32(Win32Error::MORE_DATA)),
        Err(error) => return Err(error.hresult().into()),
    };
    let bytes = data.len().min(output.len());
    output[..bytes].copy_from_slice(&data[..bytes]);
    match hresult {
        HResult::OK => Ok(bytes),
        hresult => Err(Failure { hresult, bytes }),
    }
}
