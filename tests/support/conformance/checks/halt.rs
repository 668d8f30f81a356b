//! Halted endpoints.

use anyhow::{Result, ensure};
use usbwright::{
    protocol::{EndpointAddress, Status},
    target::{Device, PipePolicy, ReaderConfig},
};

use crate::conformance::{
    Subject,
    subject::{Done as _, request},
};

/// Halts an endpoint, as only a test does.
async fn halt(device: &Device, endpoint: EndpointAddress) -> Result<()> {
    let setup = [0x02, 3, 0, 0, endpoint.byte(), 0, 0, 0];
    request(device, setup).await.done()?;
    ensure!(
        is_halted(device, endpoint).await?,
        "{endpoint} is not halted"
    );
    Ok(())
}

/// What the device says of an endpoint.
async fn is_halted(device: &Device, endpoint: EndpointAddress) -> Result<bool> {
    let setup = [0x82, 0, 0, 0, endpoint.byte(), 0, 2, 0];
    let status = request(device, setup).await.ok()?;
    Ok(status.data.to_vec() == [1, 0])
}

pub(super) async fn until_reset(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let (device, packet) = (&ends.device, ends.packet());
    let data = subject.backend().pattern.bytes(packet, packet);
    for _ in 0..3 {
        halt(device, ends.input.address()).await?;
        for _ in 0..2 {
            let read = ends.input.read(packet).await;
            ensure!(read.ended(Status::Stalled), "{read:?}");
        }
        // The other way is not concerned.
        ends.output.write(data.clone()).await.done()?;
        ends.input.reset().await.done()?;
        ensure!(!is_halted(device, ends.input.address()).await?);
        let read = ends.input.read(packet).await.ok()?;
        ensure!(read.data == data[..], "{read:?}");

        halt(device, ends.output.address()).await?;
        let written = ends.output.write(data.clone()).await;
        ensure!(written.ended(Status::Stalled), "{written:?}");
        ensure!(written.length == 0, "{written:?}");
        ends.output.reset().await.done()?;
        ends.output.write(data.clone()).await.done()?;
    }
    Ok(())
}

pub(super) async fn by_policy(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    ends.input.set_policy(PipePolicy {
        auto_clear_stall: true,
        ..ends.input.policy()
    })?;
    halt(&ends.device, ends.input.address()).await?;
    let read = ends.input.read(512).await;
    ensure!(read.ended(Status::Stalled), "{read:?}");
    let read = ends.input.read(1024).await.ok()?;
    ensure!(read.length == 1024, "{read:?}");
    Ok(())
}

pub(super) async fn reader(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let config = ReaderConfig::new(ends.packet());
    let mut reader = ends.input.reader(config)?;
    halt(&ends.device, ends.input.address()).await?;
    reader.start();
    let came = reader.next().await?;
    ensure!(came.data().len() == ends.packet(), "{came:?}");
    ensure!(!is_halted(&ends.device, ends.input.address()).await?);
    Ok(())
}
