//! What holds of file targets and remote targets in whatever order things are done: seeds decide, and the operating system does.

mod dice;
mod support;

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use dice::{Dice, try_all};
use support::{
    broken, builder, driver,
    own::{How, Own, how},
};
use usbwright_host_stack::{
    Cancelable, Device, DeviceNames, FileTarget, IoTarget, Memory, OpenOptions, Queue,
    RemoteTarget, Request, SendOptions, Sent, SentIoAction, Stack, TargetState, Threads, Timeout,
    status::NtStatus,
};

/// How what was sent may end.
const ENDS: [NtStatus; 6] = [
    NtStatus::SUCCESS,
    NtStatus::CANCELLED,
    NtStatus::IO_TIMEOUT,
    NtStatus::WDF_IO_TIMEOUT_NOT_SENT,
    NtStatus::WDF_DEVICE_REMOVED_NOT_SENT,
    NtStatus::DEVICE_REMOVED,
];

/// Options with a short time limit, a long one or none.
fn options(dice: &mut Dice) -> SendOptions {
    let whatever = SendOptions::new();
    let options = match dice.roll(6) {
        0 => whatever.ignore_target_state(),
        _ => whatever,
    };
    match dice.roll(4) {
        0 => options.timeout(Timeout::After(Duration::from_millis(dice.roll(3) as u64))),
        _ => options,
    }
}

/// Sends a read or a write, unless the target is closed.
fn send(own: &Own, target: &IoTarget, length: usize, write: bool, dice: &mut Dice) -> Option<Sent> {
    let memory = Memory::new(vec![7; length]).unwrap();
    let mut request = own.device.create_request();
    let formatted = match write {
        true => target.format_for_write(&mut request, Some(&memory), None, 0),
        false => target.format_for_read(&mut request, Some(&memory), None, 0),
    };
    formatted.unwrap();
    let sent = request.send(target, options(dice));
    sent.map_err(|error| assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into()))
        .ok()
}

/// Changes the target's state, at random.
fn change_state(target: &IoTarget, dice: &mut Dice) {
    match dice.roll(4) {
        0 => target.stop(SentIoAction::CancelSentIo).unwrap(),
        1 => target.stop(SentIoAction::LeaveSentIoPending).unwrap(),
        _ => assert_eq!(
            target.start().is_err(),
            !matches!(target.state(), TargetState::Started)
        ),
    }
}

/// How all has ended, and the bytes that moved.
fn moved(sent: Vec<Sent>) -> usize {
    let ends: Vec<How> = sent.into_iter().map(how).collect();
    assert!(ends.iter().all(|(it, _)| ENDS.contains(it)), "{ends:?}");
    ends.iter().map(|(_, moved)| moved).sum()
}

/// Bytes that are there to be read.
fn rest(socket: &mut UnixStream) -> usize {
    let (mut count, mut bytes) = (0, [0; 4096]);
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return count,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn each_byte_through_a_socket_is_told_once_whatever_becomes_of_the_requests() {
    try_all("a file target", |seed, mut dice| {
        let own = Own::with_threads(&DeviceNames::new(), Threads::Seeded(seed));
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut left = here.try_clone().unwrap();
        there.set_nonblocking(true).unwrap();
        let target = FileTarget::new(&own.device, here).unwrap().target().clone();
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let (mut given, mut got) = (0, 0);
        for _ in 0..16 {
            let length = 1 + dice.roll(4);
            match dice.roll(13) {
                0..=2 => reads.extend(send(&own, &target, length, false, &mut dice)),
                3 => writes.extend(send(&own, &target, length, true, &mut dice)),
                4 => writes.extend(send(&own, &target, 1 << 20, true, &mut dice)),
                5 | 6 => given += there.write(&[1; 3][..length.min(3)]).unwrap(),
                7 => got += rest(&mut there),
                8 if !reads.is_empty() => reads[dice.roll(reads.len())].cancel(),
                9 if !writes.is_empty() => writes[dice.roll(writes.len())].cancel(),
                10 => change_state(&target, &mut dice),
                11 => own.clock.advance(Duration::from_millis(1)),
                12 if dice.roll(6) == 0 => target.remove(),
                _ => own.stack.run(),
            }
        }
        match dice.roll(2) {
            0 => target.remove(),
            _ => own.stack.remove().unwrap(),
        }
        assert_eq!(moved(reads) + rest(&mut left), given);
        let told = moved(writes);
        assert_eq!(told, got + rest(&mut there));
        assert_eq!(broken(&own.stack), []);
    });
}

#[test]
fn a_file_holds_what_its_writes_have_told_whatever_becomes_of_them() {
    try_all("a target of a file", |seed, mut dice| {
        let own = Own::with_threads(&DeviceNames::new(), Threads::Seeded(seed));
        let content = tempfile::tempfile().unwrap();
        let target = FileTarget::new(&own.device, content.try_clone().unwrap()).unwrap();
        let target = target.target();
        let mut writes = Vec::new();
        for place in 0..8_u64 {
            let options = options(&mut dice);
            let write = own.write_with(target, &[1], place, options);
            writes.push(write);
            match dice.roll(6) {
                0 => writes[dice.roll(writes.len())].cancel(),
                1 => change_state(target, &mut dice),
                2 => own.clock.advance(Duration::from_millis(1)),
                3 => own.stack.run(),
                _ => {}
            }
        }
        let _ = target.start();
        let ends: Vec<How> = writes.into_iter().map(how).collect();
        let mut bytes = vec![0; 8];
        let length = std::os::unix::fs::FileExt::read_at(&content, &mut bytes, 0).unwrap();
        let written = bytes[..length].iter().filter(|it| **it == 1).count();
        assert_eq!(ends.iter().map(|it| it.1).sum::<usize>(), written);
        assert!(ends.iter().all(|(it, _)| ENDS.contains(it)), "{ends:?}");
    });
}

type Marked = Arc<Mutex<Vec<Cancelable>>>;

/// A stack whose device keeps what comes, marked, and is named `far`.
fn far(names: &DeviceNames, seed: u64, marked: &Marked) -> Stack {
    let marked = Arc::clone(marked);
    let make = move |device: &Device| {
        device.create_symbolic_link("far")?;
        let marked = Arc::clone(&marked);
        let queue = device.parallel_queue().default_queue();
        let keep = move |_: &Queue, request: Request| {
            let give_up = |request: Request| request.complete(NtStatus::CANCELLED);
            let request = request.mark_cancelable(Arc::new(give_up));
            marked.lock().unwrap().push(request);
        };
        let queue = queue.power_managed(false).on_default(keep);
        queue.create().map(drop)
    };
    let builder = builder().0.threads(Threads::Seeded(seed)).names(names);
    builder.driver("far", driver(make)).start().unwrap()
}

fn end_one(marked: &Marked) -> bool {
    let Some(request) = marked.lock().unwrap().pop() else {
        return false;
    };
    if let Ok(request) = request.unmark() {
        let length = request.output(1).unwrap().len();
        request.complete_with_information(NtStatus::SUCCESS, length);
    }
    true
}

#[test]
fn what_is_sent_to_another_stack_ends_once_whatever_becomes_of_either() {
    try_all("a remote target", |seed, mut dice| {
        let names = DeviceNames::new();
        let own = Own::with_threads(&names, Threads::Seeded(seed));
        let marked = Marked::default();
        let far = far(&names, seed ^ 0xABCD, &marked);
        let remote = RemoteTarget::new(&own.device, ()).unwrap();
        let open = || remote.open("far", &OpenOptions::new());
        open().unwrap();
        let target = remote.target();
        let mut sent = Vec::new();
        for _ in 0..16 {
            match dice.roll(14) {
                0..=3 => sent.extend(send(&own, target, 4, false, &mut dice)),
                4 | 5 => drop(end_one(&marked)),
                6 if !sent.is_empty() => sent[dice.roll(sent.len())].cancel(),
                7 => change_state(target, &mut dice),
                8 => own.clock.advance(Duration::from_millis(1)),
                9 if dice.roll(2) == 0 => remote.close(),
                9 => drop(open()),
                10 => remote.close_for_query_remove(),
                11 => drop(remote.reopen()),
                12 => far.run(),
                13 if dice.roll(8) == 0 => far.remove().unwrap(),
                13 if dice.roll(8) == 0 => far.surprise_remove(),
                _ => own.stack.run(),
            }
        }
        let _ = target.start();
        own.stack.run();
        while end_one(&marked) {
            own.stack.run();
        }
        if dice.roll(2) == 0 {
            remote.close();
        } else {
            own.stack.remove().unwrap();
        }
        let count = sent.len();
        assert!(moved(sent) <= 4 * count);
        assert_eq!(broken(&own.stack), []);
        assert_eq!(broken(&far), []);
    });
}
