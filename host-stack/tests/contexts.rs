//! Contexts: what a driver keeps with an object of the framework, one for each, and dropped once when the object goes.

mod life_support;
mod support;
mod usb_support;

use std::{
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

use usbwright_host_stack::{
    Device, DeviceNames, FileTarget, IoTarget, PnpState, RemoteTarget, Request,
    RequestCompletionParams, SendError, SendOptions,
    status::{HResult, NtStatus},
    usb_target::protocol::Status,
};

use crate::{
    life_support::{Log, Neighbour},
    support::{Kept, alone, builder, driver, filter, own::Own},
    usb_support::{BULK_IN, PACKET, Rig, room},
};

/// Notes when it is dropped.
#[derive(Debug)]
struct Noted(&'static str, Log);

impl Noted {
    fn new(name: &'static str, log: &Log) -> Self {
        Self(name, log.clone())
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.note(self.0);
    }
}

/// Panics when it is dropped.
struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("a context panics on purpose");
    }
}

/// Whatever it is that has a context.
macro_rules! keeps_one {
    ($object:expr, $log:expr) => {{
        let object = $object;
        assert!(object.context::<Noted>().is_none());
        object.assign_context(Noted::new("first", $log)).unwrap();
        let second = object.assign_context(Noted::new("second", $log));
        assert_eq!(second.unwrap_err().0, "second");
        assert_eq!(
            $log.take(),
            ["second"],
            "it was given back, and dropped here"
        );
        assert_eq!(object.context::<Noted>().unwrap().0, "first");
        assert!(
            object.context::<String>().is_none(),
            "it is of another type"
        );
        assert_eq!($log.take(), [""; 0]);
    }};
}

#[test]
fn a_usb_device_its_interfaces_and_its_pipes_have_a_context_each_which_go_with_the_hardware() {
    let log = Log::default();
    let rig = Rig::new(0);
    keeps_one!(&rig.usb, &log);
    keeps_one!(rig.interface(), &log);
    keeps_one!(&rig.pipe(BULK_IN), &log);
    // The default pipe is what control transfers of the device are sent to.
    assert!(rig.usb.target().context::<Noted>().is_some());
    rig.stack.remove().unwrap();
    assert_eq!(log.take(), ["first"; 3]);
    let late = rig.usb.assign_context(Noted::new("late", &log));
    assert!(late.is_err(), "it has gone");
}

#[test]
fn a_stack_that_is_stopped_for_a_while_drops_the_contexts_of_its_hardware() {
    let log = Log::default();
    let rig = Rig::new(0);
    rig.usb.assign_context(Noted::new("device", &log)).unwrap();
    rig.pipe(BULK_IN)
        .assign_context(Noted::new("pipe", &log))
        .unwrap();
    // The same driver would make them anew.
    let _ = rig.stack.stop();
    let mut told = log.take();
    told.sort();
    assert_eq!(told, ["device", "pipe"]);
}

#[test]
fn the_context_of_a_pipe_goes_with_its_setting() {
    let log = Log::default();
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    pipe.assign_context(Noted::new("pipe", &log)).unwrap();
    rig.interface()
        .assign_context(Noted::new("interface", &log))
        .unwrap();
    rig.interface().select_setting(2).unwrap();
    assert_eq!(log.take(), ["pipe"]);
    assert!(pipe.context::<Noted>().is_none());
    assert!(
        rig.pipe(BULK_IN).context::<Noted>().is_none(),
        "it is a new pipe"
    );
}

#[test]
fn targets_of_every_kind_have_a_context_which_goes_with_the_device_whoever_has_the_target() {
    let own = Own::among(&DeviceNames::new());
    let (near, _far) = UnixStream::pair().unwrap();
    let file = FileTarget::new(&own.device, near).unwrap();
    let remote = RemoteTarget::new(&own.device, ()).unwrap();
    let log = Log::default();
    let targets: [&IoTarget; 3] = [own.device.default_target(), file.target(), remote.target()];
    for target in targets {
        keeps_one!(target, &log);
    }
    own.stack.remove().unwrap();
    assert_eq!(log.take(), ["first"; 3]);
    for target in targets {
        assert!(target.context::<Noted>().is_none());
    }
}

#[test]
fn a_target_that_nobody_has_any_more_takes_its_context_along() {
    let own = Own::new();
    let log = Log::default();
    let remote = RemoteTarget::new(&own.device, ()).unwrap();
    remote
        .target()
        .assign_context(Noted::new("remote", &log))
        .unwrap();
    drop(remote);
    let another = RemoteTarget::new(&own.device, ()).unwrap();
    another.target().assign_context(()).unwrap();
    assert_eq!(log.take(), ["remote"]);
}

#[test]
fn a_request_has_a_context_which_goes_before_the_application_is_told() {
    let (log, kept) = (Log::default(), Kept::default());
    let keep = kept.clone();
    let (_stack, handle) = alone(move |device| keep.queue(device).map(drop));
    let read = handle.read(1);
    let request = kept.take();
    keeps_one!(&request, &log);
    assert!(!read.has_ended());
    request.complete(NtStatus::SUCCESS);
    assert_eq!(log.take(), ["first"]);
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}

#[test]
fn a_request_keeps_its_context_wherever_the_driver_has_it_go_and_each_driver_its_own() {
    let log = Log::default();
    let notes = log.clone();
    let low = Kept::default();
    let keep = low.clone();
    let above = filter(move |device: &Device| {
        let notes = notes.clone();
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |queue, mut request, _| {
            request
                .assign_context(Noted::new("filter's", &notes))
                .unwrap();
            request.format_using_current_type();
            let ended = |request: Request, params: &RequestCompletionParams| {
                assert_eq!(request.context::<Noted>().unwrap().0, "filter's");
                request.complete(params.status());
            };
            let device = queue.device();
            let sent =
                request.send_then(device.default_target(), SendOptions::new(), Arc::new(ended));
            sent.unwrap_or_else(SendError::complete);
        });
        queue.create().map(drop)
    });
    let below = driver(move |device| keep.queue(device).map(drop));
    let builder = builder().0.driver("low", below).driver("above", above);
    let handle = builder.start().unwrap().open_and_wait().unwrap();
    let read = handle.read(1);
    let below = low.take();
    assert!(below.context::<Noted>().is_none(), "that is the filter's");
    below.assign_context(Noted::new("low's", &log)).unwrap();
    below.complete(NtStatus::SUCCESS);
    assert_eq!(log.take(), ["low's"]);
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
    assert_eq!(log.take(), ["filter's"]);
}

#[test]
fn the_next_request_of_an_application_has_nothing_of_the_one_before() {
    let kept = Kept::default();
    let keep = kept.clone();
    let (_stack, handle) = alone(move |device| keep.queue(device).map(drop));
    for _ in 0..3 {
        let read = handle.read(1);
        let request = kept.take();
        assert!(request.context::<u8>().is_none());
        request.assign_context(7_u8).unwrap();
        request.complete(NtStatus::SUCCESS);
        assert_eq!(read.wait().status, NtStatus::SUCCESS);
    }
}

#[test]
fn a_request_of_the_driver_s_own_takes_its_context_along_through_sends_and_reuse() {
    let log = Log::default();
    let rig = Rig::new(0);
    let (pipe, memory) = (rig.pipe(BULK_IN), room(PACKET));
    let mut request = rig.request();
    request.assign_context(Noted::new("own", &log)).unwrap();
    for _ in 0..2 {
        pipe.format_for_read(&mut request, Some(&memory), None)
            .unwrap();
        let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
        rig.end(BULK_IN, Status::Done, b"on");
        request = sent.wait().0;
        request.reuse(HResult::OK);
        assert!(request.context::<Noted>().is_some());
    }
    drop(request);
    assert_eq!(log.take(), ["own"]);
}

#[test]
fn a_context_that_panics_as_it_is_dropped_fails_its_own_stack_only() {
    type Put = fn(&Rig);
    let puts: [Put; 3] = [
        |rig| rig.usb.assign_context(Bad).ok().unwrap(),
        |rig| rig.interface().assign_context(Bad).ok().unwrap(),
        |rig| {
            let device = rig.device();
            device.default_target().assign_context(Bad).ok().unwrap();
        },
    ];
    for put in puts {
        let neighbour = Neighbour::new();
        let rig = Rig::built(0, |_| Ok(()), None, |it| it);
        put(&rig);
        let _ = rig.stack.remove();
        assert_eq!(rig.stack.state(), PnpState::Failed);
        neighbour.works();
    }
}

#[test]
fn a_request_s_context_that_panics_fails_the_stack_and_the_application_is_told() {
    let kept = Arc::<Mutex<Option<Request>>>::default();
    let keep = Arc::clone(&kept);
    let (stack, handle) = alone(move |device| {
        let keep = Arc::clone(&keep);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| {
            request.assign_context(Bad).ok().unwrap();
            *keep.lock().unwrap() = Some(request);
        });
        queue.create().map(drop)
    });
    let read = handle.read(1);
    kept.lock()
        .unwrap()
        .take()
        .unwrap()
        .complete(NtStatus::SUCCESS);
    assert_eq!(read.wait().status, NtStatus::DRIVER_PROCESS_TERMINATED);
    assert_eq!(stack.state(), PnpState::Failed);
}

#[test]
fn a_context_that_holds_its_own_object_does_not_keep_it() {
    let log = Log::default();
    let own = Own::new();
    let remote = RemoteTarget::new(&own.device, ()).unwrap();
    let circle = (remote.target().clone(), Noted::new("circle", &log));
    assert!(remote.target().assign_context(circle).is_ok());
    drop((remote, own));
    assert_eq!(log.take(), ["circle"]);
}
