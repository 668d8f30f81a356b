//! USB/IP messages to and from bytes: ours and, where the crate `usbip` has the same in public, its own beside it.

#[allow(dead_code, reason = "other benches use the rest of it")]
#[path = "support/commands.rs"]
mod commands;
#[allow(dead_code, reason = "other benches use the rest of it")]
#[path = "support/peer.rs"]
mod peer;

use std::{
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::Criterion;
use usbip::usbip_protocol::{USBIP_RET_SUBMIT, UsbIpCommand, UsbIpHeaderBasic, UsbIpResponse};
use usbwright::protocol::{
    Class, DeviceSummary, Direction, IsoPacket, Speed,
    usbip::{
        operation::{self, ExportedDevice, ReplyStatus, Request},
        urb::{Command, ISO_PACKET_SIZE, Reply, SubmitReply, decode_iso_packet, encode_iso_packet},
    },
};

/// Packets of an isochronous transfer: four frames' worth at high speed.
const PACKETS: u32 = 32;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    submit(&mut criterion);
    reply(&mut criterion);
    import(&mut criterion);
    isochronous(&mut criterion);
    criterion.final_summary();
}

fn submit(criterion: &mut Criterion) {
    let submit = Command::Submit(commands::submit(7, Direction::In, 1, 4096, [0; 8]));
    let bytes = submit.encode();
    let mut group = criterion.benchmark_group("decode CMD_SUBMIT");
    group.bench_function("usbwright", |bencher| {
        bencher.iter(|| Command::decode(black_box(&bytes)));
    });
    group.bench_function("usbip crate", |bencher| {
        bencher.iter(|| peer_command(black_box(&bytes)));
    });
    group.finish();

    let peers = peer_command(&bytes);
    let mut group = criterion.benchmark_group("encode CMD_SUBMIT");
    group.bench_function("usbwright", |bencher| {
        bencher.iter(|| black_box(submit).encode());
    });
    group.bench_function("usbip crate", |bencher| {
        bencher.iter(|| black_box(&peers).to_bytes());
    });
}

/// The header alone: the reply to an OUT transfer. Of an IN transfer, the peer copies the payload behind it.
fn reply(criterion: &mut Criterion) {
    let reply = Reply::Submit(SubmitReply {
        sequence: 7,
        actual_length: 4096,
        ..SubmitReply::default()
    });
    let mut group = criterion.benchmark_group("encode RET_SUBMIT");
    group.bench_function("usbwright", |bencher| {
        bencher.iter(|| black_box(reply).encode());
    });
    let header = UsbIpHeaderBasic {
        command: USBIP_RET_SUBMIT.into(),
        seqnum: 7,
        devid: 0,
        direction: 0,
        ep: 0,
    };
    let peers = UsbIpResponse::usbip_ret_submit_success(&header, 0, 0, 4096, vec![], vec![]);
    assert_eq!(peers.to_bytes(), reply.encode());
    group.bench_function("usbip crate", |bencher| {
        bencher.iter(|| black_box(&peers).to_bytes());
    });
    group.finish();

    let bytes = reply.encode();
    criterion.bench_function("decode RET_SUBMIT/usbwright", |bencher| {
        bencher.iter(|| Reply::decode(black_box(&bytes)));
    });
}

fn import(criterion: &mut Criterion) {
    let mut bytes = [0; operation::HEADER_SIZE + operation::BUS_ID_SIZE];
    let (header, bus_id) = bytes.split_first_chunk_mut().unwrap();
    *header = Request::Import.encode();
    bus_id.copy_from_slice(&operation::encode_bus_id(peer::BUS_ID));
    let mut group = criterion.benchmark_group("decode OP_REQ_IMPORT");
    group.bench_function("usbwright", |bencher| {
        bencher.iter(|| {
            let (header, bus_id) = black_box(&bytes).split_first_chunk().unwrap();
            let bus_id = operation::decode_bus_id(bus_id.first_chunk().unwrap());
            (Request::decode(header), bus_id)
        });
    });
    group.bench_function("usbip crate", |bencher| {
        bencher.iter(|| peer_command(black_box(&bytes)));
    });
    group.finish();

    let device = exported_device();
    let mut group = criterion.benchmark_group("encode OP_REP_IMPORT");
    group.bench_function("usbwright", |bencher| {
        bencher.iter(|| {
            let mut reply = Request::Import.encode_reply(ReplyStatus::Ok).to_vec();
            black_box(&device).encode(&mut reply);
            reply
        });
    });
    let peers = UsbIpResponse::op_rep_import_success(&peer::device());
    group.bench_function("usbip crate", |bencher| {
        bencher.iter(|| black_box(&peers).to_bytes());
    });
}

/// The peer hands the descriptions on as they are, and has nothing to compare with.
fn isochronous(criterion: &mut Criterion) {
    let packets: Vec<_> = (0..PACKETS)
        .map(|i| IsoPacket {
            offset: i * 1024,
            length: 1024,
            ..IsoPacket::default()
        })
        .collect();
    let mut descriptions = Vec::new();
    let mut group = criterion.benchmark_group(format!("{PACKETS} isochronous packets"));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            descriptions.clear();
            for packet in black_box(&packets) {
                encode_iso_packet(packet, &mut descriptions);
            }
        });
    });
    group.bench_function("decode", |bencher| {
        let mut decoded = Vec::new();
        bencher.iter(|| {
            let (descriptions, _) = black_box(&descriptions[..]).as_chunks::<ISO_PACKET_SIZE>();
            decoded.clear();
            decoded.extend(descriptions.iter().map(decode_iso_packet));
        });
    });
}

fn exported_device() -> ExportedDevice {
    ExportedDevice {
        path: "/peer/1-1".into(),
        bus_id: peer::BUS_ID.into(),
        bus_number: 1,
        device_number: 1,
        summary: DeviceSummary {
            speed: Speed::High,
            vendor_id: 0x0525,
            product_id: 0xa4a0,
            device_release: 0,
            class: Class::VENDOR,
            configuration: 3,
            configurations: 1,
            interfaces: vec![Class::VENDOR],
        },
    }
}

/// What the peer reads from a socket; from bytes, it never has to wait.
fn peer_command(mut bytes: &[u8]) -> UsbIpCommand {
    let reading = pin!(UsbIpCommand::read_from_socket(&mut bytes));
    match reading.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(command) => command.unwrap(),
        Poll::Pending => unreachable!("all of the bytes are there"),
    }
}
