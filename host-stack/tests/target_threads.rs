//! File targets and remote targets used by many threads at once, of stacks that have threads of their own.

mod support;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use support::{broken, driver};
use usbwright_host_stack::{
    CompletionCallback, Device, DeviceNames, FileTarget, Handle, IoTarget, OpenOptions, Queue,
    RemoteTarget, Request, RequestCompletionParams, SendOptions, Stack, Threads,
    status::{NtStatus, Win32Error},
};

/// Requests that each thread makes.
const REQUESTS: usize = 500;
/// Threads of the application.
const THREADS: usize = 4;

fn told() -> Arc<dyn CompletionCallback> {
    Arc::new(|request: Request, params: &RequestCompletionParams| {
        request.complete_with_information(params.status(), params.information());
    })
}

/// A driver that sends on what comes to what `make` makes.
fn passing(
    make: impl Fn(&Device) -> IoTarget + Send + Sync + 'static,
) -> impl usbwright_host_stack::Driver {
    driver(move |device: &Device| {
        let (target, told) = (make(device), told());
        let queue = device.parallel_queue().default_queue();
        let pass = move |_: &Queue, mut request: Request| {
            request.format_using_current_type();
            let sent = request.send_then(&target, SendOptions::new(), Arc::clone(&told));
            sent.unwrap_or_else(|error| error.complete());
        };
        let queue = queue.on_default(pass).power_managed(false);
        queue.create().map(drop)
    })
}

fn stack(name: &str, names: &DeviceNames, driver: impl usbwright_host_stack::Driver) -> Stack {
    let builder = Stack::builder().threads(Threads::Worker).names(names);
    builder.driver(name, driver).start().unwrap()
}

/// Has threads do something with a handle each, and another thing once a quarter of it is done.
fn crowd(stack: &Stack, each: impl Fn(&Handle, usize) + Sync, meanwhile: impl FnOnce() + Send) {
    let (begin, done) = (Barrier::new(THREADS), AtomicUsize::new(0));
    let quarter = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let handle = stack.open_and_wait().unwrap();
                begin.wait();
                for number in 0..REQUESTS {
                    each(&handle, number);
                    if done.fetch_add(1, Ordering::Relaxed) + 1 == THREADS * REQUESTS / 4 {
                        quarter.wait();
                    }
                }
            });
        }
        scope.spawn(|| {
            quarter.wait();
            meanwhile();
        });
    });
}

#[test]
fn many_threads_write_to_a_socket_and_every_byte_comes_once() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let here = Mutex::new(Some(here));
    let make = move |device: &Device| {
        let socket = here.lock().unwrap().take().unwrap();
        FileTarget::new(device, socket).unwrap().target().clone()
    };
    let stack = stack("socket", &DeviceNames::new(), passing(make));
    let reader = thread::spawn(move || {
        let mut counts = [0_usize; 256];
        let mut bytes = [0; 8192];
        loop {
            match there.read(&mut bytes).unwrap() {
                0 => return counts,
                length => bytes[..length]
                    .iter()
                    .for_each(|it| counts[usize::from(*it)] += 1),
            }
        }
    });
    let write = |handle: &Handle, number: usize| {
        let data = vec![(number % 256) as u8; 1 + number];
        assert_eq!(handle.write(data).wait().information, 1 + number);
    };
    crowd(&stack, write, || ());
    assert_eq!(broken(&stack), []);
    drop(stack);
    let counts = reader.join().unwrap();
    let mut expected = [0; 256];
    (0..REQUESTS).for_each(|number| expected[number % 256] += THREADS * (1 + number));
    assert_eq!(counts, expected);
}

#[test]
fn many_threads_read_from_a_socket_and_every_byte_comes_once() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let here = Mutex::new(Some(here));
    let make = move |device: &Device| {
        let socket = here.lock().unwrap().take().unwrap();
        FileTarget::new(device, socket).unwrap().target().clone()
    };
    let stack = stack("socket", &DeviceNames::new(), passing(make));
    let total = THREADS * REQUESTS;
    let writer = thread::spawn(move || {
        for number in 0..total {
            there.write_all(&[(number % 251) as u8]).unwrap();
        }
        there
    });
    let sum = AtomicUsize::new(0);
    let read = |handle: &Handle, _: usize| {
        let data = handle.read(1).wait().ok().unwrap().data;
        sum.fetch_add(data[0].into(), Ordering::Relaxed);
    };
    crowd(&stack, read, || ());
    let expected: usize = (0..total).map(|number| number % 251).sum();
    assert_eq!(sum.load(Ordering::Relaxed), expected);
    drop(writer.join().unwrap());
}

/// A stack that answers every read at once, named `lower`; and one above that uses it.
fn two() -> (Stack, Stack) {
    let names = DeviceNames::new();
    let answers = driver(|device: &Device| {
        device.create_symbolic_link("lower")?;
        let queue = device.parallel_queue().default_queue();
        let answer = |_: &Queue, request: Request, length: usize| {
            request.complete_with_information(NtStatus::SUCCESS, length);
        };
        let queue = queue.on_read(answer).power_managed(false);
        queue.create().map(drop)
    });
    let lower = stack("lower", &names, answers);
    let open = |device: &Device| {
        let remote = RemoteTarget::new(device, ()).unwrap();
        remote.open("lower", &OpenOptions::new()).unwrap();
        remote.target().clone()
    };
    let upper = stack("upper", &names, passing(open));
    (lower, upper)
}

#[test]
fn many_threads_use_a_stack_that_uses_another() {
    let (lower, upper) = two();
    let read = |handle: &Handle, number: usize| {
        assert_eq!(handle.read(1 + number).wait().information, 1 + number);
    };
    crowd(&upper, read, || ());
    for stack in [lower, upper] {
        assert_eq!(broken(&stack), []);
        stack.remove().unwrap();
    }
}

#[test]
fn what_many_threads_have_asked_ends_where_the_other_stack_goes_meanwhile() {
    for orderly in [true, false] {
        let (lower, upper) = two();
        let ended = AtomicUsize::new(0);
        let read = |handle: &Handle, _: usize| {
            let error = handle.read(1).wait().error();
            let known = [
                Win32Error::SUCCESS,
                Win32Error::OPERATION_ABORTED,
                Win32Error::BAD_COMMAND,
                Win32Error::DEVICE_REMOVED,
            ];
            assert!(known.contains(&error), "{error}");
            ended.fetch_add(1, Ordering::Relaxed);
        };
        crowd(&upper, read, || match orderly {
            true => lower.remove().unwrap(),
            false => lower.surprise_remove(),
        });
        assert_eq!(ended.load(Ordering::Relaxed), THREADS * REQUESTS);
        assert_eq!(broken(&upper), []);
    }
}
