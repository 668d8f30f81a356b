//! Remote targets: devices of other stacks that a driver opens, and what it is told as they go.

mod support;

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use support::{
    Slow, With, broken, builder, driver,
    own::{Own, brought, how},
};
use usbwright_host_stack::{
    ChangeError, ControlCode, Device, DeviceCallbacks, DeviceInit, DeviceNames, Driver, File,
    IoRequestCompletionParams, Memory, OpenError, OpenOptions, Queue, RemoteTarget,
    RemoteTargetCallbacks, Request, RequestType, SendOptions, SentIoAction, Stack, TargetState,
    Threads, Timeout,
    status::{HResult, NtStatus, Win32Error},
};

const SECOND: Duration = Duration::from_secs(1);

/// A stack whose driver sends requests of its own, and one that does what it is told, and has a name.
struct Two {
    near: Own,
    far: Option<Stack>,
    slow: Slow,
    names: DeviceNames,
    files: Arc<Mutex<Vec<String>>>,
}

/// Takes down the files that are closed, and objects to being removed where that is wanted.
#[derive(Clone)]
struct Far {
    files: Arc<Mutex<Vec<String>>>,
    objects: Arc<Mutex<bool>>,
}

impl DeviceCallbacks for Far {
    fn cleanup_file(&self, _: &Device, file: &File) {
        self.files
            .lock()
            .unwrap()
            .push(format!("cleanup {}", file.name()));
    }

    fn close_file(&self, _: &Device, file: &File) {
        self.files
            .lock()
            .unwrap()
            .push(format!("close {}", file.name()));
    }

    fn query_remove(&self, _: &Device) -> Result<(), HResult> {
        match *self.objects.lock().unwrap() {
            true => Err(Win32Error::BUSY.into()),
            false => Ok(()),
        }
    }
}

/// The far driver: its device is named `far`.
struct FarDriver(Far, Slow);

impl Driver for FarDriver {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(self.0.clone());
        let files = Arc::clone(&self.0.files);
        let queue = device.parallel_queue();
        let on_create = move |_: &Queue, request: Request, file: File| {
            files.lock().unwrap().push(format!("open {}", file.name()));
            let refused = file.name().ends_with("secret");
            request.complete(match refused {
                true => NtStatus::ACCESS_DENIED,
                false => NtStatus::SUCCESS,
            });
        };
        queue
            .takes(usbwright_host_stack::RequestType::Create)
            .on_create(on_create)
            .create()?;
        self.1.queue(&device, false)?;
        device.create_symbolic_link("far")?;
        Ok(device)
    }
}

impl Two {
    fn new() -> Self {
        let mut two = Self {
            near: Own::new(),
            far: None,
            slow: Slow::default(),
            names: DeviceNames::new(),
            files: Arc::default(),
        };
        two.near = Own::among(&two.names);
        let far = two.far_driver().0;
        two.far = Some(two.start(far));
        two
    }

    fn far_driver(&self) -> (FarDriver, Arc<Mutex<bool>>) {
        let far = Far {
            files: Arc::clone(&self.files),
            objects: Arc::default(),
        };
        let objects = Arc::clone(&far.objects);
        (FarDriver(far, self.slow.clone()), objects)
    }

    fn start(&self, far: FarDriver) -> Stack {
        let builder = builder().0.names(&self.names);
        builder.driver("far", far).start().unwrap()
    }

    fn far(&self) -> &Stack {
        self.far.as_ref().unwrap()
    }

    /// A target that is open for the far device.
    fn opened(&self, callbacks: impl RemoteTargetCallbacks) -> RemoteTarget {
        let remote = RemoteTarget::new(&self.near.device, callbacks).unwrap();
        remote.open("far", &OpenOptions::new()).unwrap();
        remote
    }

    /// Has both stacks do what is to be done.
    fn run(&self) {
        for _ in 0..3 {
            self.near.stack.run();
            self.far.iter().for_each(Stack::run);
        }
    }

    /// Whether a read goes through.
    fn works(&self, remote: &RemoteTarget) -> bool {
        let read = self.near.read(remote.target(), 4, 0);
        self.run();
        self.slow.end(NtStatus::SUCCESS, 4) && how(read) == (NtStatus::SUCCESS, 4)
    }

    fn files(&self) -> Vec<String> {
        std::mem::take(&mut *self.files.lock().unwrap())
    }
}

#[test]
fn a_remote_target_reads_writes_controls_and_flushes_another_stacks_device() {
    let two = Two::new();
    let remote = two.opened(());
    let (near, target) = (&two.near, remote.target());

    let read = near.read(target, 4, 77);
    two.run();
    let request = two.slow.next().unwrap();
    let usbwright_host_stack::Parameters::Read(asked) = request.parameters() else {
        panic!("it is a read");
    };
    assert_eq!((asked.length, asked.offset), (4, 77));
    assert_eq!(request.file(), remote.file());
    request
        .output(4)
        .unwrap()
        .fill(b"far".to_vec().into())
        .unwrap();
    request.complete_with_information(NtStatus::SUCCESS, 3);
    assert_eq!(brought(read), ((NtStatus::SUCCESS, 3), b"far".to_vec()));

    let write = near.write(target, b"there", 5);
    two.run();
    let request = two.slow.next().unwrap();
    let data = request.input(5).unwrap().payload().to_vec();
    assert_eq!(data, b"there");
    request.complete_with_information(NtStatus::SUCCESS, 5);
    assert_eq!(how(write), (NtStatus::SUCCESS, 5));

    let mut request = near.device.create_request();
    target.format_for_flush(&mut request).unwrap();
    let flush = request.send(target, SendOptions::new()).unwrap();
    two.run();
    let request = two.slow.next().unwrap();
    assert_eq!(request.request_type(), RequestType::Flush);
    request.complete(NtStatus::SUCCESS);
    let (_, params) = flush.wait();
    assert_eq!(params.request_type(), RequestType::Flush);
    assert_eq!(broken(two.far()), []);
}

#[test]
fn a_control_code_goes_there_with_its_input_and_comes_back_with_its_output() {
    let two = Two::new();
    let remote = two.opened(());
    let (near, target) = (&two.near, remote.target());
    let code = ControlCode(0x0022_2000);
    let input = Memory::new(b"in".to_vec()).unwrap();
    let output = Memory::zeroed(8).unwrap();
    let mut request = near.device.create_request();
    let (first, second) = (Some((&input, None)), Some((&output, None)));
    target
        .format_for_ioctl(&mut request, code, first, second)
        .unwrap();
    let sent = request.send(target, SendOptions::new()).unwrap();
    two.run();
    let request = two.slow.next().unwrap();
    assert_eq!(request.input(2).unwrap().payload().to_vec(), b"in");
    let room = request.output(8).unwrap();
    room.fill(b"out".to_vec().into()).unwrap();
    request.complete_with_information(NtStatus::SUCCESS, 3);
    let (_, params) = sent.wait();
    let Some(IoRequestCompletionParams::Ioctl(control)) = params.io() else {
        panic!("it was a control code");
    };
    assert_eq!((control.code, control.output_bytes), (code, 3));
    assert_eq!(output.to_bytes(None).unwrap()[..], *b"out\0\0\0\0\0");
}

#[test]
fn information_is_asked_of_and_set_by_the_other_stack() {
    let two = Two::new();
    let remote = two.opened(());
    let (near, target) = (&two.near, remote.target());
    let memory = Memory::new(vec![7; 8]).unwrap();
    let mut query = near.device.create_request();
    target
        .format_for_query_information(&mut query, 5, Some(&memory), None)
        .unwrap();
    let mut set = near.device.create_request();
    target
        .format_for_set_information(&mut set, 20, Some(&memory), None)
        .unwrap();
    let set = set.send(target, SendOptions::new()).unwrap();
    two.run();
    let request = two.slow.next().unwrap();
    assert_eq!(request.request_type(), RequestType::SetInformation);
    assert_eq!(request.input(8).unwrap().payload().to_vec(), [7; 8]);
    request.complete(NtStatus::SUCCESS);
    assert_eq!(set.wait().1.request_type(), RequestType::SetInformation);
    let query = query.send(target, SendOptions::new()).unwrap();
    two.run();
    let request = two.slow.next().unwrap();
    let room = request.output(8).unwrap();
    room.fill(b"12".to_vec().into()).unwrap();
    request.complete_with_information(NtStatus::SUCCESS, 2);
    let (_, params) = query.wait();
    assert_eq!(params.request_type(), RequestType::QueryInformation);
    assert_eq!(params.information(), 2);
    assert_eq!(memory.to_bytes(None).unwrap()[..3], *b"12\x07");
}

#[test]
fn what_fails_there_fails_here_with_its_status_and_brings_no_data() {
    let two = Two::new();
    let remote = two.opened(());
    let read = two.near.read(remote.target(), 4, 0);
    two.run();
    let request = two.slow.next().unwrap();
    let room = request.output(4).unwrap();
    room.fill(b"half".to_vec().into()).unwrap();
    request.complete_with_information(NtStatus::DEVICE_DATA_ERROR, 2);
    let (how, data) = brought(read);
    assert_eq!(how, (NtStatus::DEVICE_DATA_ERROR, 2));
    assert_eq!(data, [0, 0]);
}

#[test]
fn no_callback_of_the_other_stack_runs_within_a_send() {
    let two = Two::new();
    let remote = two.opened(());
    let read = two.near.read(remote.target(), 4, 0);
    assert_eq!(two.slow.seen(), 0);
    two.near.stack.run();
    assert_eq!(two.slow.seen(), 1);
    read.cancel();
    assert_eq!(how(read), (NtStatus::CANCELLED, 0));
}

#[test]
fn why_a_device_is_not_opened_is_told() {
    let mut two = Two::new();
    let remote = RemoteTarget::new(&two.near.device, ()).unwrap();
    let open = |name: &str| remote.open(name, &OpenOptions::new());
    let nobody = OpenError::NoSuchDevice("nobody".to_owned());
    assert_eq!(open("nobody"), Err(nobody));
    let denied = OpenError::Refused(Win32Error::ACCESS_DENIED);
    assert_eq!(open(r"far\secret"), Err(denied.clone()));
    assert_eq!(HResult::from(denied), Win32Error::ACCESS_DENIED.into());
    assert_eq!(remote.state(), TargetState::Closed);
    assert_eq!(remote.reopen(), Err(OpenError::NotClosedForQueryRemove));
    open(r"\\.\FAR\name").unwrap();
    assert_eq!(remote.file().unwrap().name(), r"\name");
    assert_eq!(open("far"), Err(OpenError::AlreadyOpen));
    remote.close();
    two.far().stop().unwrap();
    assert_eq!(open("far"), Err(OpenError::Disabled("far".to_owned())));
    drop(two.far.take());
    let gone = OpenError::NoSuchDevice("far".to_owned());
    assert_eq!(open("far"), Err(gone));
    two.near.stack.remove().unwrap();
    assert_eq!(open("far"), Err(OpenError::Gone));
    assert_eq!(remote.reopen(), Err(OpenError::Gone));
    assert!(RemoteTarget::new(&two.near.device, ()).is_err());
}

#[test]
fn the_other_stack_sees_a_file_that_is_opened_and_closed() {
    let two = Two::new();
    let remote = RemoteTarget::new(&two.near.device, ()).unwrap();
    let options = OpenOptions::new().name("x");
    remote.open(r"far\sub", &options).unwrap();
    assert_eq!(two.files(), [r"open \subx"]);
    remote.close();
    two.run();
    assert_eq!(two.files(), [r"cleanup \subx", r"close \subx"]);
    assert_eq!(remote.file(), None);
    remote.open("far", &OpenOptions::new()).unwrap();
    assert!(two.works(&remote));
    two.near.stack.remove().unwrap();
    two.run();
    assert_eq!(two.files(), ["open ", "cleanup ", "close "]);
    assert_eq!(remote.state(), TargetState::Deleted);
}

#[test]
fn what_is_cancelled_is_asked_back_from_the_other_stack_which_decides() {
    let two = Two::new();
    let remote = two.opened(());
    let read = two.near.read(remote.target(), 4, 0);
    two.run();
    two.slow.moved.store(3, Ordering::Relaxed);
    read.cancel();
    assert_eq!(how(read), (NtStatus::CANCELLED, 3));
    let read = two.near.read(remote.target(), 4, 0);
    two.run();
    let request = two.slow.next().unwrap();
    read.cancel();
    two.run();
    assert!(request.is_canceled());
    request.complete_with_information(NtStatus::SUCCESS, 4);
    assert_eq!(how(read), (NtStatus::SUCCESS, 4));
}

#[test]
fn a_time_limit_runs_by_the_clock_of_the_stack_that_has_set_it() {
    let two = Two::new();
    let remote = two.opened(());
    let options = SendOptions::new().timeout(Timeout::After(SECOND));
    let read = two.near.read_with(remote.target(), 4, 0, options);
    two.run();
    two.slow.moved.store(2, Ordering::Relaxed);
    two.near.clock.advance(SECOND);
    assert_eq!(how(read), (NtStatus::IO_TIMEOUT, 2));
}

#[test]
fn a_remote_target_refuses_requests_before_it_is_opened_and_after_it_is_closed() {
    let two = Two::new();
    let remote = RemoteTarget::new(&two.near.device, ()).unwrap();
    let target = remote.target();
    let whatever = SendOptions::new().ignore_target_state();
    let check = |state| {
        assert_eq!(remote.state(), state);
        assert_eq!(target.start(), Err(NtStatus::INVALID_DEVICE_STATE.into()));
        for options in [SendOptions::new(), whatever] {
            let mut request = two.near.device.create_request();
            target.format_for_flush(&mut request).unwrap();
            let error = request.send(target, options).unwrap_err();
            assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
        }
    };
    check(TargetState::Closed);
    remote.open("far", &OpenOptions::new()).unwrap();
    remote.close_for_query_remove();
    check(TargetState::ClosedForQueryRemove);
    remote.reopen().unwrap();
    assert_eq!(remote.state(), TargetState::Started);
    remote.close();
    check(TargetState::Closed);
    remote.close_for_query_remove();
    check(TargetState::Closed);
    two.near.stack.remove().unwrap();
    check(TargetState::Deleted);
}

#[test]
fn a_stopped_remote_target_keeps_requests_and_a_closed_one_ends_them() {
    let two = Two::new();
    let remote = two.opened(());
    let target = remote.target();
    let sent = two.near.read(target, 4, 0);
    two.run();
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let waits = two.near.read(target, 4, 0);
    two.run();
    assert_eq!(two.slow.seen(), 1);
    remote.close();
    assert_eq!(how(waits), (NtStatus::WDF_DEVICE_REMOVED_NOT_SENT, 0));
    assert_eq!(how(sent), (NtStatus::CANCELLED, 0));
    two.run();
    assert_eq!(two.files(), ["open ", "cleanup ", "close "]);
}

#[test]
fn closing_does_not_wait_for_a_driver_of_the_other_stack_that_keeps_a_request() {
    let two = Two::new();
    let remote = two.opened(());
    let reads = [(); 2].map(|()| two.near.read(remote.target(), 4, 0));
    two.run();
    let kept = [two.slow.next().unwrap(), two.slow.next().unwrap()];
    let [first, second] = reads;
    remote.close();
    assert_eq!(how(first), (NtStatus::CANCELLED, 0));
    two.near.stack.remove().unwrap();
    assert_eq!(how(second), (NtStatus::CANCELLED, 0));
    two.run();
    assert!(kept.iter().all(Request::is_canceled));
    for request in kept {
        request.complete_with_information(NtStatus::SUCCESS, 4);
    }
    two.run();
    assert_eq!(two.files(), ["open ", "cleanup ", "close "]);
    assert_eq!(broken(two.far()), []);
}

/// Takes down what it is told, and objects where that is wanted.
#[derive(Clone, Default)]
struct Notes {
    told: Arc<Mutex<Vec<&'static str>>>,
    objects: bool,
    does_nothing: bool,
}

impl RemoteTargetCallbacks for Notes {
    fn query_remove(&self, target: &RemoteTarget) -> Result<(), HResult> {
        self.told.lock().unwrap().push("query");
        match self.objects {
            true => Err(Win32Error::BUSY.into()),
            false if self.does_nothing => Ok(()),
            false => {
                target.close_for_query_remove();
                assert_eq!(target.state(), TargetState::ClosedForQueryRemove);
                Ok(())
            }
        }
    }

    fn remove_canceled(&self, target: &RemoteTarget) {
        self.told.lock().unwrap().push("canceled");
        if !self.does_nothing {
            target.reopen().unwrap();
        }
    }

    fn remove_complete(&self, target: &RemoteTarget) {
        self.told.lock().unwrap().push("complete");
        if !self.does_nothing {
            target.close();
        }
    }
}

impl Notes {
    fn told(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[test]
fn a_driver_is_asked_before_the_device_goes_and_told_when_it_has() {
    for does_nothing in [false, true] {
        let two = Two::new();
        let notes = Notes {
            does_nothing,
            ..Notes::default()
        };
        let remote = two.opened(notes.clone());
        let read = two.near.read(remote.target(), 4, 0);
        two.run();
        two.far().remove().unwrap();
        two.run();
        assert_eq!(notes.told(), ["query", "complete"]);
        assert_eq!(remote.state(), TargetState::Closed);
        assert_eq!(how(read), (NtStatus::CANCELLED, 0));
        assert_eq!(two.files(), ["open ", "cleanup ", "close "]);
    }
}

#[test]
fn a_target_without_callbacks_is_closed_as_its_device_goes() {
    let two = Two::new();
    let remote = two.opened(());
    two.far().remove().unwrap();
    two.run();
    assert_eq!(remote.state(), TargetState::Closed);
}

#[test]
fn a_driver_that_objects_keeps_the_device_and_the_target_as_it_is() {
    let two = Two::new();
    let notes = Notes {
        objects: true,
        ..Notes::default()
    };
    let remote = two.opened(notes.clone());
    let vetoed = ChangeError::Vetoed {
        driver: "own".into(),
        status: Win32Error::BUSY.into(),
    };
    assert_eq!(two.far().remove(), Err(vetoed));
    two.run();
    assert_eq!(notes.told(), ["query"]);
    assert!(two.works(&remote));
}

#[test]
fn those_that_have_not_objected_are_told_that_the_device_stays_and_reopen_it() {
    let two = Two::new();
    let (first, second) = (Notes::default(), Notes::default());
    let objects = Notes {
        objects: true,
        ..Notes::default()
    };
    let remotes = [&first, &objects, &second].map(|it| two.opened(it.clone()));
    assert!(two.far().remove().is_err());
    two.run();
    assert_eq!(first.told(), ["query", "canceled"]);
    assert_eq!(objects.told(), ["query"]);
    assert_eq!(second.told(), [""; 0]);
    assert!(remotes.iter().all(|it| two.works(it)));
}

#[test]
fn a_driver_of_the_device_itself_that_objects_has_targets_reopened() {
    let mut two = Two::new();
    drop(two.far.take());
    let (far, objects) = two.far_driver();
    two.far = Some(two.start(far));
    let notes = Notes::default();
    let (told, silent) = (two.opened(notes.clone()), two.opened(()));
    *objects.lock().unwrap() = true;
    assert!(matches!(
        two.far().remove(),
        Err(ChangeError::Vetoed { .. })
    ));
    two.run();
    assert_eq!(notes.told(), ["query", "canceled"]);
    assert!(two.works(&told) && two.works(&silent));
    *objects.lock().unwrap() = false;
    two.far().remove().unwrap();
    two.run();
    assert_eq!(notes.told(), ["query", "complete"]);
}

#[test]
fn a_device_that_is_unplugged_or_fails_asks_nobody_and_tells_afterwards() {
    for fails in [false, true] {
        let two = Two::new();
        let notes = Notes::default();
        let remote = two.opened(notes.clone());
        let read = two.near.read(remote.target(), 4, 0);
        two.run();
        match fails {
            true => two.far().devices()[0].spawn(async { panic!("on purpose") }),
            false => two.far().surprise_remove(),
        }
        two.run();
        assert_eq!(notes.told(), ["complete"]);
        assert_eq!(remote.state(), TargetState::Closed);
        let status = match fails {
            true => NtStatus::DRIVER_PROCESS_TERMINATED,
            false => NtStatus::CANCELLED,
        };
        assert_eq!(how(read).0, status);
    }
}

#[test]
fn a_target_that_was_closed_is_told_nothing() {
    let two = Two::new();
    let notes = Notes::default();
    let remote = two.opened(notes.clone());
    remote.close();
    two.far().remove().unwrap();
    two.run();
    assert_eq!(notes.told(), [""; 0]);
}

#[test]
fn a_target_that_is_open_for_another_device_by_then_stays_open() {
    struct MovesOn;
    impl RemoteTargetCallbacks for MovesOn {
        fn remove_complete(&self, target: &RemoteTarget) {
            target.close();
            target.open("other", &OpenOptions::new()).unwrap();
        }
    }
    let two = Two::new();
    let other = Own::among(&two.names);
    other.device.create_symbolic_link("other").unwrap();
    let remote = two.opened(MovesOn);
    two.far().remove().unwrap();
    two.run();
    let read = two.near.read(remote.target(), 1, 0);
    two.run();
    let request = other.kept.take();
    request.complete_with_information(NtStatus::SUCCESS, 1);
    assert_eq!(how(read), (NtStatus::SUCCESS, 1));
}

#[test]
fn a_remote_target_does_not_keep_the_other_stack() {
    let mut two = Two::new();
    let notes = Notes::default();
    let remote = two.opened(notes.clone());
    drop(two.far.take());
    two.run();
    assert_eq!(notes.told(), ["complete"]);
    assert_eq!(remote.state(), TargetState::Closed);
}

#[test]
fn a_stack_that_has_failed_is_not_asked() {
    let two = Two::new();
    let remote = two.opened(());
    two.near.device.spawn(async { panic!("on purpose") });
    two.near.stack.run();
    assert_eq!(remote.state(), TargetState::Deleted);
    two.far().remove().unwrap();
}

#[test]
fn a_callback_that_panics_fails_its_own_stack_and_not_the_one_that_asks() {
    struct Panics;
    impl RemoteTargetCallbacks for Panics {
        fn query_remove(&self, _: &RemoteTarget) -> Result<(), HResult> {
            panic!("on purpose")
        }
    }
    let two = Two::new();
    let _remote = two.opened(Panics);
    two.far().remove().unwrap();
    let failure = two.near.stack.failure().unwrap().to_string();
    assert!(failure.contains("a remote target's callback"), "{failure}");
}

#[test]
fn stacks_that_have_each_other_open_go_all_the_same() {
    let names = DeviceNames::new();
    let (one, two) = (Own::among(&names), Own::among(&names));
    one.device.create_symbolic_link("one").unwrap();
    two.device.create_symbolic_link("two").unwrap();
    let there = RemoteTarget::new(&one.device, ()).unwrap();
    let back = RemoteTarget::new(&two.device, ()).unwrap();
    there.open("two", &OpenOptions::new()).unwrap();
    back.open("one", &OpenOptions::new()).unwrap();
    let ping = one.read(there.target(), 1, 0);
    one.stack.run();
    let mut arrived = two.kept.take();
    arrived.format_using_current_type();
    let pong = arrived.send(back.target(), SendOptions::new()).unwrap();
    two.stack.run();
    let last = one.kept.take();
    last.complete_with_information(NtStatus::SUCCESS, 1);
    let (arrived, params) = pong.wait();
    arrived.complete_with_information(params.status(), params.information());
    assert_eq!(how(ping), (NtStatus::SUCCESS, 1));
    drop((one, two));
    for remote in [there, back] {
        assert_eq!(remote.state(), TargetState::Deleted);
    }
}

#[test]
fn the_opening_of_files_and_what_would_be_forgotten_are_not_for_a_remote_target() {
    let two = Two::new();
    let remote = two.opened(());
    let handle = two.near.stack.open_and_wait().unwrap();
    let read = handle.read(1);
    let request = two.near.kept.take();
    let error = request.send_and_forget(remote.target()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
    error.complete();
    assert_eq!(read.wait().error(), Win32Error::INVALID_FUNCTION);
    let mut own = two.near.device.create_request();
    own.format_using_current_type();
    let error = own.send(remote.target(), SendOptions::new()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
}

/// Passes what comes on to the device `lower`, synchronously, from a callback.
fn passing(names: &DeviceNames, threads: Threads) -> Stack {
    let make = |device: &Device| {
        let remote = RemoteTarget::new(device, ())?;
        remote.open("lower", &OpenOptions::new())?;
        let queue = device.parallel_queue().default_queue();
        let pass = move |_: &Queue, mut request: Request| {
            request.format_using_current_type();
            let sent = request.send(remote.target(), SendOptions::new()).unwrap();
            let (request, params) = sent.wait();
            request.complete_with_information(params.status(), params.information());
        };
        queue.on_default(pass).create().map(drop)
    };
    let builder = Stack::builder().threads(threads).names(names);
    builder.driver("upper", driver(make)).start().unwrap()
}

#[test]
fn a_driver_waits_in_a_callback_for_another_stack_whatever_threads_they_have() {
    let both = [Threads::None, Threads::Worker, Threads::Seeded(7)];
    for (near, far) in both.iter().flat_map(|it| both.map(|other| (*it, other))) {
        let names = DeviceNames::new();
        let make = |device: &Device| {
            device.create_symbolic_link("lower")?;
            let queue = device.sequential_queue().default_queue();
            let answer = |_: &Queue, request: Request, length: usize| {
                request.complete_with_information(NtStatus::SUCCESS, length);
            };
            queue.on_read(answer).create().map(drop)
        };
        let builder = Stack::builder().threads(far).names(&names);
        let lower = builder.driver("lower", driver(make)).start().unwrap();
        let upper = passing(&names, near);
        let handle = upper.open_and_wait().unwrap();
        let reads = [1, 2, 3].map(|it| handle.read(it));
        assert_eq!(reads.map(|it| it.wait().information), [1, 2, 3]);
        drop(handle);
        drop(lower);
        drop(upper);
    }
}

#[test]
fn a_driver_opens_a_device_as_its_own_starts() {
    #[derive(Clone)]
    struct Opens(Arc<Mutex<Option<RemoteTarget>>>);
    impl DeviceCallbacks for Opens {
        fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
            let remote = RemoteTarget::new(device, ())?;
            remote.open("far", &OpenOptions::new())?;
            *self.0.lock().unwrap() = Some(remote);
            Ok(())
        }
    }
    let two = Two::new();
    let remote = Arc::default();
    let start = || {
        let builder = builder().0.names(&two.names);
        builder
            .driver("opens", With(Opens(Arc::clone(&remote))))
            .start()
    };
    let stack = start().unwrap();
    let opened = remote.lock().unwrap().clone().unwrap();
    assert_eq!(opened.state(), TargetState::Started);
    drop(stack);
    two.far().remove().unwrap();
    assert!(start().is_err(), "there is no such device any more");
}
