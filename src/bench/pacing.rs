//! How an interrupt endpoint keeps its period.

use std::time::Duration;

use super::{
    cell::Cell,
    client::Endpoints,
    sample::Quantiles,
    server::{self, ServerError},
};
use crate::{
    protocol::{Direction, TransferType, request},
    remote::RemoteDevice,
};

/// What a client has seen of an interrupt endpoint from which it reads.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// The endpoint's period, as its descriptor tells it.
    pub period: Duration,
    /// Transfers in flight.
    pub depth: u32,
    /// Completions per second.
    pub per_s: f64,
    /// How far the time between two completions is from the period, either way.
    pub jitter: Quantiles,
}

impl Pacing {
    /// Watches a device's first interrupt endpoint IN for `duration`, with `depth` transfers of one packet in flight.
    ///
    /// # Errors
    /// Where the device can't be had or breaks off, or has no such endpoint.
    pub fn measure(
        device: &RemoteDevice,
        depth: u32,
        duration: Duration,
    ) -> Result<Self, ServerError> {
        let (mut client, configuration, speed) = server::configure(device)?;
        let (interface, setting, endpoint) = configuration
            .endpoints()
            .find(|(_, _, endpoint)| {
                endpoint.transfer_type == TransferType::Interrupt
                    && endpoint.address.direction() == Direction::In
            })
            .ok_or(ServerError::NoInterrupt)?;
        let (alternate, number) = (setting.alternate, interface.number);
        client.control([1, request::SET_INTERFACE, alternate, 0, number, 0, 0, 0])?;
        client.endpoints = Endpoints {
            input: endpoint.address.number(),
            ..Endpoints::default()
        };
        let cell = Cell {
            direction: Direction::In,
            size: endpoint.max_packet_size.into(),
            depth,
            pause: Duration::ZERO,
        };
        let period = speed.frame() * endpoint.service_interval(speed);
        let sample = client.observe(&cell, duration, Some(period))?;
        Ok(Self {
            period,
            depth,
            per_s: sample.rate(),
            jitter: sample.latency,
        })
    }
}
