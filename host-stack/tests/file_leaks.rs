//! A file target leaves neither a descriptor nor a thread behind, whichever way it goes. This is a test of the whole process, and therefore alone.

mod support;

use std::{
    fs::File,
    io::Write,
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    thread,
    time::{Duration, Instant},
};

use support::own::{Own, how};
use usbwright_host_stack::{FileTarget, IoTarget, Sent, status::NtStatus};

/// How long it may take until the threads have ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors and threads of this process.
fn count() -> (usize, usize) {
    let entries = |path| std::fs::read_dir(path).unwrap().count();
    (entries("/proc/self/fd"), entries("/proc/self/task"))
}

/// Waits until everything has gone that was not there before.
fn settles(before: (usize, usize), how: &str) {
    let begun = Instant::now();
    while count() != before {
        let now = count();
        assert!(
            begun.elapsed() < PATIENCE,
            "{how}: {now:?} are left, of {before:?}"
        );
        thread::yield_now();
    }
}

/// A target of each kind that has a thread, each with something that waits, and the other ends.
fn targets(own: &Own) -> (Vec<IoTarget>, Vec<Sent>, Vec<OwnedFd>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"content").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let (stream, peer) = UnixStream::pair().unwrap();
    let (datagrams, other) = UnixDatagram::pair().unwrap();
    let null = File::open("/dev/null").unwrap();
    let here: [OwnedFd; 5] = [
        file.into(),
        reader.into(),
        stream.into(),
        datagrams.into(),
        null.into(),
    ];
    let targets = here.map(|it| FileTarget::new(&own.device, it).unwrap());
    let targets: Vec<_> = targets.iter().map(|it| it.target().clone()).collect();
    assert_eq!(how(own.read(&targets[0], 7, 0)), (NtStatus::SUCCESS, 7));
    let waiting = targets[1..4].iter().map(|it| own.read(it, 8, 0)).collect();
    (
        targets,
        waiting,
        vec![writer.into(), peer.into(), other.into()],
    )
}

fn forget(waiting: Vec<Sent>, status: NtStatus) {
    for sent in waiting {
        assert_eq!(how(sent), (status, 0));
    }
}

#[test]
fn a_file_target_leaves_no_descriptor_and_no_thread_behind() {
    let before = count();

    let own = Own::new();
    let (targets, waiting, others) = targets(&own);
    assert!(count().0 >= before.0 + 8 && count().1 >= before.1 + 4);
    targets.iter().for_each(IoTarget::remove);
    forget(waiting, NtStatus::CANCELLED);
    drop(others);
    settles(before, "removed, with handles of it");
    drop((targets, own));
    settles(before, "with no handles any more");

    let own = Own::new();
    let (targets, waiting, others) = self::targets(&own);
    own.stack.remove().unwrap();
    forget(waiting, NtStatus::CANCELLED);
    drop(others);
    settles(before, "its device has gone");
    drop(targets);

    let own = Own::new();
    let (targets, waiting, others) = self::targets(&own);
    own.device.spawn(async { panic!("on purpose") });
    own.stack.run();
    forget(waiting, NtStatus::DRIVER_PROCESS_TERMINATED);
    drop(others);
    settles(before, "its stack has failed");
    drop((targets, own));

    let own = Own::new();
    let (targets, waiting, others) = self::targets(&own);
    drop((waiting, targets, others));
    drop(own);
    settles(before, "its stack was dropped");

    let own = Own::new();
    for _ in 0..100 {
        let (targets, waiting, others) = self::targets(&own);
        targets.iter().for_each(IoTarget::remove);
        forget(waiting, NtStatus::CANCELLED);
        drop((targets, others));
    }
    settles(before, "made and removed a hundred times");
}
