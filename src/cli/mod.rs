//! The command line: what was typed, which command it is, and how it ends.

mod attach;
mod bench;
mod control;
mod demo;
mod descriptors;
mod detach;
mod devices;
mod exit;
mod generate;
mod io;
mod lab;
mod list;
mod listening;
mod logging;
mod memory;
mod open;
mod output;
mod port;
mod serve;
mod show;
mod signals;
mod stack;
mod systemd;
mod tree;
mod usb_ids;
mod usbtest;

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use usbwright::{protocol::usbip::operation::ExportedDevice, serial::stdio_is_taken};

/// USB devices out of software: emulated over USB/IP, attached by a real operating system.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    /// Tell more on stderr: -v what happens, -vv each refused transfer, -vvv each transfer.
    #[arg(short, long, global = true, display_order = 100, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Tell errors only.
    #[arg(
        short,
        long,
        global = true,
        display_order = 101,
        conflicts_with = "verbose"
    )]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Devices(devices::Arguments),
    Serve(serve::Arguments),
    Control(control::Arguments),
    Attach(attach::Arguments),
    List(list::Arguments),
    Show(show::Arguments),
    Tree(tree::Arguments),
    Io(io::Arguments),
    Stack(stack::Arguments),
    Port(port::Arguments),
    Detach(detach::Arguments),
    Usbtest(usbtest::Arguments),
    Lab(lab::LabArgs),
    Bench(Box<bench::Arguments>),
    Completions(generate::CompletionsArguments),
    Man(generate::ManArguments),
}

/// Runs the command that was typed.
pub(crate) fn main() -> ExitCode {
    memory::give_back_large_buffers();
    let cli = Cli::parse();
    logging::start(cli.verbose, cli.quiet);
    let result = match cli.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Control(arguments) => control::run(arguments),
        Command::Attach(arguments) => attach::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Tree(arguments) => tree::run(&arguments),
        Command::Io(arguments) => io::run(&arguments, cli.quiet),
        Command::Stack(arguments) => stack::run(&arguments),
        Command::Port(arguments) => port::run(&arguments),
        Command::Detach(arguments) => detach::run(&arguments),
        Command::Usbtest(arguments) => usbtest::run(&arguments),
        Command::Lab(arguments) => return lab::main(arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => generate::completions(&arguments),
        Command::Man(arguments) => generate::man(&arguments),
    };
    exit::report(result)
}

/// A device in one line, as lists print it.
fn describe(device: &ExportedDevice) -> String {
    let summary = &device.summary;
    format!(
        "{}: {:04x}:{:04x}, {} speed",
        device.bus_id, summary.vendor_id, summary.product_id, summary.speed
    )
}

/// Prints a line at once, for whoever waits for it.
fn print(line: &str) -> anyhow::Result<()> {
    // The output may be a serial line's, which is not to be mixed with anything.
    let mut out: Box<dyn Write> = match stdio_is_taken() {
        true => Box::new(stderr()),
        false => Box::new(output::output()),
    };
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
