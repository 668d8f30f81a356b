//! Control transfers, on endpoint zero.

use std::time::Duration;

use bytes::Bytes;
use usbwright_protocol::{Direction, EndpointAddress, RequestKind, Setup, TransferKind, request};

use crate::{
    cancel::Cancel,
    completion::{Completion, TransferError},
    engine::{Engine, Flight},
};

/// How long a control transfer may take, unless it is told otherwise (WinUSB's default).
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// A control transfer of the host's own.
pub(crate) async fn transfer(engine: &Engine, setup: Setup, data: Bytes) -> Completion {
    timed(engine, setup, data, Some(TIMEOUT), Cancel::default()).await
}

/// A control transfer that may take so long.
pub(crate) async fn timed(
    engine: &Engine,
    setup: Setup,
    data: Bytes,
    timeout: Option<Duration>,
    mut cancel: Cancel<'_>,
) -> Completion {
    let room = match setup.direction() {
        Direction::In => setup.length.into(),
        Direction::Out => 0,
    };
    let kind = TransferKind::Control { setup, data, room };
    let until = engine.after(timeout);
    let flight = Flight::new(engine, None, EndpointAddress::CONTROL, kind, until);
    cancel.end(flight).await.into()
}

/// What is wrong with a control transfer that a program asks for: its data, or that only the device's host may do it.
pub(crate) fn check(setup: &Setup, data: &Bytes) -> Result<(), TransferError> {
    let told = usize::from(setup.length);
    let given = data.len();
    match setup.direction() {
        Direction::Out if given != told => return Err(TransferError::DataStage { told, given }),
        Direction::In if given != 0 => return Err(TransferError::DataForIn(given)),
        _ => {}
    }
    let reserved = [
        request::SET_ADDRESS,
        request::SET_CONFIGURATION,
        request::SET_INTERFACE,
    ];
    match setup.kind() {
        RequestKind::Standard if reserved.contains(&setup.request) => {
            Err(TransferError::Reserved(setup.request))
        }
        _ => Ok(()),
    }
}
