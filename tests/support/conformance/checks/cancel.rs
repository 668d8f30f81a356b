//! Taking transfers back, and what becomes of their data.

use std::{
    future::{Future as _, poll_fn},
    task::Poll,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::oneshot;
use usbwright::{protocol::Status, target::PipePolicy};

use crate::conformance::{
    Subject,
    data::{Dice, noise},
    subject::{Done as _, Ends},
};

/// How long a read waits for data that is on its way; it never takes so long.
const LONG: Duration = Duration::from_secs(10);

/// A message goes round.
async fn works(ends: &Ends) -> Result<()> {
    let message = noise(99, 77);
    let write = ends.output.write(message.clone());
    let (written, read) = tokio::join!(write, ends.input.read(512));
    written.done()?;
    let read = read.ok()?;
    ensure!(read.data == message[..], "{read:?} is not the message");
    Ok(())
}

pub(super) async fn one(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let mut queue = ends.input.queue();
    let tickets = (0..3).map(|_| queue.read(1024));
    let tickets = tickets.collect::<Result<Vec<_>, _>>()?;
    queue.cancel(tickets[1]);
    for (place, ticket) in tickets.into_iter().enumerate() {
        let message = noise(place as u64, 100 + place);
        if place != 1 {
            ends.output.write(message.clone()).await.done()?;
        }
        let (ended, read) = queue.next().await.context("it ended early")?;
        ensure!(ended == ticket, "{ended:?} before {ticket:?}");
        match place {
            1 => ensure!(read.ended(Status::Cancelled), "{read:?}"),
            _ => ensure!(read.ok()?.data == message[..], "{place}"),
        }
    }
    Ok(())
}

pub(super) async fn all(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let mut queue = ends.input.queue();
    for by_queue in [true, false] {
        for _ in 0..16 {
            queue.read(4096)?;
        }
        queue.flush();
        match by_queue {
            true => queue.cancel_all(),
            false => ends.input.abort().await,
        }
        while let Some((ticket, read)) = queue.next().await {
            ensure!(read.ended(Status::Cancelled), "{ticket:?}: {read:?}");
        }
        works(&ends).await?;
    }
    Ok(())
}

pub(super) async fn dropped(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    for _ in 0..8 {
        let mut queue = ends.input.queue();
        for _ in 0..4 {
            queue.read(4096)?;
        }
        queue.flush();
        drop(queue);
        works(&ends).await?;
    }
    Ok(())
}

pub(super) async fn keeps(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let data = noise(9, 4096 + 11);
    let (first, second) = data.split_at(4096);
    ends.output.write(first.to_vec()).await.done()?;
    ends.input.set_policy(PipePolicy {
        transfer_timeout: Some(Duration::from_millis(300)),
        ..ends.input.policy()
    })?;
    // It has room for more, and nothing short ends it.
    let read = ends.input.read(16_384).await;
    ensure!(read.ended(Status::TimedOut), "{read:?}");
    let mut came = read.data.to_vec();
    ends.input.set_policy(PipePolicy::default())?;
    ends.output.write(second.to_vec()).await.done()?;
    came.extend(ends.input.read(16_384).await.ok()?.data.to_vec());
    ensure!(came == data, "{} bytes of {}", came.len(), data.len());
    Ok(())
}

pub(super) async fn loses_nothing(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let data = noise(10, 200_001);
    let (input, mut dice) = (ends.input.clone(), Dice::new(11));
    input.set_policy(PipePolicy {
        transfer_timeout: Some(LONG),
        ..input.policy()
    })?;
    let reads = async {
        let mut came = Vec::new();
        while came.len() < data.len() {
            let (cancel, cancelled) = oneshot::channel();
            let cancelled = async { drop(cancelled.await) };
            let length = 512 * (1 + dice.roll(16));
            let mut read = Box::pin(input.read_cancelable(length, cancelled));
            // It is on its way, and is dropped, cancelled, or left alone.
            let ended = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
            let fate = dice.roll(3);
            let read = match ended {
                Poll::Ready(read) => read,
                Poll::Pending if fate == 0 => continue,
                Poll::Pending if fate == 1 => {
                    let _ = cancel.send(());
                    read.await
                }
                Poll::Pending => read.await,
            };
            let told = read.error.is_none() || fate == 1 && read.ended(Status::Cancelled);
            ensure!(told, "after {} bytes: {read:?}", came.len());
            came.extend(read.data.to_vec());
        }
        anyhow::Ok(came)
    };
    ends.output.set_policy(PipePolicy {
        transfer_timeout: Some(2 * LONG),
        ..ends.output.policy()
    })?;
    let (written, came) = tokio::join!(ends.output.write(data.clone()), reads);
    let came = came?;
    ensure!(written.ok()?.length == data.len());
    let differ = came.iter().zip(&data).position(|(came, sent)| came != sent);
    ensure!(differ.is_none(), "byte {differ:?} is another one");
    ensure!(came.len() == data.len(), "{} bytes", came.len());
    Ok(())
}
