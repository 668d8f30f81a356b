//! One client of the control socket: lines in, answers and events out.

use std::{io, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        broadcast::{self, error::RecvError},
        mpsc,
    },
    time::timeout,
};
use tracing::warn;

use super::{Devices, Event, Line, Request};

/// Bytes in a line, at the most.
const LONGEST: u64 = 1 << 20;
/// Answers that wait for the client to read them, before its next request is looked at.
const ANSWERS: usize = 16;
/// How long a client may take to read a line.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client is sent.
enum Out {
    Answer(Value),
    /// From here on it is sent events.
    Subscribe(broadcast::Receiver<Event>),
}

/// Serves a client until it leaves, and no longer than it reads what it is sent.
pub(super) async fn serve(stream: UnixStream, devices: Devices) {
    let (reader, writer) = stream.into_split();
    let (tell, told) = mpsc::channel(ANSWERS);
    let writing = write(writer, told);
    let mut writing = std::pin::pin!(writing);
    let ended = tokio::select! {
        read = read(reader, devices, tell) => match read {
            // What it has asked for is answered.
            Ok(()) => writing.await,
            Err(error) => Err(error.into()),
        },
        written = &mut writing => written,
    };
    if let Err(dropped) = ended {
        warn!("a client of the control socket is dropped: {dropped}");
    }
}

/// Why a client is dropped.
#[derive(Debug, thiserror::Error)]
enum Dropped {
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("it took over {} s to read a line", PATIENCE.as_secs())]
    Slow,
    #[error("it did not read its events, and {0} are lost")]
    Behind(u64),
}

/// Reads requests until the client leaves, and carries them out one after another.
async fn read(reader: OwnedReadHalf, devices: Devices, tell: mpsc::Sender<Out>) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut room = (&mut reader).take(LONGEST);
        let read = room.read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        if room.limit() == 0 {
            let error = format!("a line has less than {LONGEST} bytes, and this one has more");
            let _ = tell.send(Out::Answer(json!({ "error": error }))).await;
            return Ok(());
        }
        if !line.trim_ascii().is_empty() {
            answer(&line, &devices, &tell).await;
        }
    }
}

/// Carries a request out and has it answered. Where nobody sends answers any more, the connection ends anyway.
async fn answer(line: &[u8], devices: &Devices, tell: &mpsc::Sender<Out>) {
    let (id, line) = Line::parse(line);
    let mut subscribed = None;
    let done = match line {
        Ok(Line {
            request: Request::Events { follow: true },
            ..
        }) => {
            let (past, events) = devices.events().subscribe();
            subscribed = Some(events);
            Ok(json!(past))
        }
        Ok(line) => devices.carry_out(&line).await,
        Err(error) => Err(error),
    };
    let mut answer = match done {
        Ok(done) => json!({ "ok": done }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    if let Some(id) = id {
        answer["id"] = id;
    }
    let _ = tell.send(Out::Answer(answer)).await;
    if let Some(events) = subscribed {
        let _ = tell.send(Out::Subscribe(events)).await;
    }
}

/// Sends answers, and events once they are wanted, until there are no more answers to come.
async fn write(mut writer: OwnedWriteHalf, mut told: mpsc::Receiver<Out>) -> Result<(), Dropped> {
    let mut events = None;
    loop {
        let out = tokio::select! {
            biased;
            out = told.recv() => match out {
                None => return Ok(()),
                Some(Out::Subscribe(subscribed)) => {
                    events = Some(subscribed);
                    continue;
                }
                Some(Out::Answer(answer)) => answer,
            },
            event = next(&mut events) => match event {
                Ok(event) => json!(event),
                Err(behind) => {
                    let dropped = Dropped::Behind(behind);
                    send(&mut writer, &json!({ "error": dropped.to_string() })).await?;
                    return Err(dropped);
                }
            },
        };
        send(&mut writer, &out).await?;
    }
}

/// The next event, or how many were lost.
async fn next(events: &mut Option<broadcast::Receiver<Event>>) -> Result<Event, u64> {
    match events {
        Some(events) => match events.recv().await {
            Ok(event) => Ok(event),
            Err(RecvError::Lagged(lost)) => Err(lost),
            // The devices are gone, and the server with them.
            Err(RecvError::Closed) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn send(writer: &mut OwnedWriteHalf, value: &Value) -> Result<(), Dropped> {
    let line = format!("{value}\n");
    match timeout(PATIENCE, writer.write_all(line.as_bytes())).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Dropped::Slow),
    }
}
