//! The page: what is told of a bus's devices.

use super::{
    process,
    text::{Kind, Label, Text},
};
use crate::{
    emulator::{
        Bus, Plugged,
        counters::{DURATIONS, DeviceCounters, EndpointCounts},
    },
    protocol::Speed,
};

/// Writes the page.
pub(super) fn render(bus: &Bus) -> String {
    let mut text = Text::default();
    let help = "The version of usbwright that runs, as a label; always 1.";
    let mut family = text.family("usbwright_build_info", Kind::Gauge, help);
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let devices = bus.devices();
    tell_devices(&mut text, &devices);
    let endpoints: Vec<_> = devices.iter().flat_map(Endpoint::all).collect();
    tell_counters(&mut text, &endpoints);
    tell_gauges(&mut text, &endpoints);
    tell_durations(&mut text, &endpoints);
    process::tell(&mut text);
    text.into_string()
}

fn tell_devices(text: &mut Text, devices: &[Plugged]) {
    let help = "What is plugged in, as labels; always 1.";
    let mut family = text.family("usbwright_device_info", Kind::Gauge, help);
    for device in devices {
        let summary = &device.description.summary;
        let id = format!("{:04x}:{:04x}", summary.vendor_id, summary.product_id);
        let labels = [
            ("device", device.bus_id.as_str()),
            ("id", &id),
            ("speed", Speed::name(summary.speed)),
        ];
        family.sample(&labels, 1);
    }
    let mut each = |name, kind, help, value: &dyn Fn(&Plugged) -> u64| {
        let mut family = text.family(name, kind, help);
        for device in devices {
            family.sample(&[("device", device.bus_id.as_str())], value(device));
        }
    };
    let counted =
        |device: &Plugged, of: fn(&DeviceCounters) -> u64| device.counters.as_deref().map_or(0, of);
    each(
        "usbwright_device_attached",
        Kind::Gauge,
        "Whether a client has the device.",
        &|device| device.in_use.into(),
    );
    each(
        "usbwright_device_configuration",
        Kind::Gauge,
        "The configuration that the device's host has set; 0 is none.",
        &|device| counted(device, |it| it.configuration().into()),
    );
    each(
        "usbwright_sessions_total",
        Kind::Counter,
        "How often a client has had the device.",
        &|device| counted(device, DeviceCounters::sessions),
    );
}

/// An endpoint of a device, with what was counted of it.
struct Endpoint<'a> {
    device: &'a str,
    address: String,
    direction: &'static str,
    counts: EndpointCounts,
}

impl<'a> Endpoint<'a> {
    fn all(device: &'a Plugged) -> impl Iterator<Item = Self> {
        let counters = device.counters.iter();
        let counts = counters.flat_map(|it| it.endpoints());
        counts.map(|counts| {
            let address = counts.endpoint;
            Self {
                device: device.bus_id.as_str(),
                // Endpoint zero goes both ways under one address.
                address: match address.is_control() {
                    true => "0x00".to_owned(),
                    false => address.to_string(),
                },
                direction: match address.byte() & 0x80 {
                    0 => "out",
                    _ => "in",
                },
                counts,
            }
        })
    }

    fn labels(&self) -> [Label<'_>; 4] {
        let transfer_type = self.counts.transfer_type;
        [
            ("device", self.device),
            ("endpoint", &self.address),
            ("direction", self.direction),
            ("type", transfer_type.map_or("none", |it| it.name())),
        ]
    }

    fn is_isochronous(&self) -> bool {
        self.counts.packets > 0
    }
}

/// A counter: its name, what it counts, and where it is.
type Counter = (&'static str, &'static str, fn(&EndpointCounts) -> u64);

const COUNTERS: [Counter; 5] = [
    (
        "usbwright_transfers_total",
        "Transfers that have ended, however.",
        EndpointCounts::transfers,
    ),
    (
        "usbwright_transfer_bytes_total",
        "Bytes that transfers have moved; of control transfers those of the data stage.",
        |counts| counts.bytes,
    ),
    (
        "usbwright_transfer_stalls_total",
        "Transfers that ended with a stall: the endpoint is halted, or the request was refused.",
        |counts| counts.stalls,
    ),
    (
        "usbwright_transfer_errors_total",
        "Transfers that ended in an error that is no stall.",
        |counts| counts.errors,
    ),
    (
        "usbwright_transfers_cancelled_total",
        "Transfers that their host has taken back.",
        |counts| counts.cancelled,
    ),
];

const PACKET_COUNTERS: [Counter; 2] = [
    (
        "usbwright_isochronous_packets_total",
        "Isochronous packets that have ended, however.",
        |counts| counts.packets,
    ),
    (
        "usbwright_isochronous_packet_errors_total",
        "Isochronous packets that ended in an error.",
        |counts| counts.packet_errors,
    ),
];

fn tell_counters(text: &mut Text, endpoints: &[Endpoint<'_>]) {
    for (name, help, value) in COUNTERS {
        let mut family = text.family(name, Kind::Counter, help);
        for endpoint in endpoints {
            family.sample(&endpoint.labels(), value(&endpoint.counts));
        }
    }
    for (name, help, value) in PACKET_COUNTERS {
        let mut family = text.family(name, Kind::Counter, help);
        for endpoint in endpoints.iter().filter(|it| it.is_isochronous()) {
            family.sample(&endpoint.labels(), value(&endpoint.counts));
        }
    }
}

fn tell_gauges(text: &mut Text, endpoints: &[Endpoint<'_>]) {
    let help = "Transfers that wait for the device, which has nothing to send or no room (NAK).";
    let mut family = text.family("usbwright_transfers_pending", Kind::Gauge, help);
    for endpoint in endpoints {
        family.sample(&endpoint.labels(), endpoint.counts.pending);
    }
}

fn tell_durations(text: &mut Text, endpoints: &[Endpoint<'_>]) {
    let help = "How long transfers took in the server, from their command to their reply.";
    let name = "usbwright_transfer_duration_seconds";
    let mut family = text.family(name, Kind::Histogram, help);
    for endpoint in endpoints {
        let bounds = DURATIONS.iter().map(|it| it.as_secs_f64());
        let counts = &endpoint.counts;
        let sum = counts.time.as_secs_f64();
        family.histogram(&endpoint.labels(), bounds, &counts.durations, sum);
    }
}
