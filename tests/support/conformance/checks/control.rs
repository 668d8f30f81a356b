//! Control transfers: data both ways, stalls, and what only the host may ask.

use anyhow::{Result, ensure};
use usbwright::{
    protocol::{Setup, Status},
    target::TransferError,
};

use crate::conformance::{Subject, data::noise, subject::request};

/// The vendor request that fills Gadget Zero's control buffer.
const FILL: u8 = 0x5b;
/// The vendor request that reads it.
const READ: u8 = 0x5c;

fn buffer(direction: u8, code: u8, length: usize) -> Setup {
    let [low, high] = (length as u16).to_le_bytes();
    Setup::from_bytes([direction | 0x40, code, 0, 0, 0, 0, low, high])
}

pub(super) async fn goes_and_comes(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    for length in [1, 2, 63, 64, 65, 511, 512, 513, 4095, 4096] {
        let data = noise(length as u64, length);
        let sent = ends.device.control(buffer(0, FILL, length), data.clone());
        let sent = sent.await.ok()?;
        ensure!(sent.length == length, "{length}: {sent:?}");
        let read = ends.device.control(buffer(0x80, READ, length), vec![]);
        let read = read.await.ok()?;
        ensure!(read.data == data[..], "{length}: {} bytes", read.length);
    }
    let none = ends.device.control(buffer(0, FILL, 0), vec![]).await;
    ensure!(none.ended(Status::Done), "{none:?}");
    Ok(())
}

pub(super) async fn may_be_short(subject: &Subject) -> Result<()> {
    let device = subject.open();
    let told = request(&device, [0x80, 6, 0, 1, 0, 0, 255, 0]).await.ok()?;
    ensure!(told.length == 18 && told.data.len() == 18, "{told:?}");
    Ok(())
}

pub(super) async fn stalls(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    for setup in [
        [0xc0, 0x77, 0, 0, 0, 0, 64, 0],
        [0x40, 0x77, 0, 0, 0, 0, 0, 0],
        // A string that nobody names.
        [0x80, 6, 0xee, 3, 0x09, 0x04, 255, 0],
    ] {
        let refused = request(&ends.device, setup).await;
        ensure!(refused.ended(Status::Stalled), "{setup:x?}: {refused:?}");
        ensure!(refused.length == 0, "{refused:?}");
        let next = request(&ends.device, [0x80, 0, 0, 0, 0, 0, 2, 0]).await;
        ensure!(next.ended(Status::Done), "after {setup:x?}: {next:?}");
    }
    Ok(())
}

pub(super) async fn keeps_to_the_host(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    for (setup, code) in [
        ([0, 5, 1, 0, 0, 0, 0, 0], 5),
        ([0, 9, 3, 0, 0, 0, 0, 0], 9),
        ([1, 11, 0, 0, 0, 0, 0, 0], 11),
    ] {
        let refused = request(&ends.device, setup).await;
        let expected = Some(TransferError::Reserved(code));
        ensure!(refused.error == expected, "{refused:?}");
    }
    let short = ends.device.control(buffer(0, FILL, 8), vec![0; 7]).await;
    let expected = TransferError::DataStage { told: 8, given: 7 };
    ensure!(short.error == Some(expected), "{short:?}");
    Ok(())
}
