//! A request that is carried out.

use serde_json::{Value, json};

use super::{ControlError, Devices, Line, Request, devices::Target, events::seen, input};
use crate::{
    models::{Changes, Handle},
    source::Source,
};

impl Devices {
    /// Carries a request out, and gives what it is answered with.
    pub(super) async fn carry_out(&self, line: &Line) -> Result<Value, ControlError> {
        let request = &line.request;
        match request {
            Request::List {} => Ok(self.list()),
            Request::Plug { spec } => {
                let source: Source = spec.parse()?;
                let bus_id = self.blocking(move |devices| devices.plug(&source)).await?;
                Ok(json!({ "device": bus_id.as_str() }))
            }
            Request::Reload {} => {
                let applied = self.blocking(Self::reload).await?;
                Ok(json!(applied))
            }
            Request::Unplug { device } => {
                let device = device.clone();
                let unplug = move |devices: &Self| devices.unplug(&device);
                self.blocking(unplug).await?;
                Ok(Value::Null)
            }
            Request::Replug { device, speed } => {
                let (device, speed) = (device.clone(), speed.clone());
                let replug = move |devices: &Self| devices.replug(&device, speed.as_deref());
                let bus_id = self.blocking(replug).await?;
                Ok(json!({ "device": bus_id.as_str() }))
            }
            Request::State { device } => {
                let target = self.find(device)?;
                let states = target
                    .handles
                    .iter()
                    .map(|handle| json!({ "kind": handle.kind(), "state": state(handle) }));
                Ok(states.collect())
            }
            // What happens from now on is sent by the connection.
            Request::Events { .. } => Ok(json!(self.events().past())),
            _ => {
                let target = self.find(request.device().unwrap_or_default())?;
                let (name, request) = (target.name.clone(), request.clone());
                // A disk's drive waits for what is just read or written.
                let done = self.blocking(move |_| act(&target, &request)).await?;
                if let (true, Some(waiting)) = (line.wait.unwrap_or(true), done) {
                    waiting.until_read(&name).await?;
                }
                Ok(Value::Null)
            }
        }
    }

    /// Does what blocks where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        action: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let devices = self.clone();
        match tokio::task::spawn_blocking(move || action(&devices)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// What a function's user sees, and how far the host has read what they did.
fn state(handle: &Handle) -> Value {
    let state = handle.state();
    let mut told = seen(&state).unwrap_or_else(|| json!({}));
    if let Some(delivery) = input::delivery(&state) {
        told["configured"] = delivery.configured.into();
        told["waiting"] = delivery.waiting.into();
    }
    told
}

/// A function with which something was done that its host is to read.
struct Waiting {
    handle: Handle,
    /// How much was forgotten before.
    forgotten: u64,
    changes: Changes,
}

impl Waiting {
    /// Returns once the host has read what was done.
    async fn until_read(mut self, device: &str) -> Result<(), ControlError> {
        let device = || device.to_owned();
        while let Some(delivery) = input::delivery(&self.handle.state()) {
            if delivery.forgotten != self.forgotten {
                return Err(ControlError::Forgotten { device: device() });
            }
            if delivery.waiting == 0 {
                break;
            }
            if self.changes.next().await.is_none() {
                return Err(ControlError::Gone { device: device() });
            }
        }
        Ok(())
    }
}

/// Has the first function that can do it do what is asked for, and gives it where its host is to read that.
fn act(target: &Target, request: &Request) -> Result<Option<Waiting>, ControlError> {
    for handle in &target.handles {
        let before = input::delivery(&handle.state());
        let changes = handle.changes();
        let Some(acted) = input::act(handle, request) else {
            continue;
        };
        acted.map_err(|cause| ControlError::Refused {
            device: target.name.clone(),
            cause,
        })?;
        return Ok(before.map(|before| Waiting {
            handle: handle.clone(),
            forgotten: before.forgotten,
            changes,
        }));
    }
    Err(unable(target, request))
}

fn unable(target: &Target, request: &Request) -> ControlError {
    let kinds: Vec<_> = target.handles.iter().map(Handle::kind).collect();
    let mut can = vec!["unplug", "replug"];
    can.extend(target.handles.iter().flat_map(input::abilities));
    ControlError::Unable {
        device: target.name.clone(),
        kind: match kinds.is_empty() {
            true => "which nobody here uses".to_owned(),
            false => kinds.join(", "),
        },
        verb: request.verb(),
        can: can.join(", "),
    }
}
