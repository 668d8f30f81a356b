//! The loopback: what is written comes back, with its packets' ends.

use anyhow::{Context as _, Result, ensure};
use usbwright::protocol::Status;

use crate::conformance::{
    Subject,
    data::{Dice, noise},
    subject::Done as _,
};

/// Lengths of messages, in bytes; none of them fills its last packet at any speed.
const LENGTHS: [usize; 12] = [
    1, 2, 63, 65, 511, 513, 1023, 1025, 4095, 12_345, 65_537, 300_001,
];

pub(super) async fn comes_back(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    for length in LENGTHS {
        let data = noise(length as u64, length);
        let write = ends.output.write(data.clone());
        let (written, read) = tokio::join!(write, ends.input.read(length));
        let written = written.ok()?;
        ensure!(written.length == length, "{length}: {written:?}");
        let read = read.ok()?;
        ensure!(read.data == data[..], "{length}: {} bytes", read.length);
    }
    Ok(())
}

pub(super) async fn ends_with_writes(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let mut dice = Dice::new(5);
    let messages = (0..40).map(|seed| noise(seed, dice.roll(4 * 63) * 16 + 1));
    let messages: Vec<_> = messages.collect();
    let mut writes = ends.output.queue();
    for message in &messages {
        writes.write(message.clone())?;
    }
    writes.flush();
    for message in &messages {
        let read = ends.input.read(64 * 1024).await.ok()?;
        ensure!(
            read.data == message[..],
            "{} for {}",
            read.length,
            message.len()
        );
    }
    while let Some((_, written)) = writes.next().await {
        written.done()?;
    }
    Ok(())
}

pub(super) async fn zero_length(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    for length in [0, 1024, 4096] {
        let data = noise(7, length);
        let written = ends.output.write_terminated(data.clone()).await.ok()?;
        ensure!(written.length == length, "{written:?}");
        let read = ends.input.read(64 * 1024).await.ok();
        let read = read.with_context(|| format!("{length}"))?;
        ensure!(read.data == data[..], "{} for {length}", read.length);
    }
    Ok(())
}

pub(super) async fn overflows(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    ends.output.write(noise(8, 60)).await.done()?;
    let mut queue = ends.input.queue();
    queue.read(7)?;
    let (_, read) = queue.next().await.context("it ended early")?;
    ensure!(read.ended(Status::Overflow), "{read:?}");
    ensure!(read.length <= 7, "{read:?}");
    Ok(())
}
