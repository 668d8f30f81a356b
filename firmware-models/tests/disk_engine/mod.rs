//! A disk and a host that does what a string of bytes tells it, beside a model of the disk that is as plain as can be.
//!
//! The property tests and the fuzz target run the same engine: [`run`] panics where the disk panics, tells a status or sense that is not
//! the right one, counts bytes wrongly, or has anything else on its media than was written.

mod bulk_only;
mod chaos;
mod commands;
mod host;
mod medium;
mod outcome;
mod reference;
mod script;
mod uas;

use std::io;

use usbwright_emulator::protocol::Speed;
use usbwright_models::{
    Strings,
    disk::{BlockSize, Disk, Drive, Identity, Unit},
};

use self::{
    host::Host,
    medium::{Faults, Shared},
    reference::{Place, Plan, RESET, Then},
    script::Script,
};

/// Bytes on the first medium: its last piece in memory is shorter than the others.
const SIZE: usize = 200 << 10;

/// Does what `script` tells, and compares the disk with the model on the way.
pub(crate) fn run(script: &[u8]) {
    let mut bench = Bench::new(Script::new(script));
    while let Some(action) = bench.script.next() {
        bench.act(action);
    }
    if bench.uas {
        bench.uas_drain();
    }
    for unit in &bench.units {
        let content = unit.shared.content(0..unit.data.len());
        assert!(content == unit.data, "the medium has something else");
    }
}

struct Bench<'a> {
    script: Script<'a>,
    host: Host,
    uas: bool,
    /// Bytes in a packet.
    packet: usize,
    units: Vec<reference::Unit>,
    drives: Vec<Drive>,
    session: uas::Session,
}

impl<'a> Bench<'a> {
    fn new(mut script: Script<'a>) -> Self {
        let [kind, shape] = script.bytes();
        let speed = match kind % 4 {
            3 => Speed::Super,
            _ => Speed::High,
        };
        let uas = kind % 4 < 2;
        let (mut units, mut made, mut drives) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..1 + usize::from(shape & 1) {
            let model = model(number, shape);
            let medium = model.shared.medium(model.read_only, model.thin);
            let drive = Drive::new(Some(medium));
            made.push(unit(&model, drive.clone()));
            drives.push(drive);
            units.push(model);
        }
        let disk = Disk::new(speed, strings(), made);
        let mut bench = Self {
            script,
            host: Host::new(disk, speed),
            uas,
            packet: if speed == Speed::Super { 1024 } else { 512 },
            units,
            drives,
            session: uas::Session::default(),
        };
        bench.begin_anew();
        bench
    }

    fn act(&mut self, action: u8) {
        match action {
            0..200 if self.uas => self.uas_step(),
            0..200 => self.bulk_only_command(),
            200..230 => self.fail_or_mend(),
            230..245 => self.change_medium(),
            _ => self.chaos(),
        }
    }

    /// Resets the bus. Whatever was under way is over.
    fn begin_anew(&mut self) {
        self.host.reset(self.uas);
        self.session = uas::Session::default();
        for unit in &mut self.units {
            unit.reset();
        }
    }

    fn lun(&mut self) -> usize {
        usize::from(self.script.byte()) % self.units.len()
    }

    /// What the host sends for a command: of what is compared or is a list, often what fits.
    fn host_data(&mut self, plan: &Plan, lun: usize) -> Vec<u8> {
        let unit = &self.units[lun];
        let Plan::Take(length, then) = plan else {
            return Vec::new();
        };
        match then {
            Then::Unmap => commands::ranges(&mut self.script, *length, unit.blocks()),
            Then::Compare(range) if !self.script.one_in(4) => unit.data[range.clone()].to_vec(),
            Then::Same(_) if self.script.one_in(2) => vec![0; *length],
            _ => self.script.data(*length),
        }
    }

    /// Has something of a medium fail from now on, or nothing.
    fn fail_or_mend(&mut self) {
        let lun = self.lun();
        let unit = &self.units[lun];
        let start = self.script.up_to(unit.blocks() as usize - 1) * unit.block;
        let what = self.script.byte();
        let full = what & 8 != 0;
        unit.shared.fail(Faults {
            bad: start..start + unit.block * (1 + usize::from(what >> 4)),
            reads: what & 1 != 0,
            writes: (what & 2 != 0).then_some(match full {
                true => io::ErrorKind::StorageFull,
                false => io::ErrorKind::Other,
            }),
            flushes: what & 4 != 0,
        });
    }

    /// Its user takes a medium out, or puts it back.
    fn change_medium(&mut self) {
        let lun = self.lun();
        let (unit, drive) = (&mut self.units[lun], &self.drives[lun]);
        if unit.place == Place::Outside {
            let medium = unit.shared.medium(unit.read_only, unit.thin);
            drive.insert(medium).expect("the drive is empty");
            (unit.place, unit.changed) = (Place::Drive, true);
            return;
        }
        let by_force = self.script.one_in(2);
        let taken = drive.take(by_force).is_ok();
        let kept = unit.place == Place::Drive && unit.prevented && !by_force;
        assert_eq!(taken, !kept);
        if taken {
            if unit.place == Place::Drive {
                unit.prevented = false;
            }
            unit.place = Place::Outside;
        }
    }
}

/// A part of what is left to move: whole packets, or all of it.
fn part(script: &mut Script<'_>, left: usize, packet: usize) -> usize {
    let packets = match script.byte() {
        0..180 => return left,
        180..250 => script.up_to(7),
        _ => script.up_to(200),
    };
    left.min((packets + 1) * packet)
}

/// Less than a part, and no whole number of packets, or nothing: that ends a transfer.
fn short(script: &mut Script<'_>, part: usize, packet: usize) -> usize {
    let short = script.up_to(part - 1);
    short - usize::from(short > 0 && short.is_multiple_of(packet))
}

/// The model of the unit of that number.
fn model(number: usize, shape: u8) -> reference::Unit {
    let size = if number == 0 { SIZE } else { 16 << 10 };
    reference::Unit {
        data: vec![0; size],
        shared: Shared::new(size as u64, shape & 2 != 0),
        block: if shape & 4 != 0 { 4096 } else { 512 },
        removable: shape & 8 != 0,
        read_only: number == 1 && shape & 16 != 0,
        thin: shape & 32 == 0,
        place: Place::Drive,
        prevented: false,
        changed: false,
        attention: Some(RESET),
        sense: reference::NO_SENSE,
        stopped: false,
        overtaken: false,
    }
}

fn unit(model: &reference::Unit, drive: Drive) -> Unit {
    let identity = Identity {
        vendor: "A".into(),
        product: "B".into(),
        revision: "1".into(),
        serial: "0123456789AB".into(),
    };
    let block = match model.block {
        512 => BlockSize::B512,
        _ => BlockSize::B4096,
    };
    let unit = Unit::new(drive, block, identity);
    match model.removable {
        true => unit.removable(),
        false => unit,
    }
}

fn strings() -> Strings {
    Strings {
        vendor: "A".into(),
        product: "B".into(),
        serial: "0123456789AB".into(),
    }
}
