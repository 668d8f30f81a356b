//! USB Attached SCSI, as it is at high speed: many commands may wait, and the device says whose data it moves next.
//!
//! One command at a time is worked on. Its data ends before its status is told, so that no data is ever taken for another's:
//! where a read fails, an empty packet ends the host's transfer; where a write fails, the rest of its data is taken and dropped.

mod information;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tracing::debug;
use usbwright_emulator::{Context, In, Out};

use self::information::{Answer, Reply, Request};
use super::scsi::{Command, Data, Sense, Target};

/// Commands that wait, and replies that the host has not read; what is more has to wait at the host.
const MOST_WAITING: usize = 64;

/// The transport's state.
#[derive(Debug)]
pub(super) struct Uas {
    waiting: VecDeque<Waiting>,
    active: Option<Active>,
    replies: VecDeque<(u16, Reply)>,
    /// A command's data has ended with a full packet: where the host reads on, it has to be told.
    unended: bool,
    /// Bytes in a packet.
    packet: usize,
    /// Where information units are written.
    units: BytesMut,
}

#[derive(Debug)]
struct Waiting {
    tag: u16,
    lun: u8,
    cdb: [u8; 16],
}

/// The command that is worked on.
#[derive(Debug)]
struct Active {
    tag: u16,
    lun: u8,
    command: Command,
    stage: Stage,
    /// Bytes of its data that have not moved.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    In,
    Out,
    /// The command takes a while.
    Work,
}

impl Uas {
    pub(super) fn new(packet: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            active: None,
            replies: VecDeque::new(),
            unended: false,
            packet,
            units: BytesMut::new(),
        }
    }

    /// The host sends an information unit.
    pub(super) fn request(
        &mut self,
        target: &mut Target,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Out {
        if self.waiting.len() + self.replies.len() >= MOST_WAITING {
            return Out::NotYet;
        }
        let request = Request::read(bytes);
        let tag = request.tag();
        if self.has(tag, None) {
            debug!(tag, "two requests of one tag: both are dropped");
            self.abort(|it, _| it == tag);
            self.reply(tag, Reply::Response(Answer::OverlappedTag));
        } else {
            self.take(target, request);
        }
        self.go_on(target, cx);
        Out::Taken
    }

    /// The host reads information units.
    pub(super) fn status(&mut self) -> In {
        let Some((tag, reply)) = self.replies.pop_front() else {
            return In::NotYet;
        };
        if matches!(reply, Reply::Status(_)) {
            self.unended = false;
        }
        In::Data(reply.bytes(tag, &mut self.units))
    }

    /// The host reads data.
    pub(super) fn send(&mut self, target: &mut Target, room: usize, cx: &mut Context<'_>) -> In {
        if std::mem::take(&mut self.unended) {
            return In::Data(Bytes::new());
        }
        let Some(active) = &mut self.active else {
            return In::NotYet;
        };
        if active.stage != Stage::In {
            return In::NotYet;
        }
        // Packets are sent whole: where the host has less room than that, it overflows.
        let most = room.next_multiple_of(self.packet).max(self.packet);
        let data = target.data_in(&mut active.command, most, self.packet);
        let data = data.unwrap_or_default();
        active.left -= data.len() as u64;
        if active.left == 0 || data.is_empty() {
            self.unended = !data.is_empty() && data.len().is_multiple_of(self.packet);
            self.conclude(target, cx);
            self.go_on(target, cx);
        }
        In::Data(data)
    }

    /// The host writes data.
    pub(super) fn receive(
        &mut self,
        target: &mut Target,
        data: &Bytes,
        cx: &mut Context<'_>,
    ) -> Out {
        let Some(active) = &mut self.active else {
            return Out::NotYet;
        };
        if active.stage != Stage::Out {
            return Out::NotYet;
        }
        if active.command.takes_data() {
            target.data_out(&mut active.command, data);
        }
        active.left = active.left.saturating_sub(data.len() as u64);
        let ended = data.is_empty() || !data.len().is_multiple_of(self.packet);
        if active.left > 0 && ended && active.command.takes_data() {
            active.command.fail(Sense::DATA_PHASE);
        }
        if active.left == 0 || ended {
            self.conclude(target, cx);
            self.go_on(target, cx);
        }
        Out::Taken
    }

    /// Goes on with a command that takes a while.
    pub(super) fn woken(&mut self, target: &mut Target, cx: &mut Context<'_>) {
        if self
            .active
            .as_ref()
            .is_some_and(|it| it.stage == Stage::Work)
        {
            self.conclude(target, cx);
            self.go_on(target, cx);
        }
    }

    fn reply(&mut self, tag: u16, reply: Reply) {
        self.replies.push_back((tag, reply));
    }

    fn take(&mut self, target: &mut Target, request: Request) {
        match request {
            Request::Command {
                tag,
                lun: Some(lun),
                cdb,
                first,
            } => {
                let command = Waiting { tag, lun, cdb };
                match first {
                    true => self.waiting.push_front(command),
                    false => self.waiting.push_back(command),
                }
            }
            Request::Command { tag, lun: None, .. } => {
                self.reply(tag, Reply::Response(Answer::IncorrectUnit));
            }
            Request::Manage {
                tag,
                function,
                about,
                lun,
            } => {
                let answer = self.manage(target, function, about, lun);
                self.reply(tag, Reply::Response(answer));
            }
            Request::Invalid { tag } => {
                self.reply(tag, Reply::Response(Answer::InvalidInformationUnit));
            }
        }
    }

    /// Task management (SAM-5 §7).
    fn manage(&mut self, target: &mut Target, function: u8, about: u16, lun: Option<u8>) -> Answer {
        const ABORT_TASK: u8 = 0x01;
        const ABORT_TASK_SET: u8 = 0x02;
        const CLEAR_TASK_SET: u8 = 0x04;
        const LOGICAL_UNIT_RESET: u8 = 0x08;
        const I_T_NEXUS_RESET: u8 = 0x10;
        const QUERY_TASK: u8 = 0x80;
        const QUERY_TASK_SET: u8 = 0x81;
        if function == I_T_NEXUS_RESET {
            self.abort(|_, _| true);
            target.reset();
            return Answer::Complete;
        }
        let Some(unit) = lun.filter(|lun| *lun <= target.highest_unit()) else {
            return Answer::IncorrectUnit;
        };
        match function {
            ABORT_TASK => self.abort(|tag, lun| (tag, lun) == (about, unit)),
            ABORT_TASK_SET | CLEAR_TASK_SET => self.abort(|_, lun| lun == unit),
            LOGICAL_UNIT_RESET => {
                self.abort(|_, lun| lun == unit);
                target.reset_unit(unit);
            }
            QUERY_TASK if self.has(about, Some(unit)) => return Answer::Succeeded,
            QUERY_TASK_SET if self.commands().any(|(_, lun)| lun == unit) => {
                return Answer::Succeeded;
            }
            QUERY_TASK | QUERY_TASK_SET => {}
            _ => return Answer::NotSupported,
        }
        Answer::Complete
    }

    /// Tag and unit of every command.
    fn commands(&self) -> impl Iterator<Item = (u16, u8)> {
        let active = self.active.iter().map(|it| (it.tag, it.lun));
        active.chain(self.waiting.iter().map(|it| (it.tag, it.lun)))
    }

    fn has(&self, tag: u16, unit: Option<u8>) -> bool {
        let is_meant = |(it, lun)| it == tag && unit.is_none_or(|unit| unit == lun);
        self.commands().any(is_meant)
    }

    /// Drops the commands that are meant, by tag and unit, and what was going to be said of them.
    fn abort(&mut self, is_meant: impl Fn(u16, u8) -> bool) {
        let dropped: Vec<_> = self
            .commands()
            .filter(|(tag, lun)| is_meant(*tag, *lun))
            .collect();
        let meant = |tag: u16| dropped.iter().any(|(it, _)| *it == tag);
        self.replies.retain(|(tag, _)| !meant(*tag));
        self.waiting.retain(|it| !meant(it.tag));
        self.active.take_if(|it| meant(it.tag));
        let untold = self
            .replies
            .iter()
            .any(|(_, it)| matches!(it, Reply::Status(_)));
        self.unended &= untold;
    }

    /// Begins the next commands, up to one that moves data or takes a while.
    fn go_on(&mut self, target: &mut Target, cx: &mut Context<'_>) {
        while self.active.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            let command = target.begin(next.lun, &next.cdb);
            let (stage, left) = match command.expects() {
                Data::None => (Stage::Work, 0),
                Data::In(length) => (Stage::In, length),
                Data::Out(length) => (Stage::Out, length),
            };
            self.active = Some(Active {
                tag: next.tag,
                lun: next.lun,
                command,
                stage,
                left,
            });
            match stage {
                Stage::In => self.reply(next.tag, Reply::ReadReady),
                Stage::Out => self.reply(next.tag, Reply::WriteReady),
                Stage::Work => self.conclude(target, cx),
            }
        }
    }

    /// The active command's data has moved: does what is left to do.
    fn conclude(&mut self, target: &mut Target, cx: &mut Context<'_>) {
        let Some(mut active) = self.active.take() else {
            return;
        };
        if target.work(&mut active.command) {
            active.stage = Stage::Work;
            self.active = Some(active);
            return cx.wake_at(cx.now());
        }
        let result = target.finish(&active.command);
        if let Err(sense) = result {
            debug!(tag = active.tag, lun = active.lun, ?sense, "command failed");
        }
        self.reply(active.tag, Reply::Status(result));
    }
}
