//! `usbwright completions` and `usbwright man`: files for the shell and for `man`.

use std::{fs, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;

use super::output::output;

/// Print the completions of a shell.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<ExitCode> {
    let mut command = super::Cli::command();
    let mut completions = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "usbwright", &mut completions);
    output().write_all(&completions)?;
    Ok(ExitCode::SUCCESS)
}

/// Write the man pages into a folder.
#[derive(Debug, clap::Args)]
pub(super) struct ManArguments {
    /// The folder; it is made if it is not there.
    folder: PathBuf,
}

pub(super) fn man(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(super::Cli::command(), folder))
        .with_context(|| format!("can't write man pages to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
