//! What a file was opened for, and what that is enough for: control codes, and information that is set. Windows' I/O manager looks at that before a driver sees a request.

use usbwright_host_stack::ControlCode;

const FILE_READ_DATA: u32 = 1;
const FILE_WRITE_DATA: u32 = 2;
const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
const DELETE: u32 = 0x1_0000;
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
const GENERIC_ALL: u32 = 0x1000_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;
const GENERIC_READ: u32 = 0x8000_0000;

// Of `FILE_INFORMATION_CLASS`.
const FILE_BASIC_INFORMATION: u32 = 4;
const FILE_RENAME_INFORMATION: u32 = 10;
const FILE_DISPOSITION_INFORMATION: u32 = 13;
const FILE_ALLOCATION_INFORMATION: u32 = 19;
const FILE_END_OF_FILE_INFORMATION: u32 = 20;
const FILE_VALID_DATA_LENGTH_INFORMATION: u32 = 39;
const FILE_SHORT_NAME_INFORMATION: u32 = 40;
const FILE_DISPOSITION_INFORMATION_EX: u32 = 64;
const FILE_RENAME_INFORMATION_EX: u32 = 65;

/// What may be done with a file: some of `FILE_READ_DATA`, `FILE_WRITE_DATA`, `FILE_WRITE_ATTRIBUTES` and `DELETE`. At first, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Granted(u32);

impl Granted {
    /// What whoever opens a file with this `ACCESS_MASK` may do.
    pub(super) fn of(wanted: u32) -> Self {
        let all = FILE_READ_DATA | FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES | DELETE;
        let generic = [
            (GENERIC_READ, FILE_READ_DATA),
            (GENERIC_WRITE, FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES),
            (GENERIC_ALL | MAXIMUM_ALLOWED, all),
        ];
        let told = generic.iter().filter(|(mask, _)| wanted & mask != 0);
        Self(told.fold(wanted & all, |granted, (_, rights)| granted | rights))
    }

    /// Whether that is enough for a control code.
    pub(super) fn allows(self, code: ControlCode) -> bool {
        self.has(code.access() as u32)
    }

    /// Whether that is enough to set information of a class: what `NtSetInformationFile` wants. Nothing is wanted to ask for it, as `CreateFile` opens every file for that.
    pub(super) fn lets_set(self, class: u32) -> bool {
        self.has(match class {
            FILE_BASIC_INFORMATION => FILE_WRITE_ATTRIBUTES,
            FILE_ALLOCATION_INFORMATION
            | FILE_END_OF_FILE_INFORMATION
            | FILE_VALID_DATA_LENGTH_INFORMATION => FILE_WRITE_DATA,
            FILE_RENAME_INFORMATION
            | FILE_DISPOSITION_INFORMATION
            | FILE_SHORT_NAME_INFORMATION
            | FILE_DISPOSITION_INFORMATION_EX
            | FILE_RENAME_INFORMATION_EX => DELETE,
            _ => 0,
        })
    }

    fn has(self, needed: u32) -> bool {
        self.0 & needed == needed
    }
}

#[cfg(test)]
mod tests {
    use usbwright_host_stack::{AccessRights as Access, Method};

    use super::*;

    /// The accesses that a file is enough for which was opened so.
    fn allowed(wanted: u32) -> Vec<Access> {
        let all = [Access::Any, Access::Read, Access::Write, Access::ReadWrite];
        let code = |access| ControlCode::new(0x22, 0x800, Method::Buffered, access);
        let granted = Granted::of(wanted);
        all.into_iter()
            .filter(|it| granted.allows(code(*it)))
            .collect()
    }

    #[test]
    fn a_file_is_enough_for_what_it_was_opened_for() {
        for reads in [GENERIC_READ, FILE_READ_DATA] {
            assert_eq!(allowed(reads), [Access::Any, Access::Read]);
        }
        for writes in [GENERIC_WRITE, FILE_WRITE_DATA] {
            assert_eq!(allowed(writes), [Access::Any, Access::Write]);
        }
        for all in [GENERIC_ALL, MAXIMUM_ALLOWED, GENERIC_READ | GENERIC_WRITE] {
            assert_eq!(allowed(all).len(), 4);
        }
        assert_eq!(allowed(0), [Access::Any]);
    }

    /// Those of the classes that a file may set which was opened so: basic, rename, position, the file's end.
    fn settable(wanted: u32) -> Vec<u32> {
        let granted = Granted::of(wanted);
        let classes = [4, 10, 14, 20];
        classes
            .into_iter()
            .filter(|it| granted.lets_set(*it))
            .collect()
    }

    #[test]
    fn information_is_set_by_whoever_has_opened_the_file_for_that() {
        for (wanted, expected) in [
            (0, &[14][..]),
            (GENERIC_READ, &[14]),
            (FILE_WRITE_DATA, &[14, 20]),
            (FILE_WRITE_ATTRIBUTES, &[4, 14]),
            (GENERIC_READ | GENERIC_WRITE, &[4, 14, 20]),
            (DELETE, &[10, 14]),
            (GENERIC_ALL, &[4, 10, 14, 20]),
            (MAXIMUM_ALLOWED, &[4, 10, 14, 20]),
        ] {
            assert_eq!(settable(wanted), expected, "{wanted:#x}");
        }
    }
}
