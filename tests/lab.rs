//! What `usbwright lab` promises, tried on a kernel that it boots: User-mode Linux throughout, and QEMU once.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Once;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;

const USBWRIGHT: &str = env!("CARGO_BIN_EXE_usbwright");

/// A folder to run in, and a folder for temporary files that shows what was left behind.
struct Place {
    current: TempDir,
    temporary: TempDir,
}

impl Place {
    fn new() -> Self {
        static KERNEL: Once = Once::new();
        KERNEL.call_once(|| {
            let built = Command::new(USBWRIGHT)
                .args(["lab", "build"])
                .output()
                .unwrap();
            assert!(
                built.status.success(),
                "{}",
                String::from_utf8_lossy(&built.stderr)
            );
        });
        Self {
            current: tempfile::tempdir().unwrap(),
            temporary: tempfile::tempdir().unwrap(),
        }
    }

    /// `usbwright lab OPTIONS -- sh -c SCRIPT`, in the folder.
    fn lab(&self, options: &[&str], script: &str) -> Command {
        let mut command = Command::new(USBWRIGHT);
        command
            .arg("lab")
            .args(options)
            .args(["--", "sh", "-c", script]);
        command
            .current_dir(self.current.path())
            .env("TMPDIR", self.temporary.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, script: &str) -> Output {
        self.lab(&[], script).output().unwrap()
    }

    /// How many processes have our folder for temporary files in their command line, as every process of a kernel has.
    fn kernel_processes(&self) -> usize {
        let marker = self.temporary.path().to_str().unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines
            .filter(|line| String::from_utf8_lossy(line).contains(marker))
            .count()
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.kernel_processes(), 0);
        let left: Vec<_> = fs::read_dir(self.temporary.path())
            .unwrap()
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Bytes of all values, in no short cycle.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn the_exit_code_is_the_commands() {
    let place = Place::new();
    assert_eq!(place.run("exit 7").status.code(), Some(7));
    assert_eq!(place.run("kill -TERM $$").status.code(), Some(128 + 15));
    let missing = Command::new(USBWRIGHT)
        .args(["lab", "--", "no-such-command"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(127));
    let refused = Command::new(USBWRIGHT)
        .args(["lab", "--", "/etc/passwd"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(126));
}

#[test]
fn output_and_errors_come_apart_and_exact() {
    let place = Place::new();
    let (out, err) = (noise(3_000_000), noise(100_001));
    fs::write(place.current.path().join("out"), &out).unwrap();
    fs::write(place.current.path().join("err"), &err).unwrap();
    let output = place.run("cat err >&2 & cat out; wait");
    assert!(output.status.success());
    assert!(
        output.stdout == out,
        "{} bytes of {}",
        output.stdout.len(),
        out.len()
    );
    assert!(
        output.stderr == err,
        "{} bytes of {}",
        output.stderr.len(),
        err.len()
    );
}

#[test]
fn what_runs_on_does_not_hold_the_command_up() {
    let output = Place::new().run("sleep 1000 & echo done");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), &b"done\n"[..])
    );
}

#[test]
fn input_arrives_exact_and_ends() {
    let place = Place::new();
    let input = noise(100_000);
    let mut lab = place
        .lab(&[], "cat; echo end >&2")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = lab.stdin.take().unwrap();
    let sender = std::thread::spawn({
        let input = input.clone();
        move || stdin.write_all(&input).unwrap()
    });
    let output = lab.wait_with_output().unwrap();
    sender.join().unwrap();
    assert!(
        output.stdout == input,
        "{} bytes of {}",
        output.stdout.len(),
        input.len()
    );
    assert_eq!(output.stderr, b"end\n");
}

#[test]
fn only_writes_below_the_current_folder_stay() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("old"), "old").unwrap();
    let script = format!(
        "set -e; mkdir -p sub; echo kept > sub/new; cd {}; cat old; echo changed > old; echo > new; echo > /etc/new; \
         rm /etc/passwd; ls /etc/new; cat old",
        elsewhere.path().display()
    );
    let output = place.run(&script);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "old/etc/new\nchanged\n",
        "{output:?}"
    );
    assert_eq!(
        fs::read_to_string(place.current.path().join("sub/new")).unwrap(),
        "kept\n"
    );
    assert_eq!(
        fs::read_to_string(elsewhere.path().join("old")).unwrap(),
        "old"
    );
    assert!(!elsewhere.path().join("new").exists() && !Path::new("/etc/new").exists());
    assert!(Path::new("/etc/passwd").exists());
    place.assert_nothing_left();
}

#[test]
fn the_guest_is_a_linux_with_usb() {
    let place = Place::new();
    let script = "set -e; echo $FROM_OUTSIDE; pwd; hostname; test -d /run/vhci_hcd; test -e /var/run/vhci_hcd; \
        test -e /sys/devices/platform/vhci_hcd.0/attach; test -d /sys/kernel/config/usb_gadget; test -c /dev/null; \
        cat /sys/class/net/lo/operstate /sys/module/usbtest/parameters/alt";
    let output = place
        .lab(&["--kernel-arg", "usbtest.alt=1"], script)
        .env("FROM_OUTSIDE", "a b")
        .output()
        .unwrap();
    let expected = format!("a b\n{}\nlab\nunknown\n1\n", place.current.path().display());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expected,
        "{output:?}"
    );
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let place = Place::new();
    let output = place
        .lab(&["--timeout", "3"], "echo started; sleep 1000")
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(124), &b"started\n"[..])
    );
    place.assert_nothing_left();
}

#[test]
fn a_signal_ends_the_kernel_too() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let place = Place::new();
        let mut lab = place.lab(&[], "echo started; sleep 1000").spawn().unwrap();
        let mut line = String::new();
        BufReader::new(lab.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "started\n");
        assert!(
            place.kernel_processes() > 0,
            "the test would not see a kernel that is left"
        );
        kill_process(Pid::from_child(&lab), signal).unwrap();
        assert_eq!(lab.wait().unwrap().code(), Some(code));
        place.assert_nothing_left();
    }
}

#[test]
fn a_kernel_does_not_outlive_a_lab_that_was_killed() {
    let place = Place::new();
    let mut lab = place.lab(&[], "echo started; sleep 1000").spawn().unwrap();
    let mut output = BufReader::new(lab.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let kernel = child_of(lab.id());
    kill_process(Pid::from_child(&lab), Signal::KILL).unwrap();
    assert_eq!(lab.wait().unwrap().signal(), Some(9));
    // A process's descriptor is readable once it has ended.
    if let Some(kernel) = kernel {
        let mut ended = [rustix::event::PollFd::new(
            &kernel,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut ended, None).unwrap();
    }
}

/// A handle on the first child of a process.
fn child_of(parent: u32) -> Option<rustix::fd::OwnedFd> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let child = children.split_whitespace().next().expect("a kernel runs");
    let child = Pid::from_raw(child.parse().unwrap()).unwrap();
    rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty()).ok()
}

#[test]
fn a_reader_that_leaves_ends_the_run() {
    let place = Place::new();
    let mut lab = place.lab(&[], "yes").spawn().unwrap();
    let mut output = lab.stdout.take().unwrap();
    output.read_exact(&mut [0; 2]).unwrap();
    drop(output);
    assert_eq!(lab.wait().unwrap().code(), Some(128 + 13));
    place.assert_nothing_left();
}

#[test]
fn on_a_terminal_the_guest_has_a_terminal() {
    let place = Place::new();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&ours).unwrap();
    tcsetwinsize(
        &ours,
        Winsize {
            ws_row: 33,
            ws_col: 101,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .unwrap();
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
    let mut command = place.lab(
        &[],
        "test -t 0 && test -t 1 && test -t 2 && stty size && echo > /dev/tty && exit 5",
    );
    let stdio = || Stdio::from(theirs.try_clone().unwrap());
    command.stdin(stdio()).stdout(stdio()).stderr(stdio());
    let status = command.spawn().unwrap().wait().unwrap();
    drop(command);
    assert_eq!(status.code(), Some(5));
    let mut shown = [0; 64];
    let count = File::from(ours).read(&mut shown).unwrap();
    assert!(
        shown[..count].starts_with(b"33 101\r\n"),
        "{}",
        String::from_utf8_lossy(&shown[..count])
    );
}

#[test]
fn a_kernel_that_does_not_boot_is_explained() {
    let place = Place::new();
    let output = place
        .lab(&["--kernel", "/bin/true"], "true")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("the kernel did not boot: it ended"), "{text}");
    let output = place
        .lab(&["--kernel", "/etc/passwd"], "true")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    place.assert_nothing_left();
}

#[test]
fn a_stock_kernel_boots_in_qemu() {
    let place = Place::new();
    let script = "set -e; test -e /sys/devices/platform/vhci_hcd.0/attach; modprobe usb-storage; \
        test -d /sys/bus/usb/drivers/usb-storage; echo kept > new; echo lost > /etc/new; cat; echo error >&2; exit 3";
    let mut lab = place
        .lab(&["--engine", "qemu"], script)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let input = noise(10_000);
    let mut stdin = lab.stdin.take().unwrap();
    stdin.write_all(&input).unwrap();
    drop(stdin);
    let output = lab.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stdout == input,
        "{} bytes of {}",
        output.stdout.len(),
        input.len()
    );
    assert!(output.stderr.ends_with(b"error\n"));
    assert_eq!(
        fs::read_to_string(place.current.path().join("new")).unwrap(),
        "kept\n"
    );
    assert!(!Path::new("/etc/new").exists());
    place.assert_nothing_left();
}

#[test]
fn the_demonstration_with_a_kernel_moves_data_through_its_driver() {
    let _kernel = Place::new();
    let shown = Command::new(USBWRIGHT)
        .args(["demo", "--kernel"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    let told = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success(), "{text}\n{told}");
    assert!(text.contains("has attached the device"), "{text}");
    assert!(text.contains("case 27:"), "{text}");
    assert!(!text.contains("FAILED"), "{text}");
}
