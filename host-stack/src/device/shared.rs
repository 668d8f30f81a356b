//! A device as the framework knows it: its queues, its targets, and how far it has come.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    callbacks::{DeviceCallbacks, PowerState},
    context::Context,
    file::{File, FileEnds},
    queue::QueueShared,
    request::{
        Request, RequestType, SendOptions,
        irp::{Irp, Location},
    },
    scheduler::{DeviceLock, Job, Scheduler},
    stack::{Idle, StackShared, Wake},
    status::{HResult, NtStatus},
    target::{IoTarget, TargetShared, TargetState},
    verifier::{Rule, Verifier},
};

pub(crate) struct DeviceShared {
    pub(super) stack: Weak<StackShared>,
    /// The file of requests that the driver makes.
    pub(super) own_file: File,
    pub(super) driver: Arc<str>,
    pub(super) callbacks: Mutex<Arc<dyn DeviceCallbacks>>,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) lock: Option<Arc<DeviceLock>>,
    pub(super) is_filter: bool,
    pub(super) forwards_files: bool,
    pub(crate) io_type: crate::IoType,
    pub(super) usb: Option<usbwright_target::Device>,
    pub(super) in_d0: AtomicBool,
    pub(super) queues: Mutex<Queues>,
    /// Targets besides the default one.
    pub(super) targets: Mutex<Vec<Arc<TargetShared>>>,
    pub(super) default_target: OnceLock<IoTarget>,
    pub(super) context: Context,
    pub(super) owns_power_policy: bool,
    pub(super) idle: Arc<Idle>,
    pub(super) life: Mutex<Life>,
    /// Futures and timers.
    pub(super) children: Mutex<Vec<Weak<dyn Ends>>>,
}

/// Something that ends with its device.
pub(crate) trait Ends: Send + Sync {
    /// Drops what a driver has put into it.
    fn end(&self);

    /// Whether its end only wakes others. It comes after theirs, so that they don't see it.
    fn only_wakes(&self) -> bool {
        false
    }
}

/// How far a device has come. Who changes the stack's state is the only one that changes this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// `prepare_hardware` was called.
    pub(crate) is_prepared: bool,
    pub(crate) power: PowerState,
    pub(crate) managed: SelfManaged,
    /// It may wake the stack from this.
    pub(crate) armed: Option<Wake>,
    pub(crate) is_deleted: bool,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            is_prepared: false,
            power: PowerState::D3Final,
            managed: SelfManaged::Created,
            armed: None,
            is_deleted: false,
        }
    }
}

/// How far a driver's self-managed I/O has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelfManaged {
    /// It has never begun.
    Created,
    Started,
    Suspended,
    Failed,
}

#[derive(Default)]
pub(super) struct Queues {
    all: Vec<Arc<QueueShared>>,
    default: Option<Arc<QueueShared>>,
    /// Queues for a type of requests.
    special: Vec<(RequestType, Arc<QueueShared>)>,
}

impl DeviceShared {
    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    pub(crate) fn driver(&self) -> &Arc<str> {
        &self.driver
    }

    pub(crate) fn stack(&self) -> &Weak<StackShared> {
        &self.stack
    }

    pub(crate) fn own_file(&self) -> &File {
        &self.own_file
    }

    pub(crate) fn report(&self, rule: Rule, object: impl Into<String>) {
        self.verifier.report(&self.driver, rule, object);
    }

    /// Has a callback called, one at a time where the driver wants it so.
    pub(crate) fn post(&self, job: Arc<dyn Job>) {
        self.scheduler.post(self.lock.as_ref(), job);
    }

    /// Has callbacks called one at a time, where the driver wants it so.
    pub(crate) fn lock(&self) -> Option<&Arc<DeviceLock>> {
        self.lock.as_ref()
    }

    pub(crate) fn usb(&self) -> Option<&usbwright_target::Device> {
        self.usb.as_ref()
    }

    pub(crate) fn is_in_d0(&self) -> bool {
        self.in_d0.load(Ordering::Acquire)
    }

    pub(crate) fn set_in_d0(&self, in_d0: bool) {
        self.in_d0.store(in_d0, Ordering::Release);
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all_queues(&self) -> Vec<Arc<QueueShared>> {
        self.queues().all.clone()
    }

    /// Whether a power-managed queue has a request, waiting or with the driver.
    pub(crate) fn has_managed_work(&self) -> bool {
        let queues = self.queues();
        let mut managed = queues.all.iter().filter(|it| it.is_power_managed());
        managed.any(|it| !it.is_quiet())
    }

    pub(crate) fn add_queue(
        &self,
        queue: &Arc<QueueShared>,
        is_default: bool,
        takes: &[RequestType],
    ) -> Result<(), HResult> {
        let mut queues = self.queues();
        let taken = queues.special.iter().any(|(kind, _)| takes.contains(kind));
        let dispatchable = |kind: &RequestType| {
            matches!(
                kind,
                RequestType::Create
                    | RequestType::Read
                    | RequestType::Write
                    | RequestType::DeviceControl
            )
        };
        if taken || is_default && queues.default.is_some() || !takes.iter().all(dispatchable) {
            return Err(NtStatus::INVALID_DEVICE_REQUEST.into());
        }
        queues
            .special
            .extend(takes.iter().map(|kind| (*kind, Arc::clone(queue))));
        if is_default {
            queues.default = Some(Arc::clone(queue));
        }
        queues.all.push(Arc::clone(queue));
        Ok(())
    }

    fn queue_for(&self, kind: RequestType) -> Option<Arc<QueueShared>> {
        let queues = self.queues();
        let special = queues
            .special
            .iter()
            .find(|(it, _)| *it == kind)
            .map(|(_, queue)| queue);
        let queue = special.or(queues.default.as_ref())?;
        let handles = queue.handles(kind, special.is_some());
        handles.then(|| Arc::clone(queue))
    }

    /// A request has come from above.
    pub(crate) fn arrive(self: &Arc<Self>, irp: &Arc<Irp>) {
        let mut body = irp.body();
        if !body.place(Location::Driver) {
            return;
        }
        let parameters = &body.top().parameters;
        let (kind, empty) = (parameters.request_type(), parameters.is_empty_transfer());
        let file = match kind {
            RequestType::Cleanup | RequestType::Close => body.file.clone(),
            _ => None,
        };
        drop(body);
        match (kind, file) {
            (RequestType::Cleanup | RequestType::Close, Some(file)) => {
                self.post(Arc::new(FileEnds {
                    device: Arc::clone(self),
                    file,
                    kind,
                    irp: Some(Arc::clone(irp)),
                }));
            }
            _ => match self.queue_for(kind) {
                Some(queue) => queue.insert(irp, empty),
                None => self.pass(irp, kind),
            },
        }
    }

    /// There is no queue for a request: it goes on, or ends here.
    pub(crate) fn pass(&self, irp: &Arc<Irp>, kind: RequestType) {
        let is_file = matches!(
            kind,
            RequestType::Create | RequestType::Cleanup | RequestType::Close
        );
        match is_file {
            // Files are opened and closed though the driver has stopped the target.
            true if self.forwards_files => {
                self.forward(irp, SendOptions::new().ignore_target_state());
            }
            true => irp.complete(NtStatus::SUCCESS.into()),
            false if self.is_filter => self.forward(irp, SendOptions::new()),
            false => irp.complete(NtStatus::INVALID_DEVICE_REQUEST.into()),
        }
    }

    fn forward(&self, irp: &Arc<Irp>, options: SendOptions) {
        let request = Request::of(Arc::clone(irp));
        if let Err(error) = request.forget(self.default_target(), options) {
            error.complete();
        }
    }

    pub(super) fn default_target(&self) -> &IoTarget {
        self.default_target
            .get()
            .expect("a device has it from the beginning")
    }

    /// A target is the device's, which it closes when it goes.
    pub(crate) fn add_target(&self, target: &Arc<TargetShared>) {
        if self
            .default_target
            .get()
            .is_some_and(|it| Arc::ptr_eq(it.shared(), target))
        {
            return;
        }
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        // Of those that are closed, whoever has a handle still may open some again.
        targets.retain(|it| Arc::strong_count(it) > 1 || !it.is_closed());
        targets.retain(|it| !Arc::ptr_eq(it, target));
        targets.push(Arc::clone(target));
    }

    /// The stack has failed: nobody waits for the driver any more.
    pub(crate) fn abandon(&self, status: NtStatus) {
        let targets = self.targets();
        targets.iter().for_each(|target| target.abandon(status));
        self.default_target().shared().abandon(status);
        self.all_queues().iter().for_each(|queue| queue.abandon());
    }

    pub(crate) fn callbacks(&self) -> Arc<dyn DeviceCallbacks> {
        let callbacks = self.callbacks.lock();
        Arc::clone(&callbacks.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the opening and closing of files gets to the devices below.
    pub(crate) fn forwards_files(&self) -> bool {
        self.forwards_files
    }

    pub(crate) fn idle(&self) -> &Arc<Idle> {
        &self.idle
    }

    pub(crate) fn owns_power_policy(&self) -> bool {
        self.owns_power_policy
    }

    pub(crate) fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has something end with the device: at once, if that has been deleted.
    pub(crate) fn add_child(&self, child: &Arc<dyn Ends>) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        if children.len() == children.capacity() {
            children.retain(|it| it.strong_count() > 0);
        }
        children.push(Arc::downgrade(child));
        drop(children);
        if self.life().is_deleted {
            child.end();
        }
    }

    /// Begins to delete the device. Returns its futures and timers, which are to end, the first made last, and then what only wakes them; `None` where it has
    /// been deleted.
    pub(crate) fn begin_delete(&self) -> Option<Vec<Arc<dyn Ends>>> {
        if std::mem::replace(&mut self.life().is_deleted, true) {
            return None;
        }
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let ending = std::mem::take(&mut *children);
        drop(children);
        let mut ending: Vec<_> = ending.iter().rev().filter_map(Weak::upgrade).collect();
        ending.sort_by_key(|it| it.only_wakes());
        Some(ending)
    }

    /// Takes the device's queues away. Returns them, the first made last.
    pub(crate) fn take_queues(&self) -> Vec<Arc<QueueShared>> {
        let mut queues = std::mem::take(&mut *self.queues()).all;
        queues.reverse();
        queues
    }

    /// Drops what the driver has put into the device. Its children have gone.
    pub(crate) fn end_delete(&self) {
        self.context.end();
        let mut callbacks = self
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *callbacks, Arc::new(()));
        drop(callbacks);
        drop(before);
    }

    /// Drops what the driver has put into something. Its panic makes the stack fail.
    pub(crate) fn drop_of(self: &Arc<Self>, what: &'static str, dropping: impl FnOnce()) {
        match self.stack.upgrade() {
            Some(stack) => stack.drop_of(self, what, dropping),
            None => dropping(),
        }
    }

    /// Stops the continuous readers that the driver has left running, and tells how many there were.
    pub(crate) fn stop_readers(&self) -> usize {
        let targets = self.targets();
        let stopped = targets.iter().filter(|target| target.stop_reading());
        stopped.count()
    }

    /// Takes the targets away that are hardware.
    pub(crate) fn take_hardware(&self) -> Vec<Arc<TargetShared>> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.extract_if(.., |it| it.is_hardware()).collect()
    }

    /// The targets that the driver has made.
    pub(crate) fn targets(&self) -> Vec<Arc<TargetShared>> {
        let targets = self.targets.lock();
        targets.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes what the driver sends to: the device goes. What was sent is taken back, and ends soon.
    pub(crate) fn close_targets(&self) {
        let default = self.default_target().shared();
        for target in self.targets().iter().chain([default]) {
            target.close(TargetState::Deleted);
        }
    }

    /// Takes all targets away, the default one among them.
    pub(crate) fn take_targets(&self) -> Vec<Arc<TargetShared>> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = std::mem::take(&mut *targets);
        drop(targets);
        taken.push(Arc::clone(self.default_target().shared()));
        taken
    }
}
