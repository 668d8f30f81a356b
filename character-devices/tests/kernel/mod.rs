//! A kernel, as far as a character device sees it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    os::fd::OwnedFd,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read, write},
    net::{RecvFlags, recv},
};
use usbwright_character_devices::{CharacterDevice, StartError};
use zerocopy::IntoBytes as _;

use super::support::{PATIENCE, Setup, channel_pair, name};

pub(crate) mod opcode {
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const IOCTL: u32 = 39;
    pub(crate) const POLL: u32 = 40;
    pub(crate) const CUSE_INIT: u32 = 4096;
}

pub(crate) mod event {
    pub(crate) const IN: u32 = 1;
    pub(crate) const OUT: u32 = 4;
}

/// An answer: what follows its header, or the error.
type Answer = Result<Vec<u8>, Errno>;

/// How an ioctl has ended.
pub(crate) struct Controlled {
    pub(crate) result: i32,
    pub(crate) flags: u32,
    pub(crate) spans: (u32, u32),
    pub(crate) data: Vec<u8>,
}

pub(crate) struct Kernel {
    channel: OwnedFd,
    device: Option<CharacterDevice>,
    last: Cell<u64>,
    answers: RefCell<HashMap<u64, Answer>>,
    told: RefCell<Vec<u64>>,
    init: Vec<u8>,
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

impl Kernel {
    /// With a device that is there.
    pub(crate) fn of(setup: &Setup) -> Self {
        Self::begin(setup, |kernel| kernel.init(7, 41, 1)).unwrap()
    }

    /// Begins as it is told: with the message that this returns the number of.
    pub(crate) fn begin(
        setup: &Setup,
        first: impl FnOnce(&Self) -> u64,
    ) -> Result<Self, StartError> {
        let (channel, its) = channel_pair();
        let mut kernel = Self {
            channel,
            device: None,
            last: Cell::new(0),
            answers: RefCell::default(),
            told: RefCell::default(),
            init: Vec::new(),
        };
        let first = first(&kernel);
        kernel.device = Some(CharacterDevice::over(its, &name(), setup.options())?);
        kernel.init = kernel.answer(first).unwrap();
        Ok(kernel)
    }

    pub(crate) fn init(&self, major: u32, minor: u32, flags: u32) -> u64 {
        let init = [major, minor, 0, flags];
        self.send(opcode::CUSE_INIT, init.as_bytes())
    }

    /// What the device calls itself.
    pub(crate) fn device(&self) -> &str {
        std::str::from_utf8(&self.init[72..]).unwrap()
    }

    pub(crate) fn path(&self) -> &str {
        self.device.as_ref().unwrap().path().to_str().unwrap()
    }

    pub(crate) fn end_device(&mut self) {
        self.device = None;
    }

    /// Whether the device has ended the channel, and there is nothing in it any more.
    pub(crate) fn is_closed(&self) -> bool {
        let mut buffer = [0; 16];
        let received = recv(&self.channel, &mut buffer[..], RecvFlags::DONTWAIT);
        matches!(received, Ok((_, 0)) | Err(Errno::CONNRESET))
    }

    /// Sends a message: its number.
    pub(crate) fn send(&self, opcode: u32, body: &[u8]) -> u64 {
        let unique = self.last.get() + 2;
        self.last.set(unique);
        self.send_as(unique, opcode, body);
        unique
    }

    fn send_as(&self, unique: u64, opcode: u32, body: &[u8]) {
        let length = u32::try_from(40 + body.len()).unwrap();
        let message = [
            [length, opcode].as_bytes(),
            unique.as_bytes(),
            &[0; 24],
            body,
        ]
        .concat();
        write(&self.channel, &message).unwrap();
    }

    fn receive(&self) {
        let mut watched = [PollFd::new(&self.channel, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut watched, Some(&patience)), Ok(1), "no answer");
        let mut buffer = vec![0; 256 * 1024];
        let length = read(&self.channel, &mut buffer[..]).unwrap();
        buffer.truncate(length);
        assert_eq!(number(&buffer, 0) as usize, length);
        let (error, unique) = (number(&buffer, 4).cast_signed(), long(&buffer, 8));
        let rest = buffer.split_off(16);
        if unique == 0 {
            assert_eq!(error, 1, "of notifications there is only that for a poll");
            self.told.borrow_mut().push(long(&rest, 0));
            return;
        }
        let answer = match error {
            0 => Ok(rest),
            error => Err(Errno::from_raw_os_error(-error)),
        };
        let before = self.answers.borrow_mut().insert(unique, answer);
        assert!(before.is_none(), "{unique} is answered twice");
    }

    /// How a message was answered.
    pub(crate) fn answer(&self, unique: u64) -> Answer {
        loop {
            if let Some(answer) = self.answers.borrow_mut().remove(&unique) {
                return answer;
            }
            self.receive();
        }
    }

    pub(crate) fn call(&self, opcode: u32, body: &[u8]) -> Answer {
        self.answer(self.send(opcode, body))
    }

    pub(crate) fn open(&self, flags: u32) -> Result<u64, Errno> {
        let opened = self.call(opcode::OPEN, [flags, 0].as_bytes())?;
        Ok(long(&opened, 0))
    }

    pub(crate) fn release(&self, file: u64) {
        let released = self.call(opcode::RELEASE, [file, 0, 0].as_bytes());
        assert_eq!(released, Ok(Vec::new()));
    }

    fn transfer(file: u64, length: usize, flags: u32) -> Vec<u8> {
        let size = u32::try_from(length).unwrap();
        [
            [file, 0].as_bytes(),
            [size, 0].as_bytes(),
            &[0; 8],
            [flags, 0].as_bytes(),
        ]
        .concat()
    }

    pub(crate) fn read(&self, file: u64, length: usize) -> Answer {
        self.read_with(file, length, 0)
    }

    pub(crate) fn read_with(&self, file: u64, length: usize, flags: u32) -> Answer {
        self.call(opcode::READ, &Self::transfer(file, length, flags))
    }

    pub(crate) fn write(&self, file: u64, data: &[u8]) -> Result<u32, Errno> {
        let body = [&Self::transfer(file, data.len(), 0), data].concat();
        Ok(number(&self.call(opcode::WRITE, &body)?, 0))
    }

    pub(crate) fn begin_ioctl(
        &self,
        file: u64,
        command: u32,
        argument: u64,
        input: &[u8],
        room: u32,
    ) -> u64 {
        let length = u32::try_from(input.len()).unwrap();
        let body = [
            file.as_bytes(),
            [0, command].as_bytes(),
            argument.as_bytes(),
            [length, room].as_bytes(),
            input,
        ]
        .concat();
        self.send(opcode::IOCTL, &body)
    }

    pub(crate) fn controlled(&self, unique: u64) -> Controlled {
        let answer = self.answer(unique).unwrap();
        Controlled {
            result: number(&answer, 0).cast_signed(),
            flags: number(&answer, 4),
            spans: (number(&answer, 8), number(&answer, 12)),
            data: answer[16..].to_vec(),
        }
    }

    pub(crate) fn ioctl(
        &self,
        file: u64,
        command: u32,
        argument: u64,
        input: &[u8],
        room: u32,
    ) -> Controlled {
        self.controlled(self.begin_ioctl(file, command, argument, input, room))
    }

    /// Asks for events, and to be told of them later by this handle.
    pub(crate) fn poll(&self, file: u64, handle: u64, events: u32) -> u32 {
        let body = [[file, handle].as_bytes(), [1, events].as_bytes()].concat();
        number(&self.call(opcode::POLL, &body).unwrap(), 0)
    }

    /// The next handle that it is told to look at.
    pub(crate) fn told(&self) -> u64 {
        loop {
            if let Some(handle) = self.told.borrow_mut().pop() {
                return handle;
            }
            self.receive();
        }
    }

    pub(crate) fn interrupt(&self, of: u64) {
        self.send_as(of | 1, opcode::INTERRUPT, of.as_bytes());
    }
}
