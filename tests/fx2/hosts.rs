//! The driver in a host process, which a driver manager has started: one that is a part of this program, or `usbwright stack run`.

use std::{
    any::Any,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use usbwright::{
    emulator::Bus,
    host_stack::{ControlCode, IoOutcome, status::Win32Error},
    protocol::Port,
    stack::{Applications, Exported, device_name},
};
use usbwright_driver_manager::{
    manager::{Change, Channels, Manager, Offer, OpenError, Settings, View, ids_of},
    package::{HostCheck, Package},
    record::EventKind,
    service::{Client, ClientError, Service},
};
use usbwright_reflector::{
    NameSpace, SecurityDescriptor,
    application::{Device, Io, OpenOptions},
};

use crate::{
    bench::{self, Bench},
    suite::{Application, Driver, Pending, Place},
};

/// The name by which applications open the board.
const NAME: &str = "board";
/// The package of the samples, which has the filter.
const PACKAGE: &str = include_str!("../../host-stack/samples/packages/fx2.toml");
const FILTER: &str = "[[driver]]\nUmdfService = 'filter'\nfilter = 'upper'\n";

/// A board that a manager has.
pub(crate) struct InHost {
    bench: Bench,
    files: PathBuf,
    board: Board,
}

/// How the manager has it.
enum Board {
    /// It is a model of this program, as is the manager.
    Model(Bus, Arc<Exported>),
    /// The manager is told this DEVICE.
    Device(String),
}

impl InHost {
    pub(crate) fn model(board: impl Port + 'static) -> (Self, impl FnOnce()) {
        let bus = Bus::new();
        let bus_id = bus.plug(Box::new(board), None).unwrap();
        let exported = Arc::new(Exported::new(&bus, bus_id.clone()));
        let place = Self::with(Board::Model(bus.clone(), exported));
        (place, move || assert!(bus.unplug(&bus_id)))
    }

    pub(crate) fn device(device: &str) -> Self {
        Self::with(Board::Device(device.to_owned()))
    }

    fn with(board: Board) -> Self {
        let bench = Bench::with(PACKAGE);
        let files = bench.path("").into();
        Self {
            bench,
            files,
            board,
        }
    }

    /// Writes the package anew, with or without the filter, and with the right to read the files that are played.
    fn write_package(&self, filter: bool) {
        let text = match filter {
            true => PACKAGE.to_owned(),
            false => PACKAGE.replace(FILTER, ""),
        };
        assert_eq!(text.contains("'filter'"), filter);
        let files = self.files.display().to_string();
        let text = text.replace(
            "# read = ['/usr/share/fx2']",
            &format!("read = ['{files}']"),
        );
        assert!(text.contains(&files));
        fs::write(self.bench.path("fx2.toml"), text).unwrap();
    }

    /// Starts a manager in this process.
    fn manage(&self, bus: &Bus, exported: &Arc<Exported>) -> (Manager, Service) {
        let space = NameSpace::at(self.bench.path("devices"));
        let access = SecurityDescriptor::owner_and_root();
        let applications = Arc::new(Applications::start(space, access, None).unwrap());
        let settings = Settings {
            channels: Some(Arc::clone(&applications) as Arc<dyn Channels>),
            ..Settings::default()
        };
        let file = self.bench.path("fx2.toml");
        let package = Package::load(Path::new(&file), HostCheck::Required).unwrap();
        let manager = Manager::start(vec![package], settings).unwrap();
        applications.tell(manager.plug());
        let service = Service::listen(&self.bench.control(), manager.observer()).unwrap();
        let exported = Arc::clone(exported);
        manager.plug().arrived(Offer {
            name: NAME.to_owned(),
            ids: ids_of(&bus.devices()[0].description.summary),
            source: Arc::new(move || exported.open().map_err(OpenError::from)),
        });
        (manager, service)
    }
}

impl Place for InHost {
    type Driver = Managed;

    fn start(&self, filter: bool) -> (Managed, Device) {
        self.write_package(filter);
        let keeps: Box<dyn Any> = match &self.board {
            Board::Model(bus, exported) => Box::new(self.manage(bus, exported)),
            Board::Device(device) => Box::new(self.bench.run(&["--device", device])),
        };
        let control = self.bench.control();
        bench::wait_for(&control, "has loaded the drivers");
        let name = view(&control).devices[0].name.clone();
        let name = device_name(&name).unwrap().as_str().to_owned();
        let managed = Managed {
            control,
            devices: self.bench.path("devices").into(),
            name,
            _keeps: keeps,
        };
        let handle = managed.open().unwrap();
        (managed, handle)
    }

    fn folder(&self) -> &Path {
        &self.files
    }
}

fn view(control: &Path) -> View {
    Client::connect(control).unwrap().view().unwrap()
}

/// The driver in its host.
pub(crate) struct Managed {
    control: PathBuf,
    devices: PathBuf,
    name: String,
    /// The manager.
    _keeps: Box<dyn Any>,
}

impl Driver for Managed {
    type Application = Device;
    /// Its name is gone.
    const GONE: Win32Error = Win32Error::FILE_NOT_FOUND;

    fn change(&self, change: Change) {
        let mut client = Client::connect(&self.control).unwrap();
        let outcomes = client.change(None, change).unwrap();
        let errors: Vec<_> = outcomes.into_iter().map(|it| it.error).collect();
        assert_eq!(errors, [None], "{change}");
    }

    fn is_gone(&self) -> bool {
        view(&self.control).devices.is_empty()
    }

    fn open(&self) -> Result<Device, Win32Error> {
        let space = NameSpace::at(&self.devices);
        let options = OpenOptions::new(self.name.parse().unwrap()).name_space(space);
        let opened = options.timeout(bench::PATIENCE).open();
        opened.map_err(|it| it.error())
    }

    fn violations(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut client = Client::connect(&self.control).unwrap();
        let told = client.events(0, false, |entry| {
            if matches!(
                entry.event.kind,
                EventKind::RuleBroken | EventKind::Panicked
            ) {
                broken.push(entry.to_string());
            }
            Ok::<_, ClientError>(())
        });
        told.unwrap();
        broken
    }
}

impl Application for Device {
    type Io = Io;

    fn read(&self, length: usize) -> Io {
        Self::read(self, length)
    }

    fn write(&self, data: Vec<u8>) -> Io {
        Self::write(self, data)
    }

    fn control(&self, code: ControlCode, input: Vec<u8>, output: usize) -> Io {
        Self::control(self, code, input, output)
    }
}

impl Pending for Io {
    fn has_ended(&self) -> bool {
        Self::has_ended(self)
    }

    fn cancel(&self) {
        Self::cancel(self);
    }

    fn wait(self) -> IoOutcome {
        Self::wait(self)
    }
}
