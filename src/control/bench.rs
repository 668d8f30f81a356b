//! A bench of devices that a file describes: which there are, and what a changed file changes.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{ControlAddress, Devices};
use crate::{
    emulator::{BusId, server::Address},
    metrics::MetricsAddress,
    source::Source,
};

/// Bytes in a file, at the most.
const LONGEST: u64 = 1 << 20;

/// What a file describes.
#[derive(Clone, Debug, Default)]
pub struct Bench {
    /// Where the server listens; none where nothing is said.
    pub listen: Vec<Address>,
    /// Where it is controlled.
    pub control: Option<ControlAddress>,
    /// Where metrics are told.
    pub metrics: Option<MetricsAddress>,
    devices: Vec<Described>,
    path: PathBuf,
    text: String,
}

/// A device of a bench.
#[derive(Clone, Debug)]
struct Described {
    bus_id: BusId,
    source: Source,
    place: Range<usize>,
}

/// Why a bench can't be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The file can't be read.
    #[error("can't read {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is too long.
    #[error("{} has more than {LONGEST} bytes: it describes no bench", .0.display())]
    TooLong(PathBuf),
    /// What it says is wrong: all that is, each with its line.
    #[error("the bench can't be made of its file\n\n{0}")]
    Invalid(String),
}

/// What a bench's file has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Devices that are there now.
    pub plugged: Vec<String>,
    /// Devices that are not there any more, or that were changed.
    pub unplugged: Vec<String>,
    /// How many were left alone.
    pub kept: usize,
    /// Devices that can't be had, each with its line.
    pub failed: Vec<String>,
}

/// What is wrong at a place of a text.
struct Problem {
    place: Range<usize>,
    what: String,
    remedy: &'static str,
}

impl Bench {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it can't be read, or describes no bench.
    pub fn load(path: &Path) -> Result<Self, BenchError> {
        let read = || {
            let mut text = String::new();
            let file = fs::File::open(path)?;
            file.take(LONGEST + 1).read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|cause| BenchError::Read {
            path: path.to_owned(),
            cause,
        })?;
        if text.len() as u64 > LONGEST {
            return Err(BenchError::TooLong(path.to_owned()));
        }
        Self::parse(path, text)
    }

    /// Reads a text, of a file of that name.
    ///
    /// # Errors
    /// Where it describes no bench: with all that is wrong.
    pub fn parse(path: &Path, text: String) -> Result<Self, BenchError> {
        let mut bench = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let mut problems = Vec::new();
        let (table, errors) = DeTable::parse_recoverable(&text);
        problems.extend(errors.iter().map(|error| Problem {
            place: error.span().unwrap_or_default(),
            what: error.message().to_owned(),
            remedy: "write it as TOML",
        }));
        if problems.is_empty() {
            bench.take(table.get_ref(), &mut problems);
        }
        problems.sort_by_key(|problem| problem.place.start);
        let told: Vec<_> = problems.iter().map(|it| show(path, &text, it)).collect();
        bench.text = text;
        match told.is_empty() {
            true => Ok(bench),
            false => Err(BenchError::Invalid(told.join("\n\n"))),
        }
    }

    fn take(&mut self, table: &DeTable<'_>, problems: &mut Vec<Problem>) {
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("listen", DeValue::Array(all)) => {
                    let all = all.iter().map(|it| parsed(it, ADDRESSES, problems));
                    self.listen = all.collect::<Vec<_>>().into_iter().flatten().collect();
                }
                ("listen", _) => self.listen.extend(parsed(value, ADDRESSES, problems)),
                ("control", _) => {
                    self.control = parsed(value, "write control = \"unix:/PATH\"", problems);
                }
                ("metrics", _) => {
                    let remedy = "write metrics = \"PORT\", \"IP:PORT\" or \"unix:/PATH\"";
                    self.metrics = parsed(value, remedy, problems);
                }
                ("devices", DeValue::Table(devices)) => self.take_devices(devices, problems),
                ("devices", _) => problems.push(Problem {
                    place: value.span(),
                    what: "`devices` is no table".to_owned(),
                    remedy: "write [devices], and a line BUSID = \"SPEC\" for each",
                }),
                (unknown, _) => problems.push(Problem {
                    place: key.span(),
                    what: format!("there is no key `{unknown}`"),
                    remedy: "a bench has listen, control, metrics and [devices]",
                }),
            }
        }
    }

    fn take_devices(&mut self, devices: &DeTable<'_>, problems: &mut Vec<Problem>) {
        for (key, value) in devices {
            let bus_id = key.get_ref().parse::<BusId>().map_err(|error| Problem {
                place: key.span(),
                what: error.to_string(),
                remedy: "the key of a device is its bus id",
            });
            let remedy =
                "write BUSID = \"MODEL[,key[=value]]…\": `usbwright devices` tells of the models";
            let source = parsed::<Source>(value, remedy, problems);
            let (bus_id, source) = match (bus_id, source) {
                (Ok(bus_id), Some(source)) => (bus_id, source),
                (Err(problem), _) => {
                    problems.push(problem);
                    continue;
                }
                (_, None) => continue,
            };
            if source.bus_id().is_some_and(|own| *own != bus_id) {
                problems.push(Problem {
                    place: value.span(),
                    what: format!("the device has another bus id than {bus_id}"),
                    remedy: "leave busid= out: the key tells it",
                });
            }
            self.devices.push(Described {
                bus_id,
                source,
                place: value.span(),
            });
        }
    }

    /// How many devices it describes.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether it describes none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Plugs in what it describes and takes off what it describes no more, of the devices that were `ours` before: those that did not
    /// change are left alone, and so are those that are nobody's here. It blocks for as long as devices take to be made.
    pub fn apply(&self, devices: &Devices, ours: &mut BTreeSet<BusId>) -> Applied {
        let mut applied = Applied::default();
        for bus_id in std::mem::take(ours) {
            let described = self.devices.iter().find(|it| it.bus_id == bus_id);
            let same = described.is_some_and(|it| devices.has(&bus_id, &it.source));
            if same {
                ours.insert(bus_id);
            } else if devices.unplug(bus_id.as_str()).is_ok() {
                applied.unplugged.push(bus_id.to_string());
            }
        }
        applied.kept = ours.len();
        for described in &self.devices {
            if ours.contains(&described.bus_id) {
                continue;
            }
            match devices.plug_at(&described.source, &described.bus_id) {
                Ok(()) => {
                    applied.plugged.push(described.bus_id.to_string());
                    ours.insert(described.bus_id.clone());
                }
                Err(error) => {
                    let problem = Problem {
                        place: described.place.clone(),
                        what: error.to_string(),
                        remedy: "the other devices are there; have the file read again once this is mended",
                    };
                    applied.failed.push(show(&self.path, &self.text, &problem));
                }
            }
        }
        applied
    }
}

const ADDRESSES: &str = "write listen = [\"IP:PORT\", \"unix:/PATH\"]";

/// A value's text, as something.
fn parsed<T: FromStr<Err: fmt::Display>>(
    value: &Spanned<DeValue<'_>>,
    remedy: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let what = match value.get_ref().as_str().map(T::from_str) {
        Some(Ok(parsed)) => return Some(parsed),
        Some(Err(error)) => error.to_string(),
        None => "this is no text".to_owned(),
    };
    let place = value.span();
    problems.push(Problem {
        place,
        what,
        remedy,
    });
    None
}

fn show(path: &Path, text: &str, problem: &Problem) -> String {
    let path = path.to_string_lossy();
    let snippet = Snippet::source(text)
        .path(path.as_ref())
        .annotation(AnnotationKind::Primary.span(problem.place.clone()));
    let group = Level::ERROR
        .primary_title(&problem.what)
        .element(snippet)
        .element(Level::HELP.message(problem.remedy));
    Renderer::plain().render(&[group])
}
