//! libusb's asynchronous transfers, which rusb has only as C functions: the one place that calls them.
#![allow(
    unsafe_code,
    reason = "rusb has no safe asynchronous transfers; memory is lent to libusb until its callback comes"
)]

use std::{
    ffi::c_int,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rusb::{Context, DeviceHandle, constants as code, ffi};
use usbwright_protocol::{EndpointAddress, Status, TransferType};

use super::{
    inbox::{Event, Inbox},
    pool::Buffer,
    status,
};

/// The memory that a transfer uses.
#[derive(Debug)]
pub(super) enum Memory {
    /// What goes to the device; libusb only reads it.
    Out(Bytes),
    /// What comes from the device, or a control transfer's setup packet and data.
    Writable(Buffer),
}

impl Memory {
    fn room(&self) -> usize {
        match self {
            Self::Out(bytes) => bytes.len(),
            Self::Writable(buffer) => buffer.as_ref().len(),
        }
    }

    fn start(&mut self) -> *mut u8 {
        match self {
            Self::Out(bytes) => bytes.as_ptr().cast_mut(),
            Self::Writable(buffer) => buffer.as_mut().as_mut_ptr(),
        }
    }
}

/// A transfer to be submitted.
#[derive(Debug)]
pub(super) struct Order {
    /// The endpoint.
    pub(super) endpoint: EndpointAddress,
    /// Its type.
    pub(super) transfer_type: TransferType,
    /// The memory.
    pub(super) memory: Memory,
    /// How much of the memory, from its beginning.
    pub(super) length: usize,
    /// The lengths of an isochronous transfer's packets, which lie in the memory one after the other.
    pub(super) packets: Vec<u32>,
    /// Whether a zero-length packet ends it where it fills its last packet.
    pub(super) zero_packet: bool,
}

/// What the callback knows. It has a share of its own, so that it may come at any time.
#[derive(Debug)]
struct Callback {
    number: u64,
    inbox: Arc<Inbox>,
    returned: AtomicBool,
}

/// A submitted transfer: libusb uses its memory until the inbox tells that it was returned.
#[derive(Debug)]
pub(super) struct InFlight {
    raw: NonNull<ffi::libusb_transfer>,
    /// `None` once it was taken out.
    memory: Option<Memory>,
    callback: Arc<Callback>,
    /// Keeps the device open for as long as libusb may look at the transfer.
    _handle: Arc<DeviceHandle<Context>>,
}

// SAFETY: libusb's functions may be called from any thread; the raw transfer is reached through the only `InFlight` that has it.
unsafe impl Send for InFlight {}

/// A transfer that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: Status,
    /// Bytes moved; not told of an isochronous transfer, whose packets tell it.
    pub(super) actual_length: usize,
    /// How each packet of an isochronous transfer ended, and the bytes it moved.
    pub(super) packets: Vec<(Status, u32)>,
    pub(super) memory: Memory,
}

impl InFlight {
    /// Submits a transfer; when it has ended, the inbox gets [`Event::Returned`] with `number`.
    ///
    /// # Errors
    /// What libusb refuses, as a status; nothing comes to the inbox then.
    pub(super) fn submit(
        handle: &Arc<DeviceHandle<Context>>,
        inbox: &Arc<Inbox>,
        number: u64,
        mut order: Order,
    ) -> Result<Self, Status> {
        let length = c_int::try_from(order.length).map_err(|_| Status::NoMemory)?;
        let count = c_int::try_from(order.packets.len()).map_err(|_| Status::NoMemory)?;
        let packets: u64 = order.packets.iter().copied().map(u64::from).sum();
        if order.length > order.memory.room() || packets > order.length as u64 {
            return Err(Status::ProtocolError);
        }
        // SAFETY: it may be called with any number of packets that is not negative.
        let raw = unsafe { ffi::libusb_alloc_transfer(count) };
        let raw = NonNull::new(raw).ok_or(Status::NoMemory)?;
        let callback = Arc::new(Callback {
            number,
            inbox: inbox.clone(),
            returned: AtomicBool::new(false),
        });
        let at = raw.as_ptr();
        // SAFETY: `at` is a transfer with room for `count` packets that libusb has just allocated and nobody else knows. Fields are
        // written through the raw pointer, as its null callback must not be seen through a reference.
        unsafe {
            (*at).dev_handle = handle.as_raw();
            (*at).endpoint = order.endpoint.byte();
            (*at).transfer_type = order.transfer_type as u8;
            (*at).callback = returned;
            (*at).buffer = order.memory.start();
            (*at).length = length;
            (*at).num_iso_packets = count;
            if order.zero_packet {
                (*at).flags = code::LIBUSB_TRANSFER_ADD_ZERO_PACKET;
            }
            let first = packet_descriptors(at);
            for (place, length) in order.packets.iter().enumerate() {
                (*first.add(place)).length = *length;
            }
        }
        let transfer = Self {
            raw,
            memory: Some(order.memory),
            callback,
            _handle: handle.clone(),
        };
        transfer.start()
    }

    /// Hands the filled-in transfer to libusb, and the callback its share.
    fn start(self) -> Result<Self, Status> {
        let share = Arc::into_raw(self.callback.clone());
        // SAFETY: the transfer is filled in and its memory, which `self` keeps until the callback has come, has the room that it
        // tells. The share that `user_data` points at is taken back by the callback, which comes once if this succeeds.
        let result = unsafe {
            (*self.raw.as_ptr()).user_data = share.cast_mut().cast();
            ffi::libusb_submit_transfer(self.raw.as_ptr())
        };
        if result == 0 {
            return Ok(self);
        }
        // SAFETY: libusb refused the transfer, so that no callback comes, and the share is still ours.
        drop(unsafe { Arc::from_raw(share) });
        self.callback.returned.store(true, Ordering::Release); // what was never lent may be freed
        Err(status::of_submit(result))
    }

    /// Asks for the transfer to be taken back; without effect where it has ended.
    pub(super) fn cancel(&self) {
        // SAFETY: the transfer is not freed before `self` is dropped; libusb allows this at any time after its submission.
        unsafe { ffi::libusb_cancel_transfer(self.raw.as_ptr()) };
    }

    /// What became of the transfer; `None` where it has not been returned.
    pub(super) fn finish(mut self) -> Option<Ended> {
        if !self.callback.returned.load(Ordering::Acquire) {
            return None;
        }
        let memory = self.memory.take()?;
        let at = self.raw.as_ptr();
        // SAFETY: the callback has come, so that libusb has written its results and does not touch the transfer any more. It has
        // `num_iso_packets` packets.
        let (status, moved, packets) = unsafe {
            let first = packet_descriptors(at);
            let packets = (0..(*at).num_iso_packets as usize).map(|place| {
                let packet = first.add(place);
                (
                    status::of_transfer((*packet).status),
                    (*packet).actual_length,
                )
            });
            ((*at).status, (*at).actual_length, packets.collect())
        };
        Some(Ended {
            status: status::of_transfer(status),
            actual_length: usize::try_from(moved).unwrap_or(0).min(memory.room()),
            packets,
            memory,
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.callback.returned.load(Ordering::Acquire) {
            // SAFETY: libusb has given the transfer back, or never took it, and nobody else knows it.
            unsafe { ffi::libusb_free_transfer(self.raw.as_ptr()) };
        } else {
            // libusb may still use all of it: the memory stays for good.
            tracing::error!("a USB transfer was not returned by the system; its memory is lost");
            std::mem::forget(self.memory.take());
        }
    }
}

/// The first of a transfer's packets, which follow its other fields.
///
/// # Safety
/// `at` points at a transfer that libusb has allocated.
unsafe fn packet_descriptors(
    at: *mut ffi::libusb_transfer,
) -> *mut ffi::libusb_iso_packet_descriptor {
    // SAFETY: the field is there, by the caller's word; no reference is made.
    unsafe { (&raw mut (*at).iso_packet_desc).cast() }
}

/// What libusb calls when a transfer has ended, on the thread that handles events.
extern "system" fn returned(at: *mut ffi::libusb_transfer) {
    // SAFETY: libusb passes a transfer that `start` has submitted, once, and `user_data` is the share that `start` has left there.
    let callback = unsafe { Arc::from_raw((*at).user_data.cast::<Callback>()) };
    // From here on the transfer may be freed.
    callback.returned.store(true, Ordering::Release);
    callback.inbox.push(Event::Returned(callback.number));
}
