//! What is kept of failures and of all else that happens to hosts: records and events, in the words of Windows' error reports and event logs.

mod event;
mod journal;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::{
    event::{Event, EventKind, FailureRecord, Outlook},
    journal::{Entry, Journal},
};

/// Makes an `enum` of words that are shown, and written as JSON, as they are called.
macro_rules! words {
    ($($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $word:ident,)+ })+) => { $(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$of])* $word,)+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$word => stringify!($word),)+ })
            }
        }
    )+ };
}

words! {
    /// What went wrong with a host ("Accessing UMDF Metadata in WER Reports").
    Problem {
        /// The host died, or its drivers panicked.
        HostFailure,
        /// The host could not be told something.
        SendFailure,
        /// A critical operation missed its deadline.
        HostTimeout,
        /// The host was asked for something that does not exist.
        BadRequest,
        /// The host said what makes no sense.
        BadReply,
        /// The host closed its connection, and lives on.
        HostDisconnect,
        /// The host left something behind.
        LeakedHandle,
        /// Something else, such as a user's wish.
        Other,
    }

    /// Who saw that something went wrong.
    DetectedBy {
        /// The operating system.
        Platform,
        /// What passes applications' requests on.
        Reflector,
        /// The driver manager.
        DriverManager,
        /// The host itself.
        Host,
        /// The framework in the host.
        Framework,
        /// A test, or a user who tries the recovery.
        Test,
    }

    /// What a host was about.
    Operation {
        /// It was starting.
        Init,
        /// It was ending.
        HostShutdown,
        /// A stack was built or taken down.
        Pnp,
        /// A device went to sleep, or woke.
        Power,
        /// An application's last handle of a file was closed.
        Cleanup,
        /// A file was closed.
        Close,
        /// A request was cancelled.
        Cancel,
        /// A request of an application.
        IO,
        /// Something else, or several things at once.
        Other,
    }
}

/// How a host process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It never ran.
    NotStarted,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "signal {number} ({name})"),
                None => write!(f, "signal {number}"),
            },
            Self::NotStarted => f.write_str("not started"),
        }
    }
}

/// The names of the signals that end processes.
fn signal_name(number: i32) -> Option<&'static str> {
    use libc::{
        SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT,
        SIGSEGV, SIGSYS, SIGTERM, SIGTRAP, SIGXCPU, SIGXFSZ,
    };
    Some(match number {
        SIGABRT => "SIGABRT",
        SIGALRM => "SIGALRM",
        SIGBUS => "SIGBUS",
        SIGFPE => "SIGFPE",
        SIGHUP => "SIGHUP",
        SIGILL => "SIGILL",
        SIGINT => "SIGINT",
        SIGKILL => "SIGKILL",
        SIGPIPE => "SIGPIPE",
        SIGQUIT => "SIGQUIT",
        SIGSEGV => "SIGSEGV",
        SIGSYS => "SIGSYS",
        SIGTERM => "SIGTERM",
        SIGTRAP => "SIGTRAP",
        SIGXCPU => "SIGXCPU",
        SIGXFSZ => "SIGXFSZ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_told_in_the_words_of_the_reports() {
        assert_eq!(Problem::HostTimeout.to_string(), "HostTimeout");
        assert_eq!(serde_json::to_string(&Operation::IO).unwrap(), "\"IO\"");
        assert_eq!(Exit::Signal(9).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(Exit::Signal(40).to_string(), "signal 40");
        assert_eq!(Exit::Code(3).to_string(), "exit code 3");
    }
}
