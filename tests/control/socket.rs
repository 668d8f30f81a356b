//! What clients may send and have to read.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
};

use crate::support::Controlled;

#[test]
fn a_line_that_is_no_request_is_answered_and_the_next_one_is_heard() {
    let controlled = Controlled::new(&[]);
    let mut stream = controlled.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut ask = |line: &str| {
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        answer
    };
    for (line, told) in [
        ("here\n", "this is no request: expected value at line 1"),
        ("[]\n", "this is no request: invalid type"),
        (
            "{\"do\":\"fly\",\"id\":1}\n",
            "unknown variant `fly`, expected one of `list`, `plug`",
        ),
        ("{\"do\":\"fly\",\"of\":1,\"id\":1}\n", "\"id\":1"),
        ("{\"do\":\"list\",\"of\":1}\n", "unknown field `of`"),
        ("{\"do\":\"reload\",\"of\":1}\n", "unknown field `of`"),
        (
            "{\"do\":\"click\",\"device\":\"1-1\",\"buton\":\"left\"}\n",
            "unknown field `buton`",
        ),
        (
            "{\"do\":\"type\",\"device\":\"1-1\"}\n",
            "missing field `text`",
        ),
        ("{\"do\":\"list\",\"wait\":1}\n", "expected a boolean"),
        (
            "\n  \n{\"do\":\"list\",\"id\":\"x\"}\n",
            "{\"id\":\"x\",\"ok\":[]}",
        ),
    ] {
        let answer = ask(line);
        assert!(answer.contains(told), "{line}: {answer}");
    }
}

#[test]
fn a_line_that_is_too_long_is_refused() {
    let controlled = Controlled::new(&[]);
    let mut stream = controlled.connect();
    // Who is refused may no more be read from.
    let _ = stream.write_all(&vec![b' '; 2 << 20]);
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    assert!(
        answer.is_empty() || answer.contains("a line has less than 1048576 bytes"),
        "{answer}"
    );
}

#[test]
fn a_client_that_does_not_read_its_events_is_dropped() {
    let controlled = Controlled::new(&[]);
    let mut stream = controlled.connect();
    stream
        .write_all(b"{\"do\":\"events\",\"follow\":true}\n")
        .unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mouse = "mouse".parse().unwrap();
    for _ in 0..6000 {
        let device = controlled.devices.plug(&mouse).unwrap();
        controlled.devices.unplug(device.as_str()).unwrap();
    }
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    let last = rest.lines().last().unwrap();
    assert!(last.contains("it did not read its events, and"), "{last}");
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let controlled = Controlled::new(&[]);
    let path = controlled.address.path().to_owned();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(controlled.listener.address(), &controlled.address);
    drop(controlled);
    assert!(!path.exists());
}
