//! Alternate settings with their pipes, and configurations.

use anyhow::{Result, ensure};
use bytes::Bytes;
use usbwright::{
    protocol::{Direction, EndpointAddress, Status},
    target::{
        Bulk, ClaimError, ConfigurationError, In, Interrupt, Isochronous, Out, PipeError,
        SettingError, TransferError,
    },
};

use crate::conformance::{
    Subject,
    data::{Dice, noise},
    subject::SOURCE_SINK,
};

/// The setting with isochronous endpoints.
pub(crate) const ISOCHRONOUS: u8 = 1;
/// The setting with interrupt endpoints.
pub(crate) const INTERRUPT: u8 = 2;

pub(super) async fn stale(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let interface = &ends.interface;
    let mut before = ends.input.clone();
    for alternate in [INTERRUPT, 0, 0] {
        interface.set_alternate(alternate).await?;
        ensure!(interface.alternate() == alternate);
        ensure!(before.is_stale());
        let refused = before.read(512).await.error;
        let expected = TransferError::Stale(before.address());
        ensure!(refused == Some(expected), "{refused:?}");
        let after = interface.first::<Bulk, In>()?;
        let read = after.read(1024).await.ok()?;
        ensure!(read.length == 1024, "{read:?}");
        before = after;
    }
    Ok(())
}

pub(super) async fn interrupt(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    ends.interface.set_alternate(INTERRUPT).await?;
    let input = ends.interface.first::<Interrupt, In>()?;
    let output = ends.interface.first::<Interrupt, Out>()?;
    let (pattern, packet) = (subject.backend().pattern, input.packet_size());
    for length in [1, packet - 1, packet, packet + 1, 5 * packet] {
        let data = pattern.bytes(length, packet);
        let (written, read) = tokio::join!(output.write(data.clone()), input.read(length));
        ensure!(written.ok()?.length == length, "{length}");
        let read = read.ok()?;
        ensure!(read.length == length, "{length}: {read:?}");
        input.flush();
        ensure!(read.data == data[..], "{length}");
    }
    Ok(())
}

pub(super) async fn isochronous(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    ends.interface.set_alternate(ISOCHRONOUS).await?;
    let input = ends.interface.first::<Isochronous, In>()?;
    let output = ends.interface.first::<Isochronous, Out>()?;
    let most = input.descriptor().bytes_per_interval() as usize;
    let mut dice = Dice::new(3);
    for count in [1, 2, 8, 33] {
        let packets = (0..count).map(|it| Bytes::from(noise(it, dice.roll(most))));
        let packets: Vec<_> = packets.collect();
        let bytes: usize = packets.iter().map(Bytes::len).sum();
        let (sent, received) = tokio::join!(output.send(&packets), input.receive(packets.len()));
        for moved in [&sent, &received] {
            ensure!(moved.ended(Status::Done), "{count}: {moved:?}");
            let iso = moved.iso.clone().unwrap_or_default();
            ensure!(
                iso.packets.len() == packets.len() && iso.error_count == 0,
                "{iso:?}"
            );
            let done = iso.packets.iter().all(|it| it.status == Status::Done);
            ensure!(done, "{:?}", iso.packets);
            let moved_by_packets: usize =
                iso.packets.iter().map(|it| it.actual_length as usize).sum();
            ensure!(moved_by_packets == moved.length, "{iso:?}");
        }
        ensure!(sent.length == bytes, "{} of {bytes}", sent.length);
        ensure!(received.data.len() == received.length && received.length > 0);
    }
    Ok(())
}

pub(super) async fn unconfigured(subject: &Subject) -> Result<()> {
    let device = subject.open();
    for _ in 0..3 {
        device.set_configuration(0).await?;
        ensure!(device.configuration().is_none());
        let none = device.interface(0).await;
        ensure!(matches!(none, Err(ClaimError::NotConfigured)), "{none:?}");
        device.set_configuration(SOURCE_SINK).await?;
        let interface = device.interface(0).await?;
        let source = interface.first::<Bulk, In>()?;
        ensure!(source.read(4096).await.ok()?.length == 4096);
    }
    Ok(())
}

pub(super) async fn unknown(subject: &Subject) -> Result<()> {
    let device = subject.open();
    let unknown = device.set_configuration(77).await;
    let expected = matches!(unknown, Err(ConfigurationError::Unknown { value: 77, .. }));
    ensure!(expected, "{unknown:?}");
    drop(device);
    let ends = subject.source_sink().await?;
    let unknown = ends.interface.set_alternate(77).await;
    let expected = matches!(unknown, Err(SettingError::Unknown { alternate: 77, .. }));
    ensure!(expected, "{unknown:?}");
    let missing = EndpointAddress::new(14, Direction::In);
    let unknown = ends.interface.pipe::<Bulk, In>(missing);
    ensure!(
        matches!(unknown, Err(PipeError::NoEndpoint { .. })),
        "{unknown:?}"
    );
    let other = ends.interface.pipe::<Interrupt, In>(ends.input.address());
    ensure!(matches!(other, Err(PipeError::Kind { .. })), "{other:?}");
    let read = ends.output.untyped().read(512).await.error;
    ensure!(
        matches!(read, Some(TransferError::Direction { .. })),
        "{read:?}"
    );
    Ok(())
}
