//! An open file of a character device: what a program does with it is done with a device of the application library.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
};

use bytes::Bytes;
use rustix::io::Errno;
use tokio::{select, sync::Notify};
use usbwright_reflector::{
    IoOutcome,
    application::{Device, Io},
    status::Win32Error,
};

use crate::{
    ahead::{self, Ahead, Came, Taken},
    errno::errno,
    ioctl::{Asked, Control},
    wire::{Poll, Reply, event},
};

/// A file that a program has open.
pub(crate) struct OpenFile {
    device: Device,
    ahead: RefCell<Ahead>,
    /// Somebody waits for what is read ahead.
    came: Notify,
    /// Whom the kernel is to tell of it.
    polled: Cell<Option<u64>>,
}

/// What becomes of a request: its end, and whether whoever waits has had a signal before.
struct Ended {
    outcome: IoOutcome,
    interrupted: bool,
}

impl Ended {
    /// Waits for a request, and takes it back on a signal; it ends in its time all the same.
    async fn wait(mut io: Io, signal: &Notify) -> Self {
        let ended = select! {
            biased;
            outcome = &mut io => Some(outcome),
            () = signal.notified() => None,
        };
        match ended {
            Some(outcome) => Self {
                outcome,
                interrupted: false,
            },
            None => {
                io.cancel();
                Self {
                    outcome: io.await,
                    interrupted: true,
                }
            }
        }
    }

    /// What a system call says that was interrupted, where that has come of it.
    fn interruption(&self) -> Option<Errno> {
        let taken_back = [Win32Error::OPERATION_ABORTED, Win32Error::CANCELLED];
        (self.interrupted && taken_back.contains(&self.outcome.error())).then_some(Errno::INTR)
    }

    fn errno(&self) -> Option<Errno> {
        self.interruption().or_else(|| errno(self.outcome.error()))
    }

    /// What a read brings: an end of the file is no error, nor is it that there would have been more.
    fn came(self) -> Came {
        match self.outcome.error() {
            Win32Error::HANDLE_EOF => Ok(Bytes::new()),
            Win32Error::MORE_DATA if !self.outcome.data.is_empty() => Ok(self.outcome.data),
            _ => match self.errno() {
                Some(error) => Err(error),
                None => Ok(self.outcome.data),
            },
        }
    }
}

impl OpenFile {
    pub(crate) fn new(device: Device) -> Rc<Self> {
        Rc::new(Self {
            device,
            ahead: RefCell::default(),
            came: Notify::new(),
            polled: Cell::default(),
        })
    }

    /// Reads. What was read ahead comes first; who does not want to wait gets nothing else. The request has begun when this returns.
    pub(crate) fn read(
        self: &Rc<Self>,
        unique: u64,
        (length, offset): (usize, u64),
        waits: bool,
        signal: Rc<Notify>,
    ) -> impl Future<Output = Reply> + use<> {
        let file = Rc::clone(self);
        let taken = self.ahead.borrow_mut().take(length);
        let io = (taken == Taken::Nothing && waits).then(|| self.device.read_at(length, offset));
        async move {
            let came = match (taken, io) {
                (_, Some(io)) => Ended::wait(io, &signal).await.came(),
                (Taken::Now(came), _) => came,
                _ if waits => file.wait_for_ahead(length, offset, &signal).await,
                _ => Err(Errno::AGAIN),
            };
            match came {
                Ok(mut data) => {
                    data.truncate(length);
                    Reply::data(unique, data)
                }
                Err(error) => Reply::error(unique, error),
            }
        }
    }

    /// Waits for what is read ahead, which another one may take first.
    async fn wait_for_ahead(&self, length: usize, offset: u64, signal: &Notify) -> Came {
        loop {
            let came = self.came.notified();
            let taken = self.ahead.borrow_mut().take(length);
            match taken {
                Taken::Now(came) => return came,
                Taken::Nothing => {
                    let io = self.device.read_at(length, offset);
                    return Ended::wait(io, signal).await.came();
                }
                Taken::Later => {}
            }
            select! {
                biased;
                () = came => {}
                () = signal.notified() => return Err(Errno::INTR),
            }
        }
    }

    /// Whether nothing is read ahead, nor has come so.
    pub(crate) fn begins_ahead(&self) -> bool {
        matches!(*self.ahead.borrow(), Ahead::None)
    }

    /// Reads ahead; it ends with whom the kernel is to tell that something has come. Nothing is to be read ahead already.
    pub(crate) fn read_ahead(self: &Rc<Self>) -> impl Future<Output = Option<u64>> + use<> {
        let file = Rc::clone(self);
        *self.ahead.borrow_mut() = Ahead::UnderWay;
        let io = self.device.read(ahead::LENGTH);
        async move {
            let ended = Ended {
                outcome: io.await,
                interrupted: false,
            };
            *file.ahead.borrow_mut() = Ahead::Come(ended.came());
            file.came.notify_waiters();
            file.polled.take()
        }
    }

    /// What can be done without waiting: to write always, and to read once something was read ahead.
    pub(crate) fn poll(&self, poll: &Poll) -> u32 {
        let readable = match &*self.ahead.borrow() {
            Ahead::None | Ahead::UnderWay => 0,
            Ahead::Come(Ok(_)) => event::READ,
            Ahead::Come(Err(_)) => event::READ | event::ERR,
        };
        if poll.notify {
            self.polled.set(Some(poll.handle));
        }
        (readable | event::WRITE) & (poll.events | event::ERR)
    }

    /// Writes. The request has begun when this returns.
    pub(crate) fn write(
        &self,
        unique: u64,
        (data, offset): (Bytes, u64),
        signal: Rc<Notify>,
    ) -> impl Future<Output = Reply> + use<> {
        let length = data.len();
        let io = self.device.write_at(data, offset);
        async move {
            let ended = Ended::wait(io, &signal).await;
            match ended.errno() {
                Some(error) => Reply::error(unique, error),
                None => {
                    let written = ended.outcome.information.min(length);
                    Reply::written(unique, u32::try_from(written).unwrap_or(u32::MAX))
                }
            }
        }
    }

    /// Sends a control code, or asks for information or sets it. The request has begun when this returns.
    pub(crate) fn control(
        &self,
        unique: u64,
        control: Control,
        signal: Rc<Notify>,
    ) -> impl Future<Output = Reply> + use<> {
        let input = control.input.clone();
        let io = match control.asked {
            Asked::Code(code) => self.device.control(code, input, control.output),
            Asked::Query(class) => self.device.query_information(class, control.output),
            Asked::Set(class) => self.device.set_information(class, input),
        };
        async move {
            let ended = Ended::wait(io, &signal).await;
            let (result, data) = control.answer(&ended.outcome, ended.interruption());
            Reply::controlled(unique, result, data)
        }
    }

    /// Has written what is buffered: this is then the answer. The request has begun when this returns.
    pub(crate) fn flush(
        &self,
        unique: u64,
        done: Reply,
        signal: Rc<Notify>,
    ) -> impl Future<Output = Reply> + use<> {
        let io = self.device.flush();
        async move {
            match Ended::wait(io, &signal).await.errno() {
                Some(error) => Reply::error(unique, error),
                None => done,
            }
        }
    }

    /// Closes it: what is outstanding is cancelled, and the drivers are told. It stays connected until they have been.
    pub(crate) async fn close(self: Rc<Self>, unique: u64) -> Reply {
        // However it ends, there is nobody who could do anything about it.
        let _ = self.device.close().await;
        Reply::done(unique)
    }
}
