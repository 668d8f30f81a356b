//! What a kernel asks for, done: a task for each request, all of them on one thread.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    io,
    os::fd::OwnedFd,
    rc::Rc,
};

use bytes::Bytes;
use rustix::io::{Errno, read};
use tokio::{
    io::unix::AsyncFd,
    select,
    sync::{Notify, oneshot},
    task::{spawn_blocking, spawn_local},
};
use tracing::warn;
use usbwright_reflector::application::{Device, OpenOptions};

use crate::{
    channel::send,
    errno::errno,
    file::OpenFile,
    ioctl::Step,
    registered::register,
    wire::{BadMessage, Body, Ioctl, MESSAGE_SIZE, Message, Poll, Read, Reply},
};

/// What a device's thread has.
pub(crate) struct Service {
    channel: AsyncFd<OwnedFd>,
    options: OpenOptions,
    files: RefCell<HashMap<u64, Rc<OpenFile>>>,
    last_file: Cell<u64>,
    /// What was asked for and not answered, with what tells of a signal.
    outstanding: RefCell<HashMap<u64, Rc<Notify>>>,
}

impl Service {
    /// Takes over a channel on which a device was made. Within a runtime.
    pub(crate) fn new(channel: OwnedFd, options: OpenOptions) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            channel: register(channel)?,
            options,
            files: RefCell::default(),
            last_file: Cell::default(),
            outstanding: RefCell::default(),
        }))
    }

    /// Answers until it is told to end, or the kernel ends it. Within a local set.
    pub(crate) async fn run(self: Rc<Self>, stop: oneshot::Receiver<()>) -> io::Result<()> {
        let ended = select! {
            biased;
            _ = stop => Ok(()),
            ended = self.answer_all() => ended,
        };
        let outstanding = std::mem::take(&mut *self.outstanding.borrow_mut());
        for unique in outstanding.into_keys() {
            let _ = send(&self.channel, &Reply::error(unique, Errno::NODEV));
        }
        ended
    }

    async fn answer_all(self: &Rc<Self>) -> io::Result<()> {
        let mut buffer = vec![0; MESSAGE_SIZE];
        loop {
            let mut ready = self.channel.readable().await?;
            let length = match read(&self.channel, &mut buffer[..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                // A request that was taken back as it was read.
                Err(Errno::INTR | Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            match Message::decode(&buffer[..length]) {
                Ok(message) => self.take(message),
                Err(error @ BadMessage::Short { unique, .. }) => {
                    warn!("the kernel sent {error}");
                    self.reply(&Reply::error(unique, Errno::IO));
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn reply(&self, reply: &Reply) {
        self.delivers(reply);
    }

    /// Answers; whether that was still wanted.
    fn delivers(&self, reply: &Reply) -> bool {
        match send(&self.channel, reply) {
            Ok(()) => true,
            Err(Errno::NOENT) => false,
            Err(error) => {
                warn!("the kernel does not take an answer: {error}");
                false
            }
        }
    }

    /// An open file; of one that is none, the request fails.
    fn file(&self, unique: u64, number: u64) -> Option<Rc<OpenFile>> {
        let file = self.files.borrow().get(&number).cloned();
        if file.is_none() {
            self.reply(&Reply::error(unique, Errno::BADF));
        }
        file
    }

    /// Notes a request, until it is answered: what tells of a signal.
    fn note(&self, unique: u64) -> Rc<Notify> {
        let signal = Rc::new(Notify::new());
        let mut outstanding = self.outstanding.borrow_mut();
        outstanding.insert(unique, Rc::clone(&signal));
        signal
    }

    /// Answers a request once there is an answer.
    fn answer_later(self: &Rc<Self>, unique: u64, answer: impl Future<Output = Reply> + 'static) {
        let service = Rc::clone(self);
        spawn_local(async move {
            let reply = answer.await;
            service.outstanding.borrow_mut().remove(&unique);
            service.reply(&reply);
        });
    }

    fn take(self: &Rc<Self>, message: Message) {
        let Message { unique, body } = message;
        match body {
            Body::Open { flags } => self.open(unique, flags),
            Body::Read(read) => self.read(unique, &read),
            Body::Write { file, offset, data } => {
                if let Some(file) = self.file(unique, file) {
                    let written = file.write(unique, (data, offset), self.note(unique));
                    self.answer_later(unique, written);
                }
            }
            Body::Ioctl(ioctl) => self.ioctl(unique, &ioctl),
            Body::Poll(poll) => self.poll(unique, &poll),
            Body::Fsync { file } => {
                if let Some(file) = self.file(unique, file) {
                    let flushed = file.flush(unique, Reply::done(unique), self.note(unique));
                    self.answer_later(unique, flushed);
                }
            }
            Body::Flush => self.reply(&Reply::done(unique)),
            Body::Release { file: number } => {
                if let Some(file) = self.file(unique, number) {
                    self.files.borrow_mut().remove(&number);
                    self.note(unique);
                    self.answer_later(unique, file.close(unique));
                }
            }
            Body::Interrupt { of } => {
                if let Some(signal) = self.outstanding.borrow().get(&of) {
                    signal.notify_one();
                }
            }
            Body::Init { .. } | Body::Unknown => self.reply(&Reply::error(unique, Errno::NOSYS)),
        }
    }

    fn read(self: &Rc<Self>, unique: u64, read: &Read) {
        const NONBLOCK: u32 = 0o4000;
        let Some(file) = self.file(unique, read.file) else {
            return;
        };
        let waits = read.flags & NONBLOCK == 0;
        if !waits && file.begins_ahead() {
            self.read_ahead(&file);
        }
        let part = (read.length as usize, read.offset);
        let came = file.read(unique, part, waits, self.note(unique));
        self.answer_later(unique, came);
    }

    fn ioctl(self: &Rc<Self>, unique: u64, ioctl: &Ioctl) {
        let Some(file) = self.file(unique, ioctl.file) else {
            return;
        };
        match Step::of(ioctl) {
            Step::Again { input, output } => self.reply(&Reply::again(unique, &input, &output)),
            Step::Refused(error) => self.reply(&Reply::error(unique, error)),
            Step::Flush => {
                let done = Reply::controlled(unique, 0, Bytes::new());
                let flushed = file.flush(unique, done, self.note(unique));
                self.answer_later(unique, flushed);
            }
            Step::Control(control) => {
                let controlled = file.control(unique, control, self.note(unique));
                self.answer_later(unique, controlled);
            }
        }
    }

    fn poll(self: &Rc<Self>, unique: u64, poll: &Poll) {
        let Some(file) = self.file(unique, poll.file) else {
            return;
        };
        self.reply(&Reply::polled(unique, file.poll(poll)));
        if poll.wants_to_read() && file.begins_ahead() {
            self.read_ahead(&file);
        }
    }

    fn read_ahead(self: &Rc<Self>, file: &Rc<OpenFile>) {
        let service = Rc::clone(self);
        let came = file.read_ahead();
        spawn_local(async move {
            if let Some(handle) = came.await {
                // A file that was closed meanwhile is not known any more.
                let _ = send(&service.channel, &Reply::look_again(handle));
            }
        });
    }

    fn open(self: &Rc<Self>, unique: u64, flags: u32) {
        let service = Rc::clone(self);
        let signal = self.note(unique);
        spawn_local(async move {
            let opened = select! {
                biased;
                opened = open(service.options.clone(), flags) => opened,
                () = signal.notified() => Err(Errno::INTR),
            };
            service.outstanding.borrow_mut().remove(&unique);
            let device = match opened {
                Ok(device) => device,
                Err(error) => return service.reply(&Reply::error(unique, error)),
            };
            let number = service.last_file.get() + 1;
            service.last_file.set(number);
            if service.delivers(&Reply::opened(unique, number)) {
                let file = OpenFile::new(device);
                service.files.borrow_mut().insert(number, file);
            }
        });
    }
}

/// Opens a device as a program's flags say.
async fn open(options: OpenOptions, flags: u32) -> Result<Device, Errno> {
    let options = options.access(access(flags));
    // It may wait for a reflector that is too busy.
    let begun = spawn_blocking(move || options.begin()).await;
    let opening = begun.map_err(|_| Errno::IO)?;
    let opened = match opening {
        Ok(opening) => opening.await,
        Err(error) => Err(error),
    };
    opened.map_err(|error| errno(error.error()).unwrap_or(Errno::IO))
}

/// What flags of `open(2)` want, as an `ACCESS_MASK`.
fn access(flags: u32) -> u32 {
    const MODE: u32 = 3;
    const WRITE_ONLY: u32 = 1;
    const READ_WRITE: u32 = 2;
    const GENERIC_READ: u32 = 0x8000_0000;
    const GENERIC_WRITE: u32 = 0x4000_0000;
    match flags & MODE {
        WRITE_ONLY => GENERIC_WRITE,
        READ_WRITE => GENERIC_READ | GENERIC_WRITE,
        _ => GENERIC_READ,
    }
}
