//! Writing: what is at hand in one go, and streams of any size with many transfers in flight.

use std::{
    fs::File,
    io::{self, Read, stdin},
    pin::pin,
    thread,
};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use tokio::{select, sync::mpsc};
use usbwright::{
    protocol::Status,
    target::{AnyKind, AnyWay, Pipe, Queue, TransferError},
};

use super::{
    Run,
    sink::{Cause, Sink},
    step::Write,
};

/// Bytes of a transfer of a stream, at the most.
const TRANSFER: usize = 64 << 10;
/// Transfers of a stream that are in flight at once.
const IN_FLIGHT: usize = 16;
/// Pieces of a stream that are read ahead.
const AHEAD: usize = 2;

/// What comes of a stream, piece by piece, until its end or an error.
type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// Does a step that writes.
pub(super) async fn write(
    run: &Run,
    pipe: &Pipe,
    write: &Write,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    let mut policy = pipe.policy();
    policy.transfer_timeout = run.timeout;
    pipe.set_policy(policy)?;
    if let Some(path) = &write.file {
        let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
        return stream(run, pipe, write, pieces(file, pipe), sink).await;
    }
    if write.stdin.is_some() {
        return stream(run, pipe, write, pieces(stdin(), pipe), sink).await;
    }
    let text = write.text.as_ref().map(|it| Bytes::from(it.clone()));
    let data = write.data.clone().or(text).unwrap_or_default();
    at_once(run, pipe, data, write.zero_packet, sink).await
}

async fn at_once(
    run: &Run,
    pipe: &Pipe,
    data: Bytes,
    zero_packet: bool,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    let mut writing = pin!(async {
        match zero_packet && !data.is_empty() {
            true => pipe.write_terminated(data).await,
            false => pipe.write(data).await,
        }
    });
    let mut stopped = false;
    let ended = select! {
        biased;
        ended = &mut writing => ended,
        () = run.stop.come() => {
            stopped = true;
            pipe.abort().await;
            writing.await
        }
    };
    sink.sent(ended.length);
    match ended.error {
        None => Ok(()),
        Some(TransferError::Usb(Status::Cancelled)) if stopped => {
            Err(run.failed(pipe, run.stopped(), sink))
        }
        Some(error) => Err(run.failed(pipe, error.into(), sink)),
    }
}

/// Reads a stream in a thread of its own, as far ahead as there is room. What it has is sent at once, as far as it is whole
/// packets, so that none but the last packet is short.
fn pieces(mut stream: impl Read + Send + 'static, pipe: &Pipe) -> Pieces {
    let packet = pipe.packet_size();
    let most = (TRANSFER / packet).max(1) * packet;
    let (sender, pieces) = mpsc::channel(AHEAD);
    // It may be left behind in a read that nothing comes of; it ends with the process then.
    thread::spawn(move || {
        let mut piece = BytesMut::new();
        loop {
            let had = piece.len();
            piece.resize(most, 0);
            let read = stream.read(&mut piece[had..]);
            piece.truncate(had + *read.as_ref().unwrap_or(&0));
            let next = match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
                Ok(0) if piece.is_empty() => return,
                Ok(0) => Ok(std::mem::take(&mut piece).freeze()),
                Ok(_) => match piece.len() / packet * packet {
                    0 => continue,
                    whole => Ok(piece.split_to(whole).freeze()),
                },
            };
            let failed = next.is_err();
            if sender.blocking_send(next).is_err() || failed {
                return;
            }
        }
    });
    pieces
}

/// A stream that is being written.
struct Stream<'a> {
    queue: Queue<AnyKind, AnyWay>,
    depth: usize,
    /// Whether all of it is on its way.
    ended: bool,
    /// Bytes that are on their way or have got there.
    given: usize,
    /// Whether it can't be read further.
    unread: Option<io::Error>,
    pipe: &'a Pipe,
    write: &'a Write,
}

async fn stream(
    run: &Run,
    pipe: &Pipe,
    write: &Write,
    mut pieces: Pieces,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    let mut stream = Stream {
        queue: pipe.queue(),
        depth: match run.timeout {
            // A transfer has all of its time where none is before it.
            Some(_) => 1,
            None => IN_FLIGHT,
        },
        ended: false,
        given: 0,
        unread: None,
        pipe,
        write,
    };
    while !(stream.ended && stream.queue.is_empty()) {
        let more = !stream.ended && stream.queue.len() < stream.depth;
        let step: Result<(), Cause> = select! {
            biased;
            () = run.stop.come() => {
                stream.take_back(sink).await;
                Err(run.stopped())
            }
            piece = pieces.recv(), if more => stream.give(piece).map_err(Cause::from),
            Some((_, ended)) = stream.queue.next(), if !stream.queue.is_empty() => {
                sink.sent(ended.length);
                ended.error.map_or(Ok(()), |error| Err(error.into()))
            }
        };
        step.map_err(|cause| run.failed(pipe, cause, sink))?;
    }
    match stream.unread {
        Some(error) => Err(error).context("can't read what is to be written"),
        None => Ok(()),
    }
}

impl Stream<'_> {
    /// Submits a piece, or what comes behind the last one.
    fn give(&mut self, piece: Option<io::Result<Bytes>>) -> Result<(), TransferError> {
        match piece {
            Some(Ok(piece)) => {
                self.given += piece.len();
                self.queue.write(piece)?;
            }
            Some(Err(error)) => {
                self.unread = Some(error);
                self.ended = true;
            }
            None => {
                self.ended = true;
                let full = self.given.is_multiple_of(self.pipe.packet_size());
                if self.given == 0 || full && self.write.zero_packet {
                    self.queue.write(Bytes::new())?;
                }
            }
        }
        Ok(())
    }

    async fn take_back(&mut self, sink: &mut Sink) {
        self.queue.cancel_all();
        while let Some((_, ended)) = self.queue.next().await {
            sink.sent(ended.length);
        }
    }
}
