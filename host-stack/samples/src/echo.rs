//! The echo driver: it has no hardware, and what was written last is what is read.
//!
//! It shows what a driver does with requests that take their time: each is kept for a tenth of a second, and may be cancelled meanwhile. Its queue is sequential, so that it
//! has one request at a time; and power-managed, so that it has to say what becomes of that when its device sleeps or goes.
//!
//! | what an application does | what it gets |
//! |---|---|
//! | write up to [`MAX_WRITE`] bytes | all of them are kept, after [`DELAY`] |
//! | write more | `ERROR_MORE_DATA` at once; what was kept stays |
//! | write or read no bytes | success at once; the driver never hears of it |
//! | read before anything was written | `ERROR_INVALID_PARAMETER` at once |
//! | read | as much of what is kept as there is room for, after [`DELAY`] |
//! | send a control code | success at once |
//! | ask for [`STANDARD_INFORMATION`] | how much is kept is where the file ends, at once |
//! | set [`END_OF_FILE_INFORMATION`] | what is kept is cut to that length; `ERROR_INVALID_PARAMETER` where that is longer |
//! | ask for, or set, other information | `ERROR_INVALID_FUNCTION` |

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use usbwright_host_stack::{
    Cancelable, Device, DeviceInit, Driver, Parameters, Queue, Request, StopAction, StopNotice,
    Timer,
    status::{HResult, NtStatus, Win32Error},
};

/// The device's interface, by which applications find it: `{CDC35B6E-0BE4-4936-BF5F-5537380A7C1A}`.
#[doc(alias = "GUID_DEVINTERFACE_ECHO")]
pub const INTERFACE: u128 = 0xCDC3_5B6E_0BE4_4936_BF5F_5537_380A_7C1A;

/// The most that can be written at once, in bytes.
#[doc(alias = "MAX_WRITE_LENGTH")]
pub const MAX_WRITE: usize = 40 * 1024;

/// How long a request takes.
#[doc(alias = "TIMER_PERIOD")]
pub const DELAY: Duration = Duration::from_millis(100);

/// A class of information about a file, of 24 bytes: its allocation, its end, the number of its links, and two flags.
#[doc(alias = "FileStandardInformation")]
pub const STANDARD_INFORMATION: u32 = 5;

/// A class of information about a file: where it ends, in 8 bytes.
#[doc(alias = "FileEndOfFileInformation")]
pub const END_OF_FILE_INFORMATION: u32 = 20;

/// The driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoDriver;

impl Driver for EchoDriver {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(());
        let echo = Arc::new(Echo::default());
        let [reads, writes, others, stops] = [(); 4].map(|()| Arc::clone(&echo));
        device
            .sequential_queue()
            .default_queue()
            .on_read(move |queue, request, length| reads.read(queue, request, length))
            .on_write(move |queue, request, length| writes.write(queue, request, length))
            .on_device_control(|_, request, _| request.complete(HResult::OK))
            .on_default(move |_, request| others.information(request))
            .on_stop(move |_, notice| stops.stop(notice))
            .create()?;
        Ok(device)
    }
}

/// What the driver knows of its device.
#[derive(Default)]
struct Echo(Mutex<State>);

#[derive(Default)]
struct State {
    /// What was written last.
    kept: Option<Bytes>,
    pending: Option<Pending>,
}

/// A request that takes its time.
struct Pending {
    request: Cancelable,
    /// The bytes that it has moved.
    moved: usize,
    _timer: Timer,
}

impl Echo {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(self: &Arc<Self>, queue: &Queue, request: Request, length: usize) {
        if length > MAX_WRITE {
            return request.complete_with_information(Win32Error::MORE_DATA, 0);
        }
        match request.input(length) {
            Ok(input) => {
                self.state().kept = Some(input.payload().into_bytes());
                self.finish_later(queue, request, length);
            }
            Err(status) => request.complete_with_information(status, 0),
        }
    }

    fn read(self: &Arc<Self>, queue: &Queue, request: Request, length: usize) {
        let Some(kept) = self.state().kept.clone() else {
            return request.complete_with_information(Win32Error::INVALID_PARAMETER, 0);
        };
        let moved = length.min(kept.len());
        let output = request.output(length);
        let filled = output.and_then(|it| {
            let fits = kept.slice(..moved).into();
            it.fill(fits).map_err(|error| error.status().into())
        });
        match filled {
            Ok(()) => self.finish_later(queue, request, moved),
            Err(status) => request.complete_with_information(status, 0),
        }
    }

    fn information(&self, request: Request) {
        let done = match request.parameters() {
            Parameters::QueryInformation {
                class: STANDARD_INFORMATION,
                ..
            } => self.tell(&request),
            Parameters::SetInformation {
                class: END_OF_FILE_INFORMATION,
                ..
            } => self.cut(&request),
            _ => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
        };
        match done {
            Ok(moved) => request.complete_with_information(HResult::OK, moved),
            Err(status) => request.complete_with_information(status, 0),
        }
    }

    fn tell(&self, request: &Request) -> Result<usize, HResult> {
        let kept = self.state().kept.as_ref().map_or(0, Bytes::len) as u64;
        let (links, flags) = (1_u32, [0; 4]);
        let told = [
            &(MAX_WRITE as u64).to_le_bytes()[..],
            &kept.to_le_bytes(),
            &links.to_le_bytes(),
            &flags,
        ];
        let told = Bytes::from(told.concat());
        let length = told.len();
        let output = request.output(length)?;
        output.fill(told.into()).map_err(|error| error.status())?;
        Ok(length)
    }

    fn cut(&self, request: &Request) -> Result<usize, HResult> {
        let input = request.input(8)?.payload().into_bytes();
        let end = input.first_chunk().copied().map(u64::from_le_bytes);
        let end = end.and_then(|it| usize::try_from(it).ok());
        let mut state = self.state();
        let kept = state.kept.as_mut();
        match kept.zip(end).filter(|(kept, end)| *end <= kept.len()) {
            Some((kept, end)) => {
                kept.truncate(end);
                Ok(0)
            }
            None => Err(Win32Error::INVALID_PARAMETER.into()),
        }
    }

    /// Completes a request after the delay, unless it is cancelled before.
    fn finish_later(self: &Arc<Self>, queue: &Queue, request: Request, moved: usize) {
        let [finishes, cancels] = [(); 2].map(|()| Arc::clone(self));
        let mut state = self.state();
        let on_cancel = move |request: Request| {
            cancels.forget();
            request.complete_with_information(Win32Error::OPERATION_ABORTED, 0);
        };
        state.pending = Some(Pending {
            request: request.mark_cancelable(Arc::new(on_cancel)),
            moved,
            _timer: queue
                .device()
                .after(DELAY, move |_| finishes.finish(NtStatus::SUCCESS)),
        });
    }

    fn forget(&self) {
        let pending = self.state().pending.take();
        drop(pending);
    }

    /// Completes the request, if it is not being cancelled: then the cancel callback does.
    fn finish(&self, status: NtStatus) {
        let pending = self.state().pending.take();
        let Some(Pending { request, moved, .. }) = pending else {
            return;
        };
        if let Ok(request) = request.unmark() {
            request.complete_with_information(status, moved);
        }
    }

    /// The device sleeps, which does not keep a driver without hardware from finishing; or it goes, and takes nothing with it.
    fn stop(&self, notice: StopNotice) {
        match notice.action() {
            StopAction::Suspend => notice.acknowledge(),
            StopAction::Purge => self.finish(NtStatus::CANCELLED),
        }
    }
}
