//! The user's terminal while the guest has it.

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::error::LabError;

/// Hands every key to the guest, until dropped.
pub(super) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Takes the terminal on standard input.
    pub(super) fn take() -> Result<Self, LabError> {
        let before =
            tcgetattr(stdin()).map_err(LabError::system("read the terminal's settings"))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)
            .map_err(LabError::system("change the terminal's settings"))?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Lines, and characters in each, of the terminal on standard input; `None` where there is no terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdin()).ok()?;
    Some((size.ws_row, size.ws_col))
}
