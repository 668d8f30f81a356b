//! Random messages of a kernel: each is refused, or tells no more than it has. Random ioctls of a program: each comes to an end, within what a kernel moves.

use bytes::Bytes;
use rustix::io::Errno;
use usbwright_character_devices::{
    CONTROL, QUERY, SET, Step,
    wire::{Body, Ioctl, LONGEST, Message, Span},
};
use usbwright_reflector::{IoOutcome, status::NtStatus};

/// What a kernel does not come again with more often than this: for a block, and then for what it tells of.
const ROUNDS: usize = 3;

/// Bytes that decide what happens.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    /// So many bytes; zeros where there are no more.
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        let mut bytes = taken.to_vec();
        bytes.resize(length, 0);
        bytes
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap())
    }
}

/// Runs what a script says.
pub(crate) fn run(script: &[u8]) {
    let Some((kind, rest)) = script.split_first() else {
        return;
    };
    match kind % 3 {
        0 => take(rest),
        1 => take(&framed(rest)),
        _ => call(&mut Script(rest)),
    }
}

/// A message that tells its length as it is.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut message = bytes.to_vec();
    message.resize(message.len().max(40), 0);
    let length = u32::try_from(message.len()).unwrap();
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

fn take(message: &[u8]) {
    match Message::decode(message).map(|it| it.body) {
        Ok(Body::Write { data, .. }) => assert!(data.len() <= message.len()),
        Ok(Body::Ioctl(ioctl)) => {
            assert!(ioctl.input.len() <= message.len());
            let _step = Step::of(&ioctl);
        }
        _ => {}
    }
}

fn length(spans: &[Span]) -> usize {
    let lengths = spans.iter().map(|it| usize::try_from(it.length).unwrap());
    lengths.sum()
}

/// A program's ioctl, whose memory changes all the time.
fn call(script: &mut Script<'_>) {
    let command = match script.number() {
        number if number % 2 == 0 => [CONTROL, QUERY, SET][(number / 2 % 3) as usize],
        number => number,
    };
    let mut ioctl = Ioctl {
        file: 1,
        command,
        argument: script.number().into(),
        input: Bytes::new(),
        room: 0,
    };
    for _ in 0..ROUNDS {
        match Step::of(&ioctl) {
            Step::Again { input, output } => {
                let (input, output) = (length(&input), length(&output));
                assert!(input.max(output) <= LONGEST);
                assert!(input + output > 0, "it would come again for ever");
                ioctl.input = script.bytes(input).into();
                ioctl.room = u32::try_from(output).unwrap();
            }
            Step::Control(control) => {
                let data = script.bytes(LONGEST).into();
                let outcome = IoOutcome {
                    status: NtStatus(script.number()),
                    information: usize::MAX,
                    data,
                };
                let (result, data) = control.answer(&outcome, None);
                assert!(data.len() <= ioctl.room as usize);
                assert!((-4095..=0).contains(&result));
                let interrupted = control.answer(&outcome, Some(Errno::INTR));
                assert_eq!(interrupted.0, -Errno::INTR.raw_os_error());
                return;
            }
            Step::Flush | Step::Refused(_) => return,
        }
    }
    panic!("the ioctl {command:#x} has no end");
}
