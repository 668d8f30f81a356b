//! A host that speaks UAS: several commands wait, are aborted, and get their data in turn.

use usbwright_emulator::protocol::Status as Ended;

use super::{
    Bench,
    commands::{self, Cdb},
    host::{COMMAND_OUT, DATA_IN, DATA_OUT, STATUS_IN},
    outcome::read_sense,
    part,
    reference::{Failure, NO_UNIT, NOT_TOLD, Plan},
    short,
};

/// Commands that the host has under way at the most.
const MOST: usize = 20;

/// A command that the device has been sent.
#[derive(Debug)]
struct Sent {
    tag: u16,
    lun: usize,
    cdb: Cdb,
}

/// The command whose data is to move.
#[derive(Debug)]
struct Active {
    tag: u16,
    lun: usize,
    plan: Plan,
    /// The host was told to move it.
    ready: bool,
}

/// An information unit that the device is to send.
#[derive(Debug)]
enum Unit {
    Ready { to_host: bool },
    Status(Result<(), Failure>),
    Response(u8),
}

/// What device and host should have of each other.
#[derive(Debug, Default)]
pub(super) struct Session {
    waiting: std::collections::VecDeque<Sent>,
    active: Option<Active>,
    expected: std::collections::VecDeque<(u16, Unit)>,
    tasks: u16,
}

impl Session {
    fn has(&self, tag: u16, lun: Option<usize>) -> bool {
        self.commands()
            .any(|it| it.0 == tag && lun.is_none_or(|lun| it.1 == lun))
    }

    fn commands(&self) -> impl Iterator<Item = (u16, usize)> {
        let active = self.active.iter().map(|it| (it.tag, it.lun));
        active.chain(self.waiting.iter().map(|it| (it.tag, it.lun)))
    }

    /// Drops the commands that are meant, and what was to be said of them.
    fn abort(&mut self, is_meant: impl Fn(u16, usize) -> bool) {
        let dropped: Vec<_> = self.commands().filter(|it| is_meant(it.0, it.1)).collect();
        let meant = |tag: u16| dropped.iter().any(|it| it.0 == tag);
        self.expected.retain(|it| !meant(it.0));
        self.waiting.retain(|it| !meant(it.tag));
        self.active.take_if(|it| meant(it.tag));
    }
}

impl Bench<'_> {
    /// Does something with the commands under way, or sends another.
    pub(super) fn uas_step(&mut self) {
        let busy = self.session.waiting.len() + self.session.expected.len() >= MOST;
        match self.script.byte() % 8 {
            0..=2 if !busy => self.send_command(),
            3 if !busy => self.send_task(),
            4 | 5 => self.read_unit(),
            _ => self.move_data(),
        }
    }

    /// Has all end that is under way.
    pub(super) fn uas_drain(&mut self) {
        while self.session.active.is_some() || !self.session.expected.is_empty() {
            match &self.session.active {
                Some(active) if active.ready => self.move_data(),
                _ => self.read_unit(),
            }
        }
        assert!(self.session.waiting.is_empty());
    }

    fn send_command(&mut self) {
        let tag = 1 + u16::from(self.script.byte() % 32);
        let lun = match self.script.one_in(32) {
            true => self.units.len(),
            false => self.lun(),
        };
        let blocks = self.units[lun.min(self.units.len() - 1)].blocks();
        let cdb = commands::command(&mut self.script, blocks);
        let first = self.script.one_in(8);
        let mut bytes = vec![1, 0];
        bytes.extend(tag.to_be_bytes());
        bytes.extend([u8::from(first), 0, 0, 0, 0, lun as u8, 0, 0, 0, 0, 0, 0]);
        bytes.extend(cdb);
        self.request(&bytes);
        if self.session.has(tag, None) {
            self.session.abort(|it, _| it == tag);
            self.respond(tag, 0x0a);
        } else {
            let sent = Sent { tag, lun, cdb };
            match first {
                true => self.session.waiting.push_front(sent),
                false => self.session.waiting.push_back(sent),
            }
        }
        self.go_on();
    }

    fn request(&mut self, bytes: &[u8]) {
        let sent = self.host.write(COMMAND_OUT, bytes);
        assert_eq!(sent, (Ended::Done, bytes.len()));
    }

    fn respond(&mut self, tag: u16, answer: u8) {
        let unit = Unit::Response(answer);
        self.session.expected.push_back((tag, unit));
    }

    fn send_task(&mut self) {
        let function = self
            .script
            .one_of(&[0x01, 0x01, 0x01, 0x02, 0x04, 0x08, 0x10, 0x80, 0x81, 0x40]);
        let about = 1 + u16::from(self.script.byte() % 32);
        let about = match self.session.commands().next() {
            Some((tag, _)) if self.script.one_in(2) => tag,
            _ => about,
        };
        let lun = self.script.up_to(self.units.len());
        self.manage(function, about, lun);
    }

    /// Task management.
    fn manage(&mut self, function: u8, about: u16, lun: usize) {
        // Tags of their own, so that no answer is dropped along with a command.
        self.session.tasks = self.session.tasks % 1000 + 1;
        let tag = 1000 + self.session.tasks;
        let mut bytes = vec![5, 0];
        bytes.extend(tag.to_be_bytes());
        bytes.extend([function, 0]);
        bytes.extend(about.to_be_bytes());
        bytes.extend([0, lun as u8, 0, 0, 0, 0, 0, 0]);
        self.request(&bytes);
        let answer = self.managed(function, about, lun);
        self.respond(tag, answer);
        self.go_on();
    }

    fn managed(&mut self, function: u8, about: u16, lun: usize) -> u8 {
        const COMPLETE: u8 = 0;
        const SUCCEEDED: u8 = 8;
        let session = &mut self.session;
        if function == 0x10 {
            session.abort(|_, _| true);
            self.units
                .iter_mut()
                .for_each(super::reference::Unit::reset);
            return COMPLETE;
        }
        if lun >= self.units.len() {
            return 9;
        }
        match function {
            0x01 => session.abort(|tag, it| (tag, it) == (about, lun)),
            0x02 | 0x04 => session.abort(|_, it| it == lun),
            0x08 => {
                session.abort(|_, it| it == lun);
                self.units[lun].reset();
            }
            0x80 if session.has(about, Some(lun)) => return SUCCEEDED,
            0x81 if session.commands().any(|it| it.1 == lun) => return SUCCEEDED,
            0x80 | 0x81 => {}
            _ => return 4,
        }
        COMPLETE
    }

    /// Begins the next commands, up to one that moves data.
    fn go_on(&mut self) {
        while self.session.active.is_none()
            && let Some(Sent { tag, lun, cdb }) = self.session.waiting.pop_front()
        {
            let begun = match self.units.get_mut(lun) {
                Some(unit) => unit.begin(&cdb),
                None => Err(vec![NO_UNIT]),
            };
            let result = match begun {
                Ok(plan) if plan.is_without_data() => self.finish(lun, &plan, &[]),
                Ok(plan) => {
                    self.activate(tag, lun, plan);
                    continue;
                }
                Err(senses) => Err(senses),
            };
            let status = Unit::Status(result);
            self.session.expected.push_back((tag, status));
        }
    }

    fn finish(&mut self, lun: usize, plan: &Plan, sent: &[u8]) -> Result<(), Failure> {
        let unit = &mut self.units[lun];
        unit.overtaken = !self.session.waiting.is_empty();
        unit.finish(plan, sent)
    }

    fn activate(&mut self, tag: u16, lun: usize, plan: Plan) {
        let describes = matches!(plan, Plan::Describe(_) | Plan::Sense(..));
        let to_host = plan.is_to_host();
        self.session.active = Some(Active {
            tag,
            lun,
            plan,
            ready: false,
        });
        if !describes {
            let ready = Unit::Ready { to_host };
            return self.session.expected.push_back((tag, ready));
        }
        // Whether there is anything to tell is for the device to know: so the host looks.
        while !self.session.expected.is_empty() {
            self.read_unit();
        }
        let unit = self.received();
        assert_eq!(u16::from_be_bytes([unit[2], unit[3]]), tag);
        if unit[0] == 6 {
            self.session.active.as_mut().unwrap().ready = true;
            return;
        }
        if let Err(sense) = status_of(&unit) {
            assert!(NOT_TOLD.contains(&sense), "{sense:02x?}");
        }
        self.session.active = None;
    }

    fn received(&mut self) -> Vec<u8> {
        let (ended, unit) = self.host.read(STATUS_IN, 112);
        assert_eq!(ended, Ended::Done);
        unit
    }

    /// Reads an information unit, if there is to be one.
    fn read_unit(&mut self) {
        let Some((tag, expected)) = self.session.expected.pop_front() else {
            return;
        };
        let unit = self.received();
        let told = format!("{tag} {expected:02x?}: {unit:02x?}");
        assert_eq!(u16::from_be_bytes([unit[2], unit[3]]), tag, "{told}");
        match expected {
            Unit::Ready { to_host } => {
                assert_eq!(
                    (unit.len(), unit[0]),
                    (4, if to_host { 6 } else { 7 }),
                    "{told}"
                );
                let active = self.session.active.as_mut();
                active.expect("whose data moves is under way").ready = true;
            }
            Unit::Status(Ok(())) => assert_eq!(status_of(&unit), Ok(()), "{told}"),
            Unit::Status(Err(senses)) => {
                let sense = status_of(&unit).expect_err(&told);
                assert!(senses.contains(&sense), "{sense:02x?} {told}");
            }
            Unit::Response(answer) => {
                assert_eq!((unit.len(), unit[0], unit[7]), (8, 4, answer), "{told}");
            }
        }
    }

    /// Moves the data of the command that is ready for it; sometimes only a part, and the command is aborted then.
    fn move_data(&mut self) {
        let Some(active) = self.session.active.take_if(|it| it.ready) else {
            return;
        };
        let aborts = self.script.one_in(10);
        let moved = match active.plan.is_to_host() {
            true => self.read_data(active.plan.length(), aborts),
            false => self.write_data(&active, aborts),
        };
        let Active {
            tag, lun, ref plan, ..
        } = active;
        let ended = moved.ended;
        let sent: &[u8] = if plan.is_to_host() { &[] } else { &moved.data };
        let result = match plan.is_to_host() && !ended {
            true => Ok(()),
            false => self.finish(lun, plan, sent),
        };
        if plan.is_to_host() {
            self.units[lun].check_told(plan, &moved.data, result.is_ok() && ended);
        }
        if ended {
            let status = Unit::Status(result);
            self.session.expected.push_back((tag, status));
            return self.go_on();
        }
        self.session.active = Some(active);
        self.manage(0x01, tag, lun);
    }

    fn read_data(&mut self, length: usize, aborts: bool) -> Moved {
        let mut moved = Moved::default();
        while !moved.ended {
            let part = part(&mut self.script, length - moved.data.len(), self.packet);
            let (ended, data) = self.host.read(DATA_IN, part);
            assert_eq!(ended, Ended::Done);
            moved.data.extend_from_slice(&data);
            moved.ended = moved.data.len() == length || data.len() < part;
            if aborts {
                break;
            }
        }
        moved
    }

    fn write_data(&mut self, active: &Active, aborts: bool) -> Moved {
        let all = self.host_data(&active.plan, active.lun);
        let mut moved = Moved::default();
        while !moved.ended {
            let from = moved.data.len();
            let mut part = part(&mut self.script, all.len() - from, self.packet);
            // Sometimes the host ends its data too early.
            let cut = self.script.one_in(40);
            if cut {
                part = short(&mut self.script, part, self.packet);
            }
            let data = &all[from..from + part];
            assert_eq!(self.host.write(DATA_OUT, data), (Ended::Done, part));
            moved.data.extend_from_slice(data);
            moved.ended = cut || moved.data.len() == all.len();
            if aborts {
                break;
            }
        }
        moved
    }
}

#[derive(Debug, Default)]
struct Moved {
    data: Vec<u8>,
    /// There is no more.
    ended: bool,
}

/// A command's status: good, or a check condition and why.
fn status_of(unit: &[u8]) -> Result<(), super::reference::Sense> {
    assert_eq!(unit[0], 3, "{unit:02x?}");
    match unit[6] {
        0 => {
            assert_eq!((unit.len(), &unit[14..16]), (16, &[0, 0][..]));
            Ok(())
        }
        status => {
            assert_eq!((unit.len(), status, &unit[14..16]), (34, 2, &[0, 18][..]));
            let sense = read_sense(&unit[16..]);
            assert_ne!(sense.0, 0, "a failure has a reason");
            Err(sense)
        }
    }
}
