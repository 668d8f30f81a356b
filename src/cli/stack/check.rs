//! `usbwright stack check`: what is wrong with driver packages.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::bail;
use usbwright_driver_manager::package::{HostCheck, HostProcessSharing, LoadError, Package};

use crate::cli::print;

/// Check driver packages: tell all that is wrong with them, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints a line for each package that is right: its devices, and its stack with the highest driver first.
What is wrong with the others is told on stderr, and the exit code is 1.")]
pub(super) struct Arguments {
    /// The packages: TOML files, each beside the host executable that has its drivers.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Do not look for the host executables, which may not have been built yet.
    #[arg(long)]
    no_host: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let host = match arguments.no_host {
        true => HostCheck::Skipped,
        false => HostCheck::Required,
    };
    let mut wrong = 0;
    for file in &arguments.files {
        match Package::load(file, host) {
            Ok(package) => print(&line(file, &package))?,
            Err(error) => {
                tell(&error);
                wrong += 1;
            }
        }
    }
    match (wrong, arguments.files.len()) {
        (0, _) => Ok(ExitCode::SUCCESS),
        (1, 1) => bail!("the package is not right: see above"),
        (wrong, all) => bail!("{wrong} of {all} packages are not right: see above"),
    }
}

fn line(file: &Path, package: &Package) -> String {
    let host = match package.directives().host_process_sharing {
        HostProcessSharing::Pooled => "in the pool",
        HostProcessSharing::Own => "in a host of its own",
    };
    format!("{}: {package}, {host}", file.display())
}

/// Tells what is wrong with one package. What has no line to show looks as other errors do.
pub(super) fn tell(error: &LoadError) {
    match error {
        LoadError::Invalid(error) => eprintln!("{error}\n"),
        other => eprintln!("error: {other}\n"),
    }
}
