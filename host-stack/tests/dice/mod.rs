//! Schedules that a seed decides.

/// Schedules that are tried for each rule.
const SCHEDULES: u64 = 10_000;

/// A small generator of numbers (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `count`.
    pub(crate) fn roll(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((it ^ (it >> 31)) % count as u64) as usize
    }
}

/// Says with which seed it went wrong.
struct Tells(&'static str, u64);

impl Drop for Tells {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} does not hold with seed {}", self.0, self.1);
        }
    }
}

/// Tries a rule with every seed, or with the one that the environment names (`USBWRIGHT_SEED`).
pub(crate) fn try_all(rule: &'static str, attempt: impl Fn(u64, Dice)) {
    let only = std::env::var("USBWRIGHT_SEED").ok();
    let only = only.and_then(|it| it.parse::<u64>().ok());
    for seed in only.map_or(0..SCHEDULES, |it| it..it + 1) {
        let _tells = Tells(rule, seed);
        attempt(seed, Dice(seed));
    }
}
