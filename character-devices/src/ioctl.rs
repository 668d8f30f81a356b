//! Which ioctl asks for what of the drivers, and where its data is in the program's memory.

use bytes::Bytes;
use rustix::io::Errno;
use usbwright_reflector::{ControlCode, IoOutcome};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    errno::ioctl_errno,
    wire::{Ioctl, LONGEST, Span},
};

/// The ioctl that takes any control code, in a [`ControlBlock`]: `_IOWR(0xF7, 0, struct usbwright_control)`.
#[doc(alias = "USBWRIGHT_CONTROL")]
pub const CONTROL: u32 = 0xC028_F700;
/// The ioctl that has written what is buffered: `_IO(0xF7, 1)`.
#[doc(alias = "USBWRIGHT_FLUSH")]
pub const FLUSH: u32 = 0x0000_F701;
/// The ioctl that asks for information about the file, of the class that is the `code` of a [`ControlBlock`]: `_IOWR(0xF7, 2, struct usbwright_control)`.
#[doc(alias = "USBWRIGHT_QUERY")]
pub const QUERY: u32 = 0xC028_F702;
/// The ioctl that sets such information: `_IOWR(0xF7, 3, struct usbwright_control)`.
#[doc(alias = "USBWRIGHT_SET")]
pub const SET: u32 = 0xC028_F703;

/// What a program gives [`CONTROL`], [`QUERY`] and [`SET`], as `DeviceIoControl` has it (`struct usbwright_control`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ControlBlock {
    /// The control code, or the class of information.
    pub code: u32,
    /// Filled in: the Win32 code, 0 if all went well.
    pub error: u32,
    /// Where the input is.
    pub input: u64,
    /// Where the output goes.
    pub output: u64,
    /// Bytes of the input.
    pub input_length: u32,
    /// Room for the output, in bytes.
    pub output_length: u32,
    /// Filled in: how much was done, mostly bytes of the output.
    pub returned: u32,
    /// Of no use.
    pub reserved: u32,
}

const BLOCK: usize = size_of::<ControlBlock>();
const fn length(command: u32) -> usize {
    ((command >> 16) & 0x3FFF) as usize
}
const _: () = assert!(BLOCK == length(CONTROL) && BLOCK == length(QUERY) && BLOCK == length(SET));

/// What is to be done about an ioctl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It needs memory of the program: what is there, and room for what comes.
    Again {
        /// What is to be read.
        input: Vec<Span>,
        /// What is to be written.
        output: Vec<Span>,
    },
    /// A control code for the drivers, or information about the file.
    Control(Control),
    /// A flush.
    Flush,
    /// It can't be done.
    Refused(Errno),
}

/// What the drivers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A control code.
    Code(ControlCode),
    /// Information of this class about the file.
    Query(u32),
    /// Information of this class is set.
    Set(u32),
}

/// What the drivers are asked for, with all that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// What it is.
    pub asked: Asked,
    /// Its input.
    pub input: Bytes,
    /// Room for its output, in bytes.
    pub output: usize,
    /// What the program has said it with, if not with the code itself.
    block: Option<ControlBlock>,
}

impl Step {
    /// What is to be done about an ioctl of which so much is known.
    pub fn of(ioctl: &Ioctl) -> Self {
        match ioctl.command {
            CONTROL | QUERY | SET => block_step(ioctl),
            FLUSH => Self::Flush,
            _ => raw_step(ioctl),
        }
    }
}

/// An ioctl of any other number: that is the control code, and says by itself how much is moved (`_IOC`, `asm-generic/ioctl.h`).
fn raw_step(ioctl: &Ioctl) -> Step {
    const WRITES: u32 = 1 << 30;
    const READS: u32 = 1 << 31;
    let length = (ioctl.command >> 16) & 0x3FFF;
    let moved = |flag| match ioctl.command & flag {
        0 => 0,
        _ => length,
    };
    let asked = Asked::Code(ControlCode(ioctl.command));
    if ioctl.command & (READS | WRITES) == 0 {
        return Step::Control(Control {
            asked,
            input: Bytes::copy_from_slice(ioctl.argument.as_bytes()),
            output: 0,
            block: None,
        });
    }
    let (input, output) = (moved(WRITES), moved(READS));
    if ioctl.input.len() == input as usize && ioctl.room == output {
        return Step::Control(Control {
            asked,
            input: ioctl.input.clone(),
            output: output as usize,
            block: None,
        });
    }
    let span = |length: u32| {
        let span = Span {
            address: ioctl.argument,
            length: length.into(),
        };
        (length > 0).then_some(span).into_iter().collect()
    };
    match (ioctl.input.len(), ioctl.room) {
        (0, 0) => Step::Again {
            input: span(input),
            output: span(output),
        },
        _ => Step::Refused(Errno::INVAL),
    }
}

/// One that has the code and all else in a block: that is asked for first, and then what it tells of.
fn block_step(ioctl: &Ioctl) -> Step {
    let itself = Span {
        address: ioctl.argument,
        length: BLOCK as u64,
    };
    let Ok((block, rest)) = ControlBlock::read_from_prefix(&ioctl.input) else {
        return match ioctl.input.len() {
            0 => Step::Again {
                input: vec![itself],
                output: vec![],
            },
            _ => Step::Refused(Errno::INVAL),
        };
    };
    let (input, output) = (block.input_length as usize, block.output_length as usize);
    if input.max(output) > LONGEST - BLOCK {
        return Step::Refused(Errno::MSGSIZE);
    }
    // Information goes one way.
    let asked = match (ioctl.command, input, output) {
        (CONTROL, ..) => Asked::Code(ControlCode(block.code)),
        (QUERY, 0, _) => Asked::Query(block.code),
        (SET, _, 0) => Asked::Set(block.code),
        _ => return Step::Refused(Errno::INVAL),
    };
    if rest.len() == input && ioctl.room as usize == BLOCK + output {
        return Step::Control(Control {
            asked,
            input: ioctl.input.slice(BLOCK..),
            output,
            block: Some(block),
        });
    }
    let with = |address, length: u32| {
        let more = Span {
            address,
            length: length.into(),
        };
        [itself].into_iter().chain((length > 0).then_some(more))
    };
    match (rest.len(), ioctl.room) {
        (0, 0) => Step::Again {
            input: with(block.input, block.input_length).collect(),
            output: with(block.output, block.output_length).collect(),
        },
        // The program has changed it meanwhile.
        _ => Step::Refused(Errno::INVAL),
    }
}

impl Control {
    /// What the ioctl returns, and what goes into the program's memory.
    pub fn answer(&self, outcome: &IoOutcome, interrupted: Option<Errno>) -> (i32, Bytes) {
        let error = outcome.error();
        let told = interrupted.or_else(|| ioctl_errno(error));
        let result = told.map_or(0, |it| -it.raw_os_error());
        let data = outcome.data.slice(..outcome.data.len().min(self.output));
        let Some(block) = self.block else {
            return (result, data);
        };
        let block = ControlBlock {
            error: error.0,
            returned: u32::try_from(outcome.information).unwrap_or(u32::MAX),
            ..block
        };
        (result, [block.as_bytes(), &data].concat().into())
    }
}

#[cfg(test)]
mod tests {
    use usbwright_reflector::status::NtStatus;

    use super::*;

    fn ioctl(command: u32, input: impl Into<Bytes>, room: u32) -> Ioctl {
        Ioctl {
            file: 1,
            command,
            argument: 0x1000,
            input: input.into(),
            room,
        }
    }

    fn outcome(status: NtStatus, data: &'static [u8]) -> IoOutcome {
        IoOutcome {
            status,
            information: data.len(),
            data: data.into(),
        }
    }

    fn span(address: u64, length: u64) -> Span {
        Span { address, length }
    }

    #[test]
    fn a_number_that_tells_its_size_is_a_control_code_by_itself() {
        // _IOWR('x', 4, 16 bytes)
        let command = 0xC010_7804;
        let first = Step::of(&ioctl(command, "", 0));
        let again = Step::Again {
            input: vec![span(0x1000, 16)],
            output: vec![span(0x1000, 16)],
        };
        assert_eq!(first, again);
        let Step::Control(control) = Step::of(&ioctl(command, vec![7; 16], 16)) else {
            panic!("it has all it needs");
        };
        assert_eq!(control.asked, Asked::Code(ControlCode(command)));
        assert_eq!((&control.input[..], control.output), (&[7; 16][..], 16));
        let answer = control.answer(&outcome(NtStatus::SUCCESS, b"ab"), None);
        assert_eq!(answer, (0, Bytes::from_static(b"ab")));
    }

    #[test]
    fn a_number_without_a_direction_gives_its_argument_itself() {
        let Step::Control(control) = Step::of(&ioctl(0x7804, "", 0)) else {
            panic!("it needs no memory");
        };
        assert_eq!(control.input, 0x1000_u64.to_ne_bytes()[..]);
        let unknown = outcome(NtStatus::INVALID_DEVICE_REQUEST, b"");
        assert_eq!(control.answer(&unknown, None), (-25, Bytes::new()));
    }

    #[test]
    fn a_block_is_asked_for_first_and_then_what_it_tells_of() {
        let first = Step::of(&ioctl(CONTROL, "", 0));
        let itself = span(0x1000, 40);
        assert_eq!(
            first,
            Step::Again {
                input: vec![itself],
                output: vec![]
            }
        );
        let block = ControlBlock {
            code: 0xFFDC_6018,
            input: 0x2000,
            input_length: 3,
            output: 0x3000,
            output_length: 8,
            ..ControlBlock::default()
        };
        let bytes = Bytes::copy_from_slice(block.as_bytes());
        let second = Step::of(&ioctl(CONTROL, bytes.clone(), 0));
        let again = Step::Again {
            input: vec![itself, span(0x2000, 3)],
            output: vec![itself, span(0x3000, 8)],
        };
        assert_eq!(second, again);
        let all = [&bytes[..], b"abc"].concat();
        let Step::Control(control) = Step::of(&ioctl(CONTROL, all.clone(), 48)) else {
            panic!("it has all it needs");
        };
        assert_eq!((&control.input[..], control.output), (&b"abc"[..], 8));
        let part = outcome(NtStatus::BUFFER_OVERFLOW, b"xy");
        let (result, data) = control.answer(&part, None);
        assert_eq!(result, -Errno::MSGSIZE.raw_os_error());
        let (told, rest) = ControlBlock::read_from_prefix(&data).unwrap();
        assert_eq!((told.error, told.returned, rest), (234, 2, &b"xy"[..]));

        let changed = Step::of(&ioctl(CONTROL, all, 47));
        assert_eq!(changed, Step::Refused(Errno::INVAL));
    }

    #[test]
    fn a_block_needs_no_input_and_no_output() {
        let block = ControlBlock::default();
        let bytes = Bytes::copy_from_slice(block.as_bytes());
        let step = Step::of(&ioctl(CONTROL, bytes.clone(), 0));
        let itself = vec![span(0x1000, 40)];
        let again = Step::Again {
            input: itself.clone(),
            output: itself,
        };
        assert_eq!(step, again);
        assert!(matches!(
            Step::of(&ioctl(CONTROL, bytes, 40)),
            Step::Control(_)
        ));
    }

    #[test]
    fn information_goes_one_way() {
        let asked = |command, input_length, output_length| {
            let block = ControlBlock {
                code: 20,
                input_length,
                output_length,
                ..ControlBlock::default()
            };
            let rest = vec![0; input_length as usize];
            let all = [block.as_bytes(), &rest].concat();
            match Step::of(&ioctl(command, all, 40 + output_length)) {
                Step::Control(control) => Ok(control.asked),
                Step::Refused(error) => Err(error),
                step => panic!("it has all it needs: {step:?}"),
            }
        };
        assert_eq!(asked(QUERY, 0, 8), Ok(Asked::Query(20)));
        assert_eq!(asked(SET, 8, 0), Ok(Asked::Set(20)));
        assert_eq!(asked(QUERY, 8, 8), Err(Errno::INVAL));
        assert_eq!(asked(SET, 8, 8), Err(Errno::INVAL));
    }

    #[test]
    fn more_than_a_kernel_moves_at_once_is_refused() {
        let block = ControlBlock {
            output_length: LONGEST as u32,
            ..ControlBlock::default()
        };
        let bytes = Bytes::copy_from_slice(block.as_bytes());
        let step = Step::of(&ioctl(CONTROL, bytes, 0));
        assert_eq!(step, Step::Refused(Errno::MSGSIZE));
    }
}
