//! Who may open a device's file.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use rustix::fs::{XattrFlags, setxattr};
use usbwright_reflector::Subject;

/// The extended attribute that an access control list is (`include/uapi/linux/posix_acl_xattr.h`).
const ATTRIBUTE: &str = "system.posix_acl_access";
const VERSION: u32 = 2;
/// The permission to read and write.
const READ_WRITE: u16 = 6;
/// The id of entries that are about nobody in particular.
const NOBODY: u32 = u32::MAX;

/// Lets these open a file for reading and writing, besides its owner.
///
/// # Errors
/// Where the file is another user's, or its file system has no such lists.
pub(crate) fn let_in(path: &Path, whom: &[Subject]) -> io::Result<()> {
    let is_everyone = |it: &Subject| matches!(it, Subject::Everyone);
    if whom.iter().any(is_everyone) {
        return fs::set_permissions(path, Permissions::from_mode(0o666));
    }
    if whom.is_empty() {
        return Ok(());
    }
    Ok(setxattr(path, ATTRIBUTE, &list(whom), XattrFlags::empty())?)
}

/// A list of users and groups, in the order that the kernel asks for.
fn list(whom: &[Subject]) -> Vec<u8> {
    let tagged = |tag: u16, pick: fn(&Subject) -> Option<u32>| {
        let mut ids: Vec<u32> = whom.iter().filter_map(pick).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(move |id| (tag, READ_WRITE, id))
    };
    let users = tagged(0x02, |it| match it {
        Subject::User(id) => Some(*id),
        _ => None,
    });
    let groups = tagged(0x08, |it| match it {
        Subject::Group(id) => Some(*id),
        _ => None,
    });
    let owner = (0x01, READ_WRITE, NOBODY);
    let own_group = (0x04, 0, NOBODY);
    let mask = (0x10, READ_WRITE, NOBODY);
    let others = (0x20, 0, NOBODY);
    let entries = [owner]
        .into_iter()
        .chain(users)
        .chain([own_group])
        .chain(groups)
        .chain([mask, others]);
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, permission, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permission.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_its_entries_in_the_kernels_order() {
        let whom = [
            Subject::Group(7),
            Subject::User(9),
            Subject::User(3),
            Subject::User(9),
        ];
        let list = list(&whom);
        assert_eq!(list[..4], [2, 0, 0, 0]);
        let entries: Vec<(u8, u8, u8)> = list[4..]
            .chunks_exact(8)
            .map(|it| (it[0], it[2], it[4]))
            .collect();
        let expected = [
            (1, 6, 255),
            (2, 6, 3),
            (2, 6, 9),
            (4, 0, 255),
            (8, 6, 7),
            (16, 6, 255),
            (32, 0, 255),
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn everyone_needs_no_list() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mode = || file.as_file().metadata().unwrap().permissions().mode() & 0o777;
        let_in(file.path(), &[]).unwrap();
        assert_eq!(mode(), 0o600);
        let_in(file.path(), &[Subject::User(3), Subject::Everyone]).unwrap();
        assert_eq!(mode(), 0o666);
    }
}
