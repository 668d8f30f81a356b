//! A port whose bulk transfers end when and as a test says: what no emulated device does.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::Waker,
    time::Instant,
};

use bytes::Bytes;
use usbwright_emulator::EmulatedDevice;
use usbwright_target::{
    Bulk, Device, In, Interface, ManualClock, Options, Out, Pipe, PipePolicy, Wait,
    protocol::{
        Completion, DeviceSummary, EndpointAddress, Now, Payload, Port, Speed, Status, Transfer,
        TransferId, TransferKind, TransferType,
    },
};

use super::{BULK_IN, BULK_OUT, Scripted, poke};

/// What is outstanding, what was taken back, and what has ended.
#[derive(Debug, Default)]
pub(crate) struct PortScript {
    /// Whether requests on endpoint zero are held.
    holds_control: bool,
    control: Vec<Transfer>,
    pub(crate) outstanding: Vec<Transfer>,
    pub(crate) cancelled: Vec<TransferId>,
    done: Vec<Completion>,
}

/// A device whose endpoint zero works, and whose other transfers are in a test's hands.
pub(crate) struct ScriptedPort {
    script: Arc<Mutex<PortScript>>,
    firmware: Scripted,
    pub(crate) device: Device,
    interface: Interface,
    pub(crate) clock: ManualClock,
}

impl ScriptedPort {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let script = Arc::<Mutex<PortScript>>::default();
        let firmware = Scripted::default();
        let port = Behind {
            inner: EmulatedDevice::new(firmware.clone(), Speed::High, clock.now()).unwrap(),
            script: Arc::clone(&script),
        };
        let options = Options::new().clock(clock.clone());
        let device = options.open(port).wait().unwrap();
        let interface = device.interface(0).wait().unwrap();
        firmware.calls();
        Self {
            script,
            firmware,
            device,
            interface,
            clock,
        }
    }

    /// The bulk IN pipe, with these policies.
    pub(crate) fn source(&self, policy: PipePolicy) -> Pipe<Bulk, In> {
        let pipe = self.interface.pipe(BULK_IN).unwrap();
        pipe.set_policy(policy).unwrap();
        pipe
    }

    /// The bulk OUT pipe, with these policies.
    pub(crate) fn sink(&self, policy: PipePolicy) -> Pipe<Bulk, Out> {
        let pipe = self.interface.pipe(BULK_OUT).unwrap();
        pipe.set_policy(policy).unwrap();
        pipe
    }

    /// What has happened to the device on endpoint zero since this was last asked.
    pub(crate) fn device_calls(&self) -> Vec<&'static str> {
        self.firmware.calls()
    }

    /// Has requests on endpoint zero wait, or lets them through.
    pub(crate) fn holds_control(&self, holds: bool) {
        self.script().holds_control = holds;
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, PortScript> {
        self.script.lock().unwrap()
    }

    /// The lengths of what is outstanding.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        let script = self.script();
        let kinds = script.outstanding.iter().map(|it| &it.kind);
        kinds
            .map(|kind| match kind {
                TransferKind::In { length } => *length as usize,
                TransferKind::Out { data, .. } => data.len(),
                _ => panic!("{kind:?}"),
            })
            .collect()
    }

    /// Ends a transfer by its place among those outstanding.
    pub(crate) fn end(&self, place: usize, status: Status, data: Bytes) {
        self.end_unseen(place, status, data);
        // Whatever is submitted has the engine look what has ended.
        poke(&self.device);
    }

    /// Ends a transfer, of which the engine learns when it next looks.
    pub(crate) fn end_unseen(&self, place: usize, status: Status, data: Bytes) {
        let mut script = self.script();
        let transfer = script.outstanding.remove(place);
        let is_in = matches!(transfer.kind, TransferKind::In { .. });
        script.done.push(Completion {
            actual_length: data.len() as u32,
            data: match is_in {
                true => data.into(),
                false => Payload::new(),
            },
            ..Completion::empty(transfer.id, status)
        });
    }
}

struct Behind {
    inner: EmulatedDevice,
    script: Arc<Mutex<PortScript>>,
}

impl Port for Behind {
    fn summary(&self) -> DeviceSummary {
        self.inner.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.inner.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        let mut script = self.script.lock().unwrap();
        match transfer.endpoint.is_control() {
            true if script.holds_control => script.control.push(transfer),
            true => {
                let held = std::mem::take(&mut script.control);
                for transfer in held.into_iter().chain([transfer]) {
                    self.inner.submit(transfer, now);
                }
            }
            false => script.outstanding.push(transfer),
        }
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        let mut script = self.script.lock().unwrap();
        if script.outstanding.iter().any(|it| it.id == id) {
            return script.cancelled.push(id);
        }
        if let Some(place) = script.control.iter().position(|it| it.id == id) {
            script.control.remove(place);
            return script.done.push(Completion::empty(id, Status::Cancelled));
        }
        self.inner.cancel(id, now);
    }

    fn reset(&mut self, now: Instant) {
        self.inner.reset(now);
    }

    fn poll(&mut self, now: Instant) {
        self.inner.poll(now);
    }

    fn completion(&mut self) -> Option<Completion> {
        let mut script = self.script.lock().unwrap();
        if !script.done.is_empty() {
            return Some(script.done.remove(0));
        }
        self.inner.completion()
    }

    fn deadline(&self) -> Option<Instant> {
        self.inner.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.inner.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }
}
