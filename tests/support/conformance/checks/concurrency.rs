//! One device, many threads and tasks.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use usbwright::{
    protocol::Payload,
    target::{Completion, Wait as _},
};

use crate::conformance::{
    Subject,
    data::Pattern,
    subject::{Ends, request},
};

const ROUNDS: usize = 12;

/// What one user of the device does.
async fn use_it(ends: &Ends, pattern: Pattern, user: usize) -> Result<()> {
    let packet = ends.packet();
    for round in 0..ROUNDS {
        let length = (1 + (user + round) % 7) * packet;
        let data = pattern.bytes(length, packet);
        match (user + round) % 3 {
            0 => {
                let read = ends.input.read(length).await.ok()?;
                ensure!(read.data == data[..], "user {user}, round {round}");
            }
            1 => {
                let written = ends.output.write(data).await.ok()?;
                ensure!(written.length == length, "user {user}, round {round}");
            }
            _ => {
                let told = request(&ends.device, [0x80, 6, 0, 1, 0, 0, 18, 0]).await;
                ensure!(told.ok()?.length == 18, "user {user}, round {round}");
            }
        }
    }
    Ok(())
}

pub(super) async fn at_once(subject: &Subject) -> Result<()> {
    let ends = std::sync::Arc::new(subject.source_sink().await?);
    let pattern = subject.backend().pattern;
    let threads = (0..4).map(|user| {
        let ends = std::sync::Arc::clone(&ends);
        thread::spawn(move || use_it(&ends, pattern, user).wait())
    });
    let threads: Vec<_> = threads.collect();
    let tasks = (4..8).map(|user| {
        let ends = std::sync::Arc::clone(&ends);
        tokio::spawn(async move { use_it(&ends, pattern, user).await })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        task.await??;
    }
    let joined = tokio::task::spawn_blocking(move || {
        let ended = threads.into_iter().map(|it| it.join());
        ended.collect::<Vec<_>>()
    });
    for ended in joined.await? {
        ended.map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(())
}

/// What is compared of a completion.
fn told(completion: Completion) -> (Option<String>, usize, Vec<u8>) {
    let error = completion.error.map(|it| it.to_string());
    (error, completion.length, completion.data.to_vec())
}

/// A little of everything, each step awaited by `step`.
macro_rules! steps {
    ($ends:ident, $data:ident, $step:ident) => {{
        let unknown = request(&$ends.device, [0x80, 6, 0, 1, 0, 0, 64, 0]);
        vec![
            told($step!(unknown)),
            told($step!($ends.input.read(700))),
            told($step!($ends.input.read($ends.packet()))),
            told($step!($ends.output.write(Payload::from($data.clone())))),
            told($step!($ends.output.write(Payload::new()))),
            told($step!($ends.output.untyped().read(1))),
            told($step!($ends.input.reset())),
            told($step!($ends.input.read(64 * 1024))),
        ]
    }};
}

macro_rules! awaited {
    ($future:expr) => {
        $future.await
    };
}

macro_rules! waited {
    ($future:expr) => {
        $future.wait()
    };
}

pub(super) async fn same(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let data = subject.backend().pattern.bytes(1234, ends.packet());
    let by_futures = steps!(ends, data, awaited);
    drop(ends);
    let ends = subject.source_sink().await?;
    let blocking = tokio::task::spawn_blocking(move || steps!(ends, data, waited));
    let blocking = blocking.await?;
    ensure!(by_futures == blocking, "{by_futures:?}\n{blocking:?}");
    Ok(())
}
