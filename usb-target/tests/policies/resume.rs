//! RESET_PIPE_ON_RESUME.

use usbwright_target::{PipePolicy, Wait, protocol::Status};

use crate::support::{Answer, Bench, PACKET, Polled, data, failure};

const ON: PipePolicy = PipePolicy {
    reset_on_resume: true,
    ..PipePolicy::DEFAULT
};

#[test]
fn reset_pipe_on_resume_on_resets_the_pipe_when_the_device_has_resumed() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([Answer::Stalls]);
    assert_eq!(failure(pipe.read(PACKET).wait()).0, Status::Stalled);
    bench.device.resumed().wait().unwrap();
    assert_eq!(bench.clears(), 1);
    bench.answers([Answer::sends(b"data")]);
    assert_eq!(data(pipe.read(PACKET).wait()), b"data");
}

#[test]
fn reset_pipe_on_resume_on_takes_back_what_is_outstanding() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    let read = Polled::begin(pipe.read(PACKET));
    bench.device.resumed().wait().unwrap();
    assert_eq!(failure(read.end()).0, Status::Cancelled);
}

#[test]
fn reset_pipe_on_resume_off_leaves_the_pipe_as_it_is() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let read = Polled::begin(pipe.read(PACKET));
    bench.device.resumed().wait().unwrap();
    assert_eq!(bench.clears(), 0);
    bench.answers([Answer::sends(b"data")]);
    assert_eq!(data(read.end()), b"data");
}

#[test]
fn reset_pipe_on_resume_is_for_each_pipe_by_itself() {
    let bench = Bench::new();
    let _source = bench.source(ON);
    let _sink = bench.sink(ON);
    bench.device.resumed().wait().unwrap();
    assert_eq!(bench.clears(), 2);
}
