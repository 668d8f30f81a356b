//! Running a script in the lab.

use std::{
    env,
    path::Path,
    process::{Command, Output, Stdio},
};

use usbwright::lab;

/// The command under test.
const USBWRIGHT: &str = env!("CARGO_BIN_EXE_usbwright");

/// A lab that is to run a script.
pub(crate) struct Guest {
    arguments: Vec<String>,
}

impl Guest {
    /// A lab with these devices.
    pub(crate) fn new(devices: &[String]) -> Self {
        let device = |spec: &String| ["--device".to_owned(), spec.clone()];
        let mut arguments = vec!["lab".to_owned(), "--timeout".to_owned(), "1500".to_owned()];
        arguments.extend(devices.iter().flat_map(device));
        Self { arguments }
    }

    /// Adds options of `usbwright lab`.
    pub(crate) fn option(mut self, option: &[&str]) -> Self {
        self.arguments
            .extend(option.iter().map(|it| (*it).to_owned()));
        self
    }

    /// Adds an argument to the kernel's command line.
    pub(crate) fn kernel_argument(self, argument: &str) -> Self {
        self.option(&["--kernel-arg", argument])
    }

    /// Sees to it that programs, each given with its package, are there.
    pub(crate) fn programs(self, programs: &[(&'static str, &'static str)]) -> Self {
        lab::ensure_programs(programs).unwrap();
        self
    }

    /// Runs a script, in which `usbwright` is the command under test, in a folder of its own.
    pub(crate) fn run(self, script: &str) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        self.run_in(folder.path(), script)
    }

    /// Runs a script in a folder, where it may leave something behind.
    pub(crate) fn run_in(self, folder: &Path, script: &str) -> Ran {
        let programs = Path::new(USBWRIGHT).parent().unwrap();
        let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
        let output = Command::new(USBWRIGHT)
            .args(&self.arguments)
            .args(["--", "sh", "-c", script])
            .env("PATH", path)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran(output)
    }
}

/// A script that has run.
pub(crate) struct Ran(Output);

impl Ran {
    /// What it printed.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    /// What it printed of errors.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Fails the test, with all that was printed, unless the script ended with 0.
    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert!(
            self.0.status.success(),
            "{}\n{}\n{}",
            self.0.status,
            self.stdout(),
            self.stderr()
        );
    }

    /// Fails the test unless so many cases of usbtest have passed, and no other was run.
    #[track_caller]
    pub(crate) fn assert_passed(&self, cases: usize) {
        self.assert_success();
        let text = self.stdout();
        let lines = || text.lines().filter(|line| line.starts_with("case "));
        let passed = lines().filter(|line| line.contains(" passed ")).count();
        assert_eq!((passed, lines().count()), (cases, cases), "{text}");
    }
}

/// A script that takes `steps` on every device that usbtest is bound to, side by side. In them, `run` is `usbwright usbtest` on the
/// device, and `place` is the device's place, from 0, in the order in which the lab was given the devices.
pub(crate) fn every_device(steps: &str) -> String {
    format!(
        "devices() {{
             usbwright port --json | sed -n 's/.*\"device\": \"\\(.*\\)\".*/\\1/p
                                             s/.*\"remote_device_number\": \\([0-9]*\\).*/\\1/p' | paste -d: - -
         }}
         pids=
         for device in $(devices); do
             spot=${{device%:*}} place=$((${{device#*:}} - 1))
             run() {{ usbwright usbtest --device $spot \"$@\" || exit 1; }}
             ( {steps}
             ) >of-$spot 2>&1 &
             pids=\"$pids $!\"
         done
         [ -n \"$pids\" ] && status=0 || status=1
         for pid in $pids; do wait $pid || status=1; done
         cat of-*
         exit $status"
    )
}
