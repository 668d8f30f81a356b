//! What a reader may be told, and what is refused.

use std::pin::pin;

use usbwright_target::{
    AnyKind, AnyWay, In, MovesBytes, Pipe, ReaderConfig, ReaderError, Reads, TransferError, Wait,
    protocol::{Direction, EndpointAddress, TransferType},
};

use super::{PACKET, stopped};
use crate::support::{BULK, BULK_OUT, Bench, ISO, POLLED, now, pending};

fn config(length: usize) -> ReaderConfig {
    ReaderConfig::new(length)
}

/// The bench's pipe of an endpoint, as one of any kind and direction.
fn any(bench: &Bench, endpoint: EndpointAddress) -> Pipe {
    let interface = bench.interface();
    now(interface.set_alternate(1)).unwrap();
    interface.pipe::<AnyKind, AnyWay>(endpoint).unwrap()
}

fn refusal<K: MovesBytes, W: Reads>(pipe: &Pipe<K, W>, config: ReaderConfig) -> ReaderError {
    pipe.reader(config).unwrap_err()
}

#[test]
fn as_many_reads_are_pending_as_asked_for_2_by_default_and_10_at_most() {
    for (asked, there_are) in [(0, 2), (1, 1), (2, 2), (10, 10), (11, 10), (255, 10)] {
        let bench = Bench::new();
        let told = ReaderConfig {
            pending: asked,
            ..config(PACKET)
        };
        let mut reader = bench.pipe().reader(told).unwrap();
        reader.start();
        pending(pin!(reader.next()));
        assert_eq!(bench.pending(), there_are, "{asked} asked for");
    }
}

#[test]
fn an_interrupt_pipe_has_a_reader_as_well() {
    let bench = Bench::new();
    let pipe = bench.interface().pipe::<AnyKind, In>(POLLED).unwrap();
    let mut reader = pipe.reader(config(64)).unwrap();
    reader.start();
    bench.script.sends("moved");
    let mut next = Box::pin(reader.next());
    pending(next.as_mut());
    bench.clock.advance(std::time::Duration::from_micros(125));
    assert_eq!(next.wait().unwrap().data().to_vec(), b"moved");
}

#[test]
fn a_message_has_at_least_one_byte() {
    let bench = Bench::new();
    assert_eq!(refusal(&bench.pipe(), config(0)), ReaderError::Empty);
}

#[test]
fn a_message_is_of_whole_packets() {
    let bench = Bench::new();
    let error = TransferError::NotWholePackets {
        length: 513,
        packet: PACKET,
    };
    assert_eq!(refusal(&bench.pipe(), config(513)), error.into());
}

#[test]
fn a_message_is_no_longer_than_a_transfer_may_be() {
    let bench = Bench::new();
    let most = bench.pipe().largest_transfer();
    let length = most + PACKET;
    let error = TransferError::TooLong { length, most };
    assert_eq!(refusal(&bench.pipe(), config(length)), error.into());
    assert!(bench.pipe().reader(config(most)).is_ok());
}

#[test]
fn an_out_pipe_has_no_reader() {
    let bench = Bench::new();
    let error = TransferError::Direction {
        address: BULK_OUT,
        wanted: Direction::In,
    };
    assert_eq!(
        refusal(&any(&bench, BULK_OUT), config(PACKET)),
        error.into()
    );
}

#[test]
fn an_isochronous_pipe_has_no_reader() {
    let bench = Bench::new();
    let error = TransferError::Type {
        address: ISO,
        is: TransferType::Isochronous,
    };
    assert_eq!(refusal(&any(&bench, ISO), config(64)), error.into());
}

#[test]
fn a_stale_pipe_has_no_reader() {
    let bench = Bench::new();
    let interface = bench.interface();
    let pipe = interface.pipe::<AnyKind, In>(BULK).unwrap();
    now(interface.set_alternate(0)).unwrap();
    let error = TransferError::Stale(BULK);
    assert_eq!(refusal(&pipe, config(PACKET)), error.into());
}

#[test]
fn header_message_and_trailer_fit_into_memory() {
    let bench = Bench::new();
    let most = isize::MAX as usize;
    for (header, trailer) in [
        (usize::MAX, 0),
        (0, usize::MAX),
        (most, 0),
        (most / 2, most / 2),
    ] {
        let told = ReaderConfig {
            header,
            trailer,
            ..config(PACKET)
        };
        assert_eq!(refusal(&bench.pipe(), told), ReaderError::Overflow);
    }
}

#[test]
fn a_pipe_has_one_reader_at_a_time() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let reader = pipe.reader(config(PACKET)).unwrap();
    assert_eq!(
        refusal(&pipe, config(PACKET)),
        ReaderError::Configured(BULK)
    );
    assert_eq!(
        refusal(&pipe.clone(), config(2 * PACKET)).to_string(),
        "endpoint 0x81 has a continuous reader already: drop it first"
    );
    drop(reader);
    assert!(pipe.reader(config(PACKET)).is_ok());
}

#[test]
fn a_refused_configuration_leaves_the_pipe_free_for_a_reader() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    refusal(&pipe, config(1));
    assert!(pipe.reader(config(PACKET)).is_ok());
}

#[test]
fn a_plain_read_is_refused_while_the_reader_runs() {
    let bench = Bench::new();
    let reader = stopped(&bench);
    let pipe = now(bench.device.interface(0)).is_err();
    assert!(pipe, "the reader holds its interface");
    drop(reader);
    let pipe = bench.pipe();
    let reader = pipe.reader(config(PACKET)).unwrap();
    bench.script.sends("one");
    assert_eq!(now(pipe.read(PACKET)).data.to_vec(), b"one");
    reader.start();
    let refused = now(pipe.read(PACKET));
    assert_eq!(refused.error, Some(TransferError::Reading(BULK)));
    now(reader.handle().stop());
    bench.script.sends("two");
    assert_eq!(now(pipe.read(PACKET)).data.to_vec(), b"two");
}
