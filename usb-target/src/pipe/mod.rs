//! Pipes: the endpoints of a claimed interface, through which bytes and packets move.

mod core;
mod flights;
mod kept;
mod kind;
mod packets;
mod policy;
mod queue;
mod read;
mod write;

use std::{fmt, marker::PhantomData, pin::pin, sync::Arc};

use bytes::Bytes;
use usbwright_protocol::{
    Direction, EndpointAddress, Payload, TransferType, descriptor::EndpointDescriptor,
};

pub(crate) use self::{core::PipeCore, kept::Kept};
pub use self::{
    kind::{
        AnyKind, AnyWay, Bulk, In, Interrupt, Isochronous, Kind, MovesBytes, MovesPackets, Out,
        Reads, Way, Writes,
    },
    policy::{PipePolicy, PolicyError, PolicyId},
    queue::{Queue, Ticket},
};
use crate::{cancel::Cancel, completion::Completion, interface::Claim};

/// An endpoint of an interface's present setting (UMDF's target pipe). Clones are handles of the same pipe.
///
/// It keeps its interface claimed. When another setting or configuration is chosen, what is outstanding is taken back, and
/// whatever is asked of it afterwards ends as [`Stale`](crate::TransferError::Stale).
#[doc(alias = "IWDFUsbTargetPipe")]
pub struct Pipe<K: Kind = AnyKind, W: Way = AnyWay> {
    core: Arc<PipeCore>,
    claim: Arc<Claim>,
    kind: PhantomData<(K, W)>,
}

impl<K: Kind, W: Way> Clone for Pipe<K, W> {
    fn clone(&self) -> Self {
        self.cast()
    }
}

impl<K: Kind, W: Way> fmt::Debug for Pipe<K, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("endpoint", &self.core.endpoint)
            .finish_non_exhaustive()
    }
}

impl Pipe {
    pub(crate) fn new(core: Arc<PipeCore>, claim: Arc<Claim>) -> Self {
        Self {
            core,
            claim,
            kind: PhantomData,
        }
    }

    /// The pipe as one of a kind and a direction, or as it was where it is of another.
    ///
    /// # Errors
    /// Where the endpoint is of another kind or direction.
    pub fn typed<K: Kind, W: Way>(self) -> Result<Pipe<K, W>, Self> {
        let fits = K::fits(self.transfer_type()) && W::fits(self.direction());
        if fits { Ok(self.cast()) } else { Err(self) }
    }
}

impl<K: Kind, W: Way> Pipe<K, W> {
    fn cast<L: Kind, V: Way>(&self) -> Pipe<L, V> {
        Pipe {
            core: Arc::clone(&self.core),
            claim: Arc::clone(&self.claim),
            kind: PhantomData,
        }
    }

    pub(crate) fn core(&self) -> &PipeCore {
        &self.core
    }

    /// The pipe with what it is told at run time.
    pub fn untyped(&self) -> Pipe {
        self.cast()
    }

    /// The endpoint's address.
    pub fn address(&self) -> EndpointAddress {
        self.core.address()
    }

    /// Which way it moves data.
    pub fn direction(&self) -> Direction {
        self.address().direction()
    }

    /// How it moves data.
    pub fn transfer_type(&self) -> TransferType {
        self.core.endpoint.transfer_type
    }

    /// The endpoint's descriptor.
    #[doc(alias = "WINUSB_PIPE_INFORMATION")]
    pub fn descriptor(&self) -> &EndpointDescriptor {
        &self.core.endpoint
    }

    /// Bytes in a packet.
    #[doc(alias = "MaximumPacketSize")]
    pub fn packet_size(&self) -> usize {
        self.core.packet()
    }

    /// How often the endpoint is served, in (micro)frames.
    pub fn interval(&self) -> u32 {
        self.core.interval
    }

    /// The number of its interface.
    pub fn interface(&self) -> u8 {
        self.claim.number()
    }

    /// The most bytes in one transfer on the bus; a multiple of the packet size.
    #[doc(alias = "MAXIMUM_TRANSFER_SIZE")]
    pub fn largest_transfer(&self) -> usize {
        self.core.largest()
    }

    /// Whether another setting or configuration has been chosen since the pipe was asked for.
    pub fn is_stale(&self) -> bool {
        self.core.is_stale()
    }

    /// Its policies.
    pub fn policy(&self) -> PipePolicy {
        self.core.policy()
    }

    /// Sets its policies. They hold for transfers that begin afterwards.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have one of those that differ from their defaults.
    #[doc(alias = "WinUsb_SetPipePolicy")]
    pub fn set_policy(&self, policy: PipePolicy) -> Result<(), PolicyError> {
        if let Some(policy) = policy.unfit(self.transfer_type(), self.direction()) {
            let address = self.address();
            return Err(PolicyError::NotFor { policy, address });
        }
        self.core.change_policy(|it| *it = policy);
        Ok(())
    }

    /// A policy's value as WinUSB has it: one byte, or four of the host's lowest first.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have it.
    #[doc(alias = "WinUsb_GetPipePolicy")]
    pub fn policy_value(&self, id: PolicyId) -> Result<Vec<u8>, PolicyError> {
        PipePolicy::check(id, self.transfer_type(), self.address())?;
        Ok(self.core.policy().value(id, self.core.largest()))
    }

    /// Sets a policy by its value as WinUSB has it.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have it, or the value is of another size.
    pub fn set_policy_value(&self, id: PolicyId, value: &[u8]) -> Result<(), PolicyError> {
        PipePolicy::check(id, self.transfer_type(), self.address())?;
        self.core.change_policy(|it| it.set_value(id, value))
    }

    /// Takes back what is outstanding on the pipe, and returns when it has ended.
    #[doc(alias = "WinUsb_AbortPipe")]
    pub async fn abort(&self) {
        self.core.abort().await;
    }

    /// Takes back what is outstanding, and clears the endpoint's halt and data toggle (USB 2.0 §9.4.5). What was kept for the next
    /// read stays.
    #[doc(alias = "WinUsb_ResetPipe")]
    pub async fn reset(&self) -> Completion {
        self.core.reset().await
    }

    /// Whether anything is kept for the next read, or may be once a transfer has been taken back. A [queue](Queue) does not take it.
    pub fn has_kept(&self) -> bool {
        !self.core.kept.has_nothing()
    }

    /// Throws away what was kept for the next read, and tells how many bytes that were.
    #[doc(alias = "WinUsb_FlushPipe")]
    pub fn flush(&self) -> usize {
        self.core.kept.clear()
    }
}

impl<K: MovesBytes, W: Way> Pipe<K, W> {
    /// A queue, to have many transfers in flight at once.
    pub fn queue(&self) -> Queue<K, W> {
        Queue::new(self.clone())
    }
}

impl<K: MovesBytes, W: Reads> Pipe<K, W> {
    /// Reads up to `length` bytes, any number, by the pipe's [policies](PipePolicy): by default until a short packet ends it, and what
    /// came beyond `length` is kept for the next read. Reads are served in the order in which they are first polled.
    ///
    /// Dropped before it has ended, the transfer is taken back, and what it brings is kept for the next read.
    #[doc(alias = "WinUsb_ReadPipe")]
    pub async fn read(&self, length: usize) -> Completion {
        self.core.read(length, Cancel::default()).await
    }

    /// Reads as [`read`](Self::read) does, until `cancelled` has ended: then the transfer is taken back, and the completion tells what had
    /// come, as [`Status::Cancelled`](crate::protocol::Status::Cancelled) where that is not all. A read that waits for its turn ends at once.
    ///
    /// ```
    /// # use std::{future::ready, time::Instant};
    /// # use usbwright_target::{Bulk, In, Options, Wait, protocol::Status};
    /// # let port = "gadget-zero".parse::<usbwright_models::Spec>()?.build(Instant::now())?;
    /// # let device = Options::new().configuration(2).open(port).wait()?;
    /// # let input = device.interface(0).wait()?.first::<Bulk, In>()?;
    /// // A channel's end, a timer or a flag cancel as well.
    /// let read = input.read_cancelable(64, ready(())).wait();
    /// assert!(read.ended(Status::Cancelled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "CancelIoEx")]
    pub async fn read_cancelable(
        &self,
        length: usize,
        cancelled: impl Future<Output = ()> + Send,
    ) -> Completion {
        let cancelled = pin!(cancelled);
        self.core.read(length, Cancel::when(cancelled)).await
    }
}

impl<K: MovesBytes, W: Writes> Pipe<K, W> {
    /// Writes all of `data`, in one piece or several, which are not copied where the backend can take them so. No data is a zero-length
    /// packet. Writes are served in the order in which they are first polled.
    ///
    /// Dropped before it has ended, it is taken back; the device may have taken a part.
    #[doc(alias = "WinUsb_WritePipe")]
    pub async fn write(&self, data: impl Into<Payload>) -> Completion {
        let cancel = Cancel::default();
        self.core.write(data.into(), false, cancel).await
    }

    /// Writes as [`write`](Self::write) does, until `cancelled` has ended: then what is left is taken back, and the completion tells how
    /// much the device took, as [`Status::Cancelled`](crate::protocol::Status::Cancelled) where that is not all.
    #[doc(alias = "CancelIoEx")]
    pub async fn write_cancelable(
        &self,
        data: impl Into<Payload>,
        cancelled: impl Future<Output = ()> + Send,
    ) -> Completion {
        let cancelled = pin!(cancelled);
        let cancel = Cancel::when(cancelled);
        self.core.write(data.into(), false, cancel).await
    }

    /// Writes as [`write`](Self::write) does, and ends with a zero-length packet where the last packet is full, whatever the policy.
    #[doc(alias = "URB_ZERO_PACKET")]
    pub async fn write_terminated(&self, data: impl Into<Payload>) -> Completion {
        let cancel = Cancel::default();
        self.core.write(data.into(), true, cancel).await
    }
}

impl<K: MovesPackets, W: Reads> Pipe<K, W> {
    /// Receives a packet in each of `count` service intervals, at most 1024. The completion tells each packet's end; the data has no
    /// gaps.
    pub async fn receive(&self, count: usize) -> Completion {
        self.core.receive(count).await
    }
}

impl<K: MovesPackets, W: Writes> Pipe<K, W> {
    /// Sends packets, at most 1024, one in each service interval.
    pub async fn send(&self, packets: &[Bytes]) -> Completion {
        self.core.send(packets).await
    }
}
