//! The continuous reader.

use anyhow::{Result, ensure};
use usbwright::target::{ReaderConfig, TransferError};

use crate::conformance::{Subject, data::noise, subject::Done as _};

pub(super) async fn in_order(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let messages: Vec<_> = (0..100)
        .map(|it| noise(it, 1 + it as usize * 7 % 501))
        .collect();
    let messages: Vec<_> = messages
        .into_iter()
        .filter(|it| it.len() % ends.packet() != 0)
        .collect();
    let mut reader = ends.input.reader(ReaderConfig {
        header: 8,
        trailer: 4,
        pending: 4,
        ..ReaderConfig::new(8 * ends.packet())
    })?;
    reader.start();
    let writes = async {
        for message in &messages {
            ends.output.write(message.clone()).await.done()?;
        }
        anyhow::Ok(())
    };
    let reads = async {
        for message in &messages {
            let came = reader.next().await?;
            ensure!(came.data() == &message[..], "{came:?}");
            let buffer = came.into_buffer();
            ensure!(buffer.len() == 8 + message.len() + 4);
            ensure!(buffer[8..8 + message.len()] == message[..]);
        }
        Ok(())
    };
    let (writes, reads) = tokio::join!(writes, reads);
    writes.and(reads)
}

pub(super) async fn stops_and_starts(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let mut reader = ends.input.reader(ReaderConfig::new(ends.packet()))?;
    let handle = reader.handle();
    for round in 0..8 {
        let message = noise(round, 33);
        handle.start();
        let refused = ends.input.read(512).await.error;
        let address = ends.input.address();
        ensure!(refused == Some(TransferError::Reading(address)));
        ends.output.write(message.clone()).await.done()?;
        let came = reader.next().await?;
        ensure!(came.data() == &message[..], "{came:?}");
        handle.stop().await;
        // What comes while it is stopped is for whoever reads.
        ends.output.write(message.clone()).await.done()?;
        let read = ends.input.read(512).await.ok()?;
        ensure!(read.data == message[..], "{round}: {read:?}");
    }
    Ok(())
}
