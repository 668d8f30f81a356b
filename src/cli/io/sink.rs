//! Where a step's data goes, and what is told of its end.

use std::{
    fs::File,
    io::{self, IsTerminal, Write, stdout},
};

use anyhow::Context as _;
use serde_json::{Value, json};
use usbwright::{
    protocol::{IsoPacket, Payload, Status},
    target::TransferError,
};

use super::step::{Format, Step};
use crate::cli::{exit, output::output, print};

/// Bytes in a line of a hex dump.
const LINE: usize = 16;

/// How everything is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tone {
    pub(super) json: bool,
    pub(super) quiet: bool,
}

/// A step's failure.
#[derive(Debug, thiserror::Error)]
#[error("{}{error}{}", before(.pipe, .error), after(*.length))]
pub(super) struct Failed {
    /// The endpoint's address, or `control`.
    pub(super) pipe: String,
    pub(super) error: Cause,
    /// Bytes that had moved.
    pub(super) length: u64,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("standard request {0} is the host's own: use --configuration or --alternate")]
    Reserved(u8),
    #[error("{0}; `packets` reads isochronous endpoints, `read` and `write` are for the others")]
    Type(TransferError),
    #[error(transparent)]
    Transfer(TransferError),
    #[error("{failed} of {all} packets failed")]
    Packets { failed: usize, all: usize },
    #[error("it was ended by a signal")]
    Signal,
    #[error("it was ended, as a step beside it failed")]
    Beside,
}

impl From<TransferError> for Cause {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Reserved(request) => Self::Reserved(request),
            error @ TransferError::Type { .. } => Self::Type(error),
            error => Self::Transfer(error),
        }
    }
}

/// The pipe, unless the error names it.
fn before(pipe: &str, error: &Cause) -> String {
    match error {
        Cause::Type(_) | Cause::Transfer(TransferError::Direction { .. }) => String::new(),
        _ => format!("{pipe}: "),
    }
}

fn after(length: u64) -> String {
    match length {
        0 => String::new(),
        1 => " after 1 byte".to_owned(),
        length => format!(" after {length} bytes"),
    }
}

/// Tells of a step that can't begin, and gives why.
pub(super) fn refuse(step: &Step, tone: Tone, error: anyhow::Error) -> anyhow::Result<()> {
    if tone.json {
        let sink = Sink::to(Out::Json { data: None }, step, tone);
        sink.end(Some(&error))?;
    }
    Err(error)
}

enum Out {
    Raw,
    Hex,
    File(File),
    Json { data: Option<Vec<u8>> },
}

/// Takes a step's data.
pub(super) struct Sink {
    out: Out,
    tone: Tone,
    words: String,
    /// Bytes that moved, either way.
    length: u64,
    packets: Option<Vec<IsoPacket>>,
}

impl Sink {
    /// Opens where the step's data goes.
    pub(super) fn open(step: &Step, tone: Tone) -> anyhow::Result<Self> {
        let format = step.format().cloned().unwrap_or_default();
        let Format { raw, hex, output } = format;
        let out = match output {
            Some(path) => {
                let file = File::create(&path);
                Out::File(file.with_context(|| format!("can't write to {}", path.display()))?)
            }
            None if tone.json => Out::Json {
                data: step.format().map(|_| Vec::new()),
            },
            None if hex || !raw && stdout().is_terminal() => Out::Hex,
            None => Out::Raw,
        };
        Ok(Self::to(out, step, tone))
    }

    fn to(out: Out, step: &Step, tone: Tone) -> Self {
        Self {
            out,
            tone,
            words: step.words.clone(),
            length: 0,
            packets: None,
        }
    }

    /// Bytes that moved so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// So many bytes have gone to the device.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.length += bytes as u64;
    }

    /// Data has come from the device.
    pub(super) fn came(&mut self, data: &Payload) -> anyhow::Result<()> {
        let offset = self.length;
        self.length += data.len() as u64;
        match &mut self.out {
            Out::Raw => {
                let mut out = output();
                write_all(&mut out, data)?;
                out.flush()?;
            }
            Out::Hex => {
                let mut out = output();
                dump(&mut out, offset, &data.to_vec())?;
                out.flush()?;
            }
            Out::File(file) => write_all(file, data).context("can't write the --output file")?,
            Out::Json { data: kept } => {
                let kept = kept.get_or_insert_default();
                data.pieces().iter().for_each(|it| kept.extend(it));
            }
        }
        Ok(())
    }

    /// Packets have come, and their data without gaps.
    pub(super) fn packets(&mut self, data: Payload, packets: Vec<IsoPacket>) -> anyhow::Result<()> {
        if matches!(self.out, Out::Hex) {
            let mut rest = data;
            for (index, packet) in packets.iter().enumerate() {
                let (length, status) = (packet.actual_length, packet.status);
                print(&format!("packet {index}: {length} bytes, {status}"))?;
                let after = rest.split_off(length as usize);
                self.came(&rest)?;
                rest = after;
            }
        } else {
            self.came(&data)?;
        }
        self.packets = Some(packets);
        Ok(())
    }

    /// Tells how the step has ended.
    pub(super) fn end(self, failed: Option<&anyhow::Error>) -> anyhow::Result<()> {
        if self.tone.json {
            let line = self.into_json(failed);
            return print(&line.to_string());
        }
        if failed.is_none() && !self.tone.quiet {
            let name = self.words.split(' ').take(2).collect::<Vec<_>>().join(" ");
            match self.length {
                1 => eprintln!("{name}: 1 byte"),
                length => eprintln!("{name}: {length} bytes"),
            }
        }
        Ok(())
    }

    fn into_json(self, failed: Option<&anyhow::Error>) -> Value {
        let status = match failed {
            None => Some("done"),
            Some(error) => error.downcast_ref::<Failed>().and_then(status),
        };
        let mut line = json!({
            "step": self.words,
            "status": status,
            "error": failed.map(exit::told),
            "length": self.length,
        });
        if let Out::Json { data: Some(data) } = &self.out {
            let digits: String = data.iter().map(|it| format!("{it:02x}")).collect();
            line["data"] = digits.into();
        }
        if let Some(packets) = self.packets {
            let packets = packets
                .iter()
                .map(|it| json!({ "length": it.actual_length, "status": status_name(it.status) }));
            line["packets"] = packets.collect();
        }
        line
    }
}

/// How a failed step's transfer ended, in a word.
fn status(failed: &Failed) -> Option<&'static str> {
    match &failed.error {
        Cause::Transfer(error) => error.status().map(status_name),
        Cause::Signal | Cause::Beside => Some(status_name(Status::Cancelled)),
        Cause::Reserved(_) | Cause::Type(_) | Cause::Packets { .. } => None,
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::Stalled => "stalled",
        Status::Overflow => "overflow",
        Status::Cancelled => "cancelled",
        Status::Disconnected => "disconnected",
        Status::NoEndpoint => "no-endpoint",
        Status::ProtocolError => "protocol-error",
        Status::Crc => "crc",
        Status::NoResponse => "no-response",
        Status::DataOverrun => "data-overrun",
        Status::DataUnderrun => "data-underrun",
        Status::TimedOut => "timed-out",
        Status::Missed => "missed",
        Status::NoMemory => "no-memory",
        Status::Unsupported => "unsupported",
        Status::Other(_) => "other",
    }
}

fn write_all(out: &mut impl Write, data: &Payload) -> io::Result<()> {
    data.pieces().iter().try_for_each(|it| out.write_all(it))
}

/// Writes bytes as `hexdump -C` does, from where they stand among all that came.
pub(in crate::cli) fn dump(out: &mut impl Write, offset: u64, bytes: &[u8]) -> io::Result<()> {
    for (index, line) in bytes.chunks(LINE).enumerate() {
        write!(out, "{:08x} ", offset + (index * LINE) as u64)?;
        for place in 0..LINE {
            let gap = if place == LINE / 2 { " " } else { "" };
            match line.get(place) {
                Some(byte) => write!(out, "{gap} {byte:02x}")?,
                None => write!(out, "{gap}   ")?,
            }
        }
        let shown = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        let text: String = line.iter().map(shown).collect();
        writeln!(out, "  |{text}|")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hex_dump_goes_on_where_the_bytes_before_it_ended() {
        let mut out = Vec::new();
        dump(&mut out, 0x20, b"Gadget Zero says \x00\x7f").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "\
00000020  47 61 64 67 65 74 20 5a  65 72 6f 20 73 61 79 73  |Gadget Zero says|
00000030  20 00 7f                                          | ..|
"
        );
    }
}
