//! How much is written to a server that it has not answered yet.
//!
//! What waits in the sockets' queues has to come out of them through the processor's caches: the more waits, the less of it is still there. As
//! long as a server works off what it has got without a pause, no more is written than keeps it busy. One that makes a longer pause than a near
//! server does is far away, or its device waits for something: it gets more each time, until it gets all there is.

use std::time::Duration;

/// Bytes on their way at first: a near server is kept busy with the last quarter of it while more is being written.
const NEAR: usize = 1 << 20;
/// How long a near server takes for that, and more.
pub(super) const PATIENCE: Duration = Duration::from_micros(200);

/// Bytes that may be on their way; what is left of them when more are written is a quarter.
#[derive(Debug)]
pub(super) struct Window(usize);

impl Window {
    pub(super) fn new() -> Self {
        Self(NEAR)
    }

    /// How many more bytes are to be written where so many are on their way, and whether the server has made a pause since; none
    /// where it is busy.
    pub(super) fn room(&mut self, on_way: usize, paused: bool) -> Option<usize> {
        if on_way > self.0 / 4 {
            if !paused {
                return None;
            }
            self.0 = 4 * on_way;
        }
        Some(self.0 - on_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_busy_gets_more_once_a_quarter_is_left() {
        let mut window = Window::new();
        assert_eq!(window.room(0, false), Some(NEAR));
        assert_eq!(window.room(NEAR, false), None);
        assert_eq!(window.room(NEAR / 4 + 1, false), None);
        assert_eq!(window.room(NEAR / 4, false), Some(NEAR / 4 * 3));
    }

    #[test]
    fn a_server_that_makes_pauses_gets_more_and_more() {
        let mut window = Window::new();
        let mut on_way = NEAR;
        for _ in 0..10 {
            on_way += window.room(on_way, true).unwrap();
        }
        assert_eq!(on_way, NEAR << 20);
        assert_eq!(window.room(on_way / 4, false), Some(on_way / 4 * 3));
    }
}
