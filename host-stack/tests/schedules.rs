//! What holds in whatever order things are done: seeds decide, and one with which it does not hold is told.

mod dice;
mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dice::{Dice, try_all};
use support::{Kept, broken, driver, filter};
use usbwright_host_stack::{
    Cancelable, Device, Driver, Handle, Io, Queue, Request, Rule, SendOptions, Sent, SentIoAction,
    Stack, Threads, Timeout,
    status::{HResult, NtStatus},
    usb_target::ManualClock,
};

/// A stack whose order a seed decides.
struct Bench {
    stack: Stack,
    handle: Handle,
    clock: ManualClock,
    asked: Vec<Io>,
}

impl Bench {
    fn new(seed: u64, drivers: Vec<(&str, Box<dyn Driver>)>) -> Self {
        let clock = ManualClock::new();
        let mut builder = Stack::builder()
            .threads(Threads::Seeded(seed))
            .clock(clock.clone());
        for (name, driver) in drivers {
            builder = builder.driver(name, Boxed(driver));
        }
        let stack = builder.start().unwrap();
        let handle = stack.open_and_wait().unwrap();
        Self {
            stack,
            handle,
            clock,
            asked: Vec::new(),
        }
    }

    fn alone(
        seed: u64,
        make: impl Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static,
    ) -> Self {
        Self::new(seed, vec![("alone", Box::new(driver(make)))])
    }

    /// Asks for a read, whose length is its number.
    fn ask(&mut self) {
        self.asked.push(self.handle.read(self.asked.len() + 1));
    }

    fn cancel_one(&self, dice: &mut Dice) {
        if let Some(read) = self.asked.get(dice.roll(self.asked.len().max(1))) {
            read.cancel();
        }
    }

    /// Everything has ended once, as one of the statuses, and no rule was broken.
    fn check(self, statuses: &[NtStatus]) {
        self.check_but(statuses, &[]);
    }

    /// Everything has ended once, as one of the statuses, and no rule was broken but these.
    fn check_but(self, statuses: &[NtStatus], allowed: &[Rule]) {
        self.stack.run();
        for (number, read) in self.asked.into_iter().enumerate() {
            assert!(read.has_ended(), "request {number} was lost");
            let outcome = read.wait();
            assert!(statuses.contains(&outcome.status), "{:?}", outcome.status);
            let well = outcome.status == NtStatus::SUCCESS;
            assert_eq!(outcome.information, if well { number + 1 } else { 0 });
        }
        let mut broken = broken(&self.stack);
        broken.retain(|it| !allowed.contains(it));
        assert_eq!(broken, []);
    }
}

struct Boxed(Box<dyn Driver>);

impl Driver for Boxed {
    fn device_add(&self, init: usbwright_host_stack::DeviceInit) -> Result<Device, HResult> {
        self.0.device_add(init)
    }
}

/// The number of a read.
fn number(request: &Request) -> usize {
    match request.parameters() {
        usbwright_host_stack::Parameters::Read(it) => it.length,
        _ => 0,
    }
}

/// Ends a read well.
fn succeed(request: Request) {
    let number = number(&request);
    request.complete_with_information(NtStatus::SUCCESS, number);
}

fn give_up(request: Request) {
    request.complete(NtStatus::CANCELLED);
}

const ENDS: [NtStatus; 2] = [NtStatus::SUCCESS, NtStatus::CANCELLED];

/// A sequential default queue that checks what it delivers: one at a time, and in their order.
fn checked(device: &Device, kept: &Kept) -> Result<Queue, HResult> {
    let kept = kept.clone();
    let last = AtomicUsize::new(0);
    let queue = device.sequential_queue().default_queue();
    queue
        .on_read(move |queue, request, length| {
            assert_eq!(queue.state().with_driver, 1, "one at a time");
            assert!(
                last.swap(length, Ordering::Relaxed) < length,
                "in their order"
            );
            kept.keep(request);
        })
        .create()
}

#[test]
fn cancelled_or_completed_a_request_ends_once_and_the_next_one_comes() {
    try_all("cancel against complete", |seed, mut dice| {
        let kept = Kept::default();
        let keep = kept.clone();
        let mut bench = Bench::alone(seed, move |device| checked(device, &keep).map(drop));
        for _ in 0..12 {
            match dice.roll(4) {
                0 | 1 => bench.ask(),
                2 => bench.cancel_one(&mut dice),
                _ => drop(kept.next().map(succeed)),
            }
        }
        loop {
            bench.stack.run();
            let Some(request) = kept.next() else { break };
            succeed(request);
        }
        bench.check(&ENDS);
    });
}

#[test]
fn marked_had_back_and_cancelled_a_request_has_one_owner() {
    try_all("mark and unmark against cancel", |seed, mut dice| {
        let kept = Kept::default();
        let keep = kept.clone();
        let mut bench = Bench::alone(seed, move |device| keep.queue(device).map(drop));
        let mut marked = Vec::<Cancelable>::new();
        for _ in 0..14 {
            match dice.roll(6) {
                0 => bench.ask(),
                1 => bench.cancel_one(&mut dice),
                2 => {
                    let request = kept.next();
                    marked.extend(request.map(|it| it.mark_cancelable(Arc::new(give_up))));
                }
                3 => match kept
                    .next()
                    .map(|it| it.try_mark_cancelable(Arc::new(give_up)))
                {
                    Some(Ok(it)) => marked.push(it),
                    Some(Err(request)) => give_up(request),
                    None => {}
                },
                4 => {
                    if let Some(Ok(request)) = marked.pop().map(Cancelable::unmark) {
                        kept.keep(request);
                    }
                }
                _ => drop(kept.next().map(succeed)),
            }
        }
        bench.stack.run();
        marked
            .into_iter()
            .flat_map(Cancelable::unmark)
            .for_each(succeed);
        while let Some(request) = kept.next() {
            succeed(request);
        }
        bench.check(&ENDS);
    });
}

#[test]
fn stopped_drained_and_purged_a_queue_becomes_idle_and_loses_nothing() {
    try_all(
        "stop, drain and purge against submit and complete",
        |seed, mut dice| {
            let kept = Kept::default();
            let keep = kept.clone();
            let mut bench = Bench::alone(seed, move |device| {
                let queue = checked(device, &keep)?;
                device.assign_context(queue).map_err(|_| HResult::FAIL)
            });
            let device = bench.stack.devices()[0].clone();
            let queue = device.context::<Queue>().unwrap();
            let (begun, told) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
            let then = || {
                let told = Arc::clone(&told);
                move |queue: &Queue| {
                    assert_eq!(queue.state().with_driver, 0);
                    told.fetch_add(1, Ordering::Relaxed);
                }
            };
            let begin = |result: Result<(), HResult>| {
                begun.fetch_add(usize::from(result.is_ok()), Ordering::Relaxed)
            };
            for _ in 0..14 {
                let idle = begun.load(Ordering::Relaxed) == told.load(Ordering::Relaxed);
                match dice.roll(9) {
                    0..=2 => bench.ask(),
                    3 => bench.cancel_one(&mut dice),
                    4 if idle => drop(begin(queue.stop(then()))),
                    5 if idle => drop(begin(queue.drain(then()))),
                    6 if idle => drop(begin(queue.purge(then()))),
                    7 => queue.start(),
                    _ => drop(kept.next().map(succeed)),
                }
            }
            queue.start();
            loop {
                bench.stack.run();
                let Some(request) = kept.next() else { break };
                succeed(request);
            }
            assert_eq!(begun.into_inner(), told.load(Ordering::Relaxed));
            bench.check(&[ENDS[0], ENDS[1], NtStatus::INVALID_DEVICE_STATE]);
        },
    );
}

#[test]
fn put_back_and_forwarded_a_request_that_is_cancelled_ends_once() {
    try_all("requeue and forward against cancel", |seed, mut dice| {
        let (kept, told) = (Kept::default(), Kept::default());
        let (keep, tell) = (kept.clone(), told.clone());
        let tells = dice.roll(2) == 0;
        let mut bench = Bench::alone(seed, move |device| {
            checked(device, &keep)?;
            let mut manual = device.manual_queue();
            if tells {
                let tell = tell.clone();
                manual = manual.on_canceled(move |_, request| tell.keep(request));
            }
            let manual = manual.create()?;
            device.assign_context(manual).map_err(|_| HResult::FAIL)
        });
        let device = bench.stack.devices()[0].clone();
        let manual = device.context::<Queue>().unwrap();
        for _ in 0..14 {
            match dice.roll(7) {
                0 | 1 => bench.ask(),
                2 => bench.cancel_one(&mut dice),
                3 | 4 => drop(kept.next().map(|it| it.forward(&manual).unwrap())),
                5 => drop(manual.retrieve_next().map(|it| it.requeue().unwrap())),
                _ => drop(manual.retrieve_next().map(succeed)),
            }
        }
        loop {
            bench.stack.run();
            while let Some(request) = told.next() {
                assert!(tells && request.is_canceled());
                give_up(request);
            }
            let next = kept.next().or_else(|| manual.retrieve_next().ok());
            let Some(request) = next else { break };
            succeed(request);
        }
        bench.check(&ENDS);
    });
}

/// A device below that keeps what comes marked, and a filter that keeps it unmarked.
fn two(seed: u64, kept: &Kept, below: &Arc<Mutex<Vec<Cancelable>>>) -> Bench {
    let (kept, below) = (kept.clone(), Arc::clone(below));
    let lower = driver(move |device| {
        let below = Arc::clone(&below);
        let queue = device.parallel_queue().default_queue();
        let handler = move |_: &Queue, request: Request| {
            let marked = request.mark_cancelable(Arc::new(give_up));
            below.lock().unwrap().push(marked);
        };
        queue.on_default(handler).create().map(drop)
    });
    let upper = filter(move |device| kept.queue(device).map(drop));
    Bench::new(
        seed,
        vec![("lower", Box::new(lower)), ("upper", Box::new(upper))],
    )
}

fn end_below(below: &Mutex<Vec<Cancelable>>) -> bool {
    let marked = below.lock().unwrap().pop();
    let request = marked.map(Cancelable::unmark);
    let any = request.is_some();
    if let Some(Ok(request)) = request {
        succeed(request);
    }
    any
}

#[test]
fn what_was_sent_comes_back_once_whether_it_ends_is_cancelled_or_times_out() {
    try_all("timeout and cancel against completion", |seed, mut dice| {
        let (kept, below) = (Kept::default(), Arc::default());
        let mut bench = two(seed, &kept, &below);
        let target = bench.stack.devices()[1].default_target().clone();
        let mut sent = Vec::<Sent>::new();
        for _ in 0..16 {
            match dice.roll(9) {
                0 | 1 => bench.ask(),
                2 => bench.cancel_one(&mut dice),
                3 | 4 => {
                    if let Some(mut request) = kept.next() {
                        request.format_using_current_type();
                        let time = Duration::from_millis(dice.roll(4) as u64);
                        let options = SendOptions::new().timeout(Timeout::After(time));
                        sent.push(request.send(&target, options).unwrap());
                    }
                }
                5 => drop(end_below(&below)),
                6 => bench.clock.advance(Duration::from_millis(1)),
                7 if !sent.is_empty() => sent[dice.roll(sent.len())].cancel(),
                _ if !sent.is_empty() => drop(sent.swap_remove(dice.roll(sent.len()))),
                _ => {}
            }
        }
        bench.stack.run();
        while end_below(&below) {
            bench.stack.run();
        }
        for sent in sent {
            let (request, params) = sent.wait();
            request.complete_with_information(params.status(), params.information());
        }
        while let Some(request) = kept.next() {
            succeed(request);
        }
        bench.check(&[ENDS[0], ENDS[1], NtStatus::IO_TIMEOUT]);
    });
}

#[test]
fn a_target_that_is_stopped_and_started_sends_all_that_it_takes() {
    try_all("target states against send and cancel", |seed, mut dice| {
        let (kept, below) = (Kept::default(), Arc::default());
        let mut bench = two(seed, &kept, &below);
        let target = bench.stack.devices()[1].default_target().clone();
        let mut removed = false;
        for _ in 0..16 {
            match dice.roll(12) {
                0..=2 => bench.ask(),
                3 => bench.cancel_one(&mut dice),
                4..=6 => drop(
                    kept.next()
                        .map(|it| support::pass_on(it, SendOptions::new())),
                ),
                7 => drop(end_below(&below)),
                8 => target.stop(SentIoAction::CancelSentIo).unwrap(),
                9 => target.stop(SentIoAction::LeaveSentIoPending).unwrap(),
                10 => assert_eq!(target.start().is_err(), removed),
                _ if dice.roll(8) == 0 => {
                    target.remove();
                    removed = true;
                }
                _ => {}
            }
        }
        assert_eq!(target.start().is_err(), removed);
        bench.stack.run();
        while end_below(&below) {
            bench.stack.run();
        }
        while let Some(request) = kept.next() {
            succeed(request);
        }
        let removed = NtStatus::WDF_DEVICE_REMOVED_NOT_SENT.at_completion();
        bench.check(&[ENDS[0], ENDS[1], NtStatus::INVALID_DEVICE_STATE, removed]);
    });
}

#[test]
fn a_handle_that_is_closed_leaves_nothing_behind_wherever_its_requests_are() {
    try_all("closing against everything", |seed, mut dice| {
        let (kept, below) = (Kept::default(), Arc::default());
        let mut bench = two(seed, &kept, &below);
        let filter = bench.stack.devices()[1].clone();
        let target = filter.default_target().clone();
        let manual = filter.manual_queue().create().unwrap();
        let closes = dice.roll(14);
        for step in 0..14 {
            if step == closes {
                let other = bench.stack.open_and_wait().unwrap();
                drop(std::mem::replace(&mut bench.handle, other));
            }
            match dice.roll(7) {
                0 | 1 if step < closes => bench.ask(),
                2 => drop(kept.next().map(|it| it.forward(&manual).unwrap())),
                3 => drop(kept.next().map(|it| it.send_and_forget(&target).unwrap())),
                4 => drop(
                    kept.next()
                        .map(|it| support::pass_on(it, SendOptions::new())),
                ),
                5 => drop(end_below(&below)),
                _ => {
                    let request = kept.next();
                    let marked = request.map(|it| it.mark_cancelable(Arc::new(give_up)));
                    below.lock().unwrap().extend(marked);
                }
            }
        }
        bench.stack.run();
        while let Some(request) = kept.next() {
            assert!(request.is_canceled(), "its file is closed");
            give_up(request);
        }
        bench.stack.run();
        assert_eq!(manual.state().waiting, 0, "what waits is cancelled");
        bench.check(&ENDS);
    });
}

#[test]
fn a_stack_that_is_unplugged_ends_all_that_is_outstanding() {
    try_all("unplugging against everything", |seed, mut dice| {
        let (kept, below) = (Kept::default(), Arc::default());
        let mut bench = two(seed, &kept, &below);
        let target = bench.stack.devices()[1].default_target().clone();
        let mut sent = Vec::<Sent>::new();
        for _ in 0..12 {
            match dice.roll(6) {
                0 | 1 => bench.ask(),
                2 => bench.cancel_one(&mut dice),
                3 => drop(
                    kept.next()
                        .map(|it| support::pass_on(it, SendOptions::new())),
                ),
                4 => {
                    if let Some(mut request) = kept.next() {
                        request.format_using_current_type();
                        sent.push(request.send(&target, SendOptions::new()).unwrap());
                    }
                }
                _ => drop(end_below(&below)),
            }
        }
        // The filter gives back what it waits for before it goes.
        drop(sent);
        bench.stack.surprise_remove();
        bench.stack.run();
        while let Some(request) = kept.next() {
            succeed(request);
        }
        let ends = [ENDS[0], ENDS[1], NtStatus::DEVICE_REMOVED];
        bench.check_but(&ends, &[Rule::LeakedRequest]);
    });
}
