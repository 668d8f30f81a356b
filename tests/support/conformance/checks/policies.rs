//! What a pipe's policies make of short packets and of excess.

use anyhow::{Result, ensure};
use usbwright::{
    protocol::Status,
    target::{PipePolicy, TransferError},
};

use crate::conformance::{
    Subject,
    data::noise,
    subject::{Done as _, Ends},
};

pub(super) async fn ignores_short(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    ends.input.set_policy(PipePolicy {
        ignore_short_packets: true,
        ..ends.input.policy()
    })?;
    let data = noise(1, 3001);
    let writes = async {
        for piece in data.chunks(307) {
            ends.output.write(piece.to_vec()).await.done()?;
        }
        anyhow::Ok(())
    };
    let (writes, read) = tokio::join!(writes, ends.input.read(data.len()));
    writes?;
    let read = read.ok()?;
    ensure!(read.data == data[..], "{} bytes", read.length);
    Ok(())
}

/// A loopback with a policy, and two messages of 100 bytes in it.
async fn two_messages(subject: &Subject, policy: PipePolicy) -> Result<(Ends, [Vec<u8>; 2])> {
    let ends = subject.loopback().await?;
    let messages = [noise(1, 100), noise(2, 100)];
    for message in &messages {
        let mut padded = message.clone();
        padded.truncate(ends.packet() - 1);
        ends.output.write(padded).await.done()?;
    }
    ends.input.set_policy(policy)?;
    let shorten = |it: Vec<u8>| it[..it.len().min(ends.packet() - 1)].to_vec();
    let messages = messages.map(shorten);
    Ok((ends, messages))
}

pub(super) async fn keeps_excess(subject: &Subject) -> Result<()> {
    let (ends, [first, second]) = two_messages(subject, PipePolicy::default()).await?;
    let read = ends.input.read(40).await.ok()?;
    ensure!(read.data == first[..40], "{read:?}");
    let rest = ends.input.read(first.len()).await.ok()?;
    ensure!(rest.data == first[40..], "{rest:?}");
    let next = ends.input.read(40).await.ok()?;
    ensure!(next.data == second[..40], "{next:?}");
    let flushed = ends.input.flush();
    ensure!(flushed == second.len() - 40, "{flushed}");
    Ok(())
}

pub(super) async fn flushes_excess(subject: &Subject) -> Result<()> {
    let policy = PipePolicy {
        auto_flush: true,
        ..PipePolicy::default()
    };
    let (ends, messages) = two_messages(subject, policy).await?;
    for message in &messages {
        let read = ends.input.read(40).await.ok()?;
        ensure!(read.data == message[..40], "{read:?}");
    }
    Ok(())
}

pub(super) async fn refuses_excess(subject: &Subject) -> Result<()> {
    let policy = PipePolicy {
        allow_partial_reads: false,
        ..PipePolicy::default()
    };
    let (ends, [first, _]) = two_messages(subject, policy).await?;
    let read = ends.input.read(40).await;
    ensure!(read.ended(Status::Overflow), "{read:?}");
    ensure!(read.data == first[..40], "{read:?}");
    let rest = ends.input.read(first.len()).await.ok()?;
    ensure!(rest.data == first[40..], "{rest:?}");
    Ok(())
}

pub(super) async fn raw(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    ends.input.set_policy(PipePolicy {
        raw_io: true,
        ..ends.input.policy()
    })?;
    let packet = ends.packet();
    let length = packet + 1;
    let refused = ends.input.read(length).await.error;
    let expected = TransferError::NotWholePackets { length, packet };
    ensure!(refused == Some(expected), "{refused:?}");
    let most = ends.input.largest_transfer();
    let length = most + packet;
    let refused = ends.input.read(length).await.error;
    let expected = TransferError::TooLong { length, most };
    ensure!(refused == Some(expected), "{refused:?}");
    let read = ends.input.read(8 * packet).await.ok()?;
    ensure!(read.length == 8 * packet, "{} bytes", read.length);
    Ok(())
}
