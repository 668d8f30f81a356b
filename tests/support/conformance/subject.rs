//! The device under test: how it is opened and unplugged, and its configurations' ends.

use anyhow::{Context as _, Result};
use usbwright::{
    protocol::Setup,
    target::{Bulk, Completion, Device, In, Interface, Out, Pipe, TransferFailed},
};

use super::backends::Backend;

/// The configuration that is a source and a sink.
pub(super) const SOURCE_SINK: u8 = 3;
/// The configuration that is a loopback.
pub(super) const LOOPBACK: u8 = 2;

/// A backend that is there, with its device.
pub(crate) struct Subject {
    backend: &'static Backend,
    open: Box<dyn Fn() -> Device + Send + Sync>,
    unplug: Option<Box<dyn Fn() + Send + Sync>>,
}

/// A device in one of its configurations, and its bulk pipes.
pub(super) struct Ends {
    pub(super) device: Device,
    pub(super) interface: Interface,
    pub(super) input: Pipe<Bulk, In>,
    pub(super) output: Pipe<Bulk, Out>,
}

impl Subject {
    /// A backend's device, which `open` opens; it is called anew once the device before was dropped.
    pub(crate) fn new(
        backend: &'static Backend,
        open: impl Fn() -> Device + Send + Sync + 'static,
    ) -> Self {
        Self {
            backend,
            open: Box::new(open),
            unplug: None,
        }
    }

    /// How the device that was opened last is unplugged. The next one that is opened is plugged in.
    pub(crate) fn unplugged_by(mut self, unplug: impl Fn() + Send + Sync + 'static) -> Self {
        self.unplug = Some(Box::new(unplug));
        self
    }

    pub(super) fn backend(&self) -> &'static Backend {
        self.backend
    }

    pub(super) fn can_unplug(&self) -> bool {
        self.unplug.is_some()
    }

    /// Unplugs the device.
    pub(super) fn unplug(&self) -> Result<()> {
        let unplug = self.unplug.as_ref().context("nothing unplugs it")?;
        tokio::task::block_in_place(unplug);
        Ok(())
    }

    /// Opens the device.
    pub(super) fn open(&self) -> Device {
        tokio::task::block_in_place(&self.open)
    }

    /// The device as a source and a sink.
    pub(super) async fn source_sink(&self) -> Result<Ends> {
        self.ends(SOURCE_SINK).await
    }

    /// The device as a loopback.
    pub(super) async fn loopback(&self) -> Result<Ends> {
        self.ends(LOOPBACK).await
    }

    async fn ends(&self, configuration: u8) -> Result<Ends> {
        let device = self.open();
        device.set_configuration(configuration).await?;
        let interface = device.interface(0).await?;
        if interface.alternate() != 0 {
            interface.set_alternate(0).await?;
        }
        Ok(Ends {
            input: interface.first()?,
            output: interface.first()?,
            device,
            interface,
        })
    }
}

impl Ends {
    /// Bytes in a packet.
    pub(super) fn packet(&self) -> usize {
        self.input.packet_size()
    }
}

/// A control transfer without an OUT data stage, by the bytes of its setup packet.
pub(super) async fn request(device: &Device, setup: [u8; 8]) -> Completion {
    device.control(Setup::from_bytes(setup), Vec::new()).await
}

/// For a transfer of which only matters that it ends well.
pub(super) trait Done {
    /// Whether it did.
    fn done(self) -> Result<(), TransferFailed>;
}

impl Done for Completion {
    fn done(self) -> Result<(), TransferFailed> {
        self.ok().map(drop)
    }
}
