//! The seam between a device and its host: transfers in, completions out.

use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use crate::{Completion, EndpointAddress, Now, Speed, Transfer, TransferId, TransferType};

/// A USB device as its host sees it.
///
/// A port is a state machine with one owner. It does no I/O and reads no clock of its own accord: the owner says what
/// time it is, and drives it so:
///
/// 1. [`submit`](Self::submit), [`cancel`](Self::cancel), [`reset`](Self::reset) or [`poll`](Self::poll) it;
/// 2. after each of these, take every [`completion`](Self::completion) and read the [`deadline`](Self::deadline) anew;
/// 3. poll it when the deadline has come, or when the waker that was given to [`set_waker`](Self::set_waker) is woken.
///
/// Every transfer ends in exactly one completion, in the order of submission on its endpoint. Endpoints do not wait for
/// one another.
pub trait Port: Send {
    /// What the device is: its speed, identity and present interfaces.
    fn summary(&self) -> DeviceSummary;

    /// The type of an endpoint in the present settings; of one that they lack, the type it has in any other setting.
    /// `None` where the device has no such endpoint at all.
    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType>;

    /// Starts a transfer. What is wrong with it is told by its completion.
    fn submit(&mut self, transfer: Transfer, now: Now);

    /// Asks for a transfer to be taken back. It ends as [`Status::Cancelled`](crate::Status::Cancelled), or otherwise if
    /// it had ended before. An emulated device ends it before this returns; a remote one may take its time. An id that
    /// names no outstanding transfer is ignored.
    fn cancel(&mut self, id: TransferId, now: Instant);

    /// A bus reset: every outstanding transfer ends, and the device is as if just plugged in.
    fn reset(&mut self, now: Instant);

    /// Lets the device act on the time and on what has come from outside.
    fn poll(&mut self, now: Instant);

    /// The next completion, if a transfer has ended.
    fn completion(&mut self) -> Option<Completion>;

    /// When the port wants to be polled next, if nothing happens before.
    fn deadline(&self) -> Option<Instant>;

    /// Whom to wake when something has come from outside and the port should be polled. Replaces the waker before it.
    fn set_waker(&mut self, waker: Waker);

    /// Whether anything may wake that waker, as things stand: whoever drives a port that nothing can wake need not listen
    /// for it while it waits for the host.
    fn may_wake(&self) -> bool {
        true
    }

    /// A way to wait for what comes from outside without holding the port, where there is one that is quicker than the waker.
    /// Whoever uses it sets no waker.
    fn outside(&self) -> Option<Arc<dyn Outside>> {
        None
    }

    /// Whether the device is still plugged in. Once it is not, every transfer ends as
    /// [`Status::Disconnected`](crate::Status::Disconnected).
    fn is_connected(&self) -> bool;
}

/// What a port hears of from outside, such as a socket: one thread at a time may wait for it while others use the port.
pub trait Outside: Send + Sync {
    /// Blocks until the port should be polled, for `timeout` at the most; may return early. Where another thread waits already,
    /// it waits for its turn within the same time.
    fn wait(&self, timeout: Option<Duration>);

    /// Ends the wait of another thread, or the next one, soon. When the port is dropped, that ends every wait as well.
    fn interrupt(&self);

    /// Has `waker` woken once when the other side has gone, though nobody waits: then the port should be polled. What comes meanwhile wakes nobody. For whoever
    /// uses the port only now and then; it is asked for once, and costs no thread for each port.
    fn watch(&self, waker: Waker);
}

/// What a device is, for whoever lists or attaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSummary {
    /// The speed it runs at.
    pub speed: Speed,
    /// Who made it.
    #[doc(alias = "idVendor")]
    pub vendor_id: u16,
    /// What it is.
    #[doc(alias = "idProduct")]
    pub product_id: u16,
    /// Its release, in BCD.
    #[doc(alias = "bcdDevice")]
    pub device_release: u16,
    /// The class of the whole device.
    pub class: Class,
    /// The present configuration's value, or the first one's where none is set yet.
    #[doc(alias = "bConfigurationValue")]
    pub configuration: u8,
    /// How many configurations it has.
    #[doc(alias = "bNumConfigurations")]
    pub configurations: u8,
    /// The class of each interface (at its present setting) of that configuration.
    pub interfaces: Vec<Class>,
}

/// A class, subclass and protocol code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Class {
    /// `bDeviceClass` or `bInterfaceClass`.
    #[doc(alias = "bDeviceClass")]
    #[doc(alias = "bInterfaceClass")]
    pub class: u8,
    /// `bDeviceSubClass` or `bInterfaceSubClass`.
    #[doc(alias = "bDeviceSubClass")]
    #[doc(alias = "bInterfaceSubClass")]
    pub subclass: u8,
    /// `bDeviceProtocol` or `bInterfaceProtocol`.
    #[doc(alias = "bDeviceProtocol")]
    #[doc(alias = "bInterfaceProtocol")]
    pub protocol: u8,
}

impl Class {
    /// Defined by the device's maker: `ff/00/00`.
    pub const VENDOR: Self = Self {
        class: 0xff,
        subclass: 0,
        protocol: 0,
    };
    /// Told by each interface: `00/00/00`, for a device descriptor.
    pub const PER_INTERFACE: Self = Self {
        class: 0,
        subclass: 0,
        protocol: 0,
    };
}
