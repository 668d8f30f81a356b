//! A server of many devices, which the kernel has attached.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use usbwright::{
    control::ControlAddress,
    sysfs::Sysfs,
    vhci::{Port, Vhci},
};

use super::PATIENCE;

/// A server in a process of its own, with its devices at the kernel.
pub(super) struct Crowd {
    server: Child,
    metrics: PathBuf,
    attached: Vec<Attached>,
}

/// A device that the kernel has.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    /// Its name at the server.
    pub(super) bus_id: String,
    /// Its name at the kernel.
    pub(super) spot: String,
    /// Where its user is heard.
    pub(super) control: ControlAddress,
}

impl Crowd {
    pub(super) fn start(folder: &Path, specs: &[&str]) -> Self {
        let place = |name: &str| format!("unix:{}", folder.join(name).display());
        let mut server = Command::new("usbwright")
            .args(["serve", "--listen", &place("usbip")])
            .args(["--control", &place("control")])
            .args(["--metrics", &place("metrics")])
            .args(specs)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line == "ready");
        assert!(ready, "the server does not start");
        let control: ControlAddress = place("control").parse().unwrap();
        let attached = (1..=specs.len()).map(|number| {
            let bus_id = format!("1-{number}");
            let mut attach = Command::new("usbwright");
            attach.args(["attach", "-r", &place("usbip"), "-b", &bus_id]);
            attach.stdout(Stdio::null());
            assert!(attach.status().unwrap().success(), "{bus_id}");
            Attached {
                spot: spot(u32::try_from(number).unwrap()),
                control: control.clone(),
                bus_id,
            }
        });
        Self {
            attached: attached.collect(),
            metrics: folder.join("metrics"),
            server,
        }
    }

    pub(super) fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// The server's process.
    pub(super) fn server(&self) -> u32 {
        self.server.id()
    }

    /// The server has counted no transfer that ended in an error.
    pub(super) fn assert_no_errors(&self) {
        let mut stream = UnixStream::connect(&self.metrics).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let of = |name: &str| -> Vec<(String, u64)> {
            let samples = page.lines().filter(|line| line.starts_with(name));
            let parted = samples.filter_map(|line| line.rsplit_once(' '));
            parted
                .map(|(key, value)| (key.to_owned(), value.parse().unwrap()))
                .collect()
        };
        let sum = |name| of(name).iter().map(|(_, value)| value).sum::<u64>();
        let transfers = sum("usbwright_transfers_total");
        let bytes = sum("usbwright_transfer_bytes_total");
        println!("{transfers} transfers of {bytes} bytes");
        let errors = of("usbwright_transfer_errors_total");
        let errors: Vec<_> = errors.iter().filter(|(_, value)| *value > 0).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let attached = of("usbwright_device_attached");
        assert_eq!(attached.len(), self.attached.len());
        assert!(
            attached.iter().all(|(_, value)| *value == 1),
            "{attached:#?}"
        );
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where the kernel has the server's device of that number.
fn spot(number: u32) -> String {
    until(|| {
        let ports = Vhci::open(Sysfs::default()).unwrap().ports().unwrap();
        let of_it = |port: &Port| port.device_id & 0xffff == number && port.device.is_some();
        ports.into_iter().find(of_it)?.device
    })
}

impl Attached {
    /// The device file in `/dev/FOLDER` of which the kernel has an entry like `CLASS/NAME…` below the device.
    pub(super) fn file(&self, class: &str, name: &str, folder: &str) -> PathBuf {
        let top = Path::new("/sys/bus/usb/devices").join(&self.spot);
        let top = fs::canonicalize(top).unwrap();
        until(|| {
            let found = find(&top, &|path| {
                let parent = path.parent().and_then(Path::file_name);
                let own = path.file_name().unwrap_or_default().to_string_lossy();
                own.starts_with(name)
                    && parent
                        .unwrap_or_default()
                        .to_string_lossy()
                        .starts_with(class)
            })?;
            let file = Path::new("/dev").join(folder).join(found.file_name()?);
            file.exists().then_some(file)
        })
    }
}

/// The first folder below another one that is wanted.
fn find(top: &Path, wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    for entry in fs::read_dir(top).ok()?.flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if wanted(&path) {
            return Some(path);
        }
        if let Some(found) = find(&path, wanted) {
            return Some(found);
        }
    }
    None
}

/// Looks until something is there.
pub(super) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        thread::sleep(Duration::from_millis(5));
    }
}
