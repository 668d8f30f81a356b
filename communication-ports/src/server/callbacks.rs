//! What a driver is told about a port's connections.

use bytes::Bytes;
use usbwright_host_stack::status::NtStatus;

use super::Connection;
use crate::Ended;

/// What a driver is told about a port's connections.
///
/// The callbacks of one connection run one at a time, in a thread of that connection's: [`connect`](Self::connect) first, then
/// [`message`](Self::message) for each message in the order in which they came, and [`disconnect`](Self::disconnect) last. Those of different
/// connections run at once. A callback may block; it holds up its own connection's callbacks and nothing else, so that messages
/// can be sent and replied to meanwhile.
///
/// A callback that panics is as one that fails: a connection is refused, a message answered with `STATUS_DRIVER_INTERNAL_ERROR`.
pub trait Callbacks: Send + Sync + 'static {
    /// What the driver keeps for a connection.
    #[doc(alias = "ConnectionPortCookie")]
    type Session: Send + 'static;

    /// A client, which the [`SecurityDescriptor`](crate::SecurityDescriptor) lets in, wants to connect, and says `context`, of up to 65535 bytes.
    ///
    /// A driver that wants to send messages keeps a clone of `connection`. No get waits before this has returned.
    ///
    /// # Errors
    /// Refuses the connection; the client is told the status.
    #[doc(alias = "ConnectNotifyCallback")]
    #[doc(alias = "PFLT_CONNECT_NOTIFY")]
    fn connect(&self, connection: &Connection, context: &[u8]) -> Result<Self::Session, NtStatus>;

    /// The client has sent a message, and has room for an answer of `capacity` bytes. Of a longer one it gets what there is room for,
    /// with `STATUS_BUFFER_OVERFLOW`.
    ///
    /// A port without this callback answers with `STATUS_NOT_SUPPORTED`.
    ///
    /// # Errors
    /// The client is told the status, and no data.
    #[doc(alias = "MessageNotifyCallback")]
    #[doc(alias = "PFLT_MESSAGE_NOTIFY")]
    fn message(
        &self,
        session: &mut Self::Session,
        message: &[u8],
        capacity: usize,
    ) -> Result<Bytes, NtStatus> {
        let _ = (session, message, capacity);
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// The connection has ended, as the client closed its end or died, broke the protocol, or the filter is unloaded.
    ///
    /// Not called where the driver itself has closed the connection ([`Connection::close`]): then `session` is dropped.
    #[doc(alias = "DisconnectNotifyCallback")]
    #[doc(alias = "PFLT_DISCONNECT_NOTIFY")]
    fn disconnect(&self, session: Self::Session, why: &Ended) {
        let _ = (session, why);
    }
}
