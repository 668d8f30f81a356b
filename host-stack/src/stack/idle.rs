//! Idle stacks: they sleep when they have nothing to do, and wake when something is wanted of them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{PnpState, StackShared, change::Called};
use crate::{
    callbacks::PowerState,
    device::DeviceShared,
    scheduler::{Job, Scheduler, TimerId},
    status::{HResult, NtStatus, Win32Error},
    verifier::Rule,
};

/// When a stack sleeps for want of work, and how.
#[doc(alias = "WDF_DEVICE_POWER_POLICY_IDLE_SETTINGS")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleSettings {
    /// How long it has had nothing to do.
    #[doc(alias = "IdleTimeout")]
    pub timeout: Duration,
    /// The state in which it sleeps: not D0, and not [`PowerState::D3Final`].
    #[doc(alias = "DxState")]
    pub state: PowerState,
    /// Whether the device can wake the stack ([`Stack::signal_wake`](super::Stack::signal_wake)), and is armed for it.
    #[doc(alias = "IdleCanWakeFromS0")]
    pub wake: bool,
    /// Whether it sleeps at all.
    pub enabled: bool,
}

impl Default for IdleSettings {
    /// After five seconds, in D3, and the device can't wake it.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            state: PowerState::D3,
            wake: false,
            enabled: true,
        }
    }
}

/// Whether a device can wake the system, and in which state it sleeps meanwhile.
#[doc(alias = "WDF_DEVICE_POWER_POLICY_WAKE_SETTINGS")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SleepWakeSettings {
    /// The state in which it sleeps, where it can: not D0, and not [`PowerState::D3Final`].
    #[doc(alias = "DxState")]
    pub state: PowerState,
    /// Whether it can.
    pub enabled: bool,
}

/// What a device is to wake from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Its own sleep, for want of work.
    Idle,
    /// The system's.
    Sleep,
}

/// What is known of a stack's want of work. Its devices share it.
pub(crate) struct Idle {
    scheduler: Arc<Scheduler>,
    stack: OnceLock<Weak<StackShared>>,
    state: Mutex<State>,
    /// Somebody has the power policy.
    is_assigned: AtomicBool,
    this: Weak<Self>,
}

#[derive(Default)]
struct State {
    /// Who has the power policy, and what it wants.
    policy: Option<(Weak<DeviceShared>, IdleSettings)>,
    /// Who has said how its device sleeps while the system does, and the state, where it can wake the system from it.
    sleep: Option<(Weak<DeviceShared>, Option<PowerState>)>,
    /// Who keeps the stack awake.
    awake: usize,
    /// When something was done last, and the timer that looks at that.
    last: Option<Instant>,
    timer: Option<TimerId>,
    /// The device itself has woken the stack.
    woken: bool,
}

impl State {
    /// Whether a driver may say how the stack sleeps, and in this state.
    fn may_assign(&self, device: &Arc<DeviceShared>, state: PowerState) -> Result<(), HResult> {
        if matches!(state, PowerState::D0 | PowerState::D3Final) {
            return Err(NtStatus::INVALID_PARAMETER.into());
        }
        let policy = self.policy.iter().map(|(owner, _)| owner);
        let mut owners = policy.chain(self.sleep.iter().map(|(owner, _)| owner));
        let is_mine = match owners.next() {
            Some(owner) => std::ptr::eq(owner.as_ptr(), Arc::as_ptr(device)),
            None => device.owns_power_policy(),
        };
        match is_mine {
            true => Ok(()),
            false => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
        }
    }
}

impl Idle {
    pub(super) fn new(scheduler: &Arc<Scheduler>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            scheduler: Arc::clone(scheduler),
            stack: OnceLock::new(),
            state: Mutex::default(),
            is_assigned: AtomicBool::new(false),
            this: Weak::clone(this),
        })
    }

    pub(super) fn belongs_to(&self, stack: &Arc<StackShared>) {
        let _ = self.stack.set(Arc::downgrade(stack));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stack(&self) -> Option<Arc<StackShared>> {
        self.stack.get()?.upgrade()
    }

    pub(crate) fn assign(
        &self,
        device: &Arc<DeviceShared>,
        settings: IdleSettings,
    ) -> Result<(), HResult> {
        let mut state = self.state();
        state.may_assign(device, settings.state)?;
        state.policy = Some((Arc::downgrade(device), settings));
        self.is_assigned.store(true, Ordering::Release);
        state.last = Some(self.scheduler.now());
        let timer = state.timer.take();
        drop(state);
        if let Some(timer) = timer {
            self.scheduler.unset(timer);
        }
        self.look();
        Ok(())
    }

    pub(crate) fn assign_sleep(
        &self,
        device: &Arc<DeviceShared>,
        settings: SleepWakeSettings,
    ) -> Result<(), HResult> {
        let mut state = self.state();
        state.may_assign(device, settings.state)?;
        let wakes_from = settings.enabled.then_some(settings.state);
        state.sleep = Some((Arc::downgrade(device), wakes_from));
        self.is_assigned.store(true, Ordering::Release);
        Ok(())
    }

    /// The state in which the device sleeps while the system does, and whether it is armed to wake that.
    pub(super) fn asleep(&self) -> (PowerState, Option<Wake>) {
        let sleep = self.state().sleep.as_ref().and_then(|(_, state)| *state);
        (sleep.unwrap_or(PowerState::D3), sleep.map(|_| Wake::Sleep))
    }

    /// Whether the device itself has woken the stack, which it has not any more.
    pub(super) fn take_woken(&self) -> bool {
        std::mem::take(&mut self.state().woken)
    }

    /// The stack's state has changed, which begins the wait anew.
    pub(super) fn changed(&self) {
        self.state().last = Some(self.scheduler.now());
        self.look();
    }

    /// Whether the stack may sleep for want of work at all.
    pub(crate) fn is_assigned(&self) -> bool {
        self.is_assigned.load(Ordering::Acquire)
    }

    /// A power-managed queue has nothing more.
    pub(crate) fn worked(&self) {
        let mut state = self.state();
        state.last = Some(self.scheduler.now());
        self.set_timer(state);
    }

    fn set_timer(&self, mut state: MutexGuard<'_, State>) {
        let (Some((_, settings)), Some(last), None) = (&state.policy, state.last, state.timer)
        else {
            return;
        };
        let due = last.checked_add(settings.timeout);
        if let (Some(due), Some(this), true) = (due, self.this.upgrade(), settings.enabled) {
            state.timer = Some(self.scheduler.at(due, this));
        }
    }

    /// Has the scheduler look whether the stack is to sleep or to wake.
    pub(crate) fn look(&self) {
        if let Some(this) = self.this.upgrade()
            && self.is_assigned()
        {
            self.scheduler.post(None, Arc::new(Look(this)));
        }
    }

    fn is_wanted(&self, stack: &StackShared) -> bool {
        let state = self.state();
        let enabled = state.policy.as_ref().is_some_and(|(_, it)| it.enabled);
        let wanted = state.awake > 0 || state.woken || !enabled;
        drop(state);
        wanted || stack.devices().iter().any(|it| it.has_managed_work())
    }

    /// Sleeps or wakes, if that is the thing to do and nobody changes the stack's state. Whoever does looks again afterwards.
    fn decide(&self) {
        let Some(stack) = self.stack() else {
            return;
        };
        let wanted = self.is_wanted(&stack);
        let pnp = stack.state().pnp;
        let ended = match pnp {
            PnpState::Idle if wanted => self.wake(&stack),
            PnpState::Sleeping if self.state().woken => self.wake(&stack),
            PnpState::Started if !wanted => self.sleep(&stack),
            _ => return,
        };
        if let Err(error) = ended {
            tracing::warn!("{error}");
        }
    }

    fn wake(&self, stack: &StackShared) -> Called {
        let Some(change) = stack.try_change() else {
            return Ok(());
        };
        let woken = self.take_woken();
        let mut ended = Ok(());
        let pnp = stack.state().pnp;
        if pnp == PnpState::Idle || pnp == PnpState::Sleeping && woken {
            ended = stack.wake(woken);
        }
        drop(change);
        ended
    }

    fn sleep(&self, stack: &StackShared) -> Called {
        let state = self.state();
        let Some((_, settings)) = state.policy else {
            return Ok(());
        };
        let due = state.last.and_then(|it| it.checked_add(settings.timeout));
        if due.is_none_or(|due| due > self.scheduler.now()) {
            self.set_timer(state);
            return Ok(());
        }
        drop(state);
        let Some(change) = stack.try_change() else {
            return Ok(());
        };
        let mut ended = Ok(());
        if stack.state().pnp == PnpState::Started {
            let arm = settings.wake.then_some(Wake::Idle);
            ended = stack.sleep(settings.state, arm, PnpState::Idle);
        }
        drop(change);
        ended
    }

    pub(super) fn signal_wake(&self) {
        let Some(stack) = self.stack() else {
            return;
        };
        let asleep = matches!(stack.state().pnp, PnpState::Idle | PnpState::Sleeping);
        if asleep && stack.devices().iter().any(|it| it.life().armed.is_some()) {
            self.state().woken = true;
            self.look();
        }
    }
}

/// The timer has come.
impl Job for Idle {
    fn run(self: Arc<Self>) {
        self.state().timer = None;
        self.decide();
    }

    fn is_callback(&self) -> bool {
        false
    }
}

/// Somebody wants to have it looked at.
struct Look(Arc<Idle>);

impl Job for Look {
    fn run(self: Arc<Self>) {
        self.0.decide();
    }

    fn is_callback(&self) -> bool {
        false
    }
}

/// Keeps a stack in D0. Dropped, it does so no more: see [`Device::stop_idle`](crate::Device::stop_idle).
#[doc(alias = "ResumeIdle")]
#[must_use = "the stack may sleep again when this is dropped"]
pub struct StayAwake(Arc<DeviceShared>);

impl StayAwake {
    pub(crate) fn new(device: &Arc<DeviceShared>) -> Self {
        device.idle().state().awake += 1;
        device.idle().look();
        Self(Arc::clone(device))
    }

    /// Waits until the device is in D0. Not for callbacks that are called when the state of power changes, or by a power-managed queue.
    ///
    /// # Errors
    /// `ERROR_POSSIBLE_DEADLOCK` within a callback, which is [reported](Rule::WaitWithin), while the device is not in D0; [`NtStatus::INVALID_DEVICE_STATE`] where it won't get there: it is suspended, stopped
    /// or gone.
    #[doc(alias = "WaitForD0")]
    pub fn wait_for_d0(&self) -> Result<(), HResult> {
        let idle = self.0.idle();
        if self.0.is_in_d0() {
            return Ok(());
        }
        if idle.scheduler.is_here() {
            self.0.report(Rule::WaitWithin, "D0");
            return Err(Win32Error::POSSIBLE_DEADLOCK.into());
        }
        let will_be = || {
            let stack = idle.stack();
            stack.is_some_and(|it| matches!(it.state().pnp, PnpState::Started | PnpState::Idle))
        };
        idle.scheduler.wait_for(|| {
            if self.0.is_in_d0() {
                return Some(Ok(()));
            }
            (!will_be()).then(|| Err(NtStatus::INVALID_DEVICE_STATE.into()))
        })
    }
}

impl Drop for StayAwake {
    fn drop(&mut self) {
        let idle = self.0.idle();
        let mut state = idle.state();
        state.awake -= 1;
        state.last = Some(idle.scheduler.now());
        idle.set_timer(state);
    }
}

impl fmt::Debug for StayAwake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StayAwake").finish_non_exhaustive()
    }
}
