//! How commands end where something is wrong with what they were given: an output, a SPEC, an address, a file.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Commands that print at once and end.
const PRINTING: [&[&str]; 7] = [
    &["devices"],
    &["devices", "--json"],
    &["show", "gadget-zero"],
    &["tree", "gadget-zero", "--json"],
    &["io", "gadget-zero", "1in", "read", "64"],
    &["completions", "bash"],
    &["completions", "zsh"],
];

fn usbwright() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usbwright"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// The exit code of a command that fails, and what it says of it.
fn failure(arguments: &[&str]) -> String {
    let output = usbwright().args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    format!("{}: {told}", output.status)
}

#[test]
fn whoever_reads_the_output_may_leave_early() {
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = usbwright()
            .arg("--quiet")
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {told}");
        assert_eq!(told, "", "{arguments:?}");
    }
}

#[test]
fn an_output_that_is_full_is_told() {
    for arguments in PRINTING {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = usbwright()
            .args(arguments)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "usbwright: error: can't write to the standard output: No space left on device (os error 28)\n",
            "{arguments:?}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_spec_that_no_model_can_make_is_a_wrong_command_line_and_a_missing_image_is_not() {
    let missing = "disk,image=/nowhere/image";
    for (spec, code) in [
        ("disk", "exit status: 2"),
        ("disk,size=8Q", "exit status: 2"),
        ("keyboard,layout=xx", "exit status: 2"),
        ("composite,of=keyboard,,layout=xx", "exit status: 2"),
        (missing, "exit status: 1"),
    ] {
        for command in ["serve", "show", "tree"] {
            let told = failure(&[command, spec]);
            assert!(told.starts_with(code), "{command} {spec}: {told}");
        }
        let told = failure(&["serve", "--control=unix:/nowhere/socket", spec]);
        assert!(told.starts_with(code), "{spec}: {told}");
    }
    assert_eq!(
        failure(&["show", missing]),
        format!(
            "exit status: 1: usbwright: error: can't have {missing}: can't open the image /nowhere/image: \
             No such file or directory (os error 2)\n"
        )
    );
}

#[test]
fn an_address_that_cannot_be_listened_at_is_told_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (address, remedy) in [
        (taken.as_str(), "something listens there already: end it"),
        (
            "192.0.2.1:0",
            "this machine has no such address: choose one of its own",
        ),
        (
            "unix:/nowhere/socket",
            "the folder is not there: make it first",
        ),
    ] {
        let told = failure(&["serve", "gadget-zero", "--listen", address]);
        assert!(told.contains(remedy), "{told}");
        let told = failure(&["bench", "floor", "--listen", address]);
        assert!(told.contains(remedy), "{told}");
    }
}

#[test]
fn a_file_is_never_taken_for_the_socket_of_a_dead_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let unix = format!("unix:{}", path.display());
    let serial = format!("serial,unix={}", path.display());
    let told_by: [&[&str]; 4] = [
        &["gadget-zero", "--listen", &unix],
        &["gadget-zero", "--listen=127.0.0.1:0", "--control", &unix],
        &["gadget-zero", "--listen=127.0.0.1:0", "--metrics", &unix],
        &[&serial, "--listen=127.0.0.1:0"],
    ];
    for arguments in told_by {
        let told = failure(&[&["serve"], arguments].concat());
        assert!(
            told.contains("precious is there and is no socket: choose another path"),
            "{told}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "data", "{arguments:?}");
    }
}

#[test]
fn a_manager_tells_on_stderr_what_goes_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy("host-stack/samples/packages/fx2.toml", path("fx2.toml")).unwrap();
    // A host that ends without a word.
    std::os::unix::fs::symlink("/bin/true", path("fx2-host")).unwrap();
    let mut manager = usbwright()
        .current_dir(&folder)
        .args(["stack", "run", "fx2.toml", "--control=unix:control"])
        .args([
            "--devices-in=devices",
            "--device=osr-fx2",
            "--device=gadget-zero",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(manager.stderr.take().unwrap());
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut lines = stderr.lines().map_while(Result::ok);
        lines.try_for_each(|line| tell.send(line))
    });
    let mut missing = vec![
        "host 1 has failed: ",
        "osr-fx2: is offline: the limit of restarts is reached",
        "gadget-zero: has no driver package",
    ];
    while !missing.is_empty()
        && let Ok(line) = told.recv_timeout(PATIENCE)
    {
        missing.retain(|text| !line.contains(text));
    }
    drop(told);
    let _ = manager.kill();
    manager.wait().unwrap();
    let _ = reader.join().unwrap();
    assert_eq!(missing, [""; 0]);
}
