//! What each driver of a stack knows of a file: how far it has been told of its end, and its context.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::File;
use crate::{
    context::Context,
    device::{Device, DeviceShared},
    request::{RequestType, irp::Irp},
    scheduler::Job,
};

/// How far a driver has been told of a file's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    #[default]
    Nothing,
    CleaningUp,
    CleanedUp,
    Closing,
    Closed,
}

/// The file as the drivers of the stack know it, each for itself.
#[derive(Default)]
pub(super) struct Views(Mutex<Vec<View>>);

struct View {
    device: Weak<DeviceShared>,
    told: Told,
    context: Arc<Context>,
}

impl Views {
    fn lock(&self) -> MutexGuard<'_, Vec<View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, device: &Arc<DeviceShared>, look: impl FnOnce(&mut View) -> T) -> T {
        let mut views = self.lock();
        let is_its = |it: &View| std::ptr::eq(it.device.as_ptr(), Arc::as_ptr(device));
        let place = views.iter().position(is_its).unwrap_or_else(|| {
            views.push(View {
                device: Arc::downgrade(device),
                told: Told::default(),
                context: Arc::default(),
            });
            views.len() - 1
        });
        look(&mut views[place])
    }

    pub(super) fn context(&self, device: &Arc<DeviceShared>) -> Arc<Context> {
        self.with(device, |view| Arc::clone(&view.context))
    }

    pub(super) fn told(&self, device: &Arc<DeviceShared>) -> Told {
        self.with(device, |view| view.told)
    }

    /// The driver is about to be told. Tells whether it has not been so before.
    fn begin(&self, device: &Arc<DeviceShared>, told: Told) -> bool {
        self.with(device, |view| {
            let first = view.told < told;
            view.told = view.told.max(told);
            first
        })
    }

    /// The contexts, with the devices that are there still.
    pub(super) fn contexts(&self) -> Vec<(Arc<DeviceShared>, Arc<Context>)> {
        let views = self.lock();
        let its = |it: &View| Some((it.device.upgrade()?, Arc::clone(&it.context)));
        views.iter().filter_map(its).collect()
    }
}

/// Tells a driver of a file's end, unless it has been told.
pub(crate) struct FileEnds {
    pub(crate) device: Arc<DeviceShared>,
    pub(crate) file: File,
    /// [`RequestType::Cleanup`], or [`RequestType::Close`].
    pub(crate) kind: RequestType,
    /// Goes on to the drivers below then; without it, somebody waits for the driver.
    pub(crate) irp: Option<Arc<Irp>>,
}

impl FileEnds {
    fn clean_up(&self) {
        let views = &self.file.0.views;
        if views.begin(&self.device, Told::CleaningUp) {
            let device = Device::of(&self.device);
            self.device.callbacks().cleanup_file(&device, &self.file);
            views.begin(&self.device, Told::CleanedUp);
        }
    }

    fn close(&self) {
        let views = &self.file.0.views;
        if views.begin(&self.device, Told::Closing) {
            let device = Device::of(&self.device);
            self.device.callbacks().close_file(&device, &self.file);
            views.context(&self.device).end();
            views.begin(&self.device, Told::Closed);
        }
    }
}

impl Job for FileEnds {
    fn run(self: Arc<Self>) {
        match self.kind {
            RequestType::Cleanup => self.clean_up(),
            _ => self.close(),
        }
        match &self.irp {
            Some(irp) => self.device.pass(irp, self.kind),
            None => self.device.scheduler().nudge(),
        }
    }

    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        Some((
            Arc::clone(self.device.driver()),
            "cleanup_file or close_file",
        ))
    }
}
