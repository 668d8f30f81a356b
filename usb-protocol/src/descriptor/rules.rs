//! What the specification asks of an endpoint at each speed.

use bytes::Bytes;

use crate::{Speed, TransferType};

use super::{
    Companion, DescriptorError, Endpoint, EndpointDescriptor, Synchronization, Usage,
    error::{Rule, Site},
    kind,
};

const SIZE: &str = "wMaxPacketSize";
const INTERVAL: &str = "bInterval";

/// The descriptor of an endpoint, where every rule of the speed holds. `default` tells whether its setting is
/// alternate 0.
pub(super) fn endpoint(
    endpoint: &Endpoint,
    default: bool,
    site: Site,
) -> Result<EndpointDescriptor, DescriptorError> {
    const ZERO: Rule = (
        "endpoint zero is the device's own and other numbers are 1 to 15",
        "USB 2.0 §9.6.6",
    );
    let address = endpoint.address;
    site.require(!address.is_control(), "bEndpointAddress", address, ZERO)?;
    let size = endpoint
        .max_packet_size
        .unwrap_or_else(|| bulk_packet_size(site.speed));
    match endpoint.transfer_type {
        TransferType::Interrupt => interrupt(endpoint, size, default, site)?,
        TransferType::Isochronous => isochronous(endpoint, size, default, site)?,
        TransferType::Bulk | TransferType::Control => bulk(endpoint, size, site)?,
    }
    attributes(endpoint, site)?;
    transactions(endpoint, size, site)?;
    extra(&endpoint.extra, site)?;
    let companion = companion(endpoint, size, site)?;
    Ok(EndpointDescriptor {
        address,
        transfer_type: endpoint.transfer_type,
        max_packet_size: size,
        transactions: companion.map_or(endpoint.transactions, Companion::packets),
        interval: endpoint.interval,
        synchronization: endpoint.synchronization,
        usage: endpoint.usage,
        audio: endpoint.audio,
        companion,
        extra: Bytes::copy_from_slice(&endpoint.extra),
    })
}

/// The largest packet of a bulk endpoint.
fn bulk_packet_size(speed: Speed) -> u16 {
    match speed {
        Speed::Low | Speed::Full => 64,
        Speed::High => 512,
        Speed::Super | Speed::SuperPlus => 1024,
    }
}

fn bulk(endpoint: &Endpoint, size: u16, site: Site) -> Result<(), DescriptorError> {
    const LOW: Rule = (
        "a low-speed device has control and interrupt endpoints only",
        "USB 2.0 §5.8.3",
    );
    const FULL_SIZE: Rule = (
        "a full-speed bulk endpoint has 8, 16, 32 or 64",
        "USB 2.0 §5.8.3",
    );
    const HIGH_SIZE: Rule = ("a high-speed bulk endpoint has 512", "USB 2.0 §5.8.3");
    const SUPER_SIZE: Rule = ("a SuperSpeed bulk endpoint has 1024", "USB 3.2 §9.6.6");
    const SUPER_INTERVAL: Rule = ("a SuperSpeed bulk endpoint leaves it 0", "USB 3.2 §9.6.6");
    let speed = site.speed;
    site.require(speed != Speed::Low, "bmAttributes", "bulk", LOW)?;
    match speed {
        Speed::Low | Speed::Full => {
            site.require(matches!(size, 8 | 16 | 32 | 64), SIZE, size, FULL_SIZE)
        }
        Speed::High => site.require(size == 512, SIZE, size, HIGH_SIZE),
        Speed::Super | Speed::SuperPlus => {
            site.require(size == 1024, SIZE, size, SUPER_SIZE)?;
            let interval = endpoint.interval;
            site.require(interval == 0, INTERVAL, interval, SUPER_INTERVAL)
        }
    }
}

fn interrupt(
    endpoint: &Endpoint,
    size: u16,
    default: bool,
    site: Site,
) -> Result<(), DescriptorError> {
    const LOW_SIZE: Rule = (
        "a low-speed interrupt endpoint has 1 to 8",
        "USB 2.0 §5.7.3",
    );
    const FULL_SIZE: Rule = (
        "a full-speed interrupt endpoint has 1 to 64",
        "USB 2.0 §5.7.3",
    );
    const HIGH_SIZE: Rule = (
        "a high-speed interrupt endpoint has 1 to 1024",
        "USB 2.0 §5.7.3",
    );
    const SUPER_SIZE: Rule = (
        "a SuperSpeed interrupt endpoint has 1 to 1024",
        "USB 3.2 §9.6.6",
    );
    const DEFAULT: Rule = (
        "a high-speed interrupt endpoint of alternate 0 moves at most 64 in a microframe",
        "USB 2.0 §5.7.3",
    );
    const LOW_INTERVAL: Rule = (
        "a low-speed interrupt endpoint has 10 to 255 ms",
        "USB 2.0 §5.7.4",
    );
    const FULL_INTERVAL: Rule = (
        "a full-speed interrupt endpoint has 1 to 255 ms",
        "USB 2.0 §5.7.4",
    );
    let interval = endpoint.interval;
    let (sizes, size_rule, intervals, interval_rule) = match site.speed {
        Speed::Low => (1..=8, LOW_SIZE, 10..=255, LOW_INTERVAL),
        Speed::Full => (1..=64, FULL_SIZE, 1..=255, FULL_INTERVAL),
        Speed::High => (1..=1024, HIGH_SIZE, 1..=16, EXPONENT),
        Speed::Super | Speed::SuperPlus => (1..=1024, SUPER_SIZE, 1..=16, EXPONENT),
    };
    site.require(sizes.contains(&size), SIZE, size, size_rule)?;
    site.require(
        intervals.contains(&interval),
        INTERVAL,
        interval,
        interval_rule,
    )?;
    let payload = u32::from(size) * u32::from(endpoint.transactions);
    let modest = !default || site.speed != Speed::High || payload <= 64;
    site.require(modest, SIZE, payload, DEFAULT)
}

const EXPONENT: Rule = (
    "it is an exponent of 1 to 16",
    "USB 2.0 §9.6.6, USB 3.2 §9.6.6",
);

fn isochronous(
    endpoint: &Endpoint,
    size: u16,
    default: bool,
    site: Site,
) -> Result<(), DescriptorError> {
    const LOW: Rule = (
        "a low-speed device has control and interrupt endpoints only",
        "USB 2.0 §5.6.3",
    );
    const FULL_SIZE: Rule = (
        "a full-speed isochronous endpoint has at most 1023",
        "USB 2.0 §5.6.3",
    );
    const HIGH_SIZE: Rule = (
        "an isochronous endpoint has at most 1024",
        "USB 2.0 §5.6.3, USB 3.2 §9.6.6",
    );
    const DEFAULT: Rule = (
        "an isochronous endpoint of alternate 0 has no bandwidth",
        "USB 2.0 §5.6.3",
    );
    let speed = site.speed;
    site.require(speed != Speed::Low, "bmAttributes", "isochronous", LOW)?;
    if speed == Speed::Full {
        site.require(size <= 1023, SIZE, size, FULL_SIZE)?;
    }
    site.require(size <= 1024, SIZE, size, HIGH_SIZE)?;
    site.require(!default || size == 0, SIZE, size, DEFAULT)?;
    let interval = endpoint.interval;
    site.require((1..=16).contains(&interval), INTERVAL, interval, EXPONENT)
}

/// Synchronization and usage.
fn attributes(endpoint: &Endpoint, site: Site) -> Result<(), DescriptorError> {
    const SYNCHRONIZATION: Rule = (
        "only isochronous endpoints have a synchronization type",
        "USB 2.0 §9.6.6",
    );
    const USAGE: Rule = (
        "isochronous endpoints have data and feedback, SuperSpeed interrupt endpoints data and notification, others data",
        "USB 2.0 §9.6.6, USB 3.2 §9.6.6",
    );
    let isochronous = endpoint.transfer_type == TransferType::Isochronous;
    let synchronization = endpoint.synchronization;
    site.require(
        isochronous || synchronization == Synchronization::None,
        "bmAttributes",
        format_args!("{synchronization:?}"),
        SYNCHRONIZATION,
    )?;
    let usage = endpoint.usage;
    let fits = match usage {
        Usage::Data => true,
        Usage::Feedback | Usage::ImplicitFeedback => isochronous,
        Usage::Notification => {
            endpoint.transfer_type == TransferType::Interrupt && site.speed.is_super()
        }
    };
    site.require(fits, "bmAttributes", format_args!("{usage:?}"), USAGE)
}

/// High speed's packets per microframe.
fn transactions(endpoint: &Endpoint, size: u16, site: Site) -> Result<(), DescriptorError> {
    const FIELD: &str = "wMaxPacketSize (transactions)";
    const ONE: Rule = (
        "only periodic endpoints at high speed have more than one packet in a microframe",
        "USB 2.0 §9.6.6",
    );
    const THREE: Rule = ("a microframe has 1 to 3", "USB 2.0 §9.6.6");
    const TWO_SIZE: Rule = (
        "an endpoint with 2 packets in a microframe has 513 to 1024",
        "USB 2.0 table 9-14",
    );
    const THREE_SIZE: Rule = (
        "an endpoint with 3 packets in a microframe has 683 to 1024",
        "USB 2.0 table 9-14",
    );
    let count = endpoint.transactions;
    let periodic = is_periodic(endpoint.transfer_type);
    let several = periodic && site.speed == Speed::High;
    site.require((1..=3).contains(&count), FIELD, count, THREE)?;
    site.require(count == 1 || several, FIELD, count, ONE)?;
    site.require(count != 2 || size >= 513, SIZE, size, TWO_SIZE)?;
    site.require(count != 3 || size >= 683, SIZE, size, THREE_SIZE)
}

fn is_periodic(transfer_type: TransferType) -> bool {
    matches!(
        transfer_type,
        TransferType::Interrupt | TransferType::Isochronous
    )
}

impl Companion {
    /// The most packets in a service interval (or, for bulk, in a burst).
    pub(super) fn packets(self) -> u8 {
        (self.burst.min(15) + 1) * (self.mult.min(2) + 1)
    }
}

/// SuperSpeed's companion.
fn companion(
    endpoint: &Endpoint,
    size: u16,
    site: Site,
) -> Result<Option<Companion>, DescriptorError> {
    const ABSENT: Rule = (
        "only SuperSpeed endpoints have a companion",
        "USB 3.2 §9.6.7",
    );
    let Endpoint {
        burst,
        mult,
        streams,
        bytes_per_interval,
        ..
    } = *endpoint;
    if !site.speed.is_super() {
        site.require(burst == 0, "bMaxBurst", burst, ABSENT)?;
        site.require(mult == 0, "Mult", mult, ABSENT)?;
        site.require(streams == 0, "MaxStreams", streams, ABSENT)?;
        let bytes = bytes_per_interval.unwrap_or(0);
        site.require(
            bytes_per_interval.is_none(),
            "wBytesPerInterval",
            bytes,
            ABSENT,
        )?;
        return Ok(None);
    }
    burst_rules(endpoint, size, site)?;
    let mut companion = Companion {
        burst,
        mult,
        streams,
        bytes_per_interval: 0,
    };
    companion.bytes_per_interval = interval_bytes(endpoint, size, companion.packets(), site)?;
    Ok(Some(companion))
}

fn burst_rules(endpoint: &Endpoint, size: u16, site: Site) -> Result<(), DescriptorError> {
    const BURST: Rule = (
        "it is the packets of a burst less one, at most 15",
        "USB 3.2 §9.6.7",
    );
    const INTERRUPT: Rule = (
        "an interrupt endpoint has at most 3 packets in a service interval",
        "USB 3.2 §8.12.4",
    );
    const SIZE_OF_BURST: Rule = (
        "an endpoint that bursts has packets of 1024",
        "USB 3.2 §9.6.6",
    );
    const MULT: Rule = (
        "isochronous endpoints have 0 to 2, others 0",
        "USB 3.2 §9.6.7",
    );
    const STREAMS: Rule = ("bulk endpoints have 0 to 16, others 0", "USB 3.2 §9.6.7");
    let Endpoint {
        burst,
        mult,
        streams,
        transfer_type,
        ..
    } = *endpoint;
    let interrupt = transfer_type == TransferType::Interrupt;
    let most_bursts = if transfer_type == TransferType::Isochronous {
        2
    } else {
        0
    };
    let most_streams = if transfer_type == TransferType::Bulk {
        16
    } else {
        0
    };
    site.require(burst <= 15, "bMaxBurst", burst, BURST)?;
    site.require(!interrupt || burst <= 2, "bMaxBurst", burst, INTERRUPT)?;
    site.require(burst == 0 || size == 1024, SIZE, size, SIZE_OF_BURST)?;
    site.require(mult <= most_bursts, "Mult", mult, MULT)?;
    site.require(streams <= most_streams, "MaxStreams", streams, STREAMS)
}

fn interval_bytes(
    endpoint: &Endpoint,
    size: u16,
    packets: u8,
    site: Site,
) -> Result<u16, DescriptorError> {
    const ZERO: Rule = ("bulk endpoints leave it 0", "USB 3.2 §9.6.7");
    const MOST: Rule = (
        "it is no more than the packets of a service interval hold",
        "USB 3.2 §9.6.7",
    );
    const FIELD: &str = "wBytesPerInterval";
    // At most 48 packets of 1024 bytes.
    let most = size * u16::from(packets);
    let bytes = endpoint.bytes_per_interval;
    if is_periodic(endpoint.transfer_type) {
        let bytes = bytes.unwrap_or(most);
        site.require(bytes <= most, FIELD, bytes, MOST)?;
        Ok(bytes)
    } else {
        let bytes = bytes.unwrap_or(0);
        site.require(bytes == 0, FIELD, bytes, ZERO)?;
        Ok(0)
    }
}

/// Descriptors that the author encoded: a chain of whole ones, none of a type that the builder makes.
pub(super) fn extra(bytes: &[u8], site: Site) -> Result<(), DescriptorError> {
    const CHAIN: Rule = (
        "each descriptor says how long it is, at least 2, and is whole",
        "USB 2.0 §9.5",
    );
    const OWN: Rule = (
        "descriptors of that type are made by the builder",
        "USB 2.0 §9.4.3",
    );
    let mut rest = bytes;
    while let [length, ..] = *rest {
        let (descriptor, after) = rest
            .split_at_checked(usize::from(length))
            .unwrap_or((&[], rest));
        let [_, kind, ..] = *descriptor else {
            return site.require(false, "bLength", length, CHAIN);
        };
        let own = matches!(
            kind,
            kind::DEVICE
                | kind::CONFIGURATION
                | kind::STRING
                | kind::INTERFACE
                | kind::ENDPOINT
                | kind::DEVICE_QUALIFIER
                | kind::OTHER_SPEED_CONFIGURATION
                | kind::INTERFACE_ASSOCIATION
                | kind::BOS
                | kind::DEVICE_CAPABILITY
                | kind::SUPERSPEED_ENDPOINT_COMPANION
        );
        site.require(!own, "bDescriptorType", kind, OWN)?;
        rest = after;
    }
    Ok(())
}
