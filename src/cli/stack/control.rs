//! The socket by which a manager is looked at.

use std::{env, ffi::OsString, path::PathBuf};

use anyhow::{Context as _, bail};
use usbwright_driver_manager::service::Client;

/// Where a manager listens for those who look at it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Control {
    /// The manager's UNIX socket [default: unix:$XDG_RUNTIME_DIR/usbwright-stack, or for root unix:/run/usbwright-stack].
    #[arg(long, value_name = "unix:PATH")]
    control: Option<OsString>,
}

impl Control {
    /// Its path.
    pub(super) fn path(&self) -> anyhow::Result<PathBuf> {
        const NAME: &str = "usbwright-stack";
        if let Some(control) = &self.control {
            let path = control.to_str().and_then(|it| it.strip_prefix("unix:"));
            return match path {
                Some(path) if !path.is_empty() => Ok(path.into()),
                _ => bail!(
                    "--control {} names no socket: write unix:/PATH",
                    control.display()
                ),
            };
        }
        if let Some(folder) = env::var_os("XDG_RUNTIME_DIR").filter(|it| !it.is_empty()) {
            return Ok(PathBuf::from(folder).join(NAME));
        }
        match rustix::process::geteuid().is_root() {
            true => Ok(PathBuf::from("/run").join(NAME)),
            false => bail!(
                "there is no XDG_RUNTIME_DIR to find the manager's socket in: name it with --control unix:/PATH"
            ),
        }
    }

    /// A connection to the manager there.
    pub(super) fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(&self.path()?).context("can't look at the stacks")
    }
}
