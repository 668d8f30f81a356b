//! The sample drivers behind a reflector: what an application gets of them is what it gets in their own process.

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use support::{PATIENCE, channels};
use usbwright_emulator::{EmulatedDevice, protocol::Speed};
use usbwright_host_stack::{
    Stack,
    usb_target::{ManualClock, Options, Wait as _},
};
use usbwright_models::osr_fx2::{self, OsrFx2};
use usbwright_reflector::{
    HostInfo, NameSpace, Reflector, SecurityDescriptor,
    application::{Device, OpenOptions},
    host::Serving,
    status::Win32Error,
};
use usbwright_samples::{
    echo::{self, EchoDriver, MAX_WRITE},
    filter::InvertingFilter,
    fx2::{
        Fx2Driver,
        public::{self},
    },
};

/// A stack behind a reflector, and an application that has it open.
struct Served {
    device: Device,
    _serving: Serving,
    _reflector: Reflector,
    _directory: tempfile::TempDir,
}

fn serve(stack: Stack) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let space = NameSpace::at(directory.path());
    let reflector = Reflector::start(space.clone(), |_, _| {}).unwrap();
    let (end, (data, cancel)) = channels();
    let serving = Serving::start(stack, data, cancel).unwrap();
    let (name, access) = ("sample".parse().unwrap(), SecurityDescriptor::default());
    let added = reflector.add_device(&name, access, end, HostInfo { pid: 1 });
    added.unwrap();
    let device = OpenOptions::new(name).name_space(space).open().unwrap();
    Served {
        device,
        _serving: serving,
        _reflector: reflector,
        _directory: directory,
    }
}

fn board() -> (Served, osr_fx2::Board) {
    let mut firmware = OsrFx2::new(osr_fx2::Options::default());
    let board = firmware.board();
    let port = EmulatedDevice::new(firmware, Speed::High, Instant::now()).unwrap();
    let usb = Options::new().open(port).wait().unwrap();
    let builder = Stack::builder().usb_device(usb).driver("fx2", Fx2Driver);
    let stack = builder.driver("filter", InvertingFilter).start().unwrap();
    (serve(stack), board)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|it| (it % 251) as u8).collect()
}

/// Does something while the clock goes on and on.
fn as_time_goes_by<T>(clock: &ManualClock, act: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                clock.advance(echo::DELAY);
                thread::yield_now();
            }
        });
        let acted = act();
        done.store(true, Ordering::Relaxed);
        acted
    })
}

#[test]
fn the_echo_driver_keeps_what_is_written_and_takes_its_time() {
    let clock = ManualClock::new();
    let stack = Stack::builder().driver("echo", EchoDriver);
    let echo = serve(stack.clock(clock.clone()).start().unwrap());
    let device = &echo.device;
    let early = device.read(16).wait().error();
    assert_eq!(early, Win32Error::INVALID_PARAMETER);
    let written = as_time_goes_by(&clock, || device.write(&b"hello"[..]).wait());
    assert_eq!(written.ok().unwrap().information, 5);
    let read = as_time_goes_by(&clock, || device.read(16).wait());
    assert_eq!(read.ok().unwrap().data, "hello");
    let too_long = device.write(vec![0; MAX_WRITE + 1]).wait().error();
    assert_eq!(too_long, Win32Error::MORE_DATA);
    let (first, second) = (device.read(1), device.read(2));
    second.cancel();
    first.cancel();
    assert_eq!(second.wait().error(), Win32Error::OPERATION_ABORTED);
    assert_eq!(first.wait().error(), Win32Error::OPERATION_ABORTED);
}

#[test]
fn what_goes_to_the_board_comes_back_through_filter_and_driver() {
    let (served, board) = board();
    for length in [1, 63, 512, 513, 64 << 10, 200_000] {
        let written = served.device.write(pattern(length));
        let mut read = Vec::new();
        while read.len() < length {
            let part = served.device.read(length - read.len()).wait();
            read.extend(part.ok().unwrap().data);
        }
        assert_eq!(read, pattern(length), "{length} bytes");
        assert_eq!(written.wait().ok().unwrap().information, length);
    }
    let code = public::SET_BAR_GRAPH_DISPLAY;
    let set = served.device.control(code, vec![0x5A], 0).wait();
    assert_eq!(set.error(), Win32Error::SUCCESS);
    assert_eq!(board.bar_graph().bits(), 0x5A);
}

#[test]
fn direct_buffers_go_to_the_board_and_back() {
    let (served, _board) = board();
    let device = &served.device;
    let (from, to) = (
        device.direct_buffer(1 << 20).unwrap(),
        device.direct_buffer(1 << 20).unwrap(),
    );
    from.write(0, &pattern(1 << 20)).unwrap();
    let written = device.write_direct(&from, 0..1 << 20, 0);
    let mut at = 0;
    while at < 1 << 20 {
        let read = device.read_direct(&to, at..1 << 20, 0).wait();
        at += read.ok().unwrap().information;
    }
    assert_eq!(written.wait().ok().unwrap().information, 1 << 20);
    let mut came = vec![0; 1 << 20];
    to.read(0, &mut came).unwrap();
    assert_eq!(came, pattern(1 << 20));
}

#[test]
fn a_wait_for_the_switches_is_taken_back_and_begun_again() {
    let (served, board) = board();
    let code = public::GET_INTERRUPT_MESSAGE;
    let waits = served.device.control(code, "", 1);
    waits.cancel();
    let _ = waits.wait();
    // The board tells of a change, and nobody of when the driver begins to wait for it.
    let told = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for bits in [0x81, 0x01].into_iter().cycle() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                board.set_switches(osr_fx2::Switches::new(bits));
                std::thread::yield_now();
            }
        });
        let message = served.device.control(code, "", 1).timeout(PATIENCE).wait();
        told.store(true, Ordering::Relaxed);
        assert_eq!(message.ok().unwrap().information, 1);
    });
}
