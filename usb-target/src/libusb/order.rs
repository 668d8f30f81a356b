//! From transfers to libusb's, and back.

use bytes::Bytes;
use usbwright_protocol::{
    Completion, Direction, EndpointAddress, IsoOutcome, IsoPacket, Payload, RequestKind, Setup,
    Status, TransferId, TransferKind, TransferType, request,
};

use super::{
    pool::Pool,
    transfer::{Ended, Memory, Order},
};

/// A setup packet's length, in bytes.
const SETUP: usize = 8;
/// The longest data stage that libusb takes on Linux, in bytes (`MAX_CTRL_BUFFER_LENGTH` of its `linux_usbfs.h`).
const LONGEST_DATA_STAGE: u16 = 4096;

/// What a completion is made of besides what libusb tells.
#[derive(Debug)]
pub(super) enum Rest {
    /// A control transfer, with the room for its IN data.
    Control { direction: Direction, room: u32 },
    /// Bulk or interrupt.
    Plain(Direction),
    /// Isochronous, with the packets as they came.
    Isochronous(Direction, Vec<IsoPacket>),
}

/// Makes what libusb takes of a transfer to an endpoint of this type.
///
/// # Errors
/// How the transfer ends instead.
pub(super) fn order(
    endpoint: EndpointAddress,
    transfer_type: TransferType,
    kind: TransferKind,
    pool: &Pool,
) -> Result<(Order, Rest), Status> {
    let direction = endpoint.direction();
    let plain = matches!(transfer_type, TransferType::Bulk | TransferType::Interrupt);
    let (memory, length, packets, zero_packet, rest) = match kind {
        TransferKind::Control { setup, data, room } if endpoint.is_control() => {
            let (memory, length) = control(setup, &data, pool)?;
            let direction = setup.direction();
            (
                memory,
                length,
                Vec::new(),
                false,
                Rest::Control { direction, room },
            )
        }
        TransferKind::In { length } if plain && direction == Direction::In => {
            let memory = writable(length as usize, pool)?;
            let rest = Rest::Plain(direction);
            (memory, length as usize, Vec::new(), false, rest)
        }
        TransferKind::Out { data, zero_packet } if plain && direction == Direction::Out => {
            let data = in_one_piece(data);
            let length = data.len();
            let rest = Rest::Plain(direction);
            (Memory::Out(data), length, Vec::new(), zero_packet, rest)
        }
        TransferKind::Isochronous { data, packets }
            if transfer_type == TransferType::Isochronous =>
        {
            let (memory, length) = isochronous(direction, data, &packets, pool)?;
            let lengths = packets.iter().map(|it| it.length).collect();
            let rest = Rest::Isochronous(direction, packets);
            (memory, length, lengths, false, rest)
        }
        _ => return Err(Status::NoEndpoint),
    };
    let order = Order {
        endpoint,
        transfer_type,
        memory,
        length,
        packets,
        zero_packet,
    };
    Ok((order, rest))
}

fn writable(length: usize, pool: &Pool) -> Result<Memory, Status> {
    let buffer = pool.buffer(length).map_err(|_| Status::NoMemory)?;
    Ok(Memory::Writable(buffer))
}

fn in_one_piece(data: Payload) -> Bytes {
    match data.pieces() {
        [] | [_] => data.into_pieces().next().unwrap_or_default(),
        _ => data.to_vec().into(),
    }
}

/// A control transfer's setup packet with its data behind it.
fn control(mut setup: Setup, data: &[u8], pool: &Pool) -> Result<(Memory, usize), Status> {
    if setup.length > LONGEST_DATA_STAGE {
        let get_descriptor =
            setup.kind() == RequestKind::Standard && setup.request == request::GET_DESCRIPTOR;
        if !get_descriptor {
            return Err(Status::Unsupported);
        }
        setup.length = LONGEST_DATA_STAGE; // who asks for more wants all that there is
    }
    let stage = usize::from(setup.length);
    let length = SETUP + stage;
    let mut buffer = pool.buffer(length).map_err(|_| Status::NoMemory)?;
    let (head, body) = buffer.as_mut().split_at_mut(SETUP);
    head.copy_from_slice(&setup.to_bytes());
    if setup.direction() == Direction::Out {
        let data = data.get(..stage).ok_or(Status::ProtocolError)?;
        body[..stage].copy_from_slice(data);
    }
    Ok((Memory::Writable(buffer), length))
}

/// The memory of an isochronous transfer, in which libusb has the packets one after the other.
fn isochronous(
    direction: Direction,
    data: Bytes,
    packets: &[IsoPacket],
    pool: &Pool,
) -> Result<(Memory, usize), Status> {
    let total: u64 = packets.iter().map(|it| u64::from(it.length)).sum();
    let total = usize::try_from(total).map_err(|_| Status::NoMemory)?;
    if direction == Direction::In {
        return Ok((writable(total, pool)?, total));
    }
    let mut end = 0;
    let dense = packets.iter().all(|it| {
        let follows = u64::from(it.offset) == end;
        end += u64::from(it.length);
        follows
    });
    if dense && total <= data.len() {
        return Ok((Memory::Out(data), total));
    }
    let mut gathered = Vec::new();
    for packet in packets {
        let start = packet.offset as usize;
        let window = data.get(start..start.saturating_add(packet.length as usize));
        gathered.extend_from_slice(window.ok_or(Status::ProtocolError)?);
    }
    Ok((Memory::Out(gathered.into()), total))
}

/// Makes a completion of what has ended.
pub(super) fn completion(id: TransferId, ended: Ended, rest: Rest) -> Completion {
    let mut status = ended.status;
    let (direction, start, room) = match rest {
        Rest::Isochronous(direction, packets) => {
            return isochronous_completion(id, ended, direction, packets);
        }
        Rest::Control { direction, room } => (direction, SETUP, Some(room)),
        Rest::Plain(direction) => (direction, 0, None),
    };
    let mut moved = ended.actual_length;
    if let (Direction::In, Some(room)) = (direction, room)
        && moved > room as usize
    {
        moved = room as usize;
        status = Status::Overflow;
    }
    let data = match (direction, ended.memory) {
        (Direction::In, Memory::Writable(buffer)) => {
            let bytes = buffer.into_bytes();
            let end = bytes.len().min(start + moved);
            bytes.slice(start..end).into()
        }
        _ => Payload::new(),
    };
    Completion {
        id,
        status,
        actual_length: u32::try_from(moved).unwrap_or(u32::MAX),
        data,
        iso: None,
    }
}

fn isochronous_completion(
    id: TransferId,
    ended: Ended,
    direction: Direction,
    mut packets: Vec<IsoPacket>,
) -> Completion {
    let mut actual_length = 0;
    let mut error_count = 0;
    for (packet, (status, moved)) in packets.iter_mut().zip(&ended.packets) {
        packet.status = *status;
        packet.actual_length = (*moved).min(packet.length);
        actual_length += packet.actual_length;
        error_count += u32::from(*status != Status::Done);
    }
    let data = match (direction, ended.memory) {
        (Direction::In, Memory::Writable(buffer)) => received(&buffer.into_bytes(), &packets),
        _ => Payload::new(),
    };
    Completion {
        id,
        status: ended.status,
        actual_length,
        data,
        iso: Some(IsoOutcome {
            start_frame: 0, // libusb does not tell it
            error_count,
            packets,
        }),
    }
}

/// What has come in packets that lie one after the other, without the gaps.
fn received(memory: &Bytes, packets: &[IsoPacket]) -> Payload {
    let mut payload = Payload::new();
    let (mut from, mut to, mut next) = (0, 0, 0);
    for packet in packets {
        let start = next;
        next += packet.length as usize;
        if start != to {
            payload.push(memory.slice(from..to));
            from = start;
        }
        to = start + packet.actual_length as usize;
    }
    payload.push(memory.slice(from..to));
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TransferId = TransferId(1);
    const IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
    const OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);

    fn bytes(memory: &Memory) -> &[u8] {
        match memory {
            Memory::Out(bytes) => bytes,
            Memory::Writable(buffer) => buffer.as_ref(),
        }
    }

    fn packets(windows: &[(u32, u32)]) -> Vec<IsoPacket> {
        let packet = |(offset, length): &(u32, u32)| IsoPacket {
            offset: *offset,
            length: *length,
            ..IsoPacket::default()
        };
        windows.iter().map(packet).collect()
    }

    fn isochronous_out(data: &'static [u8], windows: &[(u32, u32)]) -> Result<Order, Status> {
        let data = Bytes::from_static(data);
        let packets = packets(windows);
        let kind = TransferKind::Isochronous { data, packets };
        order(OUT, TransferType::Isochronous, kind, &Pool::default()).map(|(order, _)| order)
    }

    #[test]
    fn a_payload_in_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 100]);
        let place = piece.as_ptr();
        let kind = TransferKind::Out {
            data: piece.clone().into(),
            zero_packet: true,
        };
        let (order, _) = order(OUT, TransferType::Bulk, kind, &Pool::default()).unwrap();
        assert_eq!(bytes(&order.memory).as_ptr(), place);
        assert!(order.zero_packet);
        let mut data = Payload::from(piece.clone());
        data.push(Bytes::from_static(b"more"));
        assert_eq!(in_one_piece(data), [&piece[..], b"more"].concat());
    }

    #[test]
    fn isochronous_packets_lie_one_after_the_other() {
        let order = isochronous_out(b"abcdef", &[(0, 2), (2, 4)]).unwrap();
        assert_eq!(
            (bytes(&order.memory), order.packets),
            (&b"abcdef"[..], vec![2, 4])
        );
        let order = isochronous_out(b"ab..cd", &[(4, 2), (0, 2)]).unwrap();
        assert_eq!((bytes(&order.memory), order.length), (&b"cdab"[..], 4));
        for beyond in [&[(0, 7)][..], &[(6, 1)], &[(u32::MAX, u32::MAX)]] {
            assert_eq!(
                isochronous_out(b"abcdef", beyond).unwrap_err(),
                Status::ProtocolError
            );
        }
    }

    #[test]
    fn what_came_in_isochronous_packets_has_no_gaps() {
        let pool = Pool::default();
        let kind = TransferKind::Isochronous {
            data: Bytes::new(),
            packets: packets(&[(0, 4), (4, 4), (8, 4)]),
        };
        let (order, rest) = order(IN, TransferType::Isochronous, kind, &pool).unwrap();
        let Memory::Writable(mut buffer) = order.memory else {
            panic!("IN memory is written to");
        };
        buffer.as_mut()[..12].copy_from_slice(b"abcdefghijkl");
        let ended = Ended {
            status: Status::Done,
            actual_length: 0,
            packets: vec![
                (Status::Done, 4),
                (Status::ProtocolError, 1),
                (Status::Done, 9),
            ],
            memory: Memory::Writable(buffer),
        };
        let completion = completion(ID, ended, rest);
        assert_eq!(completion.data.to_vec(), b"abcdeijkl");
        assert_eq!(completion.actual_length, 9);
        let outcome = completion.iso.unwrap();
        assert_eq!(outcome.error_count, 1);
        assert_eq!(
            outcome.packets[2].actual_length, 4,
            "no more than its window"
        );
    }

    #[test]
    fn a_control_transfer_begins_with_its_setup_packet() {
        let control = |bytes, data: &'static [u8]| {
            let kind = TransferKind::Control {
                setup: Setup::from_bytes(bytes),
                data: Bytes::from_static(data),
                room: 0,
            };
            order(
                EndpointAddress::CONTROL,
                TransferType::Control,
                kind,
                &Pool::default(),
            )
        };
        let setup = [0x40, 9, 0, 0, 0, 0, 3, 0];
        let (order, _) = control(setup, b"abc").unwrap();
        assert_eq!(order.length, 11);
        assert_eq!(&bytes(&order.memory)[..11], [&setup[..], b"abc"].concat());
        let less = control(setup, b"ab").unwrap_err();
        assert_eq!(less, Status::ProtocolError, "less data than it says");
        let (order, _) = control([0x80, 6, 0, 2, 0, 0, 0xff, 0xff], b"").unwrap();
        assert_eq!(
            &bytes(&order.memory)[6..8],
            [0, 0x10],
            "all that libusb takes"
        );
        let long = control([0xc0, 1, 0, 0, 0, 0, 1, 0x10], b"").unwrap_err();
        assert_eq!(long, Status::Unsupported);
    }

    #[test]
    fn a_transfer_of_another_type_than_its_endpoint_has_none() {
        let pool = Pool::default();
        let inward = || TransferKind::In { length: 1 };
        for (endpoint, transfer_type) in [
            (OUT, TransferType::Bulk),
            (IN, TransferType::Isochronous),
            (EndpointAddress::CONTROL, TransferType::Control),
        ] {
            let refused = order(endpoint, transfer_type, inward(), &pool).unwrap_err();
            assert_eq!(refused, Status::NoEndpoint);
        }
    }
}
