//! A folder with a package and its host, and a manager that is run as a user runs it.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use usbwright_driver_manager::service::{Client, ClientError};
use usbwright_reflector::{
    NameSpace,
    application::{Device, OpenError, OpenOptions},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_usbwright");

/// How long anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder in which a manager is run; what it has running ends with it.
pub(crate) struct Bench {
    folder: TempDir,
    servers: std::cell::RefCell<Vec<Running>>,
}

/// The package of a driver that has a board, and no use for it.
pub(crate) fn package(driver: &str, policy: &str) -> String {
    format!(
        "host = 'fx2-host'\n\
        devices = ['USB\\VID_0547&PID_1002']\n\
        [[driver]]\n\
        UmdfService = '{driver}'\n\
        [framework]\n\
        UmdfDispatcher = 'NativeUSB'\n\
        [host-policy]\n\
        {policy}"
    )
}

/// Runs a command: whether it succeeded, and what it told of errors.
pub(crate) fn usbwright(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), told)
}

/// Whether a process is there.
pub(crate) fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

impl Bench {
    /// A folder with this package, which is for an `fx2-host`.
    pub(crate) fn with(package: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("fx2.toml"), package).unwrap();
        symlink(env::current_exe().unwrap(), folder.path().join("fx2-host")).unwrap();
        Self {
            folder,
            servers: std::cell::RefCell::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// A command that runs the manager, in the folder of the package.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(self.folder.path())
            .args(["stack", "run", "fx2.toml", "--control"])
            .arg(format!("unix:{}", self.control().display()))
            .args(["--devices-in", "devices"])
            .args(arguments)
            .env_remove("NOTIFY_SOCKET");
        command
    }

    /// Opens a device as an application does.
    pub(crate) fn open(&self, name: &str) -> Result<Device, OpenError> {
        let space = NameSpace::at(self.folder.path().join("devices"));
        let options = OpenOptions::new(name.parse().unwrap()).name_space(space);
        options.timeout(PATIENCE).open()
    }

    /// What `stack io` prints.
    pub(crate) fn io(&self, arguments: &[&str]) -> Vec<u8> {
        let folder = self.path("devices");
        let output = Command::new(PROGRAM)
            .args(["stack", "io", "--devices-in", &folder])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// Runs the manager, and waits until it is ready.
    pub(crate) fn run(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments), &self.control())
    }

    pub(crate) fn run_notifying(&self, arguments: &[&str], socket: &str) -> Running {
        let mut command = self.command(arguments);
        Running::start(command.env("NOTIFY_SOCKET", socket), &self.control())
    }

    /// What is told of a manager that does not start.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Ends what serves devices.
    pub(crate) fn end_servers(&self) {
        self.servers.borrow_mut().clear();
    }

    /// Serves a device, and tells where.
    pub(crate) fn serve(&self, spec: &str) -> String {
        let socket = format!("unix:{}", self.path("server"));
        let mut command = Command::new(PROGRAM);
        command.args(["serve", spec, "--listen", &socket]);
        let server = Running::start(&mut command, &self.control());
        self.servers.borrow_mut().push(server);
        socket
    }
}

/// Waits for an event of a manager whose line has this in it.
pub(crate) fn wait_for(control: &Path, told: &str) {
    let (path, wanted) = (control.to_owned(), told.to_owned());
    let (tell, found) = mpsc::channel();
    thread::spawn(move || {
        let mut client = Client::connect(&path).unwrap();
        let ended = client.events(0, true, |entry| match entry.to_string().contains(&wanted) {
            true => Err(Ended::Found),
            false => Ok(()),
        });
        // Nobody listens where it has taken too long.
        let _ = tell.send(ended);
    });
    match found.recv_timeout(PATIENCE) {
        Ok(Err(Ended::Found)) => {}
        Ok(Err(Ended::Failed(error))) => panic!("no {told:?}: {error}"),
        Ok(Ok(())) | Err(_) => panic!("no {told:?} in {:#?}", events(control)),
    }
}

/// The events that a manager has kept.
fn events(control: &Path) -> Vec<String> {
    let mut events = Vec::new();
    let mut client = Client::connect(control).unwrap();
    let told = client.events(0, false, |entry| {
        events.push(entry.to_string());
        Ok::<_, ClientError>(())
    });
    told.unwrap();
    events
}

/// Why no more events are taken.
enum Ended {
    Found,
    Failed(ClientError),
}

impl From<ClientError> for Ended {
    fn from(error: ClientError) -> Self {
        Self::Failed(error)
    }
}

/// A command that runs until it is told to end.
pub(crate) struct Running {
    child: Child,
    control: PathBuf,
}

impl Running {
    fn start(command: &mut Command, control: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        Self {
            child,
            control: control.to_owned(),
        }
    }

    /// Waits for an event whose line has this in it.
    pub(crate) fn wait_for(&self, told: &str) {
        wait_for(&self.control, told);
    }

    fn arguments<'a>(&self, arguments: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
        let control = format!("unix:{}", self.control.display());
        let mut all = vec!["stack".into()];
        all.extend(arguments.iter().map(|it| (*it).into()));
        all.extend(["--control".into(), control.into()]);
        all
    }

    /// What a command says of the manager.
    pub(crate) fn stack(&self, arguments: &[&str]) -> String {
        let arguments = self.arguments(arguments);
        let arguments = arguments.iter().map(|it| &**it);
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn fails(&self, arguments: &[&str]) -> (bool, String) {
        let arguments = self.arguments(arguments);
        let arguments: Vec<&str> = arguments.iter().map(|it| &**it).collect();
        usbwright(&arguments)
    }

    /// Follows the events, until there are no more.
    pub(crate) fn follow(&self) -> JoinHandle<String> {
        let arguments = self.arguments(&["events", "--follow"]);
        let mut command = Command::new(PROGRAM);
        command.args(arguments.iter().map(|it| &**it));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It has begun once it has told something.
        let first = lines.next().unwrap().unwrap();
        thread::spawn(move || {
            let rest = lines.map(|it| it.unwrap() + "\n");
            let all: String = std::iter::once(first + "\n").chain(rest).collect();
            assert!(child.wait().unwrap().success());
            all
        })
    }

    /// The processes of the hosts.
    pub(crate) fn hosts(&self) -> Vec<u32> {
        let view = Client::connect(&self.control).unwrap().view().unwrap();
        view.hosts.iter().map(|it| it.pid).collect()
    }

    /// Sends it a signal, and waits until it has ended.
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::INT);
            let _ = self.child.wait();
        }
    }
}
