//! Transfers that take too long.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use usbwright::{protocol::Status, target::PipePolicy};

use crate::conformance::{Subject, data::noise, subject::Done as _};

/// Short, as the test waits for it; it is real time.
const TIMEOUT: Duration = Duration::from_millis(60);

pub(super) async fn reads(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    ends.input.set_policy(PipePolicy {
        transfer_timeout: Some(TIMEOUT),
        ..ends.input.policy()
    })?;
    let began = Instant::now();
    let read = ends.input.read(512).await;
    ensure!(read.ended(Status::TimedOut), "{read:?}");
    ensure!(began.elapsed() >= TIMEOUT, "after {:?}", began.elapsed());
    let message = noise(1, 99);
    ends.input.set_policy(PipePolicy::default())?;
    ends.output.write(message.clone()).await.done()?;
    let read = ends.input.read(512).await.ok()?;
    ensure!(read.data == message[..], "{read:?}");
    Ok(())
}

pub(super) async fn writes(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    ends.output.set_policy(PipePolicy {
        transfer_timeout: Some(TIMEOUT),
        ..ends.output.policy()
    })?;
    // More than the loopback keeps.
    let data = noise(2, 1 << 20);
    let written = ends.output.write(data.clone()).await;
    ensure!(written.ended(Status::TimedOut), "{written:?}");
    ensure!(written.length < data.len(), "{written:?}");
    Ok(())
}
