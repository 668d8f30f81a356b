//! One client's session with one device: commands in, replies out, no I/O.

mod body;
mod early;
mod error;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Instant};

use bytes::{Buf, BytesMut};
use tracing::{debug, trace};
use usbwright_protocol::{
    Completion, EndpointAddress, IsoPacket, Now, Port, Status, Transfer, TransferId,
    usbip::{
        errno::{ECONNRESET, ENOMEM},
        urb::{Command, HEADER_SIZE, Reply, Submit, SubmitReply, encode_iso_packet},
    },
};
use usbwright_wire_io::Outbox;

pub use self::error::SessionError;
use self::{body::Body, early::EarlyUnlinks};
use super::{
    Limits,
    meter::{Meter, Place},
    room,
};
use crate::counters::DeviceCounters;

/// SET_FEATURE(PORT_RESET) to a hub's port, by which clients reset the device (`stub_rx.c`, usbip-win2).
const PORT_RESET: [u8; 4] = [0x23, 0x03, 0x04, 0x00];

/// What a session needs before it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// That the replies are written.
    Room,
    /// So many bytes of input in all.
    Input(usize),
}

/// The state of a session between its commands.
#[derive(Debug)]
pub(super) struct Session {
    limits: Limits,
    pub(super) out: Outbox,
    /// Whether the client has a processor to work on replies that come early.
    pub(super) early: bool,
    /// Transfers that did not end at once.
    pending: HashMap<u32, Pending>,
    /// How many of them each endpoint has.
    pending_on: [u32; 32],
    /// Bytes that they hold.
    held: usize,
    /// The last submit's number.
    last: Option<u32>,
    early_unlinks: EarlyUnlinks,
    /// Lists of packets to use again.
    spare: Vec<Vec<IsoPacket>>,
    /// Bytes of the last command, header and all.
    usual: usize,
    /// What counts, where somebody wants to know.
    meter: Option<Box<Meter>>,
}

/// What the reply to a transfer needs.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// `number_of_packets` as it was sent.
    packets: u32,
    isochronous: bool,
    endpoint: EndpointAddress,
    held: usize,
    /// The number of the unlink that asks for it back.
    unlink: Option<u32>,
    /// Where it is counted.
    place: Place,
    /// When it was taken up, if it has waited and is counted.
    waited: Option<Instant>,
}

impl Session {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            out: Outbox::default(),
            early: false,
            pending: HashMap::new(),
            pending_on: [0; 32],
            held: 0,
            last: None,
            early_unlinks: EarlyUnlinks::default(),
            spare: Vec::new(),
            usual: HEADER_SIZE,
            meter: None,
        }
    }

    /// Has its transfers counted.
    pub(super) fn counted_by(mut self, counters: Option<Arc<DeviceCounters>>) -> Self {
        self.meter = counters.map(|counters| Box::new(Meter::new(counters)));
        self
    }

    /// Runs the whole commands in `input`, one after the other, until more input or room for replies is needed.
    pub(super) fn run(
        &mut self,
        input: &mut BytesMut,
        port: &mut dyn Port,
        now: Now,
    ) -> Result<Need, SessionError> {
        let need = self.run_commands(input, port, now);
        if let Some(meter) = &mut self.meter {
            meter.settle(now);
        }
        need
    }

    #[inline]
    fn run_commands(
        &mut self,
        input: &mut BytesMut,
        port: &mut dyn Port,
        now: Now,
    ) -> Result<Need, SessionError> {
        loop {
            if room::is_full(&self.out, self.early) {
                return Ok(Need::Room);
            }
            let Some(header) = input.first_chunk::<HEADER_SIZE>() else {
                return Ok(Need::Input(HEADER_SIZE));
            };
            match Command::decode(header)? {
                Command::Unlink { sequence, target } => {
                    input.advance(HEADER_SIZE);
                    self.unlink(sequence, target, port, now.instant());
                }
                Command::Submit(submit) => {
                    let body = Body::measure(&submit, port, &self.limits)?;
                    let size = HEADER_SIZE + body.size();
                    if input.len() < size {
                        return Ok(Need::Input(size));
                    }
                    self.usual = size;
                    input.advance(HEADER_SIZE);
                    self.submit(&submit, &body, input, port, now)?;
                }
            }
        }
    }

    /// Lets the device act on the time and on what has come from outside.
    pub(super) fn poll(&mut self, port: &mut dyn Port, now: Instant) {
        let out = &mut self.out;
        self.early_unlinks
            .expire(now, |unlink| reply_to_unlink(out, unlink, 0));
        port.poll(now);
        self.collect(port, None);
        if let Some(meter) = &mut self.meter {
            meter.settle(now.into());
        }
    }

    /// Gives memory back that is of no use while nothing happens.
    pub(super) fn release(&mut self) {
        if self.out.is_empty() {
            self.out.clear();
        }
        self.spare = Vec::new();
    }

    /// How many bytes the next command is likely to have: as many as the last one.
    pub(super) fn usual(&self) -> usize {
        self.usual
    }

    /// How many transfers wait for the device, and the bytes that they hold.
    pub(super) fn pending(&self) -> (usize, usize) {
        (self.pending.len(), self.held)
    }

    /// When [`Self::poll`] is due.
    pub(super) fn deadline(&self, port: &dyn Port) -> Option<Instant> {
        let unlinks = self.early_unlinks.deadline();
        unlinks.into_iter().chain(port.deadline()).min()
    }

    fn submit(
        &mut self,
        submit: &Submit,
        body: &Body,
        input: &mut BytesMut,
        port: &mut dyn Port,
        now: Now,
    ) -> Result<(), SessionError> {
        let sequence = submit.sequence;
        if self.pending.contains_key(&sequence) {
            return Err(SessionError::Duplicate(sequence));
        }
        self.last = Some(sequence);
        // Where transfers wait already, this one is going to wait, too: it must not keep much more than itself alive.
        let crowded = self.pending_on[body.endpoint.index()] > 0;
        let data = body.take_payload(input, crowded);
        let packets = match body.isochronous {
            true => body.take_packets(submit, input, self.spare.pop().unwrap_or_default())?,
            false => Vec::new(),
        };
        if let Some(unlink) = self.early_unlinks.take(sequence) {
            debug!(sequence, "transfer was unlinked before it came");
            reply_to_unlink(&mut self.out, unlink, -ECONNRESET);
            return Ok(());
        }
        let meter = self.meter.as_mut();
        let place = meter.map(|it| it.takes_up(submit, body.endpoint, body.transfer_type, now));
        let pending = Pending {
            packets: submit.packets,
            isochronous: body.isochronous,
            endpoint: body.endpoint,
            held: body.held(),
            unlink: None,
            place: place.unwrap_or_default(),
            waited: None,
        };
        trace!(sequence, endpoint = %body.endpoint, length = submit.length, "submit");
        let kind = match self.is_full(body) {
            true => Err(-ENOMEM),
            false => body.kind(submit, data, packets),
        };
        match kind {
            Ok(kind) => {
                let transfer = Transfer {
                    id: TransferId(sequence.into()),
                    endpoint: body.endpoint,
                    kind,
                };
                if is_port_reset(submit) {
                    port.reset(now.instant());
                    self.collect(port, None);
                    if let Some(meter) = &mut self.meter {
                        meter.resets();
                    }
                    self.reply(
                        sequence,
                        pending,
                        Completion::empty(transfer.id, Status::Done),
                    );
                    return Ok(());
                }
                port.submit(transfer, now);
                self.collect(port, Some((sequence, pending)));
            }
            Err(status) => self.refuse(sequence, pending, status),
        }
        Ok(())
    }

    /// Whether as much waits as may; one transfer may always.
    fn is_full(&self, body: &Body) -> bool {
        let full = self.pending.len() >= self.limits.pending_transfers;
        full || self.held + body.held() > self.limits.pending_bytes && self.held > 0
    }

    fn refuse(&mut self, sequence: u32, pending: Pending, status: i32) {
        debug!(sequence, endpoint = %pending.endpoint, status, "transfer refused");
        if let Some(meter) = &mut self.meter {
            let id = TransferId(sequence.into());
            let refused = Completion::empty(id, Status::Unsupported);
            meter.ends(sequence, pending.place, None, &refused);
        }
        let reply = SubmitReply {
            sequence,
            status,
            packets: if pending.isochronous {
                0
            } else {
                pending.packets
            },
            ..SubmitReply::default()
        };
        let header = Reply::Submit(reply).encode();
        self.out.push_message(&header);
    }

    fn unlink(&mut self, sequence: u32, target: u32, port: &mut dyn Port, now: Instant) {
        trace!(sequence, target, "unlink");
        if let Some(pending) = self.pending.get_mut(&target) {
            if pending.unlink.is_none() {
                pending.unlink = Some(sequence);
                port.cancel(TransferId(target.into()), now);
                self.collect(port, None);
                return;
            }
        } else if self.is_ahead(target) && self.early_unlinks.add(sequence, target, now) {
            return;
        }
        reply_to_unlink(&mut self.out, sequence, 0);
    }

    /// Whether a submit of this number is yet to come: numbers rise, and wrap.
    fn is_ahead(&self, target: u32) -> bool {
        self.last
            .is_none_or(|last| target.wrapping_sub(last).cast_signed() > 0)
    }

    /// Replies to every transfer that has ended. `current` has just been submitted; if it has not ended, it is kept.
    fn collect(&mut self, port: &mut dyn Port, current: Option<(u32, Pending)>) {
        let mut current = current;
        while let Some(completion) = port.completion() {
            let sequence = (completion.id.0 & u64::from(u32::MAX)) as u32;
            let pending = match current {
                Some((number, pending)) if number == sequence => {
                    current = None;
                    Some(pending)
                }
                _ => self.forget(sequence),
            };
            if let Some(pending) = pending {
                self.reply(sequence, pending, completion);
            }
        }
        if let Some((sequence, mut pending)) = current {
            if let Some(meter) = &mut self.meter {
                pending.waited = meter.waits(pending.place);
            }
            self.pending_on[pending.endpoint.index()] += 1;
            self.held += pending.held;
            self.pending.insert(sequence, pending);
        }
    }

    fn forget(&mut self, sequence: u32) -> Option<Pending> {
        let pending = self.pending.remove(&sequence)?;
        self.pending_on[pending.endpoint.index()] -= 1;
        self.held -= pending.held;
        Some(pending)
    }

    /// Replies to a transfer: with its end, or where it was taken back before anything moved, to the unlink alone.
    ///
    /// A transfer that was taken back in the middle is told with what had moved, so that nothing is lost; the client's
    /// kernel hands it to its driver as unlinked all the same.
    fn reply(&mut self, sequence: u32, pending: Pending, completion: Completion) {
        if let Some(meter) = &mut self.meter {
            meter.ends(sequence, pending.place, pending.waited, &completion);
        }
        if let (Status::Cancelled, 0, Some(unlink)) =
            (completion.status, completion.actual_length, pending.unlink)
        {
            reply_to_unlink(&mut self.out, unlink, -ECONNRESET);
            self.spare.extend(completion.iso.map(|iso| iso.packets));
            return;
        }
        let mut reply = SubmitReply {
            sequence,
            status: completion.status.to_wire(),
            actual_length: completion.actual_length,
            packets: if pending.isochronous {
                0
            } else {
                pending.packets
            },
            ..SubmitReply::default()
        };
        if let Some(iso) = &completion.iso {
            reply.start_frame = iso.start_frame;
            reply.error_count = iso.error_count;
            reply.packets = u32::try_from(iso.packets.len()).unwrap_or(0);
        }
        let header = Reply::Submit(reply).encode();
        self.out.push_message(&header);
        let out = &mut self.out;
        completion
            .data
            .into_pieces()
            .for_each(|piece| out.push_payload(piece));
        if let Some(iso) = completion.iso {
            self.out.push_head(|out| {
                for packet in &iso.packets {
                    encode_iso_packet(packet, out);
                }
            });
            self.spare.push(iso.packets);
        }
        if let Some(unlink) = pending.unlink {
            reply_to_unlink(&mut self.out, unlink, 0);
        }
    }
}

fn is_port_reset(submit: &Submit) -> bool {
    submit.endpoint == 0 && submit.setup[..4] == PORT_RESET && submit.setup().length == 0
}

fn reply_to_unlink(out: &mut Outbox, sequence: u32, status: i32) {
    let header = Reply::Unlink { sequence, status }.encode();
    out.push_message(&header);
}
