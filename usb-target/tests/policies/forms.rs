//! The same calls in their forms: blocking, in tasks, dropped by `select!`; and payloads that are not copied.

use bytes::Bytes;
use usbwright_target::{
    Bulk, Completion, Device, Out, Pipe, PipePolicy, Wait,
    protocol::{Payload, Status},
};

use crate::support::{Answer, Bench, LARGEST, PACKET, Taking, bytes, data};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// What can be compared of an end.
fn told(ended: &Completion) -> (Option<Status>, usize, Vec<u8>) {
    (ended.status(), ended.length, ended.data.to_vec())
}

fn sends(bench: &Bench) {
    let message = bytes(LARGEST + 3);
    let answers = [
        Answer::Sends(message),
        Answer::Babbles(bytes(9)),
        Answer::Stalls,
    ];
    bench.answers(answers);
}

#[test]
fn a_task_and_a_thread_get_the_same_answers() {
    let lengths = [0, 1, PACKET, 2 * LARGEST, 8, PACKET, PACKET];
    let in_thread = Bench::new();
    sends(&in_thread);
    let pipe = in_thread.source(PipePolicy::default());
    let blocking: Vec<_> = lengths.map(|length| told(&pipe.read(length).wait())).into();
    let in_task = Bench::new();
    sends(&in_task);
    let pipe = in_task.source(PipePolicy::default());
    let asynchronous = block_on(async {
        let mut ends = Vec::new();
        for length in lengths {
            ends.push(told(&pipe.read(length).await));
        }
        ends
    });
    assert!(blocking == asynchronous);
    let stalled = blocking.last().unwrap();
    assert_eq!(stalled.0, Some(Status::Stalled));
}

#[test]
fn tasks_wait_side_by_side() {
    let bench = Bench::new();
    let source = bench.source(PipePolicy::default());
    let sink = bench.sink(PipePolicy::default());
    bench.script.with(|it| it.taking = Taking::Only(0));
    let read = source.read(PACKET);
    let write = sink.write(bytes(PACKET));
    let (came, written, ()) = block_on(async {
        tokio::join!(read, write, async {
            bench.script.with(|it| it.taking = Taking::All);
            bench.answers([Answer::sends(b"a")]);
        })
    });
    assert_eq!((data(came), written.length), (b"a".to_vec(), PACKET));
}

#[test]
fn a_read_that_select_drops_loses_nothing() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let sent = bytes(2 * PACKET);
    block_on(async {
        tokio::select! {
            biased;
            _ = pipe.read(4 * PACKET) => panic!("two packets do not fill it"),
            () = async { bench.answers([Answer::Sends(sent.clone())]) } => {}
        }
        bench.answers([Answer::sends(b"end")]);
        let ended = pipe.read(4 * PACKET).await;
        assert_eq!(data(ended), [&sent[..], b"end"].concat());
    });
}

#[test]
fn a_thread_waits_for_what_another_brings_about() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let ended = std::thread::scope(|scope| {
        let reader = scope.spawn(|| pipe.read(PACKET).wait());
        bench.answers([Answer::sends(b"a")]);
        reader.join().unwrap()
    });
    assert_eq!(data(ended), b"a");
}

#[test]
fn a_payload_has_one_address_from_the_program_to_the_device_and_back() {
    let bench = Bench::new();
    let sink = bench.sink(PipePolicy::default());
    let pieces: Vec<Bytes> = [PACKET, 8 * PACKET, LARGEST, 3].map(bytes).into();
    let payload: Payload = pieces.iter().cloned().collect();
    let total = payload.len();
    assert_eq!(sink.write(payload).wait().ok().unwrap().length, total);
    bench.script.with(|it| {
        let mut places = it.taken.iter().map(|it| it.as_ptr());
        let first = pieces.iter().take(3).map(|it| it.as_ptr());
        assert!(
            first.eq(places.by_ref().take(3)),
            "where the program had them"
        );
        assert!(it.written() == pieces.concat());
    });
    let source = bench.source(PipePolicy::default());
    let sent = bytes(LARGEST);
    bench.answers([Answer::Sends(sent.clone())]);
    let came = source.read(LARGEST).wait().ok().unwrap().data;
    assert_eq!(came.pieces()[0].as_ptr(), sent.as_ptr());
}

#[test]
fn millions_of_bytes_go_through_a_model_of_the_library() {
    let spec: usbwright_models::Spec = "gadget-zero".parse().unwrap();
    let device = Device::open(spec.build(std::time::Instant::now()).unwrap());
    let interface = device.wait().unwrap().interface(0).wait().unwrap();
    let source = interface.first::<Bulk, usbwright_target::In>().unwrap();
    let sink: Pipe<Bulk, Out> = interface.first().unwrap();
    for length in [100_000, 5_000_000] {
        let came = source.read(length).wait().ok().unwrap();
        assert_eq!(came.length, length);
        assert_eq!(sink.write(came.data).wait().ok().unwrap().length, length);
    }
    assert_eq!(block_on(source.read(512)).length, 512);
}
