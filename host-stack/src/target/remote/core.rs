//! What the handles of a remote target share: the device that it has open.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
};

use super::{RemoteTargetCallbacks, flight::Flight};
use crate::{
    Handle, OpenOptions, Opening,
    device::DeviceShared,
    names::{OpenError, Resolved},
    request::stuck::Waiter,
    scheduler::Scheduler,
    stack::{Outsider, StackShared},
    status::Win32Error,
    target::{TargetShared, TargetState},
    verifier::Rule,
};

pub(super) struct Core {
    device: Weak<DeviceShared>,
    scheduler: Arc<Scheduler>,
    target: OnceLock<Weak<TargetShared>>,
    pub(super) callbacks: Arc<dyn RemoteTargetCallbacks>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The device, while it is open.
    handle: Option<Handle>,
    /// The stack that was opened last.
    stack: Weak<StackShared>,
    /// How it was opened last.
    name: Option<(Arc<str>, OpenOptions)>,
    is_opening: bool,
    flights: Vec<Arc<Flight>>,
}

impl Core {
    pub(super) fn new(
        device: &Arc<DeviceShared>,
        callbacks: Arc<dyn RemoteTargetCallbacks>,
    ) -> Arc<Self> {
        Arc::new(Self {
            device: Arc::downgrade(device),
            scheduler: Arc::clone(device.scheduler()),
            target: OnceLock::new(),
            callbacks,
            state: Mutex::default(),
        })
    }

    pub(super) fn belongs_to(&self, target: &Arc<TargetShared>) {
        let _ = self.target.set(Arc::downgrade(target));
    }

    pub(super) fn target(&self) -> Option<Arc<TargetShared>> {
        self.target.get()?.upgrade()
    }

    pub(super) fn device(&self) -> Option<Arc<DeviceShared>> {
        self.device.upgrade()
    }

    pub(super) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle(&self) -> Option<Handle> {
        self.state().handle.clone()
    }

    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.state().name.as_ref().map(|it| Arc::clone(&it.0))
    }

    /// Whether it was opened last for this stack.
    pub(super) fn is_for(&self, stack: &Arc<StackShared>) -> bool {
        std::ptr::eq(self.state().stack.as_ptr(), Arc::as_ptr(stack))
    }

    pub(super) fn fly(&self, flight: &Arc<Flight>) {
        self.state().flights.push(Arc::clone(flight));
    }

    pub(super) fn land(&self, flight: &Flight) {
        let is_it = |it: &Arc<Flight>| std::ptr::eq(Arc::as_ptr(it), flight);
        self.state().flights.retain(|it| !is_it(it));
    }

    pub(super) fn flights(&self) -> Vec<Arc<Flight>> {
        self.state().flights.clone()
    }

    /// Lets go of the device.
    pub(super) fn let_go(&self) {
        let handle = self.state().handle.take();
        if let Some(handle) = handle {
            self.drop_handle(handle);
        }
    }

    /// Dropping it closes the file, which is not to be done here.
    fn drop_handle(&self, handle: Handle) {
        let stack = Arc::clone(handle.stack());
        stack.scheduler().hand_in(&self.scheduler, || drop(handle));
    }

    pub(super) fn reopen(self: &Arc<Self>, target: &Arc<TargetShared>) -> Result<(), OpenError> {
        let name = self.state().name.clone();
        let (name, options) = name.ok_or(OpenError::NotClosedForQueryRemove)?;
        self.open(target, &name, &options)
    }

    pub(super) fn open(
        self: &Arc<Self>,
        target: &Arc<TargetShared>,
        name: &str,
        options: &OpenOptions,
    ) -> Result<(), OpenError> {
        let mut state = self.state();
        if state.is_opening || state.handle.is_some() {
            return Err(OpenError::AlreadyOpen);
        }
        state.is_opening = true;
        drop(state);
        let opened = self.begin(name, options);
        let mut state = self.state();
        state.is_opening = false;
        let (handle, stack) = opened?;
        state.handle = Some(handle);
        state.stack = Arc::downgrade(&stack);
        state.name = Some((name.into(), options.clone()));
        drop(state);
        self.opened(target, &stack)
    }

    /// It is open, unless either device has gone meanwhile.
    fn opened(
        self: &Arc<Self>,
        target: &Arc<TargetShared>,
        stack: &Arc<StackShared>,
    ) -> Result<(), OpenError> {
        let outsider: Arc<dyn Outsider> = Arc::clone(self) as Arc<dyn Outsider>;
        stack.add_outsider(&outsider);
        if stack.is_gone() {
            self.let_go();
            return Err(OpenError::Refused(Win32Error::DEVICE_REMOVED));
        }
        if let Some(device) = self.device() {
            device.add_target(target);
        }
        if target.open() {
            return Ok(());
        }
        self.let_go();
        Err(OpenError::Gone)
    }

    /// Opens the device, and waits until it is open.
    fn begin(
        &self,
        name: &str,
        options: &OpenOptions,
    ) -> Result<(Handle, Arc<StackShared>), OpenError> {
        let stack = self.device().and_then(|it| it.stack().upgrade());
        let own = stack.filter(|it| !it.is_gone()).ok_or(OpenError::Gone)?;
        let Resolved { stack, file } = own.names().resolve(name)?;
        let options = options.clone().within(&file);
        let mut opening = stack.scheduler().hand_in(&self.scheduler, || {
            Handle::open_for_driver(&stack, &options)
        });
        let waiter = Waiter::here();
        let opened = self.scheduler.wait_for(|| {
            self.look(&mut opening).or_else(|| {
                let object = waiter.refuse(&opening.irp()?)?;
                if let Some(device) = self.device() {
                    device.report(Rule::WaitWithin, object);
                }
                self.look(&mut opening)
            })
        });
        stack.scheduler().hand_in(&self.scheduler, || drop(opening));
        opened.map(|handle| (handle, stack))
    }

    /// Looks whether the device is open; whoever waits for that is nudged when it is.
    fn look(&self, opening: &mut Opening) -> Option<Result<Handle, OpenError>> {
        let waker = Waker::from(Arc::new(Nudge(Arc::downgrade(&self.scheduler))));
        let polled = std::pin::Pin::new(opening).poll(&mut Context::from_waker(&waker));
        match polled {
            Poll::Ready(ended) => Some(ended.map_err(OpenError::Refused)),
            Poll::Pending if self.scheduler.has_ended() => Some(Err(OpenError::Gone)),
            Poll::Pending => None,
        }
    }

    /// Closes the target, if it is open.
    pub(super) fn close(&self, to: TargetState) {
        if let Some(target) = self.target() {
            target.close(to);
        }
    }
}

/// Has those that wait in a stack look whether it has come.
struct Nudge(Weak<Scheduler>);

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        if let Some(scheduler) = self.0.upgrade() {
            scheduler.nudge();
        }
    }
}
