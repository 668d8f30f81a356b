//! The SCSI target: commands in, data, status and sense out. It knows no transport.
//!
//! A transport begins a [`Command`], asks which data it [expects](Command::expects), moves as much of that as its host wants, has
//! it [worked](Target::work) on until nothing is left, and [finishes](Target::finish) it.

mod blocks;
mod capacity;
mod cdb;
mod control;
mod inquiry;
mod mode;
mod operations;
mod report;
mod sense;
mod task;
#[cfg(test)]
mod tests;
mod thin;
mod unit;

use bytes::Bytes;

pub use self::unit::{BlockSize, Identity, Unit};
use self::{
    cdb::Cdb,
    task::{Task, Work},
};
pub(crate) use self::{inquiry::hash, sense::Sense};

/// The codes of every command.
#[cfg(test)]
pub(crate) fn codes() -> impl Iterator<Item = u8> {
    operations::OPERATIONS.iter().map(|it| it.code)
}

/// All logical units of a disk.
#[derive(Debug)]
pub(crate) struct Target {
    units: Vec<Unit>,
}

/// The data that a command moves, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    None,
    In(u64),
    Out(u64),
}

/// A command under way.
#[derive(Debug)]
pub(crate) struct Command {
    lun: u8,
    expects: Data,
    task: Task,
    failure: Option<Sense>,
}

impl Command {
    /// What it moves, all in all. It is known from the beginning; where the command fails, less may move.
    pub(crate) fn expects(&self) -> Data {
        self.expects
    }

    /// Whether it wants more data of its host.
    pub(crate) fn takes_data(&self) -> bool {
        match &self.task {
            Task::Write { run, .. } | Task::Compare(run) => run.left > 0,
            Task::Collect(parameters) => parameters.got.len() < parameters.length,
            _ => false,
        }
    }

    /// Ends it in failure, whatever is left of it.
    pub(crate) fn fail(&mut self, sense: Sense) {
        self.failure = Some(sense);
        self.task = Task::Done;
    }

    fn settle(&mut self, result: Result<Task, Sense>) {
        match result {
            Ok(task) => self.task = task,
            Err(sense) => self.fail(sense),
        }
    }
}

impl Task {
    fn expects(&self) -> Data {
        let (data, length): (fn(u64) -> Data, _) = match self {
            Self::Done | Self::Work(_) => (Data::In, 0),
            Self::Reply(data) => (Data::In, data.len() as u64),
            Self::Read(run) => (Data::In, run.left),
            Self::Write { run, .. } | Self::Compare(run) => (Data::Out, run.left),
            Self::Collect(parameters) => (Data::Out, parameters.length as u64),
        };
        match length {
            0 => Data::None,
            length => data(length),
        }
    }
}

impl Target {
    /// A target of these units, of which there are no more than [`MOST_UNITS`](crate::disk::MOST_UNITS).
    pub(crate) fn new(mut units: Vec<Unit>) -> Self {
        let count = u8::try_from(units.len()).unwrap_or(u8::MAX);
        for (number, unit) in (0..).zip(&mut units) {
            unit.place = (number, count);
        }
        Self { units }
    }

    /// The highest number of a unit.
    pub(crate) fn highest_unit(&self) -> u8 {
        u8::try_from(self.units.len().saturating_sub(1)).unwrap_or(u8::MAX)
    }

    /// The bus was reset, or the device was attached.
    pub(crate) fn reset(&mut self) {
        self.units.iter_mut().for_each(Unit::reset);
    }

    /// One unit is to begin anew.
    #[doc(alias = "LOGICAL UNIT RESET")]
    pub(crate) fn reset_unit(&mut self, lun: u8) {
        if let Some(unit) = self.units.get_mut(usize::from(lun)) {
            unit.reset();
        }
    }

    /// Begins a command. It moves no data, and does nothing that takes time, before it is asked to.
    pub(crate) fn begin(&mut self, lun: u8, cdb: &[u8]) -> Command {
        let cdb = Cdb::new(cdb);
        let result = match self.units.get_mut(usize::from(lun)) {
            Some(unit) => operations::begin(unit, &cdb),
            None => Err(Sense::LOGICAL_UNIT_NOT_SUPPORTED),
        };
        let expects = result.as_ref().map_or(Data::None, Task::expects);
        let mut command = Command {
            lun,
            expects,
            task: Task::Done,
            failure: None,
        };
        command.settle(result);
        command
    }

    /// The next of a command's data for its host, up to `most` bytes: whole packets, unless it is the last. `None` where
    /// there is no more.
    pub(crate) fn data_in(
        &mut self,
        command: &mut Command,
        most: usize,
        packet: usize,
    ) -> Option<Bytes> {
        let unit = self.units.get(usize::from(command.lun))?;
        let data = match &mut command.task {
            Task::Reply(reply) => Ok(reply.split_to(reply.len().min(most))),
            Task::Read(run) if run.left > 0 => unit.read(run, most, packet),
            _ => return None,
        };
        match data {
            Ok(data) => (!data.is_empty()).then_some(data),
            Err(sense) => {
                command.fail(sense);
                None
            }
        }
    }

    /// Gives a command data of its host, and tells how much of it it took: less than all only where it wants no more.
    pub(crate) fn data_out(&mut self, command: &mut Command, data: &[u8]) -> usize {
        let Some(unit) = self.units.get_mut(usize::from(command.lun)) else {
            return 0;
        };
        if data.is_empty() {
            return 0;
        }
        let within = |left: u64| &data[..left.min(data.len() as u64) as usize];
        let (taken, result) = match &mut command.task {
            Task::Write { run, .. } => {
                let part = within(run.left);
                (part.len(), unit.write(run, part))
            }
            Task::Compare(run) => {
                let part = within(run.left);
                (part.len(), unit.compare(run, part))
            }
            Task::Collect(parameters) => {
                let part = within((parameters.length - parameters.got.len()) as u64);
                parameters.got.extend_from_slice(part);
                (part.len(), Ok(()))
            }
            _ => return 0,
        };
        match result {
            Err(sense) => {
                command.fail(sense);
                return 0;
            }
            Ok(()) if !command.takes_data() => Self::go_on(unit, command),
            Ok(()) => {}
        }
        taken
    }

    /// What comes after the last of the host's data.
    fn go_on(unit: &mut Unit, command: &mut Command) {
        match std::mem::replace(&mut command.task, Task::Done) {
            Task::Write { durable: true, .. } => command.task = Task::Work(Work::Flush),
            Task::Collect(parameters) => {
                let result = (parameters.then)(unit, &parameters.cdb, &parameters.got);
                command.settle(result);
            }
            _ => {}
        }
    }

    /// Works on a command for a bounded time; tells whether more is left.
    pub(crate) fn work(&mut self, command: &mut Command) -> bool {
        let Some(unit) = self.units.get_mut(usize::from(command.lun)) else {
            return false;
        };
        let Task::Work(work) = &mut command.task else {
            return false;
        };
        match unit.step(work) {
            Ok(true) => return true,
            Ok(false) => command.task = Task::Done,
            Err(sense) => command.fail(sense),
        }
        false
    }

    /// Ends a command, and tells why it failed, if it did.
    pub(crate) fn finish(&mut self, command: &Command) -> Result<(), Sense> {
        command.failure.map_or(Ok(()), Err)
    }

    /// Keeps why a command failed for the host to ask for, as it is not told at once.
    pub(crate) fn keep(&mut self, lun: u8, sense: Sense) {
        if let Some(unit) = self.units.get_mut(usize::from(lun)) {
            unit.sense = sense;
        }
    }
}
