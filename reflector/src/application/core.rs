//! An application's end of its connection, as a state machine without I/O.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    os::fd::OwnedFd,
    sync::Arc,
    task::Waker,
    time::Instant,
};

use bytes::Bytes;
use usbwright_host_stack::{
    IoOutcome,
    status::{NtStatus, Severity},
};
use usbwright_ports::{Violation, parts::Slots};

use super::blocks::{Block, Blocks};
use crate::wire::{Header, Packet, kind};

/// The application's end.
#[derive(Debug)]
pub(crate) struct ApplicationCore {
    welcomed: bool,
    /// Why there is nothing open any more.
    gone: Option<NtStatus>,
    /// What a refusal says.
    refusal: Option<String>,
    /// The application has closed it.
    closed: bool,
    slots: Slots<IoOutcome>,
    /// Requests that the reflector has not replied to, or was not sent.
    pending: HashMap<u64, Pending>,
    deadlines: BTreeSet<(Instant, u64)>,
    outbox: VecDeque<Packet>,
    cancels: VecDeque<u64>,
    /// The cancel channel, as it came.
    channel: Option<Arc<OwnedFd>>,
    blocks: Blocks,
    woken: Vec<Waker>,
}

/// A request under way.
#[derive(Debug)]
struct Pending {
    deadline: Option<Instant>,
    cancelled: bool,
    /// The most that its reply may bring with it.
    room: usize,
    block: Option<Block>,
}

/// A request to be made.
#[derive(Debug)]
pub(crate) struct Request {
    /// What it asks for, but for its number.
    pub(crate) header: Header,
    /// What it gives.
    pub(crate) input: Bytes,
    /// Room for what it brings, where that is no buffer of the application's own.
    pub(crate) output: usize,
    /// When it ends by itself.
    pub(crate) deadline: Option<Instant>,
    /// It can't be made.
    pub(crate) refused: Option<NtStatus>,
}

impl ApplicationCore {
    pub(crate) fn new() -> Self {
        Self {
            welcomed: false,
            gone: None,
            refusal: None,
            closed: false,
            slots: Slots::new(),
            pending: HashMap::new(),
            deadlines: BTreeSet::new(),
            outbox: VecDeque::from([Header::hello().into()]),
            cancels: VecDeque::new(),
            channel: None,
            blocks: Blocks::default(),
            woken: Vec::new(),
        }
    }

    /// Begins a request: its number.
    pub(crate) fn begin(&mut self, request: Request) -> u64 {
        let Request {
            mut header,
            input,
            output,
            deadline,
            refused,
        } = request;
        let refused = refused.or_else(|| self.present_end());
        let taken = match refused {
            None => self.take_block(&mut header, &input, output),
            Some(status) => Err(status),
        };
        let number = self.slots.begin();
        let block = match taken {
            Ok(block) => block,
            Err(status) => {
                self.finish(number, ended(status));
                return number;
            }
        };
        header.request = number.into();
        let pending = Pending {
            deadline,
            cancelled: false,
            room: match header.output.is_inline() {
                true => output,
                false => 0,
            },
            block,
        };
        self.deadlines.extend(deadline.map(|it| (it, number)));
        self.pending.insert(number, pending);
        let payload = match header.input.is_inline() {
            true => input,
            false => Bytes::new(),
        };
        self.outbox.push_back(Packet {
            payload,
            ..header.into()
        });
        number
    }

    /// Takes shared memory for what is too long for a packet.
    fn take_block(
        &mut self,
        header: &mut Header,
        input: &Bytes,
        output: usize,
    ) -> Result<Option<Block>, NtStatus> {
        let Some(wanted) = super::blocks::wanted(input.len(), output) else {
            super::blocks::inline(header, input.len(), output);
            return Ok(None);
        };
        let (mut block, descriptor) = self.blocks.take(wanted)?;
        if let Some(descriptor) = descriptor {
            self.register(block.number(), block.len(), descriptor);
        }
        block.lay_out(header, input, output);
        Ok(Some(block))
    }

    /// Tells the reflector of a region of shared memory.
    fn register(&mut self, number: u32, length: usize, descriptor: OwnedFd) {
        let mut header = Header::new(kind::REGION);
        header.position = (length as u64).into();
        header.output.region = number.into();
        self.push_unwaited(header, Some(Arc::new(descriptor)));
    }

    /// Tells it of one of the application's own: its number.
    pub(crate) fn add_region(&mut self, length: usize, descriptor: OwnedFd) -> u32 {
        let number = self.blocks.number();
        self.register(number, length, descriptor);
        number
    }

    /// Tells it that a region is not needed any more.
    pub(crate) fn remove_region(&mut self, number: u32) {
        let mut header = Header::new(kind::RELEASE);
        header.output.region = number.into();
        self.push_unwaited(header, None);
    }

    /// A request of which nobody wants to know how it ends.
    fn push_unwaited(&mut self, mut header: Header, descriptor: Option<Arc<OwnedFd>>) {
        if self.present_end().is_some() {
            return;
        }
        let number = self.slots.begin();
        self.slots.abandon(number);
        header.request = number.into();
        let pending = Pending {
            deadline: None,
            cancelled: true,
            room: 0,
            block: None,
        };
        self.pending.insert(number, pending);
        self.outbox.push_back(Packet {
            descriptor,
            ..header.into()
        });
    }

    fn finish(&mut self, number: u64, outcome: IoOutcome) {
        self.slots.finish(number, outcome, &mut self.woken);
    }

    /// Says when a request ends by itself, if it has not ended yet.
    pub(crate) fn set_deadline(&mut self, number: u64, deadline: Instant) {
        let Some(pending) = self.pending.get_mut(&number) else {
            return;
        };
        if let Some(before) = pending.deadline.replace(deadline) {
            self.deadlines.remove(&(before, number));
        }
        self.deadlines.insert((deadline, number));
    }

    /// How a request has ended, once.
    pub(crate) fn take(&mut self, number: u64) -> Option<IoOutcome> {
        self.slots.take(number)
    }

    pub(crate) fn has_ended(&self, number: u64) -> bool {
        self.slots.has_ended(number)
    }

    pub(crate) fn watch(&mut self, number: u64, waker: &Waker) {
        self.slots.watch(number, waker);
    }

    /// Nobody wants to know how a request ends: it is asked back.
    pub(crate) fn abandon(&mut self, number: u64) {
        self.slots.abandon(number);
        self.cancel(number);
    }

    /// Asks a request back. One that was not sent yet ends at once.
    pub(crate) fn cancel(&mut self, number: u64) {
        let Some(pending) = self.pending.get_mut(&number) else {
            return;
        };
        if std::mem::replace(&mut pending.cancelled, true) {
            return;
        }
        let place = self
            .outbox
            .iter()
            .position(|it| it.header.request.get() == number);
        match place {
            Some(place) => {
                self.outbox.remove(place);
                self.settle(number, ended(NtStatus::CANCELLED));
            }
            None => self.cancels.push_back(number),
        }
    }

    /// Asks all requests back.
    pub(crate) fn cancel_all(&mut self) {
        let mut numbers: Vec<u64> = self.pending.keys().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().for_each(|it| self.cancel(it));
    }

    /// A request has ended, and its memory is free.
    fn settle(&mut self, number: u64, outcome: IoOutcome) {
        let Some(pending) = self.pending.remove(&number) else {
            return;
        };
        if let Some(deadline) = pending.deadline {
            self.deadlines.remove(&(deadline, number));
        }
        if let Some(block) = pending.block
            && let Some(dropped) = self.blocks.give_back(block)
        {
            self.remove_region(dropped.number());
        }
        self.finish(number, outcome);
    }

    /// Takes a packet of the reflector in.
    pub(crate) fn receive(&mut self, packet: Packet) -> Result<(), Violation> {
        self.message(&packet.header, packet.payload, packet.descriptor)?;
        let mut behind = packet.behind.into_iter();
        behind.try_for_each(|(header, payload)| self.message(&header, payload, None))
    }

    fn message(
        &mut self,
        header: &Header,
        payload: Bytes,
        descriptor: Option<Arc<OwnedFd>>,
    ) -> Result<(), Violation> {
        let number = header.kind.get();
        match (number, self.welcomed) {
            (kind::WELCOME, false) => {
                self.welcomed = true;
                self.channel = descriptor;
            }
            (kind::REFUSED, false) => {
                self.refusal = Some(String::from_utf8_lossy(&payload).into_owned());
                self.gone = Some(header.status());
            }
            (kind::GONE, _) => self.gone = Some(header.status()),
            (kind::REPLY, true) => return self.reply(header, payload),
            _ => return Err(Violation::Time(number)),
        }
        Ok(())
    }

    fn reply(&mut self, header: &Header, payload: Bytes) -> Result<(), Violation> {
        let number = header.request.get();
        let pending = self
            .pending
            .get(&number)
            .ok_or(Violation::Unasked(number))?;
        if payload.len() > pending.room {
            return Err(Violation::Excess {
                moved: payload.len() as u64,
                most: pending.room as u64,
            });
        }
        let (status, moved) = (header.status(), header.position.get());
        let information = usize::try_from(moved).unwrap_or(usize::MAX);
        let data = match status.severity() {
            Severity::Error => Bytes::new(),
            _ => {
                let block = pending.block.as_ref();
                block
                    .and_then(|it| it.output(information))
                    .unwrap_or(payload)
            }
        };
        let outcome = IoOutcome {
            status,
            information,
            data,
        };
        self.settle(number, outcome);
        Ok(())
    }

    /// What is to be sent next.
    pub(crate) fn outgoing(&mut self) -> Option<Packet> {
        self.outbox.front().cloned()
    }

    pub(crate) fn sent(&mut self) {
        self.outbox.pop_front();
    }

    /// The cancel to be sent next, by its own channel.
    pub(crate) fn outgoing_cancel(&self) -> Option<u64> {
        self.cancels.front().copied()
    }

    pub(crate) fn sent_cancel(&mut self) {
        self.cancels.pop_front();
    }

    /// The cancel channel, once.
    pub(crate) fn take_channel(&mut self) -> Option<Arc<OwnedFd>> {
        self.channel.take()
    }

    /// Ends for the application what is due; the reflector is asked for it back.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((time, number)) = self.deadlines.first().copied()
            && time <= now
        {
            self.deadlines.pop_first();
            self.finish(number, ended(NtStatus::IO_TIMEOUT));
            self.cancel(number);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(time, _)| *time)
    }

    /// The application closes it.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// What all ends with now, if it does.
    pub(crate) fn present_end(&self) -> Option<NtStatus> {
        match self.closed {
            true => Some(NtStatus::CANCELLED),
            false => self.gone,
        }
    }

    /// What a refusal says.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// There is no connection any more.
    pub(crate) fn end(&mut self) {
        let status = self.present_end();
        let status = status.unwrap_or(NtStatus::DRIVER_PROCESS_TERMINATED);
        self.gone = Some(status);
        self.outbox.clear();
        self.cancels.clear();
        self.pending.clear();
        self.deadlines.clear();
        self.blocks = Blocks::default();
        self.slots.finish_all(|| ended(status), &mut self.woken);
    }

    pub(crate) fn woken(&mut self) -> &mut Vec<Waker> {
        &mut self.woken
    }
}

/// An outcome that is a status alone.
pub(super) fn ended(status: NtStatus) -> IoOutcome {
    IoOutcome {
        status,
        information: 0,
        data: Bytes::new(),
    }
}
