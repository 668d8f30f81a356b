//! Bulk transfers of the source and the sink: any length, and many at once.

use anyhow::{Context as _, Result, ensure};
use usbwright::target::{Bulk, In, Pipe};

use crate::conformance::{
    Subject,
    data::{Dice, Pattern},
    subject::Ends,
};

/// Lengths of transfers, in bytes: around packet sizes, and beyond the largest transfer.
const LENGTHS: [usize; 18] = [
    0,
    1,
    2,
    63,
    64,
    65,
    511,
    512,
    513,
    1023,
    1024,
    1025,
    4096,
    4097,
    65_536,
    1 << 20,
    (1 << 20) + 1,
    (2 << 20) + 12_345,
];

/// A source whose stream of packets is compared with the pattern, from the first byte on.
struct Stream {
    pattern: Pattern,
    packet: usize,
    place: usize,
}

impl Stream {
    fn new(subject: &Subject, source: &Pipe<Bulk, In>) -> Self {
        Self {
            pattern: subject.backend().pattern,
            packet: source.packet_size(),
            place: 0,
        }
    }

    /// Compares what came next.
    fn check(&mut self, data: &[u8]) -> Result<()> {
        for byte in data {
            let expected = self.pattern.byte(self.place, self.packet);
            let place = self.place;
            ensure!(
                *byte == expected,
                "byte {place} is {byte:#x}, not {expected:#x}"
            );
            self.place += 1;
        }
        Ok(())
    }
}

pub(super) async fn reads(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let mut stream = Stream::new(subject, &ends.input);
    for length in LENGTHS {
        let read = ends.input.read(length).await.ok()?;
        ensure!(read.length == length, "{length}: {} bytes", read.length);
        let data = read.data.to_vec();
        stream.check(&data).with_context(|| format!("{length}"))?;
    }
    Ok(())
}

pub(super) async fn writes(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let pattern = subject.backend().pattern;
    for length in LENGTHS {
        let data = pattern.bytes(length, ends.packet());
        let written = ends.output.write(data).await.ok();
        let written = written.with_context(|| format!("{length}"))?;
        ensure!(written.length == length, "{length}: {written:?}");
    }
    Ok(())
}

/// Lengths of many transfers, in whole packets.
fn many(packet: usize, seed: u64) -> Vec<usize> {
    let mut dice = Dice::new(seed);
    (0..64).map(|_| (1 + dice.roll(16)) * packet).collect()
}

pub(super) async fn reads_in_flight(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let mut stream = Stream::new(subject, &ends.input);
    let lengths = many(ends.packet(), 1);
    let mut queue = ends.input.queue();
    let tickets = lengths.iter().map(|it| queue.read(*it));
    let tickets = tickets.collect::<Result<Vec<_>, _>>()?;
    for (expected, length) in tickets.into_iter().zip(lengths) {
        let (ticket, read) = queue.next().await.context("it ended early")?;
        ensure!(ticket == expected, "{ticket:?} before {expected:?}");
        let read = read.ok()?;
        ensure!(read.length == length, "{length}: {} bytes", read.length);
        stream.check(&read.data.to_vec())?;
    }
    ensure!(queue.next().await.is_none() && queue.is_empty());
    Ok(())
}

pub(super) async fn writes_in_flight(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    write_many(subject, &ends, 2).await
}

async fn write_many(subject: &Subject, ends: &Ends, seed: u64) -> Result<()> {
    let pattern = subject.backend().pattern;
    let lengths = many(ends.packet(), seed);
    let mut queue = ends.output.queue();
    let mut tickets = Vec::new();
    for length in &lengths {
        tickets.push(queue.write(pattern.bytes(*length, ends.packet()))?);
    }
    for (expected, length) in tickets.into_iter().zip(lengths) {
        let (ticket, written) = queue.next().await.context("it ended early")?;
        ensure!(ticket == expected, "{ticket:?} before {expected:?}");
        let written = written.ok()?;
        ensure!(written.length == length, "{length}: {written:?}");
    }
    Ok(())
}

pub(super) async fn both_ways(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let mut stream = Stream::new(subject, &ends.input);
    let reads = async {
        for length in many(ends.packet(), 3) {
            let read = ends.input.read(length).await.ok()?;
            stream.check(&read.data.to_vec())?;
        }
        Ok(())
    };
    let (reads, writes) = tokio::join!(reads, write_many(subject, &ends, 4));
    reads.and(writes)
}
