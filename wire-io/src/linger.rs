//! Looking for input again for a while before sleeping, where that has paid of late.

use std::{
    io::Read as _,
    os::unix::net::UnixStream,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a link looks for input at the least: about as long as the other end takes to be woken and to answer.
const USUAL: Duration = Duration::from_micros(50);
/// How long it looks at the most, on a slow machine.
const SLOWEST: Duration = Duration::from_millis(1);
/// So many looks take as long as that on a machine that runs by itself; on an emulated one they take longer, as everything does.
const LOOKS: u32 = 150;
/// After looking in vain again and again, the most waits in which a link sleeps at once before it tries that anew.
const PAUSE: u32 = 4095;

/// The processor's pauses between two looks at the most: what has not come soon is looked for less and less often, as each look is a system call.
const MOST_PAUSES: u32 = 256;

/// How long a link looks for input on this machine.
pub fn longest() -> Duration {
    static LONGEST: LazyLock<Duration> =
        LazyLock::new(|| (look_time() * LOOKS).clamp(USUAL, SLOWEST));
    *LONGEST
}

/// What a look takes that finds nothing: the least of some, as others may want the processor.
fn look_time() -> Duration {
    const EACH: u32 = 16;
    let Ok((mut end, _other)) = UnixStream::pair() else {
        return Duration::ZERO;
    };
    if end.set_nonblocking(true).is_err() {
        return Duration::ZERO;
    }
    let some = (0..8).map(|_| {
        let began = Instant::now();
        for _ in 0..EACH {
            let _nothing = end.read(&mut [0]);
            std::hint::black_box(Instant::now());
        }
        began.elapsed() / EACH
    });
    some.min().unwrap_or_default()
}

/// Links of this process that are not asleep.
static AWAKE: AtomicUsize = AtomicUsize::new(0);

/// When to look for input again rather than to sleep. Waking a thread takes longer than a transfer, but looking keeps a
/// processor busy: so only as long as something is found by it, and while there is another processor.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// How many links of this process may be awake: the other end needs a processor, too.
    most: usize,
    /// Waits in which to sleep at once, after having looked in vain.
    pause: u32,
    /// How many of them are left.
    left: u32,
    /// Whether the last look found something.
    pays: bool,
}

impl Default for Linger {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            most: processors - 1,
            pause: 0,
            left: 0,
            pays: false,
        }
    }
}

impl Linger {
    /// Whether looking finds something: the other end works while this link does.
    pub fn pays(&self) -> bool {
        self.pays
    }

    /// Calls `look` again and again until it finds something, where that is likely and for as long as it is. Tells whether
    /// something was found. The processor pauses `pauses` times between the first two looks, and longer and longer from then on.
    ///
    /// # Errors
    /// Those of `look`, at once.
    pub fn look<E>(
        &mut self,
        mut pauses: u32,
        mut look: impl FnMut() -> Result<bool, E>,
    ) -> Result<bool, E> {
        if self.left > 0 {
            self.left -= 1;
            return Ok(false);
        }
        if self.most == 0 || AWAKE.load(Ordering::Relaxed) > self.most {
            return Ok(false);
        }
        let until = Instant::now() + longest();
        let most = pauses.max(MOST_PAUSES);
        loop {
            let found = look()?;
            let late = Instant::now() >= until;
            if found || late {
                // Where it was found late, somebody else wanted the processor.
                self.pays = found && !late;
                self.pause = if self.pays {
                    0
                } else {
                    (self.pause * 2 + 1).min(PAUSE)
                };
                self.left = self.pause;
                return Ok(found);
            }
            (0..pauses).for_each(|_| std::hint::spin_loop());
            pauses = (pauses * 2).min(most);
        }
    }
}

/// A link that is awake: as long as this lives, but for when it [sleeps](Self::sleep).
#[derive(Debug)]
pub struct Awake(());

impl Awake {
    /// A link that is awake from now on.
    pub fn new() -> Self {
        AWAKE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// Calls `wait`, in which the link needs no processor.
    pub fn sleep<T>(&self, wait: impl FnOnce() -> T) -> T {
        AWAKE.fetch_sub(1, Ordering::Relaxed);
        let ended = wait();
        AWAKE.fetch_add(1, Ordering::Relaxed);
        ended
    }
}

impl Default for Awake {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        AWAKE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linger() -> Linger {
        Linger {
            most: usize::MAX,
            ..Linger::default()
        }
    }

    /// Whether one wait looks, and finds something if so.
    fn looks(linger: &mut Linger, finds: bool) -> bool {
        let mut looked = false;
        let found = linger.look(0, || {
            looked = true;
            Ok::<_, std::convert::Infallible>(finds)
        });
        assert_eq!(found, Ok(looked && finds));
        looked
    }

    #[test]
    fn who_looks_in_vain_looks_more_and_more_rarely() {
        let mut linger = linger();
        let mut waits_between = Vec::new();
        for _ in 0..5 {
            assert!(looks(&mut linger, false));
            let left = (0..).take_while(|_| linger.left > 0 && !looks(&mut linger, false));
            waits_between.push(left.count());
        }
        assert_eq!(waits_between, [1, 3, 7, 15, 31]);
        assert!(!linger.pays());
    }

    #[test]
    fn who_finds_something_looks_every_time() {
        let mut linger = linger();
        looks(&mut linger, false);
        looks(&mut linger, false);
        for _ in 0..3 {
            assert!(looks(&mut linger, true));
            assert!(linger.pays());
        }
    }

    #[test]
    fn on_a_slow_machine_it_is_looked_for_longer_but_not_for_long() {
        assert!((USUAL..=SLOWEST).contains(&longest()));
    }

    #[test]
    fn with_one_processor_nobody_looks() {
        let mut linger = Linger {
            most: 0,
            ..linger()
        };
        assert!(!looks(&mut linger, true));
    }
}
