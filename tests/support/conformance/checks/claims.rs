//! Who has an interface.

use anyhow::{Result, ensure};
use usbwright::target::{ClaimError, ConfigurationError};

use crate::conformance::{Subject, subject::SOURCE_SINK};

pub(super) async fn one_owner(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let device = ends.device.clone();
    let again = device.interface(0).await;
    ensure!(matches!(again, Err(ClaimError::Claimed(0))), "{again:?}");
    let unknown = device.interface(9).await;
    let expected = matches!(unknown, Err(ClaimError::Unknown { number: 9, .. }));
    ensure!(expected, "{unknown:?}");
    let claimed = device.set_configuration(SOURCE_SINK).await;
    let expected = matches!(&claimed, Err(ConfigurationError::Claimed(it)) if it == &[0]);
    ensure!(expected, "{claimed:?}");
    // Its pipes keep it as well.
    let pipe = ends.input.clone();
    drop(ends);
    ensure!(device.interface(0).await.is_err());
    drop(pipe);
    device.set_configuration(SOURCE_SINK).await?;
    drop(device.interface(0).await?);
    device.interface(0).await?;
    Ok(())
}
