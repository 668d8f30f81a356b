//! In steady state, a request goes from the application through drivers to the device and back without an allocation.

mod support;

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, OnceLock},
    task::{Poll, Waker},
    time::Instant,
};

use allocation_counter::measure;
use bytes::Bytes;
use support::{filter, pass_on};
use usbwright_host_stack::{
    Access, CompletionCallback, ControlCode, Device, DeviceCallbacks, DeviceInit, Driver, Handle,
    IoType, Parameters, Request, RequestCompletionParams, Retrieval, SendError, SendOptions, Stack,
    Threads,
    status::{HResult, NtStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::{
        Wait,
        protocol::{Setup, request},
    },
};
use usbwright_models::Spec;

/// Has the device's descriptor for output.
const GET_DESCRIPTOR: ControlCode = ControlCode(0x0022_2000);

/// What a driver has of a Gadget Zero.
#[derive(Default)]
struct Hardware {
    usb: OnceLock<UsbTargetDevice>,
    pipes: OnceLock<Vec<UsbTargetPipe>>,
}

impl Hardware {
    fn pipe(&self, is_in: bool) -> Result<&UsbTargetPipe, HResult> {
        let pipes = self.pipes.get().map_or(&[][..], |it| it);
        let pipe = pipes.iter().find(|it| it.is_in() == is_in);
        pipe.ok_or(NtStatus::DEVICE_NOT_READY.into())
    }

    /// Formats a request for what it goes to, and tells what that is.
    fn format(&self, request: &mut Request) -> Result<&usbwright_host_stack::IoTarget, HResult> {
        match request.parameters() {
            Parameters::Read(_) => {
                let output = request.output(1)?;
                let pipe = self.pipe(true)?;
                pipe.format_for_read_into(request, output)?;
                Ok(pipe.target())
            }
            Parameters::Write(_) => {
                let input = request.input(1)?;
                let pipe = self.pipe(false)?;
                pipe.format_for_write_of(request, input)?;
                Ok(pipe.target())
            }
            _ => {
                let output = request.output(1)?;
                let usb = self.usb.get().ok_or(NtStatus::DEVICE_NOT_READY)?;
                let setup = Setup {
                    request_type: 0x80,
                    request: request::GET_DESCRIPTOR,
                    value: 0x0100,
                    ..Setup::default()
                };
                usb.format_for_control_transfer(request, setup, Some(output.memory()), None)?;
                Ok(usb.target())
            }
        }
    }
}

struct Callbacks(Arc<Hardware>);

impl DeviceCallbacks for Callbacks {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        let usb = UsbTargetDevice::new(device)?;
        let pipes = usb.interfaces()[0].pipes();
        let _ = self.0.pipes.set(pipes);
        let _ = self.0.usb.set(usb);
        Ok(())
    }
}

fn ended(request: Request, params: &RequestCompletionParams) {
    request.complete_with_information(params.status(), params.information());
}

/// A driver that is told by callbacks how what it sends has ended.
#[derive(Default)]
struct Calls(Arc<Hardware>);

impl Driver for Calls {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_io_type_preference(direct());
        let device = init.create(Callbacks(Arc::clone(&self.0)));
        let hardware = Arc::clone(&self.0);
        let on_end: Arc<dyn CompletionCallback> = Arc::new(ended);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_default(move |_, mut request| match hardware.format(&mut request) {
            Ok(target) => request
                .send_then(target, SendOptions::new(), Arc::clone(&on_end))
                .unwrap_or_else(SendError::complete),
            Err(status) => request.complete_with_information(status, 0),
        });
        queue.create()?;
        Ok(device)
    }
}

/// Requests for a task, which takes one after another.
#[derive(Default)]
struct Inbox(Mutex<(Vec<Request>, Option<Waker>)>);

impl Inbox {
    fn put(&self, request: Request) {
        let mut inbox = self.0.lock().unwrap();
        inbox.0.push(request);
        if let Some(waker) = &inbox.1 {
            waker.wake_by_ref();
        }
    }

    async fn next(&self) -> Request {
        poll_fn(|cx| {
            let mut inbox = self.0.lock().unwrap();
            if let Some(request) = inbox.0.pop() {
                return Poll::Ready(request);
            }
            match &mut inbox.1 {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}

/// A driver that awaits how what it sends has ended, in one task.
#[derive(Default)]
struct Awaits(Arc<Hardware>);

impl Driver for Awaits {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_io_type_preference(direct());
        let device = init.create(Callbacks(Arc::clone(&self.0)));
        let (hardware, inbox) = (Arc::clone(&self.0), Arc::<Inbox>::default());
        let outbox = Arc::clone(&inbox);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_default(move |_, request| outbox.put(request));
        queue.create()?;
        device.spawn(async move {
            loop {
                let mut request = inbox.next().await;
                let sent = match hardware.format(&mut request) {
                    Ok(target) => request.send(target, SendOptions::new()),
                    Err(status) => Err(SendError { request, status }),
                };
                match sent {
                    Ok(sent) => {
                        let (request, params) = sent.await;
                        ended(request, &params);
                    }
                    Err(error) => error.complete(),
                }
            }
        });
        Ok(device)
    }
}

/// Data of over 8 KiB is the application's own, and what is shorter is copied.
fn direct() -> IoType {
    IoType {
        retrieval: Retrieval::Deferred,
        read_write: Access::BufferedOrDirect,
        ..IoType::default()
    }
}

/// A stack over a Gadget Zero that neither makes nor checks a pattern.
fn stack(driver: impl Driver, filters: bool) -> (Stack, Handle) {
    let spec: Spec = "gadget-zero,pattern=2".parse().unwrap();
    let port = spec.build(Instant::now()).unwrap();
    let usb = usbwright_host_stack::usb_target::Device::open(port)
        .wait()
        .unwrap();
    let mut builder = Stack::builder()
        .threads(Threads::None)
        .usb_device(usb)
        .driver("zero", driver);
    if filters {
        let passing = filter(|device| {
            let queue = device.parallel_queue().default_queue();
            let queue = queue.on_default(|_, request| pass_on(request, SendOptions::new()));
            queue.create().map(drop)
        });
        builder = builder.driver("filter", passing);
    }
    let stack = builder.start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    (stack, handle)
}

/// Allocations of a hundred calls of `action` in this thread, once all is warm.
fn allocations(mut action: impl FnMut()) -> u64 {
    (0..100).for_each(|_| action());
    measure(|| (0..100).for_each(|_| action())).count_total
}

fn read(handle: &Handle, length: usize) {
    let read = handle.read(length).wait().ok().unwrap();
    assert_eq!(read.data.len(), length);
}

fn write(handle: &Handle, data: &Bytes) {
    let written = handle.write(data.clone()).wait().ok().unwrap();
    assert_eq!(written.information, data.len());
}

fn control(handle: &Handle) {
    let told = handle.control(GET_DESCRIPTOR, Bytes::new(), 18).wait();
    assert_eq!(told.ok().unwrap().data[..2], [18, 1]);
}

/// Allocations of reads, writes and controls, each short and long.
fn of_each_kind(handle: &Handle) -> [u64; 5] {
    let (short, long) = (Bytes::from(vec![1; 512]), Bytes::from(vec![1; 65536]));
    [
        allocations(|| read(handle, 512)),
        allocations(|| read(handle, 65536)),
        allocations(|| write(handle, &short)),
        allocations(|| write(handle, &long)),
        allocations(|| control(handle)),
    ]
}

#[test]
fn a_driver_with_callbacks_reads_writes_and_controls_without_an_allocation() {
    let (_stack, handle) = stack(Calls::default(), false);
    assert_eq!(of_each_kind(&handle), [0; 5]);
}

#[test]
fn an_async_driver_reads_writes_and_controls_without_an_allocation() {
    let (_stack, handle) = stack(Awaits::default(), false);
    assert_eq!(of_each_kind(&handle), [0; 5]);
}

#[test]
fn a_filter_allocates_what_it_makes_itself_and_no_more() {
    let (_stack, handle) = stack(Calls::default(), true);
    // Its completion callback, a hundred times.
    assert_eq!(of_each_kind(&handle), [100; 5]);
}

#[test]
fn many_requests_at_once_allocate_nothing() {
    let (_stack, handle) = stack(Calls::default(), false);
    let mut reads = Vec::with_capacity(16);
    let round = || {
        reads.extend((0..16).map(|_| handle.read(65536)));
        reads
            .drain(..)
            .for_each(|it| assert_eq!(it.wait().information, 65536));
    };
    assert_eq!(allocations(round), 0);
}
