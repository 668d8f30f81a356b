//! A user-mode USB driver framework in the shape of UMDF, which can be tested without hardware.
//!
//! # A driver in 40 lines
//!
//! A [`Driver`] makes a [`Device`] when a [`Stack`] is built, and gives it queues. A queue delivers requests, which the driver then *owns*, as
//! values: it completes, forwards or sends a [`Request`], and each of these takes it away. This driver has a total: a write adds its bytes, a read tells it.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use usbwright_host_stack::{
//!     Device, DeviceInit, Driver, Request, Stack, Threads,
//!     status::{HResult, NtStatus},
//! };
//!
//! struct Adder;
//!
//! impl Driver for Adder {
//!     fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
//!         let total = Arc::new(Mutex::new(0_u8));
//!         let (adds, tells) = (Arc::clone(&total), total);
//!         let device = init.create(());
//!         let queue = device.sequential_queue().default_queue();
//!         queue
//!             .on_write(move |_, request, length| {
//!                 let added = add(&request, &mut adds.lock().unwrap());
//!                 request.complete_with_information(told(added), length);
//!             })
//!             .on_read(move |_, request, _| {
//!                 let total = vec![*tells.lock().unwrap()];
//!                 let filled = request.output(1).map(|it| it.fill(total.into()));
//!                 request.complete_with_information(told(filled.map(drop)), 1);
//!             })
//!             .create()?;
//!         Ok(device)
//!     }
//! }
//!
//! fn add(request: &Request, total: &mut u8) -> Result<(), HResult> {
//!     let bytes = request.input(1)?.payload().to_vec();
//!     *total = bytes.iter().fold(*total, |sum, it| sum.wrapping_add(*it));
//!     Ok(())
//! }
//!
//! fn told(result: Result<(), HResult>) -> HResult {
//!     result.err().unwrap_or(HResult::OK)
//! }
//!
//! // An application, in the same process.
//! let stack = Stack::builder().driver("adder", Adder).threads(Threads::None).start()?;
//! let handle = stack.open_and_wait()?;
//! handle.write(&[1, 2, 3][..]).wait().ok()?;
//! assert_eq!(&handle.read(1).wait().ok()?.data[..], [6]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Threads::None`] is for tests: nothing happens but while somebody waits or calls [`Stack::run`], so that a test sees the same thing each time. The crate
//! `usbwright-samples` has longer drivers; its `echo` completes requests later, by a [`Timer`], and has them cancelled meanwhile. The [book](mod@book) goes on from here, chapter by chapter, to the
//! driver of a real board.
//!
//! # How devices live
//!
//! [`DeviceCallbacks`] lists what a driver is told as its device starts, sleeps, wakes, stops and goes, in which order, and what follows where it fails. [`Stack`] has
//! the calls that bring these about; a request for a power-managed queue and the want of work ([`Device::assign_idle`]) do so by themselves.
//!
//! A device that goes is *deleted*: its futures and timers end; then each of its queues goes, the last made first; then the device itself; and the driver last, once the
//! stack is dropped. Of each object first the cleanup callback is called, then its context is dropped, then its other callbacks. That happens once, and at that time,
//! whoever has handles of the object still: so callbacks may hold on to devices and queues in circles, and nothing leaks.
//!
//! Where UMDF is silent, or something is decided here:
//!
//! - A device that sleeps is not woken to be stopped or removed: that goes on with [`release_hardware`](DeviceCallbacks::release_hardware).
//! - A device that can't be armed ([`arm_wake`](DeviceCallbacks::arm_wake)) sleeps nevertheless, unarmed. One that has woken its stack is told so after
//!   [`d0_entry`](DeviceCallbacks::d0_entry), and is then disarmed.
//! - [`surprise_removal`](DeviceCallbacks::surprise_removal) is called at once, for the highest driver first, also while the stack changes its state otherwise.
//! - Where a callback panics, no callback of the stack is called any more, as if its process had been killed; what drivers have made is dropped. What has called
//!   into the stack, and waits, gets [`NtStatus::DRIVER_PROCESS_TERMINATED`](status::NtStatus::DRIVER_PROCESS_TERMINATED).
//! - Files that are open when the device goes are closed by that, also in an orderly removal, which other systems would refuse then: each driver is told in its turn, after
//!   its queues were purged and before [`self_managed_io_cleanup`](DeviceCallbacks::self_managed_io_cleanup). What it has kept of them until then ends with
//!   [`NtStatus::DEVICE_REMOVED`](status::NtStatus::DEVICE_REMOVED).
//! - Where [`d0_entry`](DeviceCallbacks::d0_entry) fails, [`d0_entry_failed`](DeviceCallbacks::d0_entry_failed) undoes what it had begun, and readers that it has left
//!   running are stopped.
//! - A device that is stopped for a while loses its USB targets when it has let go of its hardware: what is outstanding there is taken back.
//! - A device that wakes the system ([`SleepWakeSettings`]) has its own stack resumed; those beside it are up to whoever plays the system.
//! - What panics as it is dropped (a context, a handler, a future) counts as a callback that does.
//! - A stack can be opened as soon as it has started, and no more once it is about to go. An application may have the [`Stack`] itself, or open a device by a name
//!   that its driver has given it: [`DeviceNames`].
//!
//! # What drivers send to
//!
//! Requests go to an [`IoTarget`]: the next driver below ([`Device::default_target`]), a [USB device](usb::UsbTargetDevice) or its pipes, a file, pipe, socket or terminal of the operating
//! system ([`FileTarget`]), or the device of another stack ([`RemoteTarget`]). Whichever it is, a request is formatted for it, sent, timed, taken back and told of in
//! the same way, and the target is stopped, started and closed in the same way.
//!
//! - Where something is wrong with a request for a target, formatting tells so; sending does where the request goes [as it came](Request::format_using_current_type).
//! - A request that a driver has made has a file of the driver's own, as those below may want one; [`Request::set_file`] says on whose behalf it is sent.
//! - Files are opened and closed through a filter though it has stopped its target; nothing else is.
//!
//! # What the types see to
//!
//! Rules of UMDF that can't be broken here, or are not needed:
//!
//! | rule in UMDF | here |
//! |---|---|
//! | a request is completed once (`Complete`) | [`Request::complete`] takes the request |
//! | a request is not used after it was completed, forwarded or sent | each of these takes it |
//! | an asynchronous send of a queue's request has a completion callback | [`Request::send`] returns what is awaited, and [`Request::send_then`] takes the callback |
//! | a request is not sent that is on its way | [`Request::send`] takes it |
//! | `SEND_AND_FORGET` goes with no other flag, and no callback | [`Request::send_and_forget`] takes neither |
//! | a request for the default target has a file | it has always one |
//! | `UnmarkCancelable` comes before completing, and its result counts | a [`Cancelable`] can only be [unmarked](Cancelable::unmark), which returns the request, or not |
//! | the cancel callback and the driver do not both complete a request | one of them has it |
//! | `GetCompletionParams` only after a send that has succeeded and ended | they come with the ended request; before, there are none |
//! | `GetReadParameters` and so on only for requests of that type | [`Parameters`] is an `enum` |
//! | a driver's own request is deleted, not completed | it is dropped; completing it is the same |
//! | memory is released before the request is completed | a [`Memory`] lives as long as anybody has it; what is written to it late may reach the application, and nobody else |
//! | `StopAcknowledge` only within `OnIoStop`, once, and for that request | a [`StopNotice`] is had there only, and answering takes it |
//! | `StopAcknowledge(TRUE)` only for a request that the driver has, unmarked | [`StopNotice::requeue`] takes the request |
//! | each `StopIdle` has its `ResumeIdle` | [`StayAwake`] is dropped |
//! | a manual queue has no handlers for requests, and others no `OnStateChange` | they have builders of their own |
//! | `OnDeviceAdd` makes a device | [`Driver::device_add`] returns it, and [`DeviceInit::create`] can be called once |
//! | settings are made before `CreateDevice` | [`DeviceInit::create`] takes them |
//! | `DeleteWdfObject` not for objects of the framework | there is no such call |
//! | `AcquireLock` and `ReleaseLock` come in pairs, in an order | drivers have locks of their own; no callback runs within a call of the framework |
//! | references are counted, and circles broken in `OnCleanup` | deleting an object drops what the driver has put into it |
//! | one context for each object | [`Device::assign_context`], [`Queue::assign_context`], [`File::assign_context`] return a second one |
//! | a context of a request, memory or target | what a driver keeps with a value of its own, it keeps beside it |
//! | direct access is deferred | a stack whose drivers want otherwise [does not start](IoTypeError) |
//!
//! What they can't see to, the verifier does, which is always on: each broken [`Rule`] is a [`Violation`] that names the driver and the object, in
//! [`Stack::violations`]; in a test, [`OnViolation::Panic`] has it fail.
//!
//! | rule | what becomes of it otherwise |
//! |---|---|
//! | [`LostRequest`](Rule::LostRequest) | the request is completed as failed |
//! | [`Panic`](Rule::Panic) | the stack fails |
//! | [`TooMuchInformation`](Rule::TooMuchInformation) | the count is cut off |
//! | [`QueueBusy`](Rule::QueueBusy) | the second stop, drain or purge is refused |
//! | [`WaitWithin`](Rule::WaitWithin) | the wait is refused |
//! | [`ReaderNotStopped`](Rule::ReaderNotStopped) | the reader is stopped |
//! | [`NotSupported`](Rule::NotSupported) | it counts as any other failure |
//! | [`NotFormatted`](Rule::NotFormatted) | the request is not sent |
//! | [`LeakedRequest`](Rule::LeakedRequest) | the request ends for the application, and what the driver does with it is of no account |

mod application;
pub mod book;
mod buffers;
mod callbacks;
mod context;
mod device;
mod file;
mod ioctl;
mod memory;
mod names;
mod queue;
mod request;
mod scheduler;
mod stack;
pub mod status;
mod target;
mod task;
mod timer;
mod verifier;
mod window;

pub use application::{CancelHandle, Handle, Io, IoOutcome, OpenOptions, Opening};
pub use buffers::{Access, IoType, IoTypeError, Retrieval};
pub use callbacks::{DeviceCallbacks, Driver, PowerState};
pub use device::{Device, DeviceInit, LockingConstraint};
pub use file::File;
pub use ioctl::{Access as AccessRights, ControlCode, Method};
pub use memory::{Memory, MemoryError, MemoryOffset};
pub use names::{DeviceNames, Guid, NoGuid, OpenError};
pub use queue::{
    Dispatch, ManualQueueBuilder, Queue, QueueBuilder, QueueState, StopAction, StopNotice,
};
pub use request::{
    CancelStarted, Cancelable, CompletionCallback, Control, CreateParameters, IoControl,
    IoRequestCompletionParams, IoTransfer, OnCancel, Parameters, Request, RequestCompletionParams,
    RequestId, RequestType, SendError, SendOptions, Sent, Timeout, Transfer, UsbRequest,
    UsbRequestCompletionParams,
};
pub use scheduler::Threads;
pub use stack::{
    CallbackError, ChangeError, IdleSettings, PnpState, SleepWakeSettings, Stack, StackBuilder,
    StartError, StayAwake,
};
pub use target::{
    FileKind, FileTarget, FileTargetError, IoTarget, RemoteTarget, RemoteTargetCallbacks,
    SentIoAction, TargetState, usb,
};
pub use timer::{Sleep, Timer};
pub use usbwright_target as usb_target;
pub use verifier::{OnViolation, Rule, Violation};
pub use window::Window;
