//! Devices that commands ask, by the names that users give them.

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use bytes::Bytes;
use usbwright::{
    models::Spec,
    protocol::{Setup, Status},
    target::{
        Device, Wait as _,
        enumerate::{ControlAnswer, Description, DeviceState, read_state},
    },
};

/// Opens a device, and asks for all that it tells of itself and for what it is set to.
pub(super) fn describe(spec: &Spec) -> anyhow::Result<(Arc<Description>, DeviceState)> {
    let port = spec
        .build(Instant::now())
        .with_context(|| format!("can't make {spec}"))?;
    let device = Device::open(port)
        .wait()
        .with_context(|| format!("can't open {spec}"))?;
    let control = async |setup: Setup| {
        let answer = device.control(setup, Bytes::new()).await;
        ControlAnswer {
            status: answer.status().unwrap_or(Status::ProtocolError),
            data: answer.data.into_bytes(),
        }
    };
    let state = read_state(control).wait();
    Ok((device.description(), state))
}
