//! The command line, as its users meet it: what it prints and how it ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn usbwright() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usbwright"));
    command
        .stdin(Stdio::null())
        .env_remove("COLUMNS")
        .env_remove("RUST_LOG");
    command
}

fn output(arguments: &[&str]) -> Output {
    usbwright().args(arguments).output().unwrap()
}

/// What a command prints that ends well.
fn printed(arguments: &[&str]) -> String {
    let output = output(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code of a command that fails, and what it says of it.
fn failure(arguments: &[&str]) -> String {
    let output = output(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    format!("{}: {told}", output.status)
}

/// A server, and the addresses it has told.
struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    addresses: Vec<String>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = usbwright()
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut addresses = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended early");
            let line = line.trim_end();
            if line == "ready" {
                break;
            }
            addresses.extend(line.strip_prefix("listening at ").map(str::to_owned));
        }
        Self {
            child,
            out,
            addresses,
        }
    }

    /// Sends a signal, and tells the exit code and what was printed after `ready`.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn list(&self, address: usize, option: &[&str]) -> serde_json::Value {
        let arguments = [&["list", "--json"], option, &[&self.addresses[address]]].concat();
        serde_json::from_str(&printed(&arguments)).unwrap()
    }
}

#[test]
fn a_server_is_listed_over_tcp_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let server = Server::start(&[
        "gadget-zero",
        "gadget-zero,speed=super,busid=3-7",
        "--listen=127.0.0.1:0",
        "--listen",
        &unix,
    ]);
    let tcp = server.list(0, &[]);
    assert_eq!(tcp, server.list(1, &[]));
    assert_eq!(tcp, server.list(0, &["-r"]));
    insta::assert_snapshot!(format!("{tcp:#}"));
    let text = printed(&["list", &unix]);
    assert!(text.contains("\n        3-7: "), "{text}");
    assert!(text.contains(" (0525:a4a0)\n"), "{text}");
}

#[test]
fn a_server_ends_well_on_either_signal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = format!("unix:{}", path.display());
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&["gadget-zero", "--listen", &unix]);
        assert_eq!(server.end(signal), (Some(0), String::new()));
        assert!(!path.exists());
    }
}

#[test]
fn what_is_wrong_with_the_command_line_is_told_with_what_would_do() {
    let wrong: [&[&str]; 15] = [
        &["serve", "disc"],
        &["serve", "disk"],
        &["serve", "gadget-zero,speed=warp"],
        &["serve", "gadget-zero", "--listen", "here"],
        &["attach"],
        &["attach", "gadget-zero,colour=red"],
        &["attach", "-r", "pc"],
        &["attach", "-r", "pc:port", "-b", "1-1"],
        &["attach", "-r", "pc", "-b", "a b"],
        &["attach", "gadget-zero", "-r", "pc", "-b", "1-1"],
        &["list", "unix:"],
        &["show"],
        &["tree", "gadget-zero", "disc"],
        &["detach"],
        &["usbtest", "--case", "30", "--device", "3-x"],
    ];
    let told = wrong.map(|arguments| {
        format!(
            "$ usbwright {}\n{}",
            arguments.join(" "),
            failure(arguments)
        )
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_model_is_shown_in_words_as_a_tree_and_as_json() {
    let text = printed(&["show", "gadget-zero,speed=super"]);
    assert!(text.starts_with("0525:a4a0, \"Gadget Zero\""), "{text}");
    assert!(text.contains("\nConfiguration Descriptor (in force)\n"));
    assert!(text.contains("\n  SuperSpeed USB Device Capability\n"));
    let tree = printed(&["tree", "gadget-zero", "gadget-zero,speed=full"]);
    assert_eq!(tree.matches("─ * configuration 3 ").count(), 2, "{tree}");
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&printed(arguments)).unwrap()
    };
    let shown = json(&["show", "--json", "gadget-zero"]);
    assert_eq!(shown["device"]["product"]["text"], "Gadget Zero");
    assert_eq!(shown["configuration"], 3);
    assert_eq!(
        json(&["tree", "gadget-zero", "--json"]),
        serde_json::json!([shown])
    );
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let told = failure(&["list", &unix]);
    let expected = format!("can't reach a USB/IP server at {unix}: No such file or directory");
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn without_the_kernels_drivers_it_says_what_is_missing() {
    if !Path::new("/sys/devices/platform/vhci_hcd.0").exists() {
        let missing = "usbwright: error: vhci_hcd is not there: `modprobe vhci-hcd` as root, or use `usbwright lab`\n";
        let commands: [&[&str]; 6] = [
            &["attach", "gadget-zero"],
            &["attach", "gadget-zero", "--background"],
            &["attach", "-r", "127.0.0.1:1", "-b", "1-1"],
            &["detach", "0"],
            &["detach", "--all"],
            &["port"],
        ];
        for arguments in commands {
            assert_eq!(failure(arguments), format!("exit status: 1: {missing}"));
        }
    }
    if !Path::new("/sys/bus/usb/drivers/usbtest").exists() {
        let told = failure(&["usbtest"]);
        assert!(
            told.contains("the usbtest driver is not there: `modprobe usbtest`"),
            "{told}"
        );
    }
}

/// The commands, as `--help` lists them.
fn commands() -> Vec<String> {
    let help = printed(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let entries = list.lines().take_while(|line| !line.is_empty());
    // A longer text goes on in lines that are indented further.
    let names = entries.filter(|line| !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_help() {
    insta::assert_snapshot!("help", printed(&["--help"]));
    let commands = commands();
    assert!(commands.iter().any(|it| it == "attach"), "{commands:?}");
    for command in commands {
        let name = format!("help_{command}");
        insta::assert_snapshot!(name, printed(&[&command, "--help"]));
    }
}

#[test]
fn every_command_of_stacks_has_help() {
    for command in [
        "run",
        "list",
        "tree",
        "events",
        "io",
        "kill-host",
        "suspend",
        "stop",
    ] {
        let name = format!("help_stack_{command}");
        insta::assert_snapshot!(name, printed(&["stack", command, "--help"]));
    }
}

#[test]
fn driver_packages_are_checked_all_at_once() {
    insta::assert_snapshot!("help_stack_check", printed(&["stack", "check", "--help"]));
    let right = "host-stack/samples/packages/fx2.toml";
    assert_eq!(
        printed(&["stack", "check", "--no-host", right]),
        format!("{right}: USB\\VID_0547&PID_1002: filter over fx2, in the pool\n")
    );
    let told = failure(&["stack", "check", right]);
    let missing = "error: there is no host executable host-stack/samples/packages/fx2-host\n";
    assert!(told.contains(missing), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [first, second, none] = ["first.toml", "second.toml", "none.toml"].map(path);
    fs::write(&first, "devices = ['USB\\VID_0547']\ndriver = 1\n").unwrap();
    fs::write(&second, "devices = [").unwrap();
    let told = failure(&["stack", "check", "--no-host", &first, right, &second, &none]);
    let told = told.replace(folder.path().to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!("stack_check", told);
}

#[test]
fn completions_and_man_pages_are_generated_for_every_command() {
    let commands = commands();
    for shell in ["bash", "zsh", "fish"] {
        let completions = printed(&["completions", shell]);
        for command in &commands {
            assert!(completions.contains(command), "{shell}: {command}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    printed(&["man", pages.to_str().unwrap()]);
    for command in &commands {
        let page = pages.join(format!("usbwright-{command}.1"));
        let page = fs::read_to_string(page).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
}
