//! `usbwright lab`: boots a kernel with devices attached and runs a command in it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use usbwright::{
    lab::{self, Lab, LabError},
    source::Source,
};

use super::attach::refuse_stdio;

/// Boot a Linux kernel with USB as an ordinary process, attach devices and run a command in it.
///
/// The command sees this machine's files and runs in the current folder; what it writes there stays, what it writes elsewhere is
/// gone when it ends. Its exit code is returned; 124 means that the time was up, 125 that the lab itself failed, 126 and 127
/// that the command could not be started or found, and 128 + N that signal N ended it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct LabArgs {
    #[command(subcommand)]
    command: Option<LabCommand>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Make the lab's kernel, or bring it up to date.
    Build {
        /// For which engine: User-mode Linux is built from source, for QEMU the distribution's kernel is unpacked.
        #[arg(long, value_enum, default_value = "uml")]
        engine: EngineArg,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The kernel to boot: a `linux` program of User-mode Linux, or a bzImage for QEMU [default: the lab's own]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// What runs the kernel [default: what the kernel file asks for, or uml]
    #[arg(long, value_enum)]
    engine: Option<EngineArg>,
    /// The folder of a QEMU kernel's modules, /lib/modules/RELEASE
    #[arg(long, value_name = "DIR", requires = "kernel")]
    modules: Option<PathBuf>,
    /// A device to attach before the command starts, as `usbwright attach` takes it; may be repeated
    #[arg(long = "device", value_name = "SPEC")]
    devices: Vec<Source>,
    /// An argument for the kernel's command line, such as usbtest.alt=1; may be repeated
    #[arg(long = "kernel-arg", value_name = "ARG")]
    kernel_args: Vec<String>,
    /// The guest's memory, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..))]
    memory: u32,
    /// End the run after this time, with exit code 124
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Show the kernel's messages on stderr
    #[arg(long)]
    console: bool,
    /// The command to run [default: a shell]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EngineArg {
    /// User-mode Linux
    Uml,
    /// QEMU
    Qemu,
}

impl From<EngineArg> for lab::Engine {
    fn from(engine: EngineArg) -> Self {
        match engine {
            EngineArg::Uml => Self::Uml,
            EngineArg::Qemu => Self::Qemu,
        }
    }
}

/// Does what the arguments ask for. What fails in the lab itself has exit codes of its own.
pub(super) fn main(args: LabArgs) -> ExitCode {
    if let Err(error) = refuse_stdio(&args.run.devices) {
        eprintln!("usbwright lab: error: {error}");
        return lab::LAB_FAILED.into();
    }
    run(args).map_or_else(
        |error| {
            eprintln!("usbwright lab: error: {error}");
            error.exit_code().into()
        },
        ExitCode::from,
    )
}

fn run(args: LabArgs) -> Result<u8, LabError> {
    if let Some(LabCommand::Build { engine }) = args.command {
        println!("{}", lab::build(engine.into())?.display());
        return Ok(0);
    }
    let run = args.run;
    Lab {
        engine: run.engine.map(Into::into),
        kernel: run.kernel,
        modules: run.modules,
        devices: run.devices.iter().map(ToString::to_string).collect(),
        kernel_args: run.kernel_args,
        memory: Some(run.memory),
        timeout: run
            .timeout
            .map(|seconds| Duration::from_secs(seconds.into())),
        command: run.command,
        verbose: run.console,
    }
    .run()
}
