//! Reading a remote device's configurations, which USB/IP does not tell.

use std::time::Instant;

use tracing::{debug, warn};
use usbwright_protocol::{
    EndpointAddress, Now, Port, Setup, Status, Transfer, TransferId, TransferKind,
    descriptor::{ConfigurationDescriptor, DeviceDescriptor, kind},
    request,
    usbip::operation::ExportedDevice,
};

use super::{Ended, RemotePort, patience::Patience};

/// The configurations that are read, as many as Linux takes (`USB_MAXCONFIG`).
const CONFIGURATIONS_MOST: u8 = 8;
/// The bytes of a device descriptor.
const DEVICE: u16 = 18;
/// The bytes of a configuration's own descriptor, before those that belong to it.
const HEAD: u16 = 9;

/// Why a device's configurations are not known.
#[derive(Debug)]
pub(super) enum Undescribed {
    /// It did not answer in time.
    Late,
    /// Its connection ended.
    Ended(Ended),
}

/// Reads the configurations before the patience ends; those that can't be read or understood are left out.
pub(super) fn configurations(
    port: &mut RemotePort,
    device: &ExportedDevice,
    patience: &mut Patience,
) -> Result<Vec<ConfigurationDescriptor>, Undescribed> {
    let descriptor = read(port, kind::DEVICE, 0, DEVICE, patience)?;
    let count = match descriptor.as_deref().map(DeviceDescriptor::parse) {
        Some(Ok(descriptor)) => descriptor.configurations,
        _ => device.summary.configurations,
    };
    let mut configurations = Vec::new();
    for index in 0..count.min(CONFIGURATIONS_MOST) {
        let Some(bytes) = configuration(port, index, patience)? else {
            debug!(bus_id = device.bus_id, index, "configuration can't be read");
            continue;
        };
        match ConfigurationDescriptor::parse(&bytes, device.summary.speed) {
            Ok(configuration) => configurations.push(configuration),
            Err(error) => warn!(
                "configuration {index} of remote device {} can't be understood, and its endpoints are unknown: {error}",
                device.bus_id
            ),
        }
    }
    Ok(configurations)
}

fn configuration(
    port: &mut RemotePort,
    index: u8,
    patience: &mut Patience,
) -> Result<Option<Vec<u8>>, Undescribed> {
    let head = read(port, kind::CONFIGURATION, index, HEAD, patience)?;
    let Some(&[_, _, low, high, ..]) = head.as_deref() else {
        return Ok(None);
    };
    let total = u16::from_le_bytes([low, high]).max(HEAD);
    read(port, kind::CONFIGURATION, index, total, patience)
}

/// GET_DESCRIPTOR; `None` where the device refuses.
fn read(
    port: &mut RemotePort,
    kind: u8,
    index: u8,
    length: u16,
    patience: &mut Patience,
) -> Result<Option<Vec<u8>>, Undescribed> {
    let setup = Setup {
        request_type: 0x80,
        request: request::GET_DESCRIPTOR,
        value: u16::from_le_bytes([index, kind]),
        index: 0,
        length,
    };
    let transfer = Transfer {
        id: TransferId(0),
        endpoint: EndpointAddress::CONTROL,
        kind: TransferKind::Control {
            setup,
            data: bytes::Bytes::new(),
            room: length.into(),
        },
    };
    port.submit(transfer, Now::SYSTEM);
    loop {
        port.exchange().map_err(Undescribed::Ended)?;
        if let Some(completion) = port.completion() {
            let came = completion.status == Status::Done;
            return Ok(came.then(|| completion.data.to_vec()));
        }
        match patience.next(Instant::now()) {
            Some(slice) => port.wait(slice),
            None => return Err(Undescribed::Late),
        }
    }
}
