//! Files that are open when their device goes, and what drivers keep with files.

mod dice;
mod life_support;

use std::sync::{Arc, Mutex, Weak};

use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, File, Handle, OpenOptions, Request, RequestType,
    Rule, Stack, Threads,
    status::{HResult, NtStatus, Win32Error},
};

use dice::try_all;
use life_support::{Does, Log, Recorder, builder, started};

fn open(stack: &Stack, name: &str) -> Handle {
    stack.open(&OpenOptions::new().name(name)).wait().unwrap()
}

/// What is told of files.
fn of_files(log: &Log) -> Vec<String> {
    let mut told = log.take();
    told.retain(|it| it.contains("_file"));
    told
}

#[test]
fn files_that_are_open_when_their_device_goes_are_closed_one_after_another() {
    for removes in [Stack::surprise_remove, |it: &Stack| it.remove().unwrap()] {
        let log = Log::default();
        let (stack, _) = started(Recorder::new(&log).with_files(), &log);
        let handles = [open(&stack, "one"), open(&stack, "two")];
        removes(&stack);
        let told = log.take();
        assert_eq!(
            told[told.len() - 7..],
            [
                "self_managed_io_flush",
                "cleanup_file one",
                "close_file one",
                "cleanup_file two",
                "close_file two",
                "self_managed_io_cleanup",
                "cleanup",
            ]
        );
        drop(handles);
        assert_eq!(log.take(), [""; 0], "they are closed");
    }
}

#[test]
fn each_driver_that_a_file_gets_to_is_told_in_its_turn_and_no_other() {
    let log = Log::default();
    let named = |name| Recorder::new(&log).named(name).with_files();
    let stack = Stack::builder()
        .driver("below", named("below"))
        .driver("function", named("function"))
        .driver("filter", named("filter").filter())
        .threads(Threads::None)
        .start()
        .unwrap();
    let (early, _open) = (open(&stack, "early"), open(&stack, "late"));
    drop(early);
    stack.run();
    assert_eq!(
        of_files(&log),
        [
            "filter: cleanup_file early",
            "function: cleanup_file early",
            "filter: close_file early",
            "function: close_file early",
        ]
    );
    stack.remove().unwrap();
    assert_eq!(
        of_files(&log),
        [
            "filter: cleanup_file late",
            "filter: close_file late",
            "function: cleanup_file late",
            "function: close_file late",
        ]
    );
}

#[test]
fn a_stack_that_has_failed_tells_nobody_of_files() {
    let log = Log::default();
    let bad = Recorder::new(&log)
        .with_files()
        .does("d0_exit", Does::Panic);
    let (stack, _) = started(bad, &log);
    let handle = open(&stack, "one");
    stack.suspend().unwrap_err();
    drop((handle, stack));
    assert_eq!(of_files(&log), [""; 0]);
}

type Kept = Arc<Mutex<Vec<Request>>>;

/// A driver that keeps requests of a kind, also when its device goes.
fn keeping(log: &Log, kind: RequestType, kept: &Kept) -> Recorder {
    let kept = Arc::clone(kept);
    Recorder::new(log).with_files().with(move |device, _| {
        let kept = Arc::clone(&kept);
        let queue = device.parallel_queue().takes(kind);
        let on_create = Arc::clone(&kept);
        queue
            .on_create(move |_, request, _| on_create.lock().unwrap().push(request))
            .on_default(move |_, request| kept.lock().unwrap().push(request))
            .on_stop(|_, notice| notice.acknowledge())
            .create()
            .map(drop)
    })
}

#[test]
fn a_file_that_is_being_opened_when_its_device_goes_is_not_closed() {
    let (log, kept) = (Log::default(), Kept::default());
    let (stack, _) = started(keeping(&log, RequestType::Create, &kept), &log);
    let opening = stack.open(&OpenOptions::new().name("never"));
    stack.remove().unwrap();
    assert_eq!(of_files(&log), [""; 0]);
    assert_eq!(opening.wait().unwrap_err(), Win32Error::DEVICE_REMOVED);
}

#[test]
fn what_a_driver_has_kept_of_a_file_ends_before_that_is_closed_and_is_reported() {
    let (log, kept) = (Log::default(), Kept::default());
    let (stack, _) = started(keeping(&log, RequestType::Read, &kept), &log);
    let handle = open(&stack, "one");
    let read = handle.read(1);
    stack.remove().unwrap();
    assert_eq!(of_files(&log), ["cleanup_file one", "close_file one"]);
    assert_eq!(read.wait().error(), Win32Error::DEVICE_REMOVED);
    let rules: Vec<Rule> = stack.violations().iter().map(|it| it.rule).collect();
    assert_eq!(rules, [Rule::LeakedRequest]);
    let late = kept.lock().unwrap().pop().unwrap();
    late.complete(NtStatus::SUCCESS);
}

/// A driver that completes in `cleanup_file` what it has kept, and writes down what it is told of contexts and files.
#[derive(Clone)]
struct Tidy {
    log: Log,
    kept: Kept,
    gives_contexts: bool,
}

/// Notes when it is dropped.
struct Noted(Log, String);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(format!("{} dropped", self.1));
    }
}

impl DeviceCallbacks for Tidy {
    fn cleanup_file(&self, device: &Device, file: &File) {
        self.log.note("cleanup_file");
        assert_eq!(file.context::<Noted>(device).is_some(), self.gives_contexts);
        for request in self.kept.lock().unwrap().drain(..) {
            assert_eq!(request.file().as_ref(), Some(file));
            request.complete_with_information(NtStatus::SUCCESS, 1);
        }
    }

    fn close_file(&self, device: &Device, file: &File) {
        self.log.note("close_file");
        assert_eq!(file.context::<Noted>(device).is_some(), self.gives_contexts);
    }
}

impl Driver for Tidy {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_filter();
        let device = init.create(self.clone());
        let (log, kept, gives) = (
            self.log.clone(),
            Arc::clone(&self.kept),
            self.gives_contexts,
        );
        let queue = device.parallel_queue().takes(RequestType::Create);
        let queue = queue.on_create(move |queue, request, file| {
            if gives {
                let context = Noted(log.clone(), format!("context of {}", file.name()));
                // Circles are broken when the file goes.
                let circle = (queue.device(), file.clone());
                assert!(file.assign_context(&queue.device(), context).is_ok());
                assert!(file.assign_context(&queue.device(), circle).is_err());
            }
            match file.name() {
                "refused" => request.complete(NtStatus::ACCESS_DENIED),
                _ => request.complete(NtStatus::SUCCESS),
            }
        });
        queue.create()?;
        let queue = device.parallel_queue().takes(RequestType::Read);
        queue
            .on_read(move |_, request, _| kept.lock().unwrap().push(request))
            .on_stop(|_, notice| notice.acknowledge())
            .create()?;
        Ok(device)
    }
}

fn tidy(log: &Log, gives_contexts: bool) -> Stack {
    let driver = Tidy {
        log: log.clone(),
        kept: Kept::default(),
        gives_contexts,
    };
    let stack = Stack::builder().driver("tidy", driver);
    stack.threads(Threads::None).start().unwrap()
}

#[test]
fn a_driver_may_end_in_cleanup_file_what_it_has_of_it_also_when_its_device_goes() {
    for goes in [false, true] {
        let log = Log::default();
        let stack = tidy(&log, false);
        let handle = open(&stack, "one");
        let read = handle.read(1);
        match goes {
            true => stack.remove().unwrap(),
            false => {
                drop(handle);
                stack.run();
            }
        }
        let read = read.wait();
        assert_eq!((read.error(), read.information), (Win32Error::SUCCESS, 1));
        assert_eq!(log.take(), ["cleanup_file", "close_file"]);
        assert_eq!(stack.violations(), []);
    }
}

#[test]
fn a_files_context_is_there_until_the_file_is_closed() {
    for goes in [false, true] {
        let log = Log::default();
        let stack = tidy(&log, true);
        let handle = open(&stack, "one");
        match goes {
            true => stack.remove().unwrap(),
            false => {
                drop(handle);
                stack.run();
            }
        }
        let told = ["cleanup_file", "close_file", "context of one dropped"];
        assert_eq!(log.take(), told);
    }
}

#[test]
fn the_context_of_a_file_that_was_not_opened_is_dropped_at_once() {
    let log = Log::default();
    let stack = tidy(&log, true);
    let refused = stack.open(&OpenOptions::new().name("refused"));
    assert_eq!(refused.wait().unwrap_err(), Win32Error::ACCESS_DENIED);
    assert_eq!(log.take(), ["context of refused dropped"]);
    drop(stack.open(&OpenOptions::new().name("refused")));
    assert_eq!(log.take(), ["context of refused dropped"]);
    drop(stack.open(&OpenOptions::new().name("unwanted")));
    stack.run();
    let told = ["cleanup_file", "close_file", "context of unwanted dropped"];
    assert_eq!(log.take(), told);
}

#[test]
fn a_files_context_goes_with_a_stack_that_has_failed() {
    let log = Log::default();
    let tidy = Tidy {
        log: log.clone(),
        kept: Kept::default(),
        gives_contexts: true,
    };
    let bad = Recorder::new(&Log::default()).does("d0_exit", Does::Panic);
    let stack = builder(bad).driver("tidy", tidy).start().unwrap();
    let _handle = open(&stack, "one");
    stack.suspend().unwrap_err();
    assert_eq!(log.take(), ["context of one dropped"]);
}

#[test]
fn each_driver_of_a_stack_gives_a_file_a_context_of_its_own() {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log), &log);
    let (other, _) = started(Recorder::new(&log), &log);
    let (device, another) = (stack.devices().remove(0), other.devices().remove(0));
    let file = seen_file(&stack, &device);
    assert_eq!(file.context::<u32>(&device), None);
    assert_eq!(file.assign_context(&device, 1_u32), Ok(()));
    assert_eq!(file.assign_context(&device, 2_u32), Err(2));
    assert_eq!(file.assign_context(&another, "other"), Ok(()));
    assert_eq!(file.context::<u32>(&device).as_deref(), Some(&1));
    assert_eq!(file.context::<String>(&device), None);
    assert_eq!(file.context::<&str>(&another).as_deref(), Some(&"other"));
    stack.remove().unwrap();
    assert_eq!(file.context::<u32>(&device), None);
    assert_eq!(file.assign_context(&device, 3_u32), Err(3));
}

/// A file as a driver sees it.
fn seen_file(stack: &Stack, device: &Device) -> File {
    let queue = device.manual_queue().takes(RequestType::Read);
    let queue = queue.power_managed(false).create().unwrap();
    let handle = open(stack, "one");
    let _read = handle.read(1);
    let request = queue.retrieve_next().unwrap();
    let file = request.file().unwrap();
    request.complete(NtStatus::SUCCESS);
    std::mem::forget(handle);
    file
}

#[test]
fn what_a_driver_keeps_with_files_is_not_kept_by_anybody_else() {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log), &log);
    let device = stack.devices().remove(0);
    let file = seen_file(&stack, &device);
    let held = Arc::new(());
    let seen: Weak<()> = Arc::downgrade(&held);
    assert!(file.assign_context(&device, held).is_ok());
    assert!(file.context::<Arc<()>>(&device).is_some());
    stack.surprise_remove();
    assert!(seen.upgrade().is_none());
}

#[test]
fn opened_closed_and_unplugged_a_file_is_cleaned_up_and_closed_once_in_each_driver() {
    try_all("the end of a file", |seed, mut dice| {
        let log = Log::default();
        let named = |name| Recorder::new(&log).named(name).with_files().filter();
        let stack = Stack::builder()
            .driver("low", named("low"))
            .driver("top", named("top"))
            .threads(Threads::Seeded(seed))
            .start()
            .unwrap();
        let (mut opened, mut handles) = (Vec::new(), Vec::new());
        for name in 0..6 {
            match dice.roll(3) {
                0 if !handles.is_empty() => drop(handles.swap_remove(0)),
                _ => {
                    opened.push(name);
                    handles.push(open(&stack, &name.to_string()));
                }
            }
        }
        match dice.roll(2) {
            0 => stack.surprise_remove(),
            _ => stack.remove().unwrap(),
        }
        drop((handles, stack));
        let told = of_files(&log);
        for driver in ["low", "top"] {
            for name in &opened {
                let its = |what| format!("{driver}: {what}_file {name}");
                let of = |it: &&String| **it == its("cleanup") || **it == its("close");
                let told: Vec<&String> = told.iter().filter(of).collect();
                assert_eq!(told, [&its("cleanup"), &its("close")]);
            }
        }
    });
}
