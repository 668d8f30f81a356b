//! Bulk-Only Transport 1.0: one command at a time, in three stages over two endpoints.
//!
//! Host and device may disagree about the data stage in thirteen ways (§6.7). Where the host is going to move more than the
//! command does, the device moves what there is and stalls the rest. Where it is going to move less, or the other way, nothing
//! is moved and nothing is done: that is a phase error.

#[cfg(test)]
mod tests;
mod wrapper;

use bytes::{Bytes, BytesMut};
use tracing::debug;
use usbwright_emulator::{Context, In, Out};

use self::wrapper::{CommandWrapper, Status, StatusWrapper};
use super::scsi::{Command, Data, Target};

/// The transport's state.
#[derive(Debug)]
pub(super) struct BulkOnly {
    stage: Stage,
    /// Bytes in a packet.
    packet: usize,
    /// Where status wrappers are written.
    statuses: BytesMut,
}

#[derive(Debug)]
enum Stage {
    /// The host is to send a command.
    Command,
    /// The host sent something that is no command: everything stalls until it resets the transport (§6.6.1).
    Broken,
    In(Running),
    Out(Running),
    /// The command takes a while.
    Work(Running),
    /// The host reads more than there is.
    StallIn(StatusWrapper),
    /// The host writes more than is wanted.
    StallOut(StatusWrapper),
    Status(StatusWrapper),
}

/// A command under way.
#[derive(Debug)]
struct Running {
    command: Command,
    tag: u32,
    lun: u8,
    host: Data,
    /// Bytes that are still to move, as the host sees it.
    unmoved: u64,
    /// Bytes of the host's data stage that were of no use so far.
    residue: u64,
    phase_error: bool,
}

impl BulkOnly {
    pub(super) fn new(packet: usize) -> Self {
        Self {
            stage: Stage::Command,
            packet,
            statuses: BytesMut::new(),
        }
    }

    /// Forgets the command under way, and waits for the next.
    #[doc(alias = "Bulk-Only Mass Storage Reset")]
    pub(super) fn reset(&mut self) {
        self.stage = Stage::Command;
    }

    /// The host writes.
    pub(super) fn receive(
        &mut self,
        target: &mut Target,
        data: &Bytes,
        cx: &mut Context<'_>,
    ) -> Out {
        match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Command => self.begin(target, data, cx),
            Stage::Out(running) => self.take(target, running, data, cx),
            Stage::StallOut(status) => {
                self.stage = Stage::Status(status);
                Out::Stall
            }
            Stage::Broken => Out::Stall,
            busy => {
                self.stage = busy;
                Out::NotYet
            }
        }
    }

    /// The host reads.
    pub(super) fn send(&mut self, target: &mut Target, room: usize, cx: &mut Context<'_>) -> In {
        if let Some(data) = self.give(target, room, cx) {
            return In::Data(data);
        }
        match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::StallIn(status) => {
                self.stage = Stage::Status(status);
                In::Stall
            }
            Stage::Status(status) => {
                self.stage = Stage::Command;
                In::Data(status.bytes(&mut self.statuses))
            }
            Stage::Broken => In::Stall,
            busy => {
                self.stage = busy;
                In::NotYet
            }
        }
    }

    /// Goes on with a command that takes a while.
    pub(super) fn woken(&mut self, target: &mut Target, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Work(running) => self.conclude(target, running, cx),
            other => self.stage = other,
        }
    }

    fn begin(&mut self, target: &mut Target, data: &[u8], cx: &mut Context<'_>) -> Out {
        let Some(wrapper) = CommandWrapper::read(data, target.highest_unit()) else {
            debug!(
                bytes = data.len(),
                "that is no command: the host has to reset the transport"
            );
            return Out::Stall;
        };
        let command = target.begin(wrapper.lun, &wrapper.cdb);
        let length = match wrapper.host {
            Data::None => 0,
            Data::In(length) | Data::Out(length) => length,
        };
        let running = Running {
            tag: wrapper.tag,
            lun: wrapper.lun,
            host: wrapper.host,
            unmoved: length,
            residue: length,
            phase_error: false,
            command,
        };
        match (wrapper.host, running.command.expects()) {
            (_, Data::None) => self.conclude(target, running, cx),
            (Data::In(room), Data::In(wanted)) if wanted <= room => {
                self.stage = Stage::In(running);
            }
            (Data::Out(room), Data::Out(wanted)) if wanted <= room => {
                self.stage = Stage::Out(running);
            }
            _ => self.disagree(target, running),
        }
        Out::Taken
    }

    /// Host and device are not of one mind about the data stage.
    fn disagree(&mut self, target: &mut Target, mut running: Running) {
        debug!(host = ?running.host, device = ?running.command.expects(), "phase error");
        running.phase_error = true;
        self.end(target, &running);
    }

    /// Takes a part of the host's data.
    fn take(
        &mut self,
        target: &mut Target,
        mut running: Running,
        data: &Bytes,
        cx: &mut Context<'_>,
    ) -> Out {
        let offered = data.len().min(running.unmoved as usize);
        let used = target.data_out(&mut running.command, &data[..offered]);
        running.residue -= used as u64;
        let wants_more = running.command.takes_data();
        // What is of no use is taken up to the end of its packet, and refused from there on.
        let taken = match wants_more {
            true => data.len(),
            false => used.next_multiple_of(self.packet).min(data.len()),
        };
        let ended = data.is_empty() || !data.len().is_multiple_of(self.packet);
        let refused = taken == 0 && !data.is_empty();
        running.unmoved = match refused || ended && taken == data.len() {
            true => 0,
            false => running.unmoved.saturating_sub(taken as u64),
        };
        match (wants_more, ended) {
            (true, false) => self.stage = Stage::Out(running),
            (true, true) => self.disagree(target, running),
            (false, _) => self.conclude(target, running, cx),
        }
        match refused {
            true => Out::Stall,
            false => Out::TakenPart(taken),
        }
    }

    /// The next of a command's data for the host, where this is the stage for it.
    fn give(&mut self, target: &mut Target, room: usize, cx: &mut Context<'_>) -> Option<Bytes> {
        let Stage::In(running) = &mut self.stage else {
            return None;
        };
        // Packets are sent whole: where the host has less room than that, it overflows.
        let room = room.next_multiple_of(self.packet).max(self.packet);
        let most = room.min(usize::try_from(running.unmoved).unwrap_or(room));
        let data = target.data_in(&mut running.command, most, self.packet);
        let moved = data.as_ref().map_or(0, Bytes::len) as u64;
        running.unmoved -= moved;
        running.residue -= moved;
        if (data.is_none() || running.unmoved == 0)
            && let Stage::In(running) = std::mem::replace(&mut self.stage, Stage::Broken)
        {
            self.conclude(target, running, cx);
        }
        data
    }

    /// The data stage is over, or there is none: does what is left to do.
    fn conclude(&mut self, target: &mut Target, mut running: Running, cx: &mut Context<'_>) {
        if target.work(&mut running.command) {
            self.stage = Stage::Work(running);
            cx.wake_at(cx.now());
        } else {
            self.end(target, &running);
        }
    }

    fn end(&mut self, target: &mut Target, running: &Running) {
        let status = match target.finish(&running.command) {
            _ if running.phase_error => Status::PhaseError,
            Ok(()) => Status::Passed,
            Err(sense) => {
                debug!(lun = running.lun, ?sense, "command failed");
                target.keep(running.lun, sense);
                Status::Failed
            }
        };
        let status = StatusWrapper {
            tag: running.tag,
            residue: u32::try_from(running.residue).unwrap_or(u32::MAX),
            status,
        };
        self.stage = match running.host {
            Data::In(_) if running.unmoved > 0 => Stage::StallIn(status),
            Data::Out(_) if running.unmoved > 0 => Stage::StallOut(status),
            _ => Stage::Status(status),
        };
    }
}
