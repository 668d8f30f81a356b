//! What systemd hands over to a service, and what it is told: sockets, readiness, and that the service is alive.
#![allow(unsafe_code)]

use std::{
    env,
    os::fd::{FromRawFd, OwnedFd},
};

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::task::AbortHandle;
use tracing::{debug, error};
use usbwright::emulator::server::Inherited;

/// The sockets that a server was given, by what they are for.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// For USB/IP: those of any other name.
    pub(super) usbip: Vec<Inherited>,
    /// For `usbwright control`: that with the name `control`.
    pub(super) control: Option<Inherited>,
    /// For Prometheus: that with the name `metrics`.
    pub(super) metrics: Option<Inherited>,
}

impl Sockets {
    /// Takes the sockets that systemd has opened for this process (`sd_listen_fds(3)`). To be called once.
    pub(super) fn take() -> anyhow::Result<Self> {
        let mut sockets = Self::default();
        let given = sd_notify::listen_fds_with_names();
        for (number, name) in given.context("can't take the sockets that systemd hands over")? {
            // SAFETY: systemd has opened this descriptor for us (LISTEN_FDS with our LISTEN_PID), nothing else of this process
            // has it, and this runs once.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            let socket = Inherited::try_from(descriptor);
            let socket = socket.with_context(|| {
                format!("can't use descriptor {number} (`{name}`) that systemd hands over")
            })?;
            let place = match name.as_str() {
                "control" => &mut sockets.control,
                "metrics" => &mut sockets.metrics,
                _ => {
                    sockets.usbip.push(socket);
                    continue;
                }
            };
            anyhow::ensure!(
                place.replace(socket).is_none(),
                "systemd hands over two sockets of the name `{name}`: one is enough"
            );
        }
        Ok(sockets)
    }
}

/// Tells systemd, if that has started this.
pub(super) fn notify(state: &[NotifyState<'_>]) {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return debug!("nobody is to be notified");
    }
    if let Err(error) = sd_notify::notify(state) {
        error!("systemd can't be told of the state: {error}");
    }
}

/// Tells systemd again and again that this is alive, where that wants to know (`WatchdogSec=`), for as long as this is kept.
pub(super) struct Watchdog(Option<AbortHandle>);

impl Watchdog {
    /// Begins. It must be called within a tokio runtime, which is what is alive.
    pub(super) fn start() -> Self {
        let asked = sd_notify::watchdog_enabled().filter(|it| !it.is_zero());
        Self(asked.map(|longest| {
            let telling = tokio::spawn(async move {
                let mut due = tokio::time::interval(longest / 2);
                loop {
                    due.tick().await;
                    notify(&[NotifyState::Watchdog]);
                }
            });
            telling.abort_handle()
        }))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(telling) = &self.0 {
            telling.abort();
        }
    }
}
