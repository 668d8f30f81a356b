//! What clients may cost: memory, threads and file descriptors, measured from outside.

#[allow(dead_code, reason = "the hostile clients ask for other parts of it")]
#[path = "support/usbip/mod.rs"]
mod support;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use usbwright::emulator::server::Limits;

use self::support::{
    client::{Client, Death, PATIENCE},
    devices::gadget_zero,
    server::{Place, Served},
    urb::{Urb, unlink},
    vhci::{TAKEN_BACK, word},
};

const MIB: u64 = 1 << 20;
const NO_MEMORY: i32 = -12;

/// The tests of this file measure the whole process, and so take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The memory that this process has in use.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.unwrap().parse::<u64>().unwrap() << 10
}

#[track_caller]
fn has_grown_by_less_than(before: u64, most: u64) {
    let grown = resident().saturating_sub(before);
    println!("grown by {} KiB, {} are allowed", grown >> 10, most >> 10);
    assert!(grown < most, "{grown} bytes");
}

fn served() -> Served {
    Served::new(Place::Unix, vec![gadget_zero()], Limits::default())
}

fn configured(served: &Served, configuration: u8) -> Client {
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(configuration);
    client
}

/// Sends `count` commands and reads a header for each reply meanwhile; the statuses, by the transfers' numbers.
fn exchange(
    client: &Client,
    commands: impl Iterator<Item = Vec<u8>> + Send,
    replies: usize,
) -> Vec<(u32, i32)> {
    let mut sender = client.socket.try_clone().unwrap();
    let mut receiver = client.socket.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut bytes = Vec::new();
            for command in commands {
                bytes.extend(command);
                if bytes.len() > 64 << 10 {
                    sender.write_all(&bytes).unwrap();
                    bytes.clear();
                }
            }
            sender.write_all(&bytes).unwrap();
        });
        let read = |_| {
            let mut header = [0; 48];
            receiver.read_exact(&mut header).unwrap();
            (word(&header, 4), word(&header, 0x14).cast_signed())
        };
        (0..replies).map(read).collect()
    })
}

#[test]
fn a_client_that_sends_100_mb_of_commands_and_reads_nothing_is_not_listened_to() {
    let _turn = alone();
    for configuration in [3, 2] {
        let served = served();
        let mut client = configured(&served, configuration);
        let before = resident();
        client
            .socket
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let mut sent = 0;
        let mut sequence = 100;
        let error = loop {
            let bytes: Vec<u8> = (0..1000)
                .flat_map(|i| Urb::read(1, 1 << 20).bytes(sequence + i))
                .collect();
            sequence += 1000;
            match client.socket.write_all(&bytes) {
                Ok(()) => sent += bytes.len(),
                Err(error) => break error,
            }
            assert!(sent < 100_000_000, "the server reads on and on");
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        println!("{sent} bytes were taken");
        has_grown_by_less_than(before, 32 * MIB);
        client.die(Death::Close);
        Client::attach(&served.address, "1-1", PATIENCE).is_quiet();
    }
}

#[test]
fn a_million_reads_that_wait_are_held_to_the_limit() {
    let _turn = alone();
    let served = served();
    let mut client = configured(&served, 2);
    let before = resident();
    let limit = Limits::default().pending_transfers;
    let commands = (100..1_000_100).map(|sequence| Urb::read(1, 1 << 20).bytes(sequence));
    let ends = exchange(&client, commands, 1_000_000 - limit);
    // The first ones are kept, and the others refused in order.
    let first = u32::try_from(limit).unwrap() + 100;
    assert!(
        ends.iter()
            .copied()
            .eq((first..1_000_100).map(|it| (it, NO_MEMORY)))
    );
    drop(ends);
    has_grown_by_less_than(before, 64 * MIB);
    // One that is taken back makes room.
    client.send(&unlink(2_000_000, 100));
    let mut header = [0; 48];
    client.socket.read_exact(&mut header).unwrap();
    assert_eq!(word(&header, 0x14).cast_signed(), TAKEN_BACK);
    client.count_from(2_000_001);
    client.is_quiet();
}

#[test]
fn writes_that_wait_are_held_to_the_limit() {
    let _turn = alone();
    for size in [100, 10_000, 16 << 10, 60_000, 1 << 20] {
        let served = served();
        let client = configured(&served, 2);
        let before = resident();
        let data = vec![1; size];
        let limits = Limits::default();
        // The loopback takes 16 KiB; the first one that waits may have moved in part.
        let taken = (16 << 10) / size;
        let kept = limits.pending_transfers.min(limits.pending_bytes / size);
        let count = taken + kept + 500;
        let numbers = 100..100 + u32::try_from(count).unwrap();
        let commands = numbers.map(|sequence| Urb::write(1, &data).bytes(sequence));
        let ends = exchange(&client, commands, taken + 500);
        let refused = ends.iter().filter(|end| end.1 == NO_MEMORY).count();
        assert!(
            refused >= 499,
            "{refused} of {count} writes of {size} bytes"
        );
        println!("{count} writes of {size} bytes");
        has_grown_by_less_than(before, 192 * MIB);
    }
}

#[test]
fn a_write_that_waits_does_not_keep_what_came_beside_it() {
    let _turn = alone();
    let served = served();
    let client = configured(&served, 2);
    let before = resident();
    let kept = Limits::default().pending_bytes / (16 << 10);
    let beside = vec![0; 230_000];
    // Nobody takes the large ones, and what they brought is of no use to anybody.
    let commands = (0..2 * u32::try_from(kept).unwrap()).map(|i| match i % 2 {
        0 => Urb::write(1, &[1; 16 << 10]).bytes(100 + i),
        _ => Urb::write(9, &beside).bytes(100 + i),
    });
    exchange(&client, commands, kept);
    has_grown_by_less_than(before, 192 * MIB);
}

#[test]
fn what_the_loopback_keeps_does_not_keep_the_transfers_it_came_in() {
    let _turn = alone();
    let served = served();
    let mut client = configured(&served, 2);
    let before = resident();
    let large = Urb::write(1, &vec![1; 16 << 20]);
    for _ in 0..20 {
        // Of the large write the loopback takes a part, and the rest is taken back.
        let write = client.submit(&large);
        client.unlink(write);
        for _ in 0..2 {
            client.answer();
        }
        assert_eq!(client.transfer(&Urb::read(1, 512)).actual_length, 512);
    }
    drop(large);
    has_grown_by_less_than(before, 96 * MIB);
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The threads of servers; those of the tests come and go as they please.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names
        .filter(|name| name.starts_with("usbip") || name.starts_with("tokio"))
        .count()
}

#[test]
fn two_hundred_sessions_leave_no_thread_and_no_descriptor_behind() {
    let _turn = alone();
    let served = served();
    configured(&served, 3).die(Death::HalfClose);
    Client::attach(&served.address, "1-1", PATIENCE).die(Death::HalfClose);
    let before = (descriptors(), threads());
    for round in 0..200 {
        let mut client = configured(&served, 2);
        client.submit(&Urb::read(1, 512));
        client.unlink(100_000);
        client.die(Death::ALL[round % 3]);
        drop(Client::connect(&served.address));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = (descriptors(), threads());
        if now.0 <= before.0 && now.1 <= before.1 {
            break;
        }
        assert!(Instant::now() < deadline, "{now:?} are left of {before:?}");
        std::thread::yield_now();
    }
    Client::attach(&served.address, "1-1", PATIENCE).is_quiet();
}
