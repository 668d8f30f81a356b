//! Reading: one read after another, or many in flight.

use std::pin::pin;

use tokio::select;
use usbwright::{
    protocol::Status,
    target::{Completion, Pipe, TransferError},
};

use super::{
    Run,
    sink::{Cause, Sink},
    step::{Packets, Read},
};

/// Bytes of reads that are in flight at once.
const IN_FLIGHT: usize = 1 << 20;
/// Reads that are in flight at once, at the most.
const READS: usize = 32;

/// How reads are done.
struct Plan {
    length: usize,
    /// How many are left; `None` for no end.
    left: Option<u64>,
    /// How many are in flight at once.
    depth: usize,
    until_short: bool,
}

impl Plan {
    fn new(pipe: &Pipe, read: &Read, timed: bool) -> Self {
        let packet = pipe.packet_size();
        let length = read.length.map_or(packet, |it| it as usize);
        // A transfer has all of its time where none is before it; and what comes after a short packet is left to whoever reads next.
        let alone = timed || read.until_short || read.ignore_short || read.count == 1;
        // A queue knows nothing of what was kept of an earlier read.
        let alone = alone || pipe.has_kept();
        let whole = length.is_multiple_of(packet) && length <= pipe.largest_transfer();
        let depth = match alone || !whole {
            true => 1,
            false => (IN_FLIGHT / length).clamp(2, READS),
        };
        Self {
            length,
            left: (read.count > 0).then_some(read.count),
            depth,
            until_short: read.until_short,
        }
    }

    /// Takes one of those that are left.
    fn take(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// Does a step that reads.
pub(super) async fn read(
    run: &Run,
    pipe: &Pipe,
    read: &Read,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    let mut policy = pipe.policy();
    policy.transfer_timeout = run.timeout;
    policy.ignore_short_packets = read.ignore_short;
    pipe.set_policy(policy)
        .or_else(|_| failed_way(run, pipe, sink))?;
    let plan = Plan::new(pipe, read, run.timeout.is_some());
    let endless = plan.left.is_none();
    let ended = match plan.depth {
        1 => one_by_one(run, pipe, plan, sink).await,
        _ => many(run, pipe, plan, sink).await,
    };
    match ended? {
        None => Ok(()),
        Some(Cause::Signal) if endless => Ok(()),
        Some(cause) => Err(run.failed(pipe, cause, sink)),
    }
}

/// The error of a pipe that does not have the policies of reading.
fn failed_way(run: &Run, pipe: &Pipe, sink: &Sink) -> anyhow::Result<()> {
    let (address, wanted) = (pipe.address(), usbwright::protocol::Direction::In);
    let is = pipe.transfer_type();
    let error = match address.direction() == wanted {
        true => TransferError::Type { address, is },
        false => TransferError::Direction { address, wanted },
    };
    Err(run.failed(pipe, error.into(), sink))
}

async fn one_by_one(
    run: &Run,
    pipe: &Pipe,
    mut plan: Plan,
    sink: &mut Sink,
) -> anyhow::Result<Option<Cause>> {
    while plan.take() {
        let (ended, stopped) = once(run, pipe, plan.length).await;
        let short = ended.length < plan.length;
        sink.came(&ended.data)?;
        match ended.error {
            Some(TransferError::Usb(Status::Cancelled)) if stopped => {
                return Ok(Some(run.stopped()));
            }
            Some(error) => return Ok(Some(error.into())),
            None if stopped && plan.left != Some(0) => return Ok(Some(run.stopped())),
            None if short && plan.until_short => return Ok(None),
            None => {}
        }
    }
    Ok(None)
}

/// A read, and whether it was to end early: it is taken back then, and what had come is told.
async fn once(run: &Run, pipe: &Pipe, length: usize) -> (Completion, bool) {
    let mut read = pin!(pipe.read(length));
    select! {
        biased;
        ended = &mut read => return (ended, false),
        () = run.stop.come() => {}
    }
    pipe.abort().await;
    (read.await, true)
}

async fn many(
    run: &Run,
    pipe: &Pipe,
    mut plan: Plan,
    sink: &mut Sink,
) -> anyhow::Result<Option<Cause>> {
    let mut queue = pipe.queue();
    let mut stopped = false;
    loop {
        while !stopped && queue.len() < plan.depth && plan.take() {
            if let Err(error) = queue.read(plan.length) {
                return Ok(Some(error.into()));
            }
        }
        let ended = select! {
            biased;
            () = run.stop.come(), if !stopped => {
                stopped = true;
                queue.cancel_all();
                continue;
            }
            ended = queue.next() => ended,
        };
        let Some((_, ended)) = ended else {
            return Ok(stopped.then(|| run.stopped()));
        };
        sink.came(&ended.data)?;
        match ended.error {
            Some(TransferError::Usb(Status::Cancelled)) if stopped => {}
            Some(error) => return Ok(Some(error.into())),
            None => {}
        }
    }
}

/// Does a step that reads isochronous packets.
pub(super) async fn packets(
    run: &Run,
    pipe: &Pipe,
    packets: &Packets,
    sink: &mut Sink,
) -> anyhow::Result<()> {
    let mut policy = pipe.policy();
    policy.transfer_timeout = run.timeout;
    pipe.set_policy(policy)?;
    let mut receive = pin!(pipe.receive(packets.count.into()));
    let mut stopped = false;
    let ended = select! {
        biased;
        ended = &mut receive => ended,
        () = run.stop.come() => {
            stopped = true;
            pipe.abort().await;
            receive.await
        }
    };
    let told = ended.iso.map(|iso| iso.packets).unwrap_or_default();
    let failed = told.iter().filter(|it| it.status != Status::Done).count();
    let all = told.len();
    sink.packets(ended.data, told)?;
    let cause = match ended.error {
        Some(TransferError::Usb(Status::Cancelled)) if stopped => run.stopped(),
        Some(error) => error.into(),
        None if failed > 0 => Cause::Packets { failed, all },
        None => return Ok(()),
    };
    Err(run.failed(pipe, cause, sink))
}
