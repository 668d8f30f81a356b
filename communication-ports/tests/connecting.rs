//! Names, rights, limits, and who is let in.

mod support;

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use support::{Setup, Told, driver, name};
use usbwright_ports::{
    Client, Clock, ConnectError, CreateError, Deadline, Ended, LONGEST_CONTEXT, NameSpace,
    PortOptions, Rights, SecurityDescriptor, Sent, Subject,
    status::{HResult, NtStatus},
};

fn refused(setup: &Setup) -> NtStatus {
    match setup.try_connect() {
        Err(ConnectError::Refused(status)) => status,
        other => panic!("it is not refused: {other:?}"),
    }
}

#[test]
fn a_driver_is_told_the_context_and_who_connects() {
    let setup = Setup::new();
    let context: Vec<u8> = (0..LONGEST_CONTEXT).map(|it| it as u8).collect();
    let _client = Client::connect(&setup.space, &name(), &context).unwrap();
    let (connection, heard) = setup.connected();
    assert_eq!(heard, context);
    let peer = connection.peer();
    assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(peer.gid(), rustix::process::getegid().as_raw());
    assert_eq!(peer.pid(), Some(std::process::id()));
}

#[test]
fn a_context_may_be_empty_but_not_longer_than_a_word_tells() {
    let setup = Setup::new();
    let _client = setup.try_connect().unwrap();
    assert!(setup.connected().1.is_empty());
    let long = vec![0; LONGEST_CONTEXT + 1];
    let error = Client::connect(&setup.space, &name(), &long).unwrap_err();
    assert!(matches!(error, ConnectError::ContextTooLong(65536)));
}

#[test]
fn there_is_no_port_where_none_was_made() {
    let directory = tempfile::tempdir().unwrap();
    for space in [
        NameSpace::at(directory.path()),
        NameSpace::at("/nowhere/at/all"),
    ] {
        let error = Client::connect(&space, &name(), b"").unwrap_err();
        assert!(matches!(error, ConnectError::NotFound(it) if it == name()));
    }
}

#[test]
fn a_missing_port_has_the_code_that_windows_gives_it() {
    let space = NameSpace::at("/nowhere");
    let error = Client::connect(&space, &name(), b"").unwrap_err();
    assert_eq!(error.hresult(), HResult(0x8007_0002));
}

#[test]
fn a_second_port_of_a_name_is_a_collision() {
    let setup = Setup::new();
    let options = PortOptions::new(name()).name_space(setup.space.clone());
    let error = setup.filter.create_port(options, driver().0).unwrap_err();
    assert!(matches!(error, CreateError::NameCollision(_)));
    assert_eq!(error.status(), NtStatus::OBJECT_NAME_COLLISION);
}

#[test]
fn a_port_for_nobody_is_refused() {
    let setup = Setup::new();
    let options = PortOptions::new("Other".parse().unwrap())
        .name_space(setup.space.clone())
        .max_connections(0);
    let error = setup.filter.create_port(options, driver().0).unwrap_err();
    assert_eq!(error.status(), NtStatus::INVALID_PARAMETER);
}

#[test]
fn an_unloaded_filter_makes_no_port() {
    let setup = Setup::new();
    setup.filter.unload();
    let options = PortOptions::new("Other".parse().unwrap()).name_space(setup.space.clone());
    let error = setup.filter.create_port(options, driver().0).unwrap_err();
    assert_eq!(error.status(), NtStatus::FLT_DELETING_OBJECT);
}

#[test]
fn whom_the_security_descriptor_does_not_allow_is_refused() {
    let me = rustix::process::geteuid().as_raw();
    for security in [
        SecurityDescriptor::nobody(),
        SecurityDescriptor::nobody()
            .deny(Subject::User(me), Rights::CONNECT)
            .allow(Subject::Everyone, Rights::ALL_ACCESS),
        SecurityDescriptor::nobody().allow(Subject::Everyone, Rights(0x1_0000)),
    ] {
        let setup = Setup::with(Clock::System, |_| {}, |options| options.security(security));
        let error = setup.try_connect().unwrap_err();
        assert_eq!(error.status(), NtStatus::ACCESS_DENIED);
        assert_eq!(error.hresult(), HResult(0x8007_0005));
        assert!(setup.told.try_recv().is_err(), "the driver is not asked");
    }
}

/// What another process is told that tries to connect; nothing where there can be none.
const PLACE: &str = "USBWRIGHT_PORTS_PLACE";

#[test]
fn another_process_tries_to_connect() {
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    match Client::connect(&NameSpace::at(place), &name(), b"") {
        Ok(_) => println!("<connected>"),
        Err(error) => println!("<{}>", error.status()),
    }
}

fn as_another_user(setup: &Setup, uid: u32, gid: u32) -> Option<String> {
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(setup.directory.path(), readable).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process_tries_to_connect", "--nocapture"])
        .env(PLACE, setup.space.directory())
        .uid(uid)
        .gid(gid)
        .output();
    let output = String::from_utf8(output.ok()?.stdout).unwrap();
    let (_, told) = output.split_once('<')?;
    Some(told.split_once('>')?.0.to_owned())
}

#[test]
fn another_user_is_let_in_only_where_the_descriptor_says_so() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can be another user");
        return;
    }
    let setup = Setup::new();
    let Some(told) = as_another_user(&setup, 65534, 65534) else {
        eprintln!("another user can't run this program");
        return;
    };
    assert_eq!(told, NtStatus::ACCESS_DENIED.to_string());
    for (subject, expected) in [
        (Subject::Group(4711), "connected".to_owned()),
        (Subject::User(65534), "connected".to_owned()),
        (Subject::User(65533), NtStatus::ACCESS_DENIED.to_string()),
    ] {
        let security = SecurityDescriptor::default().allow(subject, Rights::CONNECT);
        let setup = Setup::with(Clock::System, |_| {}, |options| options.security(security));
        let told = as_another_user(&setup, 65534, 4711);
        assert_eq!(told, Some(expected), "{subject:?}");
    }
}

#[test]
fn one_connection_too_many_is_refused_and_a_place_that_is_free_again_taken() {
    let setup = Setup::with(Clock::System, |_| {}, |options| options.max_connections(2));
    let first = setup.connect();
    let _second = setup.connect();
    assert_eq!(refused(&setup), NtStatus::CONNECTION_COUNT_LIMIT);
    let error = setup.try_connect().unwrap_err();
    assert_eq!(error.hresult(), HResult(0x8007_04D6));
    // Whoever closes may connect again at once, though the driver may not know yet.
    drop(first);
    let third = setup.try_connect().unwrap();
    assert_eq!(setup.disconnected(), Ended::ByPeer);
    drop(third);
}

#[test]
fn a_place_is_free_once_the_driver_has_closed_its_connection() {
    let setup = Setup::with(Clock::System, |_| {}, |options| options.max_connections(1));
    for _ in 0..10 {
        let (_client, connection) = setup.connect();
        connection.close();
    }
}

#[test]
fn a_driver_that_refuses_tells_the_client_why_and_loses_no_place() {
    let setup = Setup::with(
        Clock::System,
        |driver| {
            driver.connect = Box::new(|_, context| match context {
                b"friend" => Ok(()),
                _ => Err(NtStatus::DEVICE_NOT_READY),
            });
        },
        |options| options.max_connections(1),
    );
    for _ in 0..10 {
        assert_eq!(refused(&setup), NtStatus::DEVICE_NOT_READY);
    }
    Client::connect(&setup.space, &name(), b"friend").unwrap();
}

#[test]
fn a_driver_that_panics_refuses_and_goes_on() {
    let first = AtomicBool::new(true);
    let setup = Setup::with(
        Clock::System,
        |driver| {
            driver.connect = Box::new(move |_, _| {
                assert!(!first.swap(false, Ordering::Relaxed), "a driver's mistake");
                Ok(())
            });
        },
        |options| options.max_connections(1),
    );
    assert_eq!(refused(&setup), NtStatus::DRIVER_INTERNAL_ERROR);
    setup.connect();
}

#[test]
fn closing_the_port_lets_nobody_in_and_leaves_connections_alone() {
    let mut setup = Setup::new();
    let (client, connection) = setup.connect();
    setup.port.take().unwrap().close();
    let error = setup.try_connect().unwrap_err();
    assert!(matches!(error, ConnectError::NotFound(_)), "{error:?}");

    let get = client.get_message().start();
    let sent = connection.send_message("still here", None, Deadline::Never);
    assert_eq!(sent.wait(), Ok(Sent::Delivered));
    assert_eq!(get.wait().unwrap().data, "still here");

    // The name is free for another.
    let options = PortOptions::new(name()).name_space(setup.space.clone());
    let _port = setup.filter.create_port(options, driver().0).unwrap();
    client.close();
    assert_eq!(setup.disconnected(), Ended::ByPeer);
}

#[test]
fn ports_of_one_filter_know_nothing_of_each_other() {
    let setup = Setup::new();
    let (other, told) = driver();
    let other_name = "Other".parse().unwrap();
    let options = PortOptions::new("Other".parse().unwrap()).name_space(setup.space.clone());
    let _port = setup.filter.create_port(options, other).unwrap();
    let _client = Client::connect(&setup.space, &other_name, b"other").unwrap();
    let heard = told.recv_timeout(support::PATIENCE);
    assert!(matches!(heard, Ok(Told::Connected(_, context)) if context == b"other"));
    assert!(setup.told.try_recv().is_err());
}
