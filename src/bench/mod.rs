//! Measuring bulk I/O: a client that drives any USB/IP server which exports a Gadget Zero, and a floor to compare with.
//!
//! A [`Client`] runs a [`Cell`], so many transfers of one size at a time, and tells what it saw in a [`Sample`]. The
//! [`floor`] is a server that does the least that any server has to do. [`pairs`](compare) of runs, one after the other on
//! two servers, cancel out what the machine does besides. [`kernel`] does the same through a kernel and its test driver.

mod blocking;
mod cell;
mod client;
mod crowd;
pub mod floor;
pub mod kernel;
mod pacing;
mod pairs;
mod pipes;
mod report;
mod results;
mod run;
mod sample;
mod server;
mod stack;
mod way;

pub use blocking::BlockingClient;
pub use cell::{Cell, Grid, SizeError, parse_size, size_text};
pub use client::{Client, ClientError};
pub use crowd::{Crowd, CrowdComparison, CrowdFigures, CrowdRow, CrowdSample};
pub use pacing::Pacing;
pub use pairs::{Comparison, compare};
pub use pipes::PipeClient;
pub use report::{page, write as write_report};
pub use results::{
    Figures, InterruptRow, KernelFigures, KernelResults, KernelRow, Machine, Method, Results, Row,
    Section,
};
pub use sample::{Quantiles, Sample, median};
pub use server::{ServerError, Started, Subject};
pub use stack::StackClient;
pub use way::{Aim, Part, Passage, UnknownPart, WayError, WayRow, Ways};
