//! `usbwright stack run`: the driver manager.

use std::{
    fs::OpenOptions, path::PathBuf, process::ExitCode, str::FromStr, sync::Arc, time::Duration,
};

use anyhow::{Context as _, bail};
use sd_notify::NotifyState;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use usbwright::stack::{Applications, Devices, Nodes};
use usbwright_driver_manager::{
    manager::{Channels, Manager, Settings},
    package::{HostCheck, Package},
    policy::DebugMode,
    record::Journal,
    service::Service,
};
use usbwright_reflector::{Rights, SecurityDescriptor, Subject};

use super::{control::Control, io::name_space};
use crate::cli::{
    open::{self, DeviceName},
    print,
    systemd::notify,
};

/// Run the drivers of packages for devices: each stack in a host process, which is watched and started again when it fails.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
{}

Real devices are watched: they may come later, and come and go. What goes wrong is told on stderr, and \
`usbwright stack list`, `tree` and `events` tell how it goes. It ends with SIGINT, SIGTERM or SIGHUP: stacks are taken down in order, \
and hosts that take too long are killed; a second signal ends it at once. systemd is told when it \
is ready (Type=notify).", open::HELP))]
pub(super) struct Arguments {
    /// The packages: TOML files, each beside its host executable.
    #[arg(required = true, value_name = "PACKAGE")]
    packages: Vec<PathBuf>,

    /// A device; may be given more than once.
    #[arg(long = "device", required = true, value_name = "DEVICE")]
    devices: Vec<DeviceName>,

    /// Where applications find the devices [default: $XDG_RUNTIME_DIR/usbwright/devices].
    #[arg(long, value_name = "FOLDER")]
    devices_in: Option<PathBuf>,

    /// Let these open the devices as well, besides this user and root: user:UID, group:GID or everyone; may be given more than once.
    #[arg(long, value_name = "WHOM")]
    allow: Vec<Whom>,

    /// Make each device a character device as well, /dev/usbwright/NAME, for cat, dd and any program's ioctl. It needs /dev/cuse.
    #[arg(long)]
    char_devices: bool,

    /// Write each event to this file, as a line of JSON.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// How many seconds stacks and hosts may take to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u64,

    /// Leave something out, to look for mistakes.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    debug: Vec<Debug>,

    #[command(flatten)]
    control: Control,
}

/// Who may open devices.
#[derive(Clone, Copy, Debug)]
struct Whom(Subject);

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let subject = match text.split_once(':') {
            None if text == "everyone" => Some(Subject::Everyone),
            Some(("user", id)) => id.parse().ok().map(Subject::User),
            Some(("group", id)) => id.parse().ok().map(Subject::Group),
            _ => None,
        };
        let rule = "write user:UID, group:GID or everyone, with a number";
        subject.map(Self).ok_or_else(|| rule.to_owned())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Debug {
    /// A host that has failed is not started again.
    #[value(name = "no-restarts")]
    Restarts,
    /// Every device has a host of its own.
    #[value(name = "no-pooling")]
    Pooling,
    /// Nothing has a deadline.
    #[value(name = "no-deadlines")]
    Deadlines,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // From here on a signal ends the hosts in order.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let packages = load(&arguments.packages)?;
    let path = arguments.control.path()?;
    let has = |what| arguments.debug.contains(&what);
    let space = name_space(arguments.devices_in.as_deref());
    let access = arguments
        .allow
        .iter()
        .fold(SecurityDescriptor::owner_and_root(), |access, whom| {
            access.allow(whom.0, Rights::CONNECT)
        });
    let nodes = nodes(arguments)?;
    let applications = Applications::start(space, access, nodes);
    let applications = applications.context("can't serve applications")?;
    let applications = Arc::new(applications);
    let settings = Settings {
        debug: DebugMode {
            no_restarts: has(Debug::Restarts),
            no_pooling: has(Debug::Pooling),
            no_deadlines: has(Debug::Deadlines),
        },
        journal: journal(arguments)?,
        channels: Some(Arc::clone(&applications) as Arc<dyn Channels>),
        ..Settings::default()
    };
    let manager = Manager::start(packages, settings).context("can't start the manager")?;
    super::trouble::tell(manager.journal().clone())?;
    applications.tell(manager.plug());
    let service = Service::listen(&path, manager.observer())?;
    let mut devices = Devices::new(manager.plug());
    for device in &arguments.devices {
        let offered = devices.add(&device.to_string(), device.source());
        offered.with_context(|| format!("can't have {device}"))?;
    }
    print(&format!("control socket unix:{}", path.display()))?;
    print("ready")?;
    notify(&[NotifyState::Ready]);
    // Signals come for ever.
    signals.forever().next();
    notify(&[NotifyState::Stopping]);
    std::thread::spawn(move || {
        if let Some(second) = signals.forever().next() {
            let _ = emulate_default_handler(second);
        }
    });
    applications.end_nodes();
    let left = manager.end(Duration::from_secs(arguments.grace));
    drop((service, devices));
    match left[..] {
        [] => Ok(ExitCode::SUCCESS),
        _ => bail!("these host processes do not end though they were killed: {left:?}"),
    }
}

/// What makes character devices, if that is wanted.
fn nodes(arguments: &Arguments) -> anyhow::Result<Option<Nodes>> {
    if !arguments.char_devices {
        return Ok(None);
    }
    let allowed = arguments.allow.iter().map(|whom| whom.0).collect();
    let nodes = Nodes::new(allowed).context("can't make character devices")?;
    Ok(Some(nodes))
}

fn load(files: &[PathBuf]) -> anyhow::Result<Vec<Package>> {
    let mut packages = Vec::new();
    for file in files {
        let package = Package::load(file, HostCheck::Required);
        let package = package.inspect_err(super::check::tell);
        packages.push(package.map_err(|_| anyhow::anyhow!("a package is not right: see above"))?);
    }
    Ok(packages)
}

fn journal(arguments: &Arguments) -> anyhow::Result<Journal> {
    let Some(path) = &arguments.journal else {
        return Ok(Journal::default());
    };
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.with_context(|| format!("can't write {}", path.display()))?;
    Ok(Journal::with_lines(file))
}
