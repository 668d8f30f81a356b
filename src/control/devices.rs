//! The devices of a server that is controlled: what was plugged in, what its users have of it, and who has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::RecvTimeoutError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{runtime::Handle as Runtime, task::AbortHandle};
use tracing::warn;

use super::{
    Applied, Bench, ControlError, Event,
    events::{self, Events, seen},
    input,
    watched::{Gone, Name, Watched},
};
use crate::{
    emulator::{Bus, BusId, server::Observer},
    models::Handle,
    serial::Connected,
    source::{Opened, Source},
};

/// How long whoever has a device may take to let go of it once it is unplugged: a transfer that is being moved is moved.
const PARTING: Duration = Duration::from_secs(10);

/// The devices of a [`Bus`], with their users' sides. Clones are the same devices.
///
/// They are plugged in and taken off by this alone. It needs a tokio runtime, on which it watches the handles.
#[derive(Clone, Debug)]
pub struct Devices(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    bus: Bus,
    events: Events,
    runtime: Runtime,
    plugged: Mutex<BTreeMap<BusId, Entry>>,
    bench: Mutex<Option<FromFile>>,
}

/// The bench that a file describes.
#[derive(Debug)]
struct FromFile {
    path: PathBuf,
    /// The devices that are there because of it.
    ours: BTreeSet<BusId>,
}

/// A device that was plugged in.
#[derive(Debug)]
struct Entry {
    source: Source,
    handles: Vec<Handle>,
    connected: Vec<Connected>,
    watchers: Vec<AbortHandle>,
    /// Who has it.
    by: Option<String>,
    /// Ends when the device does.
    gone: Gone,
}

impl Entry {
    /// Waits until nobody has a device any more that was taken off.
    fn wait_until_gone(&self) {
        if self.gone.recv_timeout(PARTING) == Err(RecvTimeoutError::Timeout) {
            warn!(
                "{} was unplugged, and is still in use after {PARTING:?}",
                self.source
            );
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        for watcher in &self.watchers {
            watcher.abort();
        }
    }
}

/// The functions that a request is about.
#[derive(Debug)]
pub(super) struct Target {
    /// The device, or its function, as the request has it.
    pub(super) name: String,
    pub(super) bus_id: BusId,
    pub(super) handles: Vec<Handle>,
}

impl Devices {
    /// Devices of a bus, to be watched on this runtime. None is there yet.
    pub fn new(bus: Bus, runtime: Runtime) -> Self {
        Self(Arc::new(Inside {
            bus,
            events: Events::new(),
            runtime,
            plugged: Mutex::default(),
            bench: Mutex::default(),
        }))
    }

    /// The bus that they are on.
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(super) fn events(&self) -> &Events {
        &self.0.events
    }

    fn plugged(&self) -> MutexGuard<'_, BTreeMap<BusId, Entry>> {
        self.0
            .plugged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes or takes a device and plugs it in. It blocks for as long as that takes.
    ///
    /// # Errors
    /// Where it can't be had, or there is no place for it.
    pub fn plug(&self, source: &Source) -> Result<BusId, ControlError> {
        self.plug_as(source, source.bus_id().cloned(), &[])
    }

    /// As [`plug`](Self::plug), under a name.
    pub(super) fn plug_at(&self, source: &Source, bus_id: &BusId) -> Result<(), ControlError> {
        self.plug_as(source, Some(bus_id.clone()), &[]).map(|_| ())
    }

    /// Whether there is a device of that name that was made so.
    pub(super) fn has(&self, bus_id: &BusId, source: &Source) -> bool {
        self.forget_the_gone();
        let plugged = self.plugged();
        let entry = plugged.get(bus_id);
        entry.is_some_and(|entry| entry.source.to_string() == source.to_string())
    }

    /// Plugs in what a file describes, which is read again by [`reload`](Self::reload). It blocks for as long as devices take to be made.
    pub fn set_up(&self, path: PathBuf, bench: &Bench) -> Applied {
        let mut ours = BTreeSet::new();
        let applied = bench.apply(self, &mut ours);
        *self.bench() = Some(FromFile { path, ours });
        applied
    }

    /// Reads the file of [`set_up`](Self::set_up) again, and does what has changed: other devices are left alone. It blocks for as long as
    /// devices take to be made.
    ///
    /// # Errors
    /// Where there is no such file, or it describes no bench; then nothing is done.
    pub fn reload(&self) -> Result<Applied, ControlError> {
        let mut bench = self.bench();
        let from = bench.as_mut().ok_or(ControlError::NoBench)?;
        let read = Bench::load(&from.path)?;
        Ok(read.apply(self, &mut from.ours))
    }

    fn bench(&self) -> MutexGuard<'_, Option<FromFile>> {
        self.0.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plug_as(
        &self,
        source: &Source,
        bus_id: Option<BusId>,
        before: &[Handle],
    ) -> Result<BusId, ControlError> {
        let spec = source.to_string();
        let opened = source.open_again(Instant::now(), before);
        let Opened {
            port,
            handles,
            connected,
        } = opened.map_err(|cause| ControlError::Open {
            spec: spec.clone(),
            cause,
        })?;
        let speed = port.summary().speed;
        let name = Name::default();
        let (port, gone) = Watched::new(port, Arc::clone(&name), self.events().clone());
        // Whoever takes it off in between finds it in the list as well.
        let mut plugged = self.plugged();
        let bus_id = match self.bus().plug(Box::new(port), bus_id) {
            Ok(bus_id) => bus_id,
            Err(cause) => return Err(ControlError::Plug { spec, cause }),
        };
        let _ = name.set(bus_id.to_string());
        self.events().tell(Event::Plugged {
            device: bus_id.to_string(),
            spec,
            speed: events::speed(speed),
        });
        let watchers = self.watch(&bus_id, &handles);
        let entry = Entry {
            source: source.clone(),
            handles,
            connected,
            watchers,
            by: None,
            gone,
        };
        plugged.insert(bus_id.clone(), entry);
        Ok(bus_id)
    }

    /// Where the other ends of a device's serial lines are.
    pub fn lines(&self, bus_id: &BusId) -> Vec<String> {
        let plugged = self.plugged();
        let lines = plugged.get(bus_id).into_iter();
        lines
            .flat_map(|entry| &entry.connected)
            .map(ToString::to_string)
            .collect()
    }

    /// Has the changes of functions told.
    fn watch(&self, bus_id: &BusId, handles: &[Handle]) -> Vec<AbortHandle> {
        let watched = (1..).zip(handles).filter_map(|(function, handle)| {
            let mut before = seen(&handle.state())?;
            let mut changes = handle.changes();
            let (events, device) = (self.events().clone(), bus_id.to_string());
            let kind = handle.kind().to_owned();
            let watcher = self.0.runtime.spawn(async move {
                while let Some(state) = changes.next().await {
                    let Some(now) = seen(&state).filter(|now| *now != before) else {
                        continue;
                    };
                    before.clone_from(&now);
                    events.tell(Event::Changed {
                        device: device.clone(),
                        function,
                        kind: kind.clone(),
                        state: now,
                    });
                }
            });
            Some(watcher.abort_handle())
        });
        watched.collect()
    }

    /// Takes a device off the bus, and off whoever has it. It blocks until they have let go of it, so that what it was made of may be used again;
    /// not to be called by a task.
    ///
    /// # Errors
    /// Where there is none.
    pub fn unplug(&self, device: &str) -> Result<(), ControlError> {
        let bus_id = self.find(device)?.bus_id;
        if let Some(entry) = self.take(&bus_id) {
            entry.wait_until_gone();
        }
        Ok(())
    }

    fn take(&self, bus_id: &BusId) -> Option<Entry> {
        let entry = self.plugged().remove(bus_id)?;
        self.bus().unplug(bus_id);
        self.events().tell(Event::Unplugged {
            device: bus_id.to_string(),
        });
        Some(entry)
    }

    /// Takes a device off and plugs it in again under its name, made anew; a disk keeps what is in its drives. It blocks for as long as that
    /// takes.
    ///
    /// # Errors
    /// Where there is none or it can't have that speed; then it stays. Where it can't be made again it is gone.
    pub fn replug(&self, device: &str, speed: Option<&str>) -> Result<BusId, ControlError> {
        let target = self.find(device)?;
        let source = self
            .plugged()
            .get(&target.bus_id)
            .map(|it| it.source.clone());
        let source = source.ok_or_else(|| self.missing(device))?;
        let source = match speed {
            None => source,
            Some(speed) => source
                .at_speed(speed)
                .map_err(|reason| ControlError::Speed {
                    device: device.to_owned(),
                    reason,
                })?,
        };
        let before = self.take(&target.bus_id);
        let mut before = before.ok_or_else(|| self.missing(device))?;
        before.wait_until_gone();
        // The new device's lines may want the same addresses.
        before.connected.clear();
        self.plug_as(&source, Some(target.bus_id), &before.handles)
    }

    /// The functions that a name stands for: a device's, or one of them.
    pub(super) fn find(&self, device: &str) -> Result<Target, ControlError> {
        self.forget_the_gone();
        let (name, number) = match device.split_once('/') {
            Some((name, number)) => (name, Some(number)),
            None => (device, None),
        };
        let plugged = self.plugged();
        let found = plugged.iter().find(|(bus_id, _)| bus_id.as_str() == name);
        let Some((bus_id, entry)) = found else {
            drop(plugged);
            return Err(self.missing(device));
        };
        let mut handles = entry.handles.clone();
        if let Some(number) = number {
            let place = number
                .parse::<usize>()
                .ok()
                .and_then(|it| it.checked_sub(1));
            let chosen = place.and_then(|place| entry.handles.get(place));
            let chosen = chosen.ok_or_else(|| ControlError::NoFunction {
                device: name.to_owned(),
                count: entry.handles.len(),
                number: number.to_owned(),
            })?;
            handles = vec![chosen.clone()];
        }
        Ok(Target {
            name: device.to_owned(),
            bus_id: bus_id.clone(),
            handles,
        })
    }

    fn missing(&self, device: &str) -> ControlError {
        let plugged = self.plugged();
        let names: Vec<_> = plugged.keys().map(BusId::as_str).collect();
        ControlError::NoDevice {
            device: device.to_owned(),
            known: match names.is_empty() {
                true => "none is plugged in".to_owned(),
                false => format!("there is {}", names.join(", ")),
            },
        }
    }

    /// Forgets devices that have left the bus by themselves.
    fn forget_the_gone(&self) {
        let mut plugged = self.plugged();
        let there = self.bus().devices();
        plugged.retain(|bus_id, _| {
            let stays = there.iter().any(|device| device.bus_id == *bus_id);
            if !stays {
                self.events().tell(Event::Unplugged {
                    device: bus_id.to_string(),
                });
            }
            stays
        });
    }

    /// All devices, as `list` tells them.
    pub(super) fn list(&self) -> Value {
        self.forget_the_gone();
        let plugged = self.plugged();
        let devices = self.bus().devices();
        let listed = devices.iter().filter_map(|device| {
            let entry = plugged.get(&device.bus_id)?;
            let summary = &device.description.summary;
            let functions: Vec<_> = entry.handles.iter().map(function).collect();
            Some(json!({
                "device": device.bus_id.as_str(),
                "spec": entry.source.to_string(),
                "id": format!("{:04x}:{:04x}", summary.vendor_id, summary.product_id),
                "speed": events::speed(summary.speed),
                "in_use": device.in_use,
                "by": entry.by,
                "functions": functions,
                "lines": entry.connected.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }))
        });
        listed.collect()
    }

    fn set_user(&self, bus_id: &BusId, by: Option<&str>) {
        if let Some(entry) = self.plugged().get_mut(bus_id) {
            entry.by = by.map(str::to_owned);
        }
    }
}

fn function(handle: &Handle) -> Value {
    json!({ "kind": handle.kind(), "can": input::abilities(handle) })
}

impl Observer for Devices {
    fn attached(&self, device: &BusId, peer: &str) {
        self.set_user(device, Some(peer));
        self.events().tell(Event::Attached {
            device: device.to_string(),
            by: peer.to_owned(),
        });
    }

    fn released(&self, device: &BusId, peer: &str, reason: &str) {
        self.set_user(device, None);
        self.events().tell(Event::Released {
            device: device.to_string(),
            by: peer.to_owned(),
            reason: reason.to_owned(),
        });
        self.forget_the_gone();
    }
}
