//! Calls that are wrong in themselves, and what a completion tells of those that fail on the way.

use bytes::Bytes;
use usbwright_target::{
    Bulk, ClaimError, In, Interrupt, Out, Pipe, PipeError, PipePolicy, SettingError, TransferError,
    Wait,
    protocol::{Direction, EndpointAddress, Setup, Status, TransferType},
};

use crate::support::{
    Answer, BULK_IN, BULK_OUT, Bench, INTERRUPT_IN, ISO_IN, ISO_OUT, LARGEST, PACKET, Polled,
    Taking, bytes, data, failure, refusal, vendor,
};

fn untyped(bench: &Bench, address: EndpointAddress) -> Pipe {
    bench.interface.pipe(address).unwrap()
}

#[test]
fn a_pipe_is_not_read_against_its_direction() {
    let bench = Bench::new();
    let (address, wanted) = (BULK_OUT, Direction::In);
    let pipe = untyped(&bench, address);
    let refused = TransferError::Direction { address, wanted };
    assert_eq!(refusal(pipe.read(PACKET).wait()), refused);
    assert_eq!(pipe.queue().read(PACKET).unwrap_err(), refused);
    assert_eq!(
        refused.to_string(),
        "endpoint 0x01 goes OUT: it can't be read"
    );
}

#[test]
fn a_pipe_is_not_written_against_its_direction() {
    let bench = Bench::new();
    let (address, wanted) = (BULK_IN, Direction::Out);
    let pipe = untyped(&bench, address);
    let refused = TransferError::Direction { address, wanted };
    assert_eq!(refusal(pipe.write(bytes(1)).wait()), refused);
    assert_eq!(refusal(pipe.write_terminated(bytes(1)).wait()), refused);
    assert_eq!(pipe.queue().write(bytes(1)).unwrap_err(), refused);
}

#[test]
fn bytes_are_not_for_isochronous_pipes() {
    let bench = Bench::new();
    bench.interface.set_alternate(1).wait().unwrap();
    let is = TransferType::Isochronous;
    let refused = |address| TransferError::Type { address, is };
    let source = untyped(&bench, ISO_IN);
    assert_eq!(refusal(source.read(1000).wait()), refused(ISO_IN));
    assert_eq!(source.queue().read(1000).unwrap_err(), refused(ISO_IN));
    let sink = untyped(&bench, ISO_OUT);
    assert_eq!(refusal(sink.write(bytes(1)).wait()), refused(ISO_OUT));
}

#[test]
fn packets_are_for_isochronous_pipes_only() {
    let bench = Bench::new();
    bench.interface.set_alternate(1).wait().unwrap();
    let (address, is) = (BULK_IN, TransferType::Bulk);
    let refused = TransferError::Type { address, is };
    assert_eq!(refusal(untyped(&bench, address).receive(1).wait()), refused);
    let (address, is) = (BULK_OUT, TransferType::Bulk);
    let refused = TransferError::Type { address, is };
    let packets = [bytes(5000)];
    assert_eq!(
        refusal(untyped(&bench, address).send(&packets).wait()),
        refused
    );
}

#[test]
fn more_than_a_queues_transfer_may_have_is_refused() {
    let bench = Bench::new();
    let mut reads = bench.source(PipePolicy::default()).queue();
    let most = LARGEST;
    for length in [LARGEST + 1, usize::MAX] {
        let refused = TransferError::TooLong { length, most };
        assert_eq!(reads.read(length), Err(refused));
    }
    let mut writes = bench.sink(PipePolicy::default()).queue();
    let length = LARGEST + 1;
    let refused = TransferError::TooLong { length, most };
    assert_eq!(writes.write(bytes(length)), Err(refused));
    assert!(reads.is_empty() && writes.is_empty());
}

#[test]
fn a_read_of_more_than_32_bits_tell_is_cut_into_transfers() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    for length in [1 << 32, (1 << 32) + 1, usize::MAX] {
        bench.answers([Answer::sends(b"short")]);
        assert_eq!(data(pipe.read(length).wait()), b"short");
    }
}

#[test]
fn a_control_transfers_data_is_as_long_as_its_setup_packet_tells() {
    let bench = Bench::new();
    for (told, given) in [(4, 3), (4, 5), (0, 1), (1, 0), (u16::MAX, 0x1_0000)] {
        let ended = bench.device.control(vendor(0x40, 1, told), bytes(given));
        let told = told.into();
        let refused = TransferError::DataStage { told, given };
        assert_eq!(refusal(ended.wait()), refused);
    }
    let most = bench
        .device
        .control(vendor(0x40, 1, u16::MAX), bytes(0xffff));
    assert_eq!(most.wait().ok().unwrap().length, 0xffff);
}

#[test]
fn what_only_the_host_may_ask_is_refused_on_endpoint_zero() {
    let bench = Bench::new();
    for (request_type, request) in [(0x00, 5), (0x00, 9), (0x01, 11)] {
        let setup = vendor(request_type, request, 0);
        let refused = refusal(bench.device.control(setup, Bytes::new()).wait());
        assert_eq!(refused, TransferError::Reserved(request));
    }
}

#[test]
fn a_setup_packet_goes_to_the_device_as_it_is() {
    let bench = Bench::new();
    let odd = Setup {
        index: 0xabcd,
        value: 0x1234,
        ..vendor(0xc1, 1, 5)
    };
    assert_eq!(data(bench.device.control(odd, Bytes::new()).wait()), [7; 5]);
    assert_eq!(bench.script.with(|it| it.asked), Some(odd));
}

#[test]
fn a_refused_control_transfer_tells_of_the_stall() {
    let bench = Bench::new();
    for setup in [vendor(0xc0, 2, 4), vendor(0x40, 2, 0)] {
        let ended = bench.device.control(setup, Bytes::new()).wait();
        assert_eq!(failure(ended).0, Status::Stalled);
    }
    bench.poke();
}

#[test]
fn an_interface_that_is_not_there_is_told_with_those_that_are() {
    let bench = Bench::new();
    let refused = bench.device.interface(3).wait().unwrap_err();
    let (configuration, number, has) = (1, 3, vec![0]);
    assert_eq!(
        refused,
        ClaimError::Unknown {
            configuration,
            number,
            has
        }
    );
}

#[test]
fn a_pipe_that_is_not_there_or_is_of_another_kind_is_told() {
    let bench = Bench::new();
    let interface = &bench.interface;
    let missing = interface.pipe::<Interrupt, In>(INTERRUPT_IN).unwrap_err();
    let told =
        "interface 0 has no endpoint 0x83 in setting 0; it has 0x01 (Bulk OUT), 0x81 (Bulk IN)";
    assert_eq!(missing.to_string(), told);
    let (address, is) = (BULK_IN, TransferType::Bulk);
    let refused = PipeError::Kind { address, is };
    assert_eq!(interface.pipe::<Bulk, Out>(address).unwrap_err(), refused);
    assert_eq!(
        interface.pipe::<Interrupt, In>(address).unwrap_err(),
        refused
    );
    assert!(interface.first::<Interrupt, In>().is_err());
    let back = untyped(&bench, address).typed::<Bulk, Out>().unwrap_err();
    assert_eq!(back.address(), address, "the pipe is given back");
}

#[test]
fn a_setting_that_is_not_there_is_told_and_leaves_the_pipes_alone() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let refused = bench.interface.set_alternate(2).wait().unwrap_err();
    assert!(matches!(
        refused,
        SettingError::Unknown { alternate: 2, .. }
    ));
    assert!(!pipe.is_stale());
}

#[test]
fn a_pipe_of_a_setting_before_is_stale() {
    let bench = Bench::new();
    let source = bench.source(PipePolicy::default());
    let sink = bench.sink(PipePolicy::default());
    let reads = [PACKET, 1].map(|length| Polled::begin(source.read(length)));
    bench.interface.set_alternate(1).wait().unwrap();
    for read in reads {
        assert_eq!(read.end().error, Some(TransferError::Stale(BULK_IN)));
    }
    assert_eq!(
        refusal(source.read(1).wait()),
        TransferError::Stale(BULK_IN)
    );
    assert_eq!(
        refusal(sink.write(bytes(1)).wait()),
        TransferError::Stale(BULK_OUT)
    );
    assert_eq!(
        refusal(source.reset().wait()),
        TransferError::Stale(BULK_IN)
    );
}

#[test]
fn a_read_that_stalls_tells_what_had_come() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let sent = bytes(LARGEST + PACKET);
    bench.answers([Answer::Sends(sent.clone()), Answer::Stalls]);
    let ended = pipe.read(2 * LARGEST).wait();
    assert_eq!(failure(ended), (Status::Stalled, sent.to_vec()));
}

#[test]
fn a_write_that_stalls_tells_what_was_taken() {
    for (length, taken) in [
        (4 * PACKET, PACKET),
        (3 * LARGEST, LARGEST + PACKET),
        (PACKET, 0),
    ] {
        let bench = Bench::new();
        bench
            .script
            .with(|it| it.taking = Taking::UntilStall(taken));
        let pipe = bench.sink(PipePolicy::default());
        let write = Polled::new(pipe.write(bytes(length)));
        let ended = write.end_after(|| bench.poke());
        assert_eq!(ended.length, taken);
        assert_eq!(failure(ended).0, Status::Stalled);
        assert_eq!(bench.script.with(|it| it.written()), bytes(taken));
        let text = pipe.write(bytes(1)).wait().ok().unwrap_err().to_string();
        assert_eq!(text, "it stalled");
    }
}

#[test]
fn a_write_of_nothing_is_a_zero_length_packet() {
    let bench = Bench::new();
    let written = bench.sink(PipePolicy::default()).write(Bytes::new()).wait();
    assert_eq!(written.ok().unwrap().length, 0);
    assert_eq!(bench.script.lengths(), [0]);
}
