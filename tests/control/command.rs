//! `usbwright control`.

use std::fs;

use crate::support::{Controlled, usbwright};

#[test]
fn the_command_controls_a_server() {
    let controlled = Controlled::new(&["keyboard", "disk,removable"]);
    let folder = controlled.folder.path();
    fs::write(folder.join("image"), vec![0; 512]).unwrap();
    let control = controlled.address.to_string();
    let run = |arguments: &[&str]| {
        let all = [&["control", "--control", &control], arguments].concat();
        usbwright(folder, &all)
    };
    let (code, out, _) = run(&["list"]);
    assert_eq!(
        (code, out.as_str()),
        (
            Some(0),
            "1-1: keyboard, 0525:a4ac, full speed, free; keyboard: state, type, press, hold, release\n\
             1-2: disk,removable, 0525:a4a5, high speed, free; disk: state, insert, eject\n"
        )
    );
    assert_eq!(run(&["plug", "mouse"]).1, "1-3\n");
    assert_eq!(
        run(&["insert", "1-2", "image"]),
        (Some(0), String::new(), String::new())
    );
    assert_eq!(run(&["unplug", "1-3"]).0, Some(0));
    let (code, _, told) = run(&["move", "1-1", "-5", "7"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        told,
        "usbwright: error: 1-1 (keyboard) can't move: it can unplug, replug, state, type, press, hold, release\n"
    );
    let (_, events, _) = run(&["events"]);
    let last: Vec<_> = events.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            "1-3: unplugged",
            "1-2/1: disk: [{\"flushes\":0,\"medium\":\"in\"}]"
        ]
    );
}

#[test]
fn a_command_that_finds_no_server_says_how_to_have_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, told) = usbwright(folder.path(), &["control", "list"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("which server is not said: use --control unix:/PATH"),
        "{told}"
    );
    let list = ["control", "--control", "unix:none", "list"];
    let (code, _, told) = usbwright(folder.path(), &list);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("`usbwright serve --control unix:none` listens there"),
        "{told}"
    );
}
