//! What a server tells of its devices to Prometheus: an HTTP server of one page.
//!
//! `docs/metrics.md` has the names, and what may be asked. The format is Prometheus' [text format](https://prometheus.io/docs/instrumenting/exposition_formats/).

mod address;
mod http;
mod listener;
mod page;
mod process;
mod text;

pub use self::{
    address::{MetricsAddress, MetricsAddressError},
    listener::Listener,
};
