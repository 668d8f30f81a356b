//! What a file was opened for, and the control codes that it is enough for: Windows' I/O manager looks at that before a driver sees a request.

use usbwright_host_stack::ControlCode;

const FILE_READ_DATA: u32 = 1;
const FILE_WRITE_DATA: u32 = 2;
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
const GENERIC_ALL: u32 = 0x1000_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;
const GENERIC_READ: u32 = 0x8000_0000;

/// What may be done with a file: `FILE_READ_DATA` and `FILE_WRITE_DATA`, or neither. At first, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Granted(u32);

impl Granted {
    /// What whoever opens a file with this `ACCESS_MASK` may do.
    pub(super) fn of(wanted: u32) -> Self {
        let any = |mask: u32| wanted & (mask | GENERIC_ALL | MAXIMUM_ALLOWED) != 0;
        let mut granted = 0;
        if any(GENERIC_READ | FILE_READ_DATA) {
            granted |= FILE_READ_DATA;
        }
        if any(GENERIC_WRITE | FILE_WRITE_DATA) {
            granted |= FILE_WRITE_DATA;
        }
        Self(granted)
    }

    /// Whether that is enough for a control code.
    pub(super) fn allows(self, code: ControlCode) -> bool {
        let needed = code.access() as u32;
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
}
