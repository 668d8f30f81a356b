//! What a pipe is by its type: how it moves data, and which way.

use usbwright_protocol::{Direction, TransferType};

mod sealed {
    pub trait Sealed {}
}

/// How a pipe moves data.
pub trait Kind: sealed::Sealed + Send + Sync + 'static {
    /// Whether an endpoint of this type is one.
    fn fits(transfer_type: TransferType) -> bool;
}

/// Which way a pipe moves data.
pub trait Way: sealed::Sealed + Send + Sync + 'static {
    /// Whether an endpoint of this direction is one.
    fn fits(direction: Direction) -> bool;
}

/// A kind that moves bytes: bulk and interrupt.
pub trait MovesBytes: Kind {}
/// A kind that moves packets in their (micro)frames: isochronous.
pub trait MovesPackets: Kind {}
/// A way from the device.
pub trait Reads: Way {}
/// A way to the device.
pub trait Writes: Way {}

macro_rules! markers {
    ($($(#[$doc:meta])* $name:ident: $role:ident($value:ident) = $fits:expr, $($can:ident)*;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl $role for $name {
            fn fits($value: markers!(@of $role)) -> bool {
                $fits
            }
        }
        $(impl $can for $name {})*
    )*};
    (@of Kind) => { TransferType };
    (@of Way) => { Direction };
}

markers! {
    /// A bulk pipe.
    Bulk: Kind(it) = it == TransferType::Bulk, MovesBytes;
    /// An interrupt pipe.
    Interrupt: Kind(it) = it == TransferType::Interrupt, MovesBytes;
    /// An isochronous pipe.
    Isochronous: Kind(it) = it == TransferType::Isochronous, MovesPackets;
    /// A pipe of any kind: what it can't do ends in an error.
    AnyKind: Kind(_it) = true, MovesBytes MovesPackets;
    /// From the device.
    In: Way(it) = it == Direction::In, Reads;
    /// To the device.
    Out: Way(it) = it == Direction::Out, Writes;
    /// A pipe that goes either way: what it can't do ends in an error.
    AnyWay: Way(_it) = true, Reads Writes;
}
