//! File targets: files, pipes, sockets and terminals to which a driver sends requests.

mod support;

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    sync::Arc,
    time::Duration,
};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use support::{
    broken,
    own::{How, Own, brought, how},
};
use usbwright_host_stack::{
    ControlCode, Device, FileKind, FileTarget, FileTargetError, IoTarget, Queue, Request,
    RequestCompletionParams, RequestType, SendOptions, SentIoAction, Stack, TargetState, Threads,
    Timeout,
    status::{HResult, NtStatus, Win32Error},
};

const SECOND: Duration = Duration::from_secs(1);
/// `FileBasicInformation`.
const BASIC: u32 = 4;
/// `FileStandardInformation`.
const STANDARD: u32 = 5;
/// `FileEndOfFileInformation`.
const END_OF_FILE: u32 = 20;

fn well(bytes: usize) -> How {
    (NtStatus::SUCCESS, bytes)
}

fn target(own: &Own, descriptor: impl Into<OwnedFd>) -> IoTarget {
    let target = FileTarget::new(&own.device, descriptor).unwrap();
    target.target().clone()
}

fn file(data: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// What a device of each kind is.
#[test]
fn any_descriptor_that_can_be_read_or_written_becomes_a_target() {
    let own = Own::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let (here, there) = pair();
    let datagrams = UnixDatagram::unbound().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (terminal, other) = terminal();
    let all: [(OwnedFd, FileKind); 10] = [
        (file(b"").into(), FileKind::File),
        (reader.into(), FileKind::Pipe),
        (writer.into(), FileKind::Pipe),
        (here.into(), FileKind::Stream),
        (there.into(), FileKind::Stream),
        (tcp.into(), FileKind::Stream),
        (datagrams.into(), FileKind::Message),
        (terminal, FileKind::Terminal),
        (other, FileKind::Terminal),
        (File::open("/dev/null").unwrap().into(), FileKind::Character),
    ];
    for (descriptor, kind) in all {
        let target = FileTarget::new(&own.device, descriptor).unwrap();
        assert_eq!(target.kind(), kind);
        assert_eq!(target.target().state(), TargetState::Started);
    }
    assert_eq!(broken(&own.stack), []);
}

#[test]
fn a_directory_is_no_target_and_neither_is_anything_of_a_device_that_has_gone() {
    let own = Own::new();
    let error = FileTarget::new(&own.device, File::open("/").unwrap()).unwrap_err();
    assert!(matches!(error, FileTargetError::NotReadable));
    assert_eq!(HResult::from(error), NtStatus::INVALID_PARAMETER.into());
    own.stack.remove().unwrap();
    let error = FileTarget::new(&own.device, file(b"")).unwrap_err();
    assert!(matches!(error, FileTargetError::Gone));
}

#[test]
fn a_file_is_read_and_written_at_the_offset_of_the_request() {
    let own = Own::new();
    let target = target(&own, file(b"0123456789"));
    assert_eq!(
        brought(own.read(&target, 4, 3)),
        (well(4), b"3456".to_vec())
    );
    assert_eq!(how(own.write(&target, b"abc", 8)), well(3));
    assert_eq!(
        brought(own.read(&target, 99, 6)),
        (well(5), b"67abc".to_vec())
    );
}

#[test]
fn a_read_at_a_files_end_or_behind_it_ends_with_end_of_file() {
    let own = Own::new();
    let target = target(&own, file(b"0123"));
    for offset in [4, 5, 1 << 40] {
        let (how, _) = brought(own.read(&target, 1, offset));
        assert_eq!(how, (NtStatus::END_OF_FILE, 0));
    }
    let error = Win32Error::from_nt(NtStatus::END_OF_FILE);
    assert_eq!(error, Win32Error::HANDLE_EOF);
}

#[test]
fn an_offset_that_the_system_does_not_have_is_an_error() {
    let own = Own::new();
    let target = target(&own, file(b"0123"));
    for sent in [
        own.read(&target, 1, u64::MAX),
        own.write(&target, b"x", u64::MAX),
    ] {
        assert_eq!(how(sent), (NtStatus::INVALID_PARAMETER, 0));
    }
}

#[test]
fn a_large_file_comes_whole() {
    let own = Own::new();
    let data: Vec<u8> = (0..5 << 20 | 17).map(|it: u32| (it % 251) as u8).collect();
    let target = target(&own, file(b""));
    assert_eq!(how(own.write(&target, &data, 0)), well(data.len()));
    let (ended, read) = brought(own.read(&target, data.len() + 5, 0));
    assert_eq!(ended, well(data.len()));
    assert!(read == data);
}

#[test]
fn what_a_file_is_sent_is_done_in_its_order() {
    let own = Own::new();
    let target = target(&own, file(b""));
    let writes: Vec<_> = (0..64_u8)
        .map(|it| own.write(&target, &[it], it.into()))
        .collect();
    let read = own.read(&target, 99, 0);
    assert_eq!(brought(read).1, (0..64).collect::<Vec<u8>>());
    writes
        .into_iter()
        .for_each(|it| assert_eq!(how(it), well(1)));
}

#[test]
fn what_a_descriptor_was_not_opened_for_is_denied() {
    let own = Own::new();
    let named = tempfile::NamedTempFile::new().unwrap();
    let read_only = target(&own, File::open(named.path()).unwrap());
    assert_eq!(
        how(own.write(&read_only, b"x", 0)),
        (NtStatus::ACCESS_DENIED, 0)
    );
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer) = (target(&own, reader), target(&own, writer));
    assert_eq!(
        how(own.write(&reader, b"x", 0)),
        (NtStatus::ACCESS_DENIED, 0)
    );
    assert_eq!(how(own.read(&writer, 1, 0)), (NtStatus::ACCESS_DENIED, 0));
}

#[test]
fn a_full_disk_is_told_with_the_bytes_that_it_took() {
    let own = Own::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let target = target(&own, full);
    assert_eq!(how(own.write(&target, b"x", 0)), (NtStatus::DISK_FULL, 0));
}

#[test]
fn a_read_of_a_pipe_waits_until_something_has_come_and_brings_what_there_is() {
    let own = Own::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let target = target(&own, reader);
    let (first, second) = (own.read(&target, 8, 0), own.read(&target, 2, 0));
    writer.write_all(b"abc").unwrap();
    assert_eq!(brought(first), (well(3), b"abc".to_vec()));
    writer.write_all(b"defg").unwrap();
    assert_eq!(brought(second), (well(2), b"de".to_vec()));
    assert_eq!(brought(own.read(&target, 9, 7)), (well(2), b"fg".to_vec()));
}

#[test]
fn a_pipe_whose_other_end_is_closed_is_broken() {
    let own = Own::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer) = (target(&own, reader), writer);
    let waits = own.read(&reader, 1, 0);
    drop(writer);
    assert_eq!(how(waits), (NtStatus::PIPE_BROKEN, 0));
    let (reader, writer) = std::io::pipe().unwrap();
    let writer = target(&own, writer);
    drop(reader);
    assert_eq!(how(own.write(&writer, b"x", 0)), (NtStatus::PIPE_BROKEN, 0));
    let error = Win32Error::from_nt(NtStatus::PIPE_BROKEN);
    assert_eq!(error, Win32Error::BROKEN_PIPE);
}

#[test]
fn a_write_ends_when_all_of_it_was_taken() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    let data: Vec<u8> = (0..4 << 20).map(|it: u32| (it % 253) as u8).collect();
    let (length, mut come) = (data.len(), Vec::new());
    let large = own.write(&target, &data, 0);
    let last = own.write(&target, b"last", 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            come.resize(length + 4, 0);
            there.read_exact(&mut come).unwrap();
        });
        assert_eq!(how(large), well(length));
        assert_eq!(how(last), well(4));
    });
    assert!(come[..length] == data && come[length..] == *b"last");
}

#[test]
fn a_socket_moves_bytes_both_ways_at_once() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    let read = own.read(&target, 8, 0);
    assert_eq!(how(own.write(&target, b"ping", 0)), well(4));
    let mut come = [0; 4];
    there.read_exact(&mut come).unwrap();
    there.write_all(b"pong").unwrap();
    assert_eq!(brought(read), (well(4), b"pong".to_vec()));
    assert_eq!(&come, b"ping");
}

#[test]
fn a_connection_that_ends_brings_no_bytes_and_takes_none() {
    let own = Own::new();
    let (here, there) = pair();
    let target = target(&own, here);
    let waits = own.read(&target, 8, 0);
    drop(there);
    assert_eq!(how(waits), well(0));
    let written = own.write(&target, b"x", 0);
    assert_eq!(how(written), (NtStatus::CONNECTION_DISCONNECTED, 0));
}

#[test]
fn a_connection_that_is_broken_off_is_told_so() {
    let own = Own::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut here, _) = listener.accept().unwrap();
    here.write_all(b"unread").unwrap();
    let mut seen = [0; 1];
    there.peek(&mut seen).unwrap();
    let target = target(&own, here);
    let waits = own.read(&target, 8, 0);
    // What is closed unread is reset.
    drop(there);
    assert_eq!(how(waits), (NtStatus::CONNECTION_RESET, 0));
    let error = Win32Error::from_nt(NtStatus::CONNECTION_RESET);
    assert_eq!(error, Win32Error::NETNAME_DELETED);
}

#[test]
fn a_socket_that_is_not_connected_is_told_so() {
    let own = Own::new();
    let target = target(&own, UnixDatagram::unbound().unwrap());
    let written = own.write(&target, b"x", 0);
    assert_eq!(how(written), (NtStatus::CONNECTION_INVALID, 0));
}

#[test]
fn a_read_of_messages_brings_one_and_tells_where_it_was_longer() {
    let own = Own::new();
    let (here, there) = UnixDatagram::pair().unwrap();
    let target = target(&own, here);
    for message in [&b"one"[..], b"four", b""] {
        there.send(message).unwrap();
    }
    assert_eq!(brought(own.read(&target, 9, 0)), (well(3), b"one".to_vec()));
    let overflow = (NtStatus::BUFFER_OVERFLOW, 2);
    assert_eq!(brought(own.read(&target, 2, 0)), (overflow, b"fo".to_vec()));
    assert_eq!(how(own.read(&target, 9, 0)), well(0));
    assert_eq!(how(own.write(&target, b"", 0)), well(0));
    assert_eq!(there.recv(&mut [0; 9]).unwrap(), 0);
    let huge = vec![0; 64 << 20];
    let written = own.write(&target, &huge, 0);
    assert_eq!(how(written), (NtStatus::INVALID_BUFFER_SIZE, 0));
}

/// Both ends of a pseudo-terminal that passes bytes on as they are.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let here = openpt(flags).unwrap();
    grantpt(&here).unwrap();
    unlockpt(&here).unwrap();
    let there = ioctl_tiocgptpeer(&here, flags).unwrap();
    (here, there)
}

#[test]
fn a_terminal_brings_lines_and_is_broken_when_it_is_hung_up() {
    let own = Own::new();
    let (here, there) = terminal();
    let (here, there) = (target(&own, here), target(&own, there));
    let line = own.read(&there, 80, 0);
    assert_eq!(how(own.write(&here, b"a line\n", 0)), well(7));
    assert_eq!(brought(line), (well(7), b"a line\n".to_vec()));
    let mut echo = Vec::new();
    while echo.len() < 8 {
        echo.extend(brought(own.read(&here, 80, 0)).1);
    }
    assert_eq!(echo, b"a line\r\n");
    let waits = own.read(&here, 80, 0);
    there.remove();
    assert_eq!(how(waits), (NtStatus::PIPE_BROKEN, 0));
}

#[test]
fn a_device_that_ends_tells_end_of_file() {
    let own = Own::new();
    let null = File::options().read(true).write(true).open("/dev/null");
    let target = target(&own, null.unwrap());
    assert_eq!(how(own.read(&target, 1, 0)), (NtStatus::END_OF_FILE, 0));
    assert_eq!(how(own.write(&target, b"abc", 0)), well(3));
}

#[test]
fn a_transfer_of_no_bytes_ends_at_once_and_well() {
    let own = Own::new();
    let (here, _there) = pair();
    let (socket, file) = (target(&own, here), target(&own, file(b"")));
    for target in [socket, file] {
        let sent = [own.read(&target, 0, 0), own.write(&target, b"", 0)];
        sent.into_iter().for_each(|it| assert_eq!(how(it), well(0)));
    }
}

#[test]
fn a_read_that_is_cancelled_is_taken_back_and_what_comes_later_is_the_next_ones() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    let (first, second) = (own.read(&target, 8, 0), own.read(&target, 8, 0));
    first.cancel();
    assert_eq!(how(first), (NtStatus::CANCELLED, 0));
    there.write_all(b"late").unwrap();
    assert_eq!(brought(second), (well(4), b"late".to_vec()));
}

/// Bytes of a write that a socket takes without being read.
fn taken(there: &mut UnixStream) -> usize {
    there.set_nonblocking(true).unwrap();
    let mut come = Vec::new();
    let _ = there.read_to_end(&mut come);
    come.len()
}

#[test]
fn a_write_that_is_cancelled_tells_what_the_other_side_has_got() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    let write = own.write(&target, &vec![7; 8 << 20], 0);
    write.cancel();
    let (status, moved) = how(write);
    assert_eq!(status, NtStatus::CANCELLED);
    assert!(0 < moved && moved < 8 << 20);
    assert_eq!(taken(&mut there), moved);
}

#[test]
fn a_write_whose_time_is_up_tells_what_the_other_side_has_got() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    let options = SendOptions::new().timeout(Timeout::After(SECOND));
    let write = own.write_with(&target, &vec![7; 8 << 20], 0, options);
    own.clock.advance(SECOND);
    let (status, moved) = how(write);
    assert_eq!(status, NtStatus::IO_TIMEOUT);
    assert_eq!(taken(&mut there), moved);
    assert!(moved > 0);
}

#[test]
fn a_read_takes_as_long_as_the_stacks_clock_says() {
    let own = Own::new();
    let (here, _there) = pair();
    let target = target(&own, here);
    let options = SendOptions::new().timeout(Timeout::After(SECOND));
    let read = own.read_with(&target, 8, 0, options);
    own.clock.advance(SECOND);
    assert_eq!(how(read), (NtStatus::IO_TIMEOUT, 0));
}

#[test]
fn what_a_file_has_not_begun_is_taken_back() {
    let own = Own::new();
    let target = target(&own, file(b"before"));
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let writes: Vec<_> = (0..3).map(|_| own.write(&target, b"after!", 0)).collect();
    writes.iter().for_each(usbwright_host_stack::Sent::cancel);
    for write in writes {
        assert_eq!(how(write), (NtStatus::CANCELLED, 0));
    }
    target.start().unwrap();
    assert_eq!(brought(own.read(&target, 9, 0)).1, b"before");
}

#[test]
fn a_large_write_to_a_file_that_is_cancelled_tells_how_much_is_in_the_file() {
    let own = Own::new();
    let content = file(b"");
    let target = target(&own, content.try_clone().unwrap());
    let write = own.write(&target, &vec![1; 64 << 20], 0);
    write.cancel();
    let (status, moved) = how(write);
    assert!(matches!(status, NtStatus::CANCELLED | NtStatus::SUCCESS));
    assert_eq!(content.metadata().unwrap().len(), moved as u64);
}

#[test]
fn a_stopped_target_keeps_what_is_sent_and_sends_it_in_order_once_it_is_started() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    target.stop(SentIoAction::CancelSentIo).unwrap();
    let waits = [b"a", b"b"].map(|it| own.write(&target, it, 0));
    let whatever = SendOptions::new().ignore_target_state();
    let now = own.write_with(&target, b"!", 0, whatever);
    assert_eq!(how(now), well(1));
    target.start().unwrap();
    waits
        .into_iter()
        .for_each(|it| assert_eq!(how(it), well(1)));
    let mut come = [0; 3];
    there.read_exact(&mut come).unwrap();
    assert_eq!(&come, b"!ab");
}

#[test]
fn stopping_takes_back_what_waits_for_the_other_side() {
    let own = Own::new();
    let (here, _there) = pair();
    let target = target(&own, here);
    let waits = own.read(&target, 8, 0);
    target.stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(how(waits), (NtStatus::CANCELLED, 0));
}

#[test]
fn a_removed_target_ends_what_it_has_and_closes_its_descriptor() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    let sent = own.read(&target, 8, 0);
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let waits = own.read(&target, 8, 0);
    target.remove();
    assert_eq!(how(sent), (NtStatus::CANCELLED, 0));
    assert_eq!(how(waits), (NtStatus::WDF_DEVICE_REMOVED_NOT_SENT, 0));
    assert_eq!(there.read(&mut [0]).unwrap(), 0, "the descriptor is closed");
    assert_eq!(target.start(), Err(NtStatus::INVALID_DEVICE_STATE.into()));
    let mut request = own.device.create_request();
    target.format_for_flush(&mut request).unwrap();
    let error = request.send(&target, SendOptions::new()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
}

#[test]
fn a_device_that_goes_takes_its_file_targets_along() {
    let own = Own::new();
    let (here, mut there) = pair();
    let (socket, file) = (target(&own, here), target(&own, file(b"")));
    let waits = own.read(&socket, 8, 0);
    own.stack.remove().unwrap();
    assert_eq!(how(waits), (NtStatus::CANCELLED, 0));
    assert_eq!(there.read(&mut [0]).unwrap(), 0);
    for target in [socket, file] {
        assert_eq!(target.state(), TargetState::Deleted);
    }
}

#[test]
fn control_codes_and_what_is_for_usb_are_not_for_files() {
    let own = Own::new();
    let (here, _there) = pair();
    for target in [target(&own, here), target(&own, file(b""))] {
        let mut request = own.device.create_request();
        let code = ControlCode(0x0022_2000);
        let error = target.format_for_ioctl(&mut request, code, None, None);
        assert_eq!(error, Err(NtStatus::INVALID_DEVICE_REQUEST.into()));
    }
}

#[test]
fn a_file_tells_its_length_and_takes_another() {
    let own = Own::new();
    let content = file(b"0123456789");
    let target = target(&own, content.try_clone().unwrap());
    let (how, standard) = own.query(&target, STANDARD, 24);
    assert_eq!(how, well(24));
    assert_eq!(standard[8..16], 10_u64.to_le_bytes());
    assert_eq!(own.set(&target, END_OF_FILE, &4_u64.to_le_bytes()), well(0));
    assert_eq!(content.metadata().unwrap().len(), 4);
    assert_eq!(
        own.query(&target, STANDARD, 99).1[8..16],
        4_u64.to_le_bytes()
    );
    assert_eq!(own.flush(&target), well(0));
}

#[test]
fn information_of_an_unknown_class_or_another_length_is_an_error() {
    let own = Own::new();
    let (here, _there) = pair();
    let (socket, file) = (target(&own, here), target(&own, file(b"")));
    for target in [&socket, &file] {
        assert_eq!(own.query(target, BASIC, 40).0, well(40));
        let mismatch = (NtStatus::INFO_LENGTH_MISMATCH, 0);
        assert_eq!(own.query(target, STANDARD, 23).0, mismatch);
        let unknown = (NtStatus::INVALID_INFO_CLASS, 0);
        assert_eq!(own.query(target, 99, 99).0, unknown);
        assert_eq!(own.set(target, BASIC, &[0; 40]), unknown);
    }
    let mismatch = (NtStatus::INFO_LENGTH_MISMATCH, 0);
    assert_eq!(own.set(&file, END_OF_FILE, &[0; 7]), mismatch);
    let negative = (-1_i64).to_le_bytes();
    let wrong = (NtStatus::INVALID_PARAMETER, 0);
    assert_eq!(own.set(&file, END_OF_FILE, &negative), wrong);
    let no_length = (NtStatus::INVALID_DEVICE_REQUEST, 0);
    assert_eq!(own.set(&socket, END_OF_FILE, &[0; 8]), no_length);
}

#[test]
fn a_flush_of_a_socket_ends_when_what_was_written_before_was_taken() {
    let own = Own::new();
    let (here, mut there) = pair();
    let target = target(&own, here);
    let write = own.write(&target, &vec![7; 1 << 20], 0);
    let mut request = own.device.create_request();
    target.format_for_flush(&mut request).unwrap();
    let flush = request.send(&target, SendOptions::new()).unwrap();
    own.stack.run();
    assert!(
        own.query(&target, STANDARD, 24).0 == well(24),
        "not in turn"
    );
    std::thread::scope(|scope| {
        scope.spawn(|| there.read_exact(&mut vec![0; 1 << 20]).unwrap());
        assert_eq!(how(flush), well(0));
    });
    assert_eq!(how(write), well(1 << 20));
}

#[test]
fn what_an_application_asks_goes_to_a_file_as_it_came() {
    let own = Own::new();
    let target = target(&own, file(b"0123456789"));
    let handle = own.stack.open_and_wait().unwrap();
    let pass = |io: usbwright_host_stack::Io| {
        let mut request = own.kept.take();
        request.format_using_current_type();
        let sent = request.send(&target, SendOptions::new()).unwrap();
        let (request, params) = sent.wait();
        assert_eq!(params.request_type(), RequestType::NoFormat);
        request.complete_with_information(params.status(), params.information());
        io.wait()
    };
    assert_eq!(&pass(handle.read_at(3, 4)).data[..], b"456");
    assert_eq!(pass(handle.write_at(&b"xy"[..], 5)).information, 2);
    assert_eq!(&pass(handle.read_at(9, 4)).data[..], b"4xy789");
    assert_eq!(pass(handle.flush()).status, NtStatus::SUCCESS);
    let length = pass(handle.query_information(STANDARD, 24));
    assert_eq!(length.data[8..16], 10_u64.to_le_bytes());
    let cut = pass(handle.set_information(END_OF_FILE, 2_u64.to_le_bytes().to_vec()));
    assert_eq!(cut.status, NtStatus::SUCCESS);
    assert_eq!(pass(handle.read_at(9, 2)).error(), Win32Error::HANDLE_EOF);
}

/// A driver whose device is a socket: what is written goes there, and what is read comes from there.
fn socket_driver(socket: UnixStream) -> impl usbwright_host_stack::Driver {
    let socket = std::sync::Mutex::new(Some(socket));
    support::driver(move |device: &Device| {
        let socket = socket.lock().unwrap().take().unwrap();
        let target = FileTarget::new(device, socket)?.target().clone();
        let queue = device.parallel_queue().default_queue();
        let pass = move |_: &Queue, mut request: Request| {
            request.format_using_current_type();
            let told = |request: Request, params: &RequestCompletionParams| {
                request.complete_with_information(params.status(), params.information());
            };
            let sent = request.send_then(&target, SendOptions::new(), Arc::new(told));
            sent.unwrap_or_else(|error| error.complete());
        };
        let queue = queue.on_default(pass).power_managed(false);
        queue.create().map(drop)
    })
}

#[test]
fn an_application_talks_to_a_socket_through_a_driver_whatever_threads_there_are() {
    for threads in [Threads::None, Threads::Worker, Threads::Seeded(11)] {
        let (here, mut there) = pair();
        let stack = Stack::builder()
            .threads(threads)
            .driver("socket", socket_driver(here))
            .start()
            .unwrap();
        let handle = stack.open_and_wait().unwrap();
        let reads = [handle.read(4), handle.read(4)];
        assert_eq!(handle.write(&b"ping"[..]).wait().information, 4);
        there.read_exact(&mut [0; 4]).unwrap();
        there.write_all(b"pong").unwrap();
        let [first, second] = reads;
        assert_eq!(&first.wait().data[..], b"pong");
        second.cancel();
        assert_eq!(second.wait().status, NtStatus::CANCELLED);
        let last = handle.read(4);
        drop(handle);
        assert_eq!(last.wait().status, NtStatus::CANCELLED);
        let handle = stack.open_and_wait().unwrap();
        drop(there);
        let end = handle.read(4).wait();
        assert_eq!((end.status, end.information), well(0));
        let broken = handle.write(&b"x"[..]).wait();
        assert_eq!(broken.error(), Win32Error::NETNAME_DELETED);
    }
}

#[test]
fn a_control_code_as_it_came_and_what_would_be_forgotten_are_not_sent_to_a_file() {
    let own = Own::new();
    let target = target(&own, file(b""));
    let handle = own.stack.open_and_wait().unwrap();
    let control = handle.control(ControlCode(0x0022_2000), Vec::new(), 0);
    let mut request = own.kept.take();
    request.format_using_current_type();
    let error = request.send(&target, SendOptions::new()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
    error.complete();
    assert_eq!(control.wait().error(), Win32Error::INVALID_FUNCTION);
    let read = handle.read(1);
    let error = own.kept.take().send_and_forget(&target).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
    error.complete();
    assert_eq!(read.wait().error(), Win32Error::INVALID_FUNCTION);
}

#[test]
fn a_file_keeps_nobody_waiting_that_asks_for_something_else() {
    let own = Own::new();
    let (here, mut there) = pair();
    let (file, socket) = (target(&own, file(b"")), target(&own, here));
    let large = own.write(&file, &vec![1; 64 << 20], 0);
    there.write_all(b"meanwhile").unwrap();
    assert_eq!(brought(own.read(&socket, 9, 0)).1, b"meanwhile");
    assert_eq!(how(large), well(64 << 20));
}
