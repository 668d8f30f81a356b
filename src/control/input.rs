//! What a device's user can do, by the kind of its function.

use super::request::{Refusal, Request};
use crate::models::{
    Handle, State,
    disk::{Media, medium::Access},
    hid::{Delivery, Gamepad, Keyboard, Mouse, Tablet, TabletError},
    osr_fx2::Board,
};

/// The requests that a function understands, besides those that every device does.
pub(super) fn abilities(handle: &Handle) -> &'static [&'static str] {
    match handle {
        Handle::Board(_) => &["state", "switch"],
        Handle::Keyboard(_) => &["state", "type", "press", "hold", "release"],
        Handle::Mouse(_) | Handle::Tablet(_) => &[
            "state", "move", "click", "press", "hold", "release", "wheel",
        ],
        Handle::Gamepad(_) => &["state", "press", "hold", "release", "axis", "hat"],
        Handle::Disk(_) => &["state", "insert", "eject"],
        Handle::Serial(_) => &["state"],
    }
}

/// Does what is asked for; `None` where the function can't.
pub(super) fn act(handle: &Handle, request: &Request) -> Option<Result<(), Refusal>> {
    match handle {
        Handle::Board(board) => on_board(board, request),
        Handle::Keyboard(keyboard) => on_keyboard(keyboard, request),
        Handle::Mouse(mouse) => on_mouse(mouse, request),
        Handle::Tablet(tablet) => on_tablet(tablet, request),
        Handle::Gamepad(gamepad) => on_gamepad(gamepad, request),
        Handle::Disk(media) => on_disk(media, request),
        // What is at the other end of its line sets the line's signals.
        Handle::Serial(_) => None,
    }
}

/// How far the host has read what was done, with a function where that can be told.
pub(super) fn delivery(state: &State) -> Option<Delivery> {
    match state {
        State::Keyboard(state) => Some(state.delivery),
        State::Pointer(state) => Some(state.delivery),
        State::Board(_) | State::Disk(_) | State::Serial(_) => None,
    }
}

/// Reads a word of a request.
fn word<T: std::str::FromStr<Err = &'static str>>(word: &str) -> Result<T, Refusal> {
    word.parse().map_err(|rule| Refusal::Word {
        word: word.to_owned(),
        rule,
    })
}

fn on_board(board: &Board, request: &Request) -> Option<Result<(), Refusal>> {
    match request {
        Request::Switch { switch, on, .. } => {
            Some(board.set_switch(*switch, *on).map_err(Refusal::from))
        }
        _ => None,
    }
}

fn on_keyboard(keyboard: &Keyboard, request: &Request) -> Option<Result<(), Refusal>> {
    let act = || -> Result<bool, Refusal> {
        match request {
            Request::Type { text, .. } => keyboard.type_text(text)?,
            Request::Press { keys, .. } => keyboard.tap(&keyboard.chord(keys)?)?,
            Request::Hold { keys, .. } => keyboard.press(&keyboard.chord(keys)?)?,
            Request::Release { keys, .. } => keyboard.release(&keyboard.chord(keys)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    };
    done(act())
}

fn on_mouse(mouse: &Mouse, request: &Request) -> Option<Result<(), Refusal>> {
    let act = || -> Result<bool, Refusal> {
        match request {
            Request::Move { x, y, .. } => mouse.move_by(*x, *y)?,
            Request::Click { button, .. } | Request::Press { keys: button, .. } => {
                mouse.click(word(button)?)?;
            }
            Request::Hold { keys, .. } => mouse.press(word(keys)?)?,
            Request::Release { keys, .. } => mouse.release(word(keys)?)?,
            Request::Wheel { up, right, .. } => mouse.wheel(*up, *right)?,
            _ => return Ok(false),
        }
        Ok(true)
    };
    done(act())
}

fn on_tablet(tablet: &Tablet, request: &Request) -> Option<Result<(), Refusal>> {
    let place = |at: i32| u16::try_from(at).map_err(|_| TabletError::OffTheTablet);
    let act = || -> Result<bool, Refusal> {
        match request {
            Request::Move { x, y, .. } => tablet.move_to(place(*x)?, place(*y)?)?,
            Request::Click { button, .. } | Request::Press { keys: button, .. } => {
                tablet.click(word(button)?)?;
            }
            Request::Hold { keys, .. } => tablet.press(word(keys)?)?,
            Request::Release { keys, .. } => tablet.release(word(keys)?)?,
            Request::Wheel { up, right: 0, .. } => tablet.wheel(*up)?,
            Request::Wheel { right, .. } => {
                return Err(Refusal::Word {
                    word: right.to_string(),
                    rule: "a tablet's wheel turns up and down alone",
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    };
    done(act())
}

fn on_gamepad(gamepad: &Gamepad, request: &Request) -> Option<Result<(), Refusal>> {
    let act = || -> Result<bool, Refusal> {
        match request {
            Request::Press { keys, .. } => gamepad.click(word(keys)?)?,
            Request::Hold { keys, .. } => gamepad.press(word(keys)?)?,
            Request::Release { keys, .. } => gamepad.release(word(keys)?)?,
            Request::Axis { axis, value, .. } => gamepad.set_axis(word(axis)?, *value)?,
            Request::Hat { to, .. } => gamepad.set_hat(word(to)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    };
    done(act())
}

fn on_disk(media: &Media, request: &Request) -> Option<Result<(), Refusal>> {
    match request {
        Request::Insert {
            image,
            unit,
            read_only,
            ..
        } => {
            let access = match read_only {
                true => Access::Read,
                false => Access::Write,
            };
            Some(media.insert(*unit, image, access).map_err(Refusal::from))
        }
        Request::Eject { unit, force, .. } => {
            Some(media.eject(*unit, *force).map_err(Refusal::from))
        }
        _ => None,
    }
}

/// `None` where it was no request of that kind of function.
fn done(acted: Result<bool, Refusal>) -> Option<Result<(), Refusal>> {
    match acted {
        Ok(false) => None,
        Ok(true) => Some(Ok(())),
        Err(refusal) => Some(Err(refusal)),
    }
}
