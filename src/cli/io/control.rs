//! Control transfers by hand: any request, and the standard ones that ask by name.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use usbwright::protocol::{Direction, EndpointAddress, Setup, descriptor::kind, request};

use super::{step::Format, words};

/// A request, as it was typed.
#[derive(Debug)]
pub(super) struct Request {
    setup: Setup,
    data: Data,
    pub(super) format: Format,
}

#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    bin_name = "usbwright io DEVICE control",
    max_term_width = 100
)]
/// Do a control transfer of any kind.
struct Raw {
    /// Direction, kind and recipient (bmRequestType), such as 0xc0.
    #[arg(value_parser = words::byte)]
    request_type: u8,
    /// The request (bRequest).
    #[arg(value_parser = words::byte)]
    request: u8,
    /// Its parameter (wValue).
    #[arg(value_parser = words::word)]
    value: u16,
    /// Its second parameter (wIndex).
    #[arg(value_parser = words::word)]
    index: u16,
    /// Bytes to read, for a request of the direction IN.
    #[arg(value_parser = words::word)]
    length: Option<u16>,

    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    format: Format,
}

/// The data stage of a request of the direction OUT.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
struct Data {
    /// Bytes to write in hexadecimal, for a request of the direction OUT.
    #[arg(long, value_name = "HEX", value_parser = words::hex)]
    data: Option<Bytes>,
    /// A text to write, as it is.
    #[arg(long)]
    text: Option<String>,
    /// A file to write, of up to 65535 bytes.
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    bin_name = "usbwright io DEVICE control",
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Named {
    #[command(subcommand)]
    ask: Ask,
}

/// A standard request that asks the device something.
#[derive(Debug, Subcommand)]
enum Ask {
    /// A descriptor, as it comes.
    #[command(name = "get-descriptor")]
    Descriptor {
        /// Its kind: device, configuration, string, qualifier, other-speed, bos, or a number.
        #[arg(value_parser = descriptor)]
        kind: u8,
        /// Which one of the kind.
        #[arg(default_value = "0", value_parser = words::byte)]
        index: u8,
        /// The language of a string, such as 0x0409.
        #[arg(long, value_name = "LANGID", default_value = "0", value_parser = words::word)]
        language: u16,
        /// The most bytes that are asked for.
        #[arg(long, default_value = "4096", value_parser = words::word)]
        length: u16,
        #[command(flatten)]
        format: Format,
    },
    /// The status of the device, an endpoint or an interface, of two bytes.
    #[command(name = "get-status")]
    Status {
        /// An endpoint, or else the device is asked.
        #[arg(value_name = "PIPE", value_parser = words::endpoint)]
        pipe: Option<EndpointAddress>,
        /// An interface.
        #[arg(long, value_name = "N", conflicts_with = "pipe", value_parser = words::byte)]
        interface: Option<u8>,
        #[command(flatten)]
        format: Format,
    },
    /// The value of the configuration in force, of one byte.
    #[command(name = "get-configuration")]
    Configuration {
        #[command(flatten)]
        format: Format,
    },
    /// The setting in force of an interface, of one byte.
    #[command(name = "get-interface")]
    Interface {
        /// The interface.
        #[arg(value_parser = words::byte)]
        interface: u8,
        #[command(flatten)]
        format: Format,
    },
}

fn descriptor(text: &str) -> Result<u8, String> {
    Ok(match text {
        "device" => kind::DEVICE,
        "configuration" => kind::CONFIGURATION,
        "string" => kind::STRING,
        "qualifier" => kind::DEVICE_QUALIFIER,
        "other-speed" => kind::OTHER_SPEED_CONFIGURATION,
        "bos" => kind::BOS,
        number => words::byte(number).map_err(|_| {
            "use device, configuration, string, qualifier, other-speed, bos, or a number up to 0xff"
        })?,
    })
}

impl Request {
    /// Reads what follows `control`.
    pub(super) fn parse(words: &[String]) -> Result<Self, clap::Error> {
        let named = words
            .first()
            .is_some_and(|word| word.starts_with(|it: char| it.is_ascii_alphabetic()));
        if named {
            return Ok(Named::try_parse_from(words)?.ask.into());
        }
        let raw = Raw::try_parse_from(words)?;
        let setup = Setup {
            request_type: raw.request_type,
            request: raw.request,
            value: raw.value,
            index: raw.index,
            length: raw.length.unwrap_or(0),
        };
        let refuse = |text: &str| {
            let kind = clap::error::ErrorKind::ArgumentConflict;
            Err(clap::Error::raw(kind, format!("{text}\n")))
        };
        // A length of 0 makes any request one without a data stage, which goes OUT.
        let reads = setup.request_type & 0x80 != 0;
        match (reads, raw.length, raw.data.is_given()) {
            (true, _, true) => refuse(
                "a request whose type has bit 7 set (0x80) reads: give it a LENGTH and no data",
            ),
            (true, None, _) => refuse(
                "a request whose type has bit 7 set (0x80) reads: say how many bytes, by LENGTH",
            ),
            (false, Some(1..), _) => refuse(
                "a request whose type has bit 7 clear writes: give it --data, --text or --file rather than a LENGTH",
            ),
            _ => Ok(Self {
                setup,
                data: raw.data,
                format: raw.format,
            }),
        }
    }

    /// The setup packet, and the data stage where it goes OUT.
    pub(super) fn prepare(&self) -> anyhow::Result<(Setup, Bytes)> {
        let data = self.data.read()?;
        let mut setup = self.setup;
        if setup.request_type & 0x80 == 0 {
            match u16::try_from(data.len()) {
                Ok(length) => setup.length = length,
                Err(_) => bail!(
                    "a control transfer moves up to 65535 bytes, not {}",
                    data.len()
                ),
            }
        }
        Ok((setup, data))
    }

    /// Whether data comes from the device.
    pub(super) fn reads(&self) -> bool {
        self.setup.direction() == Direction::In
    }
}

impl Data {
    fn is_given(&self) -> bool {
        self.data.is_some() || self.text.is_some() || self.file.is_some()
    }

    fn read(&self) -> anyhow::Result<Bytes> {
        use std::io::Read as _;
        if let Some(path) = &self.file {
            let cant = || format!("can't read {}", path.display());
            let mut data = Vec::new();
            let file = fs::File::open(path).with_context(cant)?;
            let most = u64::from(u16::MAX) + 1;
            file.take(most).read_to_end(&mut data).with_context(cant)?;
            return Ok(data.into());
        }
        let text = self.text.as_ref().map(|it| Bytes::from(it.clone()));
        Ok(self.data.clone().or(text).unwrap_or_default())
    }
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        let (request_type, request, value, index, length, format) = match ask {
            Ask::Descriptor {
                kind,
                index,
                language,
                length,
                format,
            } => {
                let value = u16::from_be_bytes([kind, index]);
                let request = request::GET_DESCRIPTOR;
                (0x80, request, value, language, length, format)
            }
            Ask::Status {
                pipe,
                interface,
                format,
            } => {
                let (request_type, index) = match (pipe, interface) {
                    (Some(pipe), _) => (0x82, pipe.byte()),
                    (None, Some(interface)) => (0x81, interface),
                    (None, None) => (0x80, 0),
                };
                let request = request::GET_STATUS;
                (request_type, request, 0, index.into(), 2, format)
            }
            Ask::Configuration { format } => (0x80, request::GET_CONFIGURATION, 0, 0, 1, format),
            Ask::Interface { interface, format } => {
                let request = request::GET_INTERFACE;
                (0x81, request, 0, interface.into(), 1, format)
            }
        };
        Self {
            setup: Setup {
                request_type,
                request,
                value,
                index,
                length,
            },
            data: Data::default(),
            format,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, clap::Error> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Request::parse(&words)
    }

    #[test]
    fn a_request_is_told_by_its_numbers_or_its_name() {
        for (line, bytes) in [
            ("0xc0 0x5c 0 0 8", [0xc0, 0x5c, 0, 0, 0, 0, 8, 0]),
            ("0x40 91 1 0x203 --data 0102", [0x40, 91, 1, 0, 3, 2, 2, 0]),
            ("0 9 3 0", [0, 9, 3, 0, 0, 0, 0, 0]),
            (
                "get-descriptor string 2 --language 0x409 --length 255",
                [0x80, 6, 2, 3, 9, 4, 255, 0],
            ),
            ("get-status 0x81", [0x82, 0, 0, 0, 0x81, 0, 2, 0]),
            ("get-status --interface 1", [0x81, 0, 0, 0, 1, 0, 2, 0]),
            ("get-interface 2", [0x81, 10, 0, 0, 2, 0, 1, 0]),
        ] {
            let (setup, _) = parsed(line).unwrap().prepare().unwrap();
            assert_eq!(setup.to_bytes(), bytes, "{line}");
        }
    }

    #[test]
    fn a_request_that_can_t_be_is_explained() {
        for (line, told) in [
            ("", "required arguments were not provided"),
            ("0xc0 1 0 0", "say how many bytes, by LENGTH"),
            ("0xc0 1 0 0 8 --data 00", "give it a LENGTH and no data"),
            ("0x40 1 0 0 8", "--data, --text or --file"),
            ("0x140 1 0 0", "use a number from 0 to 255"),
            ("get-descriptor disk", "use device, configuration, string"),
            ("get-lost", "unrecognized subcommand 'get-lost'"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
