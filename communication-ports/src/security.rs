//! Who may connect to a port.

use std::{fmt, ops::BitOr};

use thiserror::Error;

use crate::Peer;

/// Rights to a port, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "ACCESS_MASK")]
pub struct Rights(pub u32);

impl Rights {
    /// To connect.
    #[doc(alias = "FLT_PORT_CONNECT")]
    pub const CONNECT: Self = Self(0x0001);
    /// All there are, of which a port asks for [`CONNECT`](Self::CONNECT) only.
    #[doc(alias = "FLT_PORT_ALL_ACCESS")]
    pub const ALL_ACCESS: Self = Self(0x001F_0001);

    const NONE: Self = Self(0);

    /// Whether all of `rights` are among these.
    pub const fn contain(self, rights: Self) -> bool {
        self.0 & rights.0 == rights.0
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whom an entry of a [`SecurityDescriptor`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Everybody.
    Everyone,
    /// A user, by id.
    User(u32),
    /// A group, by id: those whose own group it is, and those who have it among their supplementary groups.
    Group(u32),
}

impl Subject {
    fn is(self, peer: &Peer) -> bool {
        match self {
            Self::Everyone => true,
            Self::User(uid) => peer.uid() == uid,
            Self::Group(gid) => peer.gid() == gid || peer.groups().contains(&gid),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => write!(f, "everyone"),
            Self::User(uid) => write!(f, "the user {uid}"),
            Self::Group(gid) => write!(f, "the group {gid}"),
        }
    }
}

/// The rule by which somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// An entry denies it.
    #[error("entry {number} of the security descriptor denies it to {subject}")]
    Entry {
        /// Which entry, from 1.
        number: usize,
        /// Whom it is about.
        subject: Subject,
    },
    /// Nothing allows it.
    #[error("no entry of the security descriptor allows it to the user {uid}")]
    NoEntry {
        /// Who asked.
        uid: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    allow: bool,
    subject: Subject,
    rights: Rights,
}

/// Who may do what with a port: a list of entries, of which the first that speaks of a right decides. What none allows is denied.
///
/// That is how a discretionary access control list is read. The default, as that of `FltBuildDefaultSecurityDescriptor`, is for the
/// system and its administrators: here [the server's own user and root](Self::owner_and_root).
#[derive(Clone, Debug)]
#[doc(alias = "SECURITY_DESCRIPTOR")]
pub struct SecurityDescriptor {
    entries: Vec<Entry>,
}

impl SecurityDescriptor {
    /// Nobody may do anything.
    pub const fn nobody() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// The user that this process runs as, and root, have all rights.
    #[doc(alias = "FltBuildDefaultSecurityDescriptor")]
    pub fn owner_and_root() -> Self {
        let owner = rustix::process::geteuid().as_raw();
        Self::nobody()
            .allow(Subject::User(owner), Rights::ALL_ACCESS)
            .allow(Subject::User(0), Rights::ALL_ACCESS)
    }

    /// With one more entry at the end, which allows.
    #[must_use]
    pub fn allow(self, subject: Subject, rights: Rights) -> Self {
        self.entry(true, subject, rights)
    }

    /// With one more entry at the end, which denies what no entry before it has allowed.
    #[must_use]
    pub fn deny(self, subject: Subject, rights: Rights) -> Self {
        self.entry(false, subject, rights)
    }

    fn entry(mut self, allow: bool, subject: Subject, rights: Rights) -> Self {
        self.entries.push(Entry {
            allow,
            subject,
            rights,
        });
        self
    }

    /// Whether `peer` has all of `rights`.
    pub fn allows(&self, peer: &Peer, rights: Rights) -> bool {
        self.check(peer, rights).is_ok()
    }

    /// As [`allows`](Self::allows).
    ///
    /// # Errors
    /// The rule by which `peer` has not.
    pub fn check(&self, peer: &Peer, rights: Rights) -> Result<(), Denied> {
        let mut granted = Rights::NONE;
        for (at, entry) in self.entries.iter().enumerate() {
            if !entry.subject.is(peer) {
                continue;
            }
            if entry.allow {
                granted = granted | entry.rights;
            } else if entry.rights.0 & rights.0 & !granted.0 != 0 {
                return Err(Denied::Entry {
                    number: at + 1,
                    subject: entry.subject,
                });
            }
            if granted.contain(rights) {
                return Ok(());
            }
        }
        match granted.contain(rights) {
            true => Ok(()),
            false => Err(Denied::NoEntry { uid: peer.uid() }),
        }
    }

    /// Whether somebody besides this process' user and root may be allowed something.
    pub fn is_open(&self) -> bool {
        let owner = rustix::process::geteuid().as_raw();
        self.entries.iter().any(|it| {
            it.allow && !matches!(it.subject, Subject::User(uid) if uid == 0 || uid == owner)
        })
    }
}

impl Default for SecurityDescriptor {
    fn default() -> Self {
        Self::owner_and_root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(descriptor: &SecurityDescriptor, peer: &Peer) -> bool {
        descriptor.allows(peer, Rights::CONNECT)
    }

    #[test]
    fn by_default_the_owner_and_root_may_connect_and_nobody_else() {
        let descriptor = SecurityDescriptor::default();
        let owner = rustix::process::geteuid().as_raw();
        assert!(may(&descriptor, &Peer::fake(owner, 1, &[])));
        assert!(may(&descriptor, &Peer::fake(0, 1, &[])));
        assert!(!may(&descriptor, &Peer::fake(owner + 1, 0, &[0, owner])));
        assert!(!descriptor.is_open());
    }

    #[test]
    fn what_nobody_allows_is_denied_to_root_as_well() {
        assert!(!may(&SecurityDescriptor::nobody(), &Peer::fake(0, 0, &[])));
    }

    #[test]
    fn a_group_is_found_among_the_supplementary_ones() {
        let descriptor = SecurityDescriptor::nobody().allow(Subject::Group(46), Rights::ALL_ACCESS);
        assert!(may(&descriptor, &Peer::fake(1000, 46, &[])));
        assert!(may(&descriptor, &Peer::fake(1000, 1, &[4, 46])));
        assert!(!may(&descriptor, &Peer::fake(46, 1, &[4])));
        assert!(descriptor.is_open());
    }

    #[test]
    fn the_first_entry_that_speaks_of_a_right_decides() {
        let but_one = SecurityDescriptor::nobody()
            .deny(Subject::User(7), Rights::CONNECT)
            .allow(Subject::Everyone, Rights::CONNECT);
        assert!(!may(&but_one, &Peer::fake(7, 0, &[])));
        assert!(may(&but_one, &Peer::fake(8, 0, &[])));
        let too_late = SecurityDescriptor::nobody()
            .allow(Subject::Everyone, Rights::CONNECT)
            .deny(Subject::User(7), Rights::CONNECT);
        assert!(may(&too_late, &Peer::fake(7, 0, &[])));
    }

    #[test]
    fn a_refusal_names_its_rule() {
        let descriptor = SecurityDescriptor::nobody()
            .allow(Subject::User(8), Rights::CONNECT)
            .deny(Subject::Group(46), Rights::CONNECT);
        let why = |peer: &Peer| descriptor.check(peer, Rights::CONNECT).unwrap_err();
        assert_eq!(
            why(&Peer::fake(7, 46, &[])).to_string(),
            "entry 2 of the security descriptor denies it to the group 46"
        );
        assert_eq!(
            why(&Peer::fake(7, 1, &[])).to_string(),
            "no entry of the security descriptor allows it to the user 7"
        );
    }

    #[test]
    fn rights_may_come_from_several_entries_and_all_are_needed() {
        let descriptor = SecurityDescriptor::nobody()
            .allow(Subject::User(7), Rights(0x1_0000))
            .allow(Subject::Everyone, Rights::CONNECT);
        let peer = Peer::fake(7, 0, &[]);
        assert!(descriptor.allows(&peer, Rights(0x1_0001)));
        assert!(!descriptor.allows(&peer, Rights::ALL_ACCESS));
        assert!(!descriptor.allows(&Peer::fake(8, 0, &[]), Rights(0x1_0001)));
    }
}
