//! What a device tells of itself.

use anyhow::{Context as _, Result, ensure};
use usbwright::protocol::{Speed, TransferType};

use crate::conformance::{
    Subject,
    subject::{SOURCE_SINK, request},
};

pub(super) async fn tells_itself(subject: &Subject) -> Result<()> {
    let device = subject.open();
    let (told, summary) = (device.description(), device.summary());
    let descriptor = device.descriptor();
    ensure!(
        (summary.vendor_id, summary.product_id) == (descriptor.vendor_id, descriptor.product_id),
        "{summary:?} and {descriptor:?}"
    );
    let count = usize::from(descriptor.configurations);
    ensure!(told.configurations().len() == count, "{told:?}");
    let source_sink = told.configuration(SOURCE_SINK);
    let source_sink = &source_sink.context("no source and sink")?.descriptor;
    let interface = source_sink.interface(0).context("no interface 0")?;
    let first = interface.setting(0).context("no setting 0")?;
    let bulk = |it: &&_| matches!(it, TransferType::Bulk);
    let types = first.endpoints.iter().map(|it| it.transfer_type);
    let types: Vec<_> = types.collect();
    ensure!(types.iter().filter(bulk).count() == 2, "{types:?}");
    for endpoint in &first.endpoints {
        let packet = match device.speed() {
            Speed::Low | Speed::Full => 64,
            Speed::High => 512,
            Speed::Super | Speed::SuperPlus => 1024,
        };
        ensure!(endpoint.max_packet_size == packet, "{endpoint:?}");
    }
    let product = told.string(descriptor.product_index);
    ensure!(product == Some("Gadget Zero"), "{product:?}");
    Ok(())
}

pub(super) async fn tells_its_bos(subject: &Subject) -> Result<()> {
    let device = subject.open();
    let told = device.description();
    let version = device.descriptor().usb_version;
    match told.bos() {
        Some(_) => ensure!(version > 0x0200, "a BOS at {version:#06x}"),
        None => ensure!(
            device.speed() < Speed::Super,
            "no BOS: {:?}",
            told.defects()
        ),
    }
    Ok(())
}

pub(super) async fn tells_the_same_again(subject: &Subject) -> Result<()> {
    let device = subject.open();
    let told = device.description();
    let again = request(&device, [0x80, 6, 0, 1, 0, 0, 18, 0]).await.ok()?;
    ensure!(again.data == told.device().bytes[..], "{again:?}");
    for (index, configuration) in told.configurations().iter().enumerate() {
        let [low, high] = (configuration.bytes.len() as u16).to_le_bytes();
        let setup = [0x80, 6, index as u8, 2, 0, 0, low, high];
        let again = request(&device, setup).await.ok()?;
        ensure!(again.data == configuration.bytes[..], "{index}: {again:?}");
    }
    Ok(())
}

pub(super) async fn tells_its_state(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let now = request(&ends.device, [0x80, 8, 0, 0, 0, 0, 1, 0])
        .await
        .ok()?;
    ensure!(now.data == [SOURCE_SINK][..], "{now:?}");
    ensure!(ends.device.configuration() == Some(SOURCE_SINK));
    let status = request(&ends.device, [0x80, 0, 0, 0, 0, 0, 2, 0])
        .await
        .ok()?;
    ensure!(status.length == 2, "{status:?}");
    Ok(())
}
