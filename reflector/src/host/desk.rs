//! What a host's channels mean to it, without I/O: what is asked, in which order, and what is outstanding.

use std::collections::HashMap;

use usbwright_ports::Violation;

use crate::{
    order::{For, Order},
    wire::{Header, kind},
};

/// The host's end of its channels.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    greeted: bool,
    order: Order,
    /// Requests that have not ended.
    requests: HashMap<u64, Request>,
    files: HashMap<u64, File>,
    last_file: u64,
}

/// A request that has not ended.
#[derive(Debug)]
struct Request {
    file: u64,
    opens: bool,
}

/// A file that is open, or about to be.
#[derive(Debug, Default)]
struct File {
    /// How many requests have not ended.
    outstanding: usize,
    /// The request that closes it, once nothing else is outstanding.
    closing: Option<u64>,
}

/// What a packet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An answer to a greeting.
    Welcome,
    /// A request, which ends later. It is to be taken back at once if its cancel was there before it.
    Request { cancelled: bool },
    /// The file is to be let go of. What is returned ends then, if nothing of the file is outstanding.
    Close { ends: Option<u64> },
}

impl Desk {
    /// Takes a packet of the reflector in. With an error, the reflector is none.
    pub(crate) fn receive(&mut self, header: &Header) -> Result<Asked, Violation> {
        let number = header.kind.get();
        if self.greeted == (number == kind::HELLO) {
            return Err(Violation::Time(number));
        }
        if number == kind::HELLO {
            self.greeted = true;
            return Ok(Asked::Welcome);
        }
        let (request, file) = (header.request.get(), header.file.get());
        let cancelled = self.order.request(request)?;
        match number {
            kind::OPEN => {
                if file <= self.last_file && self.files.contains_key(&file) {
                    return Err(Violation::Again(file));
                }
                self.last_file = self.last_file.max(file);
                self.files.insert(file, File::default());
            }
            kind::CLOSE => return self.close(request, file),
            _ => {}
        }
        let of = self.files.get_mut(&file).ok_or(Violation::Time(number))?;
        if of.closing.is_some() {
            return Err(Violation::Time(number));
        }
        of.outstanding += 1;
        let opens = number == kind::OPEN;
        self.requests.insert(request, Request { file, opens });
        Ok(Asked::Request { cancelled })
    }

    /// A file that could not be opened is closed all the same where its opening ended meanwhile.
    fn close(&mut self, request: u64, file: u64) -> Result<Asked, Violation> {
        let Some(of) = self.files.get_mut(&file) else {
            return match file <= self.last_file {
                true => Ok(Asked::Close {
                    ends: Some(request),
                }),
                false => Err(Violation::Time(kind::CLOSE)),
            };
        };
        if of.closing.replace(request).is_some() {
            return Err(Violation::Time(kind::CLOSE));
        }
        let ends = self.settle(file);
        Ok(Asked::Close { ends })
    }

    /// The request that ends with the last one of a file that is being closed.
    fn settle(&mut self, file: u64) -> Option<u64> {
        let of = self.files.get(&file)?;
        let closing = of.closing.filter(|_| of.outstanding == 0)?;
        self.files.remove(&file);
        Some(closing)
    }

    /// Takes a cancel in: the request to be taken back, if it is outstanding.
    pub(crate) fn cancel(&mut self, header: &Header) -> Result<Option<u64>, Violation> {
        let request = header.request.get();
        let known = self.order.cancel(request)? == For::Known;
        Ok(Some(request).filter(|it| known && self.requests.contains_key(it)))
    }

    /// A request has ended, well or not. The request that closes the file may end by that; a file that was not opened is none.
    pub(crate) fn ended(&mut self, request: u64, well: bool) -> Option<u64> {
        let Request { file, opens } = self.requests.remove(&request)?;
        let of = self.files.get_mut(&file)?;
        of.outstanding -= 1;
        if opens && !well && of.closing.is_none() {
            self.files.remove(&file);
            return None;
        }
        self.settle(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u16, request: u64, file: u64) -> Header {
        Header {
            request: request.into(),
            file: file.into(),
            ..Header::new(kind)
        }
    }

    /// A desk with an open file, whose opening was request 1.
    fn open() -> Desk {
        let mut desk = Desk::default();
        assert_eq!(desk.receive(&Header::hello()), Ok(Asked::Welcome));
        let opens = desk.receive(&packet(kind::OPEN, 1, 7));
        assert_eq!(opens, Ok(Asked::Request { cancelled: false }));
        assert_eq!(desk.ended(1, true), None);
        desk
    }

    #[test]
    fn a_reflector_greets_first_and_once() {
        let mut desk = Desk::default();
        assert!(desk.receive(&packet(kind::OPEN, 1, 1)).is_err());
        assert!(open().receive(&Header::hello()).is_err());
    }

    #[test]
    fn a_close_ends_when_nothing_of_the_file_is_outstanding() {
        let mut desk = open();
        desk.receive(&packet(kind::READ, 2, 7)).unwrap();
        desk.receive(&packet(kind::READ, 3, 7)).unwrap();
        let closes = desk.receive(&packet(kind::CLOSE, 4, 7));
        assert_eq!(closes, Ok(Asked::Close { ends: None }));
        assert!(desk.receive(&packet(kind::READ, 5, 7)).is_err());
        assert_eq!(desk.ended(3, true), None);
        assert_eq!(desk.ended(2, true), Some(4));
        assert_eq!(desk.ended(2, true), None);
    }

    #[test]
    fn a_cancel_may_come_before_its_request_and_after_its_end() {
        let mut desk = open();
        assert_eq!(desk.cancel(&Header::cancel(2)), Ok(None));
        let cancelled = desk.receive(&packet(kind::READ, 2, 7));
        assert_eq!(cancelled, Ok(Asked::Request { cancelled: true }));
        assert_eq!(desk.cancel(&Header::cancel(2)), Ok(Some(2)));
        desk.ended(2, true);
        assert_eq!(desk.cancel(&Header::cancel(2)), Ok(None));
    }

    #[test]
    fn nothing_is_asked_of_a_file_that_nobody_has_opened() {
        let mut desk = open();
        assert!(desk.receive(&packet(kind::READ, 2, 8)).is_err());
        let mut desk = open();
        assert!(desk.receive(&packet(kind::OPEN, 2, 7)).is_err());
        let mut desk = open();
        assert!(desk.receive(&packet(kind::CLOSE, 2, 8)).is_err());
    }

    #[test]
    fn a_file_that_was_not_opened_may_be_closed_all_the_same() {
        let mut desk = open();
        desk.receive(&packet(kind::OPEN, 2, 9)).unwrap();
        desk.ended(2, false);
        let closes = desk.receive(&packet(kind::CLOSE, 3, 9));
        assert_eq!(closes, Ok(Asked::Close { ends: Some(3) }));
    }
}
