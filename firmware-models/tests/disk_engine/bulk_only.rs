//! A host that speaks Bulk-Only Transport, in most of the thirteen ways of host and device about the data (§6.7).

use usbwright_emulator::protocol::Status as Ended;

use super::{
    Bench,
    commands::{self, Cdb},
    host::{DATA_IN, DATA_OUT, Host},
    outcome::read_sense,
    part,
    reference::{Failure, NOT_TOLD, Plan, Sense},
    short,
};

const PASSED: u8 = 0;
const FAILED: u8 = 1;
const PHASE_ERROR: u8 = 2;

/// What the host is going to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Intent {
    to_host: bool,
    length: usize,
}

/// What has moved.
#[derive(Debug, Default)]
struct Moved {
    data: Vec<u8>,
    /// The host has ended its data before it had sent as much as it said.
    cut: bool,
}

impl Bench<'_> {
    /// A command from its wrapper to its status.
    pub(super) fn bulk_only_command(&mut self) {
        let lun = self.lun();
        let cdb = commands::command(&mut self.script, self.units[lun].blocks());
        let plan = self.units[lun].begin(&cdb);
        let intent = self.intent(plan.as_ref().ok());
        let tag = u32::from_le_bytes(self.script.bytes());
        let sent = self.host.write(DATA_OUT, &wrapper(tag, lun, intent, &cdb));
        assert_eq!(sent, (Ended::Done, 31));
        let moved = self.data_stage(intent, plan.as_ref().ok(), lun);
        let (residue, status) = status(&mut self.host, tag);
        if status == PHASE_ERROR {
            reset_recovery(&mut self.host);
        }
        let useful = intent.length.checked_sub(residue);
        let useful = useful.expect("no more is left than there was");
        let told = format!("{cdb:02x?} {plan:02x?} {intent:?}: {status}, {residue} left");
        match intent.to_host {
            true => assert_eq!(useful, moved.data.len(), "{told}"),
            false => assert!(useful <= moved.data.len(), "{told}"),
        }
        match self.verdict(lun, plan, intent, &moved) {
            Verdict::Disagree => assert_eq!((status, useful), (PHASE_ERROR, 0), "{told}"),
            Verdict::Described(most) => {
                let disagrees = !intent.to_host || intent.length < most;
                assert!(useful <= most, "{told}");
                assert!(status != PHASE_ERROR || disagrees, "{told}");
                if status == FAILED {
                    self.sense_is_one_of(lun, &NOT_TOLD, &told);
                }
            }
            Verdict::Ended(Err(senses), _) => {
                // A host that breaks off has a phase error, unless the command has failed before.
                let broken_off = moved.cut && status == PHASE_ERROR;
                assert!(status == FAILED || broken_off, "{told}");
                if status == FAILED {
                    self.sense_is_one_of(lun, &senses, &told);
                }
            }
            Verdict::Ended(Ok(()), length) => {
                assert_eq!((status, useful), (PASSED, length), "{told}");
            }
        }
    }

    /// A command has failed, and is to have told one of these as the reason.
    fn sense_is_one_of(&mut self, lun: usize, senses: &[Sense], told: &str) {
        if let [sense] = senses
            && self.script.one_in(2)
        {
            self.units[lun].sense = *sense;
            return;
        }
        let intent = Intent {
            to_host: true,
            length: 18,
        };
        let mut cdb = [0; 16];
        (cdb[0], cdb[4]) = (3, 18);
        self.host.write(DATA_OUT, &wrapper(1, lun, intent, &cdb));
        let (_, sense) = self.host.read(DATA_IN, 18);
        assert_eq!(status(&mut self.host, 1), (0, PASSED));
        let sense = read_sense(&sense);
        assert!(senses.contains(&sense), "{sense:02x?} {told}");
    }

    /// What the host says that it is going to move: most often what the command does.
    fn intent(&mut self, plan: Option<&Plan>) -> Intent {
        let mut intent = Intent {
            to_host: plan.is_none_or(Plan::is_to_host),
            length: plan.map_or(0, Plan::length),
        };
        match self.script.byte() {
            0..200 => {}
            200..215 => intent.length += self.script.up_to(2000),
            215..230 => intent.length = intent.length.saturating_sub(self.script.up_to(2000)),
            230..240 => intent.to_host = !intent.to_host,
            240..250 => intent.length = 0,
            _ => intent.length = self.script.up_to(5000),
        }
        intent
    }

    fn data_stage(&mut self, intent: Intent, plan: Option<&Plan>, lun: usize) -> Moved {
        let mut left = intent.length;
        let mut moved = Moved::default();
        let mut offered = plan.map_or_else(Vec::new, |plan| self.host_data(plan, lun));
        offered.resize(if intent.to_host { 0 } else { intent.length }, 0xee);
        while left > 0 {
            let part = part(&mut self.script, left, self.packet);
            if intent.to_host {
                let (ended, data) = self.host.read(DATA_IN, part);
                moved.data.extend_from_slice(&data);
                if ended == Ended::Stalled {
                    self.host.clear_halt(DATA_IN);
                }
                if ended == Ended::Stalled || data.len() < part {
                    break;
                }
            } else {
                // Sometimes the host has less than it said.
                moved.cut = self.script.one_in(40);
                let part = match moved.cut {
                    true => short(&mut self.script, part, self.packet),
                    false => part,
                };
                let from = intent.length - left;
                let data = &offered[from..from + part];
                let (ended, _) = self.host.write(DATA_OUT, data);
                moved.data.extend_from_slice(data);
                if ended == Ended::Stalled {
                    self.host.clear_halt(DATA_OUT);
                    break;
                }
                if moved.cut {
                    break;
                }
            }
            left -= part;
        }
        moved
    }

    /// What should have come of the command.
    fn verdict(
        &mut self,
        lun: usize,
        plan: Result<Plan, Failure>,
        intent: Intent,
        moved: &Moved,
    ) -> Verdict {
        let plan = match plan {
            Ok(plan) => plan,
            Err(senses) => return Verdict::Ended(Err(senses), 0),
        };
        let unit = &mut self.units[lun];
        if let Plan::Describe(most) | Plan::Sense(_, most, _) = plan {
            if intent.to_host {
                unit.check_told(&plan, &moved.data, true);
            }
            return Verdict::Described(most);
        }
        let length = plan.length();
        if length > 0 && (intent.length < length || intent.to_host != plan.is_to_host()) {
            return Verdict::Disagree;
        }
        let sent = match intent.to_host {
            true => &[],
            false => &moved.data[..moved.data.len().min(length)],
        };
        let result = unit.finish(&plan, sent);
        if plan.is_to_host() {
            unit.check_told(&plan, &moved.data, result.is_ok());
        }
        Verdict::Ended(result, length)
    }
}

/// What should have come of a command.
enum Verdict {
    /// A phase error.
    Disagree,
    /// Up to so many bytes of description, or that there is no such thing.
    Described(usize),
    /// Its status, and how many bytes it has use for.
    Ended(Result<(), Failure>, usize),
}

fn wrapper(tag: u32, lun: usize, intent: Intent, cdb: &Cdb) -> Vec<u8> {
    let mut bytes = b"USBC".to_vec();
    bytes.extend(tag.to_le_bytes());
    bytes.extend(u32::try_from(intent.length).unwrap().to_le_bytes());
    bytes.extend([u8::from(intent.to_host) << 7, lun as u8, 16]);
    bytes.extend(cdb);
    bytes
}

/// Reads the status: residue and status.
fn status(host: &mut Host, tag: u32) -> (usize, u8) {
    let (mut ended, mut bytes) = host.read(DATA_IN, 13);
    if ended == Ended::Stalled {
        host.clear_halt(DATA_IN);
        (ended, bytes) = host.read(DATA_IN, 13);
    }
    assert_eq!((ended, bytes.len()), (Ended::Done, 13));
    let word = |place: usize| u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap());
    assert_eq!((&bytes[..4], word(4)), (&b"USBS"[..], tag));
    (word(8) as usize, bytes[12])
}

fn reset_recovery(host: &mut Host) {
    host.control([0x21, 0xff, 0, 0, 0, 0, 0, 0]);
    host.clear_halt(DATA_IN);
    host.clear_halt(DATA_OUT);
}
