//! What the author of a device writes: the [`Firmware`] trait, its answers and its surroundings.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_protocol::{EndpointAddress, Now, Setup, Speed, descriptor::Device};

/// A device's firmware: what it is, and how it answers its host.
///
/// The emulated device calls these methods and does everything else: endpoint zero with the requests of chapter 9,
/// queues, packets, halts, cancellation. All calls come from one thread at a time. A method that panics unplugs the device
/// and harms nothing else.
///
/// # Blocking
///
/// While a method runs, nothing else happens on its device. It may do what it takes to answer, such as read a file: a server has a
/// thread for each attached device, and holds no lock that another device wants meanwhile. It may not wait for what may never
/// come: that is what [`In::NotYet`] is for. [`reset`](Self::reset) and [`describe`](Self::describe) may not block at all, as a server
/// calls them where it attends to every client. A program that has the device in its own process waits, in the call that drives it, for
/// as long as the method takes.
///
/// # Not yet
///
/// [`In::NotYet`] and [`Out::NotYet`] are how an endpoint NAKs. The transfer is kept, and costs nothing while it waits.
/// The endpoint is asked again after anything happens to the device: data on another endpoint, a control request, the
/// time asked for by [`Context::wake_at`], or a wake-up by [`Context::waker`]. Nothing needs to be said about which
/// endpoint has become ready. An interrupt endpoint is asked at its next service opportunity then.
///
/// # Interrupt endpoints
///
/// As a host controller does, the emulated device serves an interrupt endpoint once in each interval of its descriptor,
/// counted by the frame clock, and moves no more in it than an interval carries. A longer transfer takes several calls, one
/// in each interval; a short packet ends it. Where whoever drives the device is late, the calls that it missed follow each
/// other at once, each with the [time](Context::now) at which it was due.
pub trait Firmware: Send + 'static {
    /// What the device is when it runs at `speed`. Called when the device is made, for that speed and, at full and high
    /// speed, for the other of the two.
    fn describe(&self, speed: Speed) -> Device;

    /// A control request with an IN data stage that the device core does not answer: class and vendor requests,
    /// standard requests to interfaces and endpoints for descriptors of a class, and requests of the standard kind that
    /// chapter 9 does not know. Data beyond what the host asked for is cut off.
    fn control_in(&mut self, setup: &Setup, cx: &mut Context<'_>) -> In {
        let _ = (setup, cx);
        In::Stall
    }

    /// A control request with an OUT data stage, or none (`data` is empty then), that the device core does not answer.
    /// It is taken whole: [`Out::TakenPart`] counts as [`Out::Taken`].
    fn control_out(&mut self, setup: &Setup, data: &Bytes, cx: &mut Context<'_>) -> Out {
        let _ = (setup, data, cx);
        Out::Stall
    }

    /// The host reads from `endpoint` and has room for `room` bytes.
    ///
    /// The answer is cut into packets of the endpoint's size. A short packet ends the host's transfer: one whose length
    /// is no multiple of the packet size, or is zero. Otherwise the host reads on, and this is called again for the rest.
    /// Data beyond `room` is babble: it is lost, and the host is told of an overflow.
    ///
    /// On an interrupt endpoint, `room` is no more than one service interval carries. On an isochronous endpoint it is
    /// called once for each packet, and [`In::NotYet`] sends an empty one.
    fn send(&mut self, endpoint: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        let _ = (endpoint, room, cx);
        In::NotYet
    }

    /// The host has written `data` to `endpoint`: any number of full packets, then perhaps a short one. A zero-length
    /// packet comes as a call of its own, with no data. On an interrupt endpoint, `data` is no more than one service
    /// interval carries.
    ///
    /// `data` may be kept: it is a slice of the buffer it was received into, which lives on as long as the slice.
    ///
    /// On an isochronous endpoint it is called once for each packet, and whatever is not taken is lost.
    fn receive(&mut self, endpoint: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        let _ = (endpoint, data, cx);
        Out::NotYet
    }

    /// The host has set a configuration; `None` when it has unset it. Every interface is at alternate setting 0.
    #[doc(alias = "SET_CONFIGURATION")]
    fn configured(&mut self, configuration: Option<u8>, cx: &mut Context<'_>) {
        let _ = (configuration, cx);
    }

    /// The host has chosen an interface's alternate setting, perhaps the one it had.
    #[doc(alias = "SET_INTERFACE")]
    fn setting_chosen(&mut self, interface: u8, alternate: u8, cx: &mut Context<'_>) {
        let _ = (interface, alternate, cx);
    }

    /// The host has cleared an endpoint's halt, perhaps without there being one.
    #[doc(alias = "CLEAR_FEATURE")]
    fn halt_cleared(&mut self, endpoint: EndpointAddress, cx: &mut Context<'_>) {
        let _ = (endpoint, cx);
    }

    /// The bus was reset, or a host has attached the device: begin as if just powered up.
    fn reset(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The time asked for by [`Context::wake_at`] has come, or [`Context::waker`]'s waker was woken; perhaps neither, where the firmware
    /// is a part of another one. A time that has not come yet still stands.
    fn woken(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }
}

/// The firmware's answer where the host reads.
#[derive(Clone, Debug)]
#[must_use]
pub enum In {
    /// Here is data; empty data is a zero-length packet.
    Data(Bytes),
    /// Nothing to send yet (NAK).
    NotYet,
    /// Refused: a control request stalls, another endpoint halts.
    Stall,
}

/// The firmware's answer where the host writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Out {
    /// All of it was taken.
    Taken,
    /// The first so many bytes were taken, a multiple of the packet size; the rest is offered again later.
    TakenPart(usize),
    /// No room yet (NAK).
    NotYet,
    /// Refused: a control request stalls, another endpoint halts.
    Stall,
}

/// What a firmware may know and ask for while it is called.
#[derive(Debug)]
pub struct Context<'a>(pub(crate) &'a mut World);

impl Context<'_> {
    /// The time of this call. For an isochronous or interrupt packet, when its (micro)frame began.
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// The (micro)frame of [`now`](Self::now), counted from when the device was made: 1 ms at low and full speed, 125 µs above.
    pub fn frame(&self) -> u64 {
        self.0.frame_at(self.0.now())
    }

    /// The speed the device runs at.
    pub fn speed(&self) -> Speed {
        self.0.speed
    }

    /// The configuration that the host has set.
    pub fn configuration(&self) -> Option<u8> {
        self.0.configuration
    }

    /// Asks for [`Firmware::woken`] at `time`. Only the earliest of several stands, and only until it comes.
    pub fn wake_at(&mut self, time: Instant) {
        let earliest = self.0.wake_at.map_or(time, |before| before.min(time));
        self.0.wake_at = Some(earliest);
    }

    /// How many of the host's transfers wait at the bulk endpoint that [`Firmware::send`] or [`Firmware::receive`] is called for, this one among
    /// them. A device of hardware can't know it: it is there for firmware that has to guard a host against itself.
    pub fn queued(&self) -> usize {
        self.0.queued
    }

    /// Asks for another call for the same bulk endpoint once `count` transfers wait there, where the answer to this one is
    /// [`In::NotYet`] or [`Out::NotYet`]. It holds until then, or until the next call.
    pub fn call_when_queued(&mut self, count: usize) {
        self.0.wanted = Some(count);
    }

    /// A waker for another thread that has something for the device, such as data from a terminal: waking it brings
    /// about [`Firmware::woken`]. It may be kept for as long as the firmware lives.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0.bell))
    }

    /// Calls a firmware that is a part of this one. The part knows of the configuration that `part` says, and the time that it asks for
    /// by [`wake_at`](Self::wake_at) is kept there: this firmware is woken then, [takes it away](Part::take_due) and wakes the part. As a
    /// waker does not tell which part is meant, all are woken together, now and then in vain.
    pub fn within<T>(&mut self, part: &mut Part, call: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let world = &mut *self.0;
        let configuration = std::mem::replace(&mut world.configuration, part.configuration);
        let wake_at = std::mem::replace(&mut world.wake_at, part.wake_at);
        let answer = call(&mut Context(world));
        self.0.configuration = configuration;
        part.wake_at = std::mem::replace(&mut self.0.wake_at, wake_at);
        if let Some(time) = part.wake_at {
            self.wake_at(time);
        }
        answer
    }
}

/// What a firmware that has others for its parts keeps of one of them, for [`Context::within`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// The configuration that the part takes for the one that is set.
    pub configuration: Option<u8>,
    wake_at: Option<Instant>,
}

impl Part {
    /// Takes the time away that the part asked for, where it has come.
    pub fn take_due(&mut self, now: Instant) {
        self.wake_at = self.wake_at.filter(|time| *time > now);
    }
}

/// The device's surroundings: time, frames, and who is to be woken.
#[derive(Debug)]
pub(crate) struct World {
    /// The latest time that was told, if it has been read.
    now: Cell<Instant>,
    /// How the present time is read, where nobody has looked at it yet.
    unread: Cell<Option<fn() -> Instant>>,
    pub(crate) speed: Speed,
    pub(crate) configuration: Option<u8>,
    pub(crate) wake_at: Option<Instant>,
    pub(crate) bell: Arc<Bell>,
    /// Transfers that wait at the endpoint which the firmware is asked about.
    pub(crate) queued: usize,
    /// The firmware wants to be asked again once so many wait there.
    pub(crate) wanted: Option<usize>,
    origin: Instant,
}

impl World {
    pub(crate) fn new(speed: Speed, now: Instant) -> Self {
        Self {
            now: Cell::new(now),
            unread: Cell::new(None),
            speed,
            configuration: None,
            wake_at: None,
            bell: Arc::default(),
            queued: 0,
            wanted: None,
            origin: now,
        }
    }

    /// Sets the time; it does not run backwards.
    pub(crate) fn advance(&mut self, now: Now) {
        match now {
            Now::At(now) => {
                self.unread.set(None);
                self.now.set(self.now.get().max(now));
            }
            Now::Read(read) => self.unread.set(Some(read)),
        }
    }

    /// Sets the time to when something was due.
    pub(crate) fn turn_to(&mut self, time: Instant) {
        self.unread.set(None);
        self.now.set(time);
    }

    pub(crate) fn now(&self) -> Instant {
        if let Some(read) = self.unread.take() {
            self.now.set(self.now.get().max(read()));
        }
        self.now.get()
    }

    /// How long ago the device was made.
    pub(crate) fn age(&self) -> Duration {
        self.now().saturating_duration_since(self.origin)
    }

    /// The number of the (micro)frame that `time` falls in.
    pub(crate) fn frame_at(&self, time: Instant) -> u64 {
        let elapsed = time.saturating_duration_since(self.origin);
        u64::try_from(elapsed.as_nanos() / self.speed.frame().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The first (micro)frame, of those that are multiples of `interval`, that begins after now.
    pub(crate) fn next_opportunity(&self, interval: u64) -> u64 {
        (self.frame_at(self.now()) + 1).next_multiple_of(interval)
    }

    /// When a (micro)frame begins.
    pub(crate) fn time_of(&self, frame: u64) -> Instant {
        let nanos = u64::try_from(self.speed.frame().as_nanos()).unwrap_or(u64::MAX);
        self.origin + Duration::from_nanos(nanos.saturating_mul(frame))
    }
}

/// Carries a wake-up from the firmware's own threads to whoever drives the device.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<BellState>);

#[derive(Debug, Default)]
struct BellState {
    rung: bool,
    listener: Option<Waker>,
}

impl Bell {
    fn state(&self) -> std::sync::MutexGuard<'_, BellState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has rung since this was last asked.
    pub(crate) fn take(&self) -> bool {
        std::mem::take(&mut self.state().rung)
    }

    /// Says whom to wake; at once, if it has rung already.
    pub(crate) fn listen(&self, waker: Waker) {
        let mut state = self.state();
        let rung = state.rung.then(|| waker.clone());
        let before = state.listener.replace(waker);
        // Wakers are woken and dropped when the lock is free: they may look at the device.
        drop(state);
        drop(before);
        rung.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        state.rung = true;
        let listener = state.listener.clone();
        drop(state);
        listener.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at a bell when it is woken.
    struct Looks(Arc<Bell>, Mutex<u32>);

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            *self.1.lock().unwrap() += u32::from(self.0.take());
        }
    }

    #[test]
    fn whoever_is_woken_may_look_at_the_device_at_once() {
        let bell = Arc::<Bell>::default();
        let looks = Arc::new(Looks(Arc::clone(&bell), Mutex::default()));
        bell.wake_by_ref();
        bell.listen(Waker::from(Arc::clone(&looks)));
        bell.wake_by_ref();
        assert_eq!(*looks.1.lock().unwrap(), 2);
    }
}
