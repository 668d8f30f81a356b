//! What was read before any program has asked for it, because one wants to know whether there is something to read.

use bytes::Bytes;
use rustix::io::Errno;

/// What a read ends with: what came, or the error.
pub(crate) type Came = Result<Bytes, Errno>;

/// How many bytes are read so: whole packets of any endpoint, and what travels without shared memory.
pub(crate) const LENGTH: usize = 64 * 1024;

/// A file's read that is ahead.
#[derive(Debug, Default)]
pub(crate) enum Ahead {
    /// There is none.
    #[default]
    None,
    /// It has begun.
    UnderWay,
    /// It has ended so.
    Come(Came),
}

/// What a read gets of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It has to be asked for.
    Nothing,
    /// It is to come.
    Later,
    /// This.
    Now(Came),
}

impl Ahead {
    /// Takes up to so many bytes; the rest stays.
    pub(crate) fn take(&mut self, length: usize) -> Taken {
        match std::mem::take(self) {
            Self::None => Taken::Nothing,
            Self::UnderWay => {
                *self = Self::UnderWay;
                Taken::Later
            }
            Self::Come(Ok(mut data)) if data.len() > length => {
                let taken = data.split_to(length);
                *self = Self::Come(Ok(data));
                Taken::Now(Ok(taken))
            }
            Self::Come(came) => Taken::Now(came),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_taken_in_parts_and_once() {
        let mut ahead = Ahead::Come(Ok(Bytes::from_static(b"abcde")));
        let now = |data: &'static [u8]| Taken::Now(Ok(data.into()));
        assert_eq!(ahead.take(2), now(b"ab"));
        assert_eq!(ahead.take(9), now(b"cde"));
        assert_eq!(ahead.take(9), Taken::Nothing);
    }

    #[test]
    fn an_error_and_an_end_are_told_once() {
        for came in [Err(Errno::IO), Ok(Bytes::new())] {
            let mut ahead = Ahead::Come(came.clone());
            assert_eq!(ahead.take(1), Taken::Now(came));
            assert_eq!(ahead.take(1), Taken::Nothing);
        }
    }

    #[test]
    fn what_is_under_way_stays_so() {
        let mut ahead = Ahead::UnderWay;
        assert_eq!(ahead.take(1), Taken::Later);
        assert_eq!(ahead.take(1), Taken::Later);
    }
}
