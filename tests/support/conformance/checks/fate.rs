//! Resets, and departures.

use anyhow::{Context as _, Result, ensure};
use usbwright::{
    protocol::{Setup, Status},
    target::ResetOutcome,
};

use crate::conformance::{
    Subject,
    data::noise,
    subject::{Done as _, request},
};

pub(super) async fn reset(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    for _ in 0..2 {
        let outcome = ends.device.reset().await?;
        ensure!(outcome == ResetOutcome::Kept, "{outcome:?}");
        ensure!(!ends.input.is_stale() && ends.device.is_connected());
        let read = ends.input.read(4096).await.ok()?;
        ensure!(read.length == 4096, "{read:?}");
        let data = subject.backend().pattern.bytes(513, ends.packet());
        ends.output.write(data).await.done()?;
    }
    Ok(())
}

pub(super) async fn reset_ends(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let mut queue = ends.input.queue();
    for _ in 0..4 {
        queue.read(1024)?;
    }
    queue.flush();
    let outcome = ends.device.reset().await?;
    ensure!(outcome == ResetOutcome::Kept, "{outcome:?}");
    while let Some((_, read)) = queue.next().await {
        let ended = [Status::Cancelled, Status::Disconnected];
        ensure!(ended.iter().any(|it| read.ended(*it)), "{read:?}");
    }
    let message = noise(1, 100);
    ends.output.write(message.clone()).await.done()?;
    let read = ends.input.read(512).await.ok()?;
    ensure!(read.data == message[..message.len()], "{read:?}");
    Ok(())
}

/// Fills the control buffer, resets the device, and tells whether the buffer is empty then.
pub(crate) async fn reset_empties_the_buffer(subject: &Subject) -> Result<bool> {
    let ends = subject.source_sink().await?;
    let fill = Setup::from_bytes([0x40, 0x5b, 0, 0, 0, 0, 16, 0]);
    ends.device.control(fill, vec![0xa5; 16]).await.done()?;
    let outcome = ends.device.reset().await?;
    ensure!(outcome == ResetOutcome::Kept, "{outcome:?}");
    let read = request(&ends.device, [0xc0, 0x5c, 0, 0, 0, 0, 16, 0]).await;
    let read = read.ok()?.data.to_vec();
    match &read[..] {
        it if it == [0; 16] => Ok(true),
        it if it == [0xa5; 16] => Ok(false),
        other => anyhow::bail!("the buffer has {other:x?}"),
    }
}

pub(super) async fn reset_reaches(subject: &Subject) -> Result<()> {
    ensure!(
        reset_empties_the_buffer(subject).await?,
        "it has kept its data"
    );
    Ok(())
}

pub(super) async fn unplugged(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let mut queue = ends.input.queue();
    for _ in 0..4 {
        queue.read(1024)?;
    }
    queue.flush();
    subject.unplug()?;
    for _ in 0..4 {
        let (_, read) = queue.next().await.context("it ended early")?;
        ensure!(read.ended(Status::Disconnected), "{read:?}");
    }
    let write = ends.output.write(noise(1, 10)).await;
    ensure!(write.ended(Status::Disconnected), "{write:?}");
    let told = request(&ends.device, [0x80, 0, 0, 0, 0, 0, 2, 0]).await;
    ensure!(told.ended(Status::Disconnected), "{told:?}");
    let outcome = ends.device.reset().await?;
    ensure!(outcome == ResetOutcome::Gone, "{outcome:?}");
    ensure!(!ends.device.is_connected());
    Ok(())
}

pub(super) async fn told(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let gone = ends.device.gone();
    ensure!(ends.device.is_connected());
    subject.unplug()?;
    gone.await;
    ensure!(!ends.device.is_connected());
    // It is told to whoever asks later as well.
    ends.device.gone().await;
    Ok(())
}
