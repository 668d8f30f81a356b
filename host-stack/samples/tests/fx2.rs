//! What an application gets of the board's driver, when time is a test's: files that are played, sleep, and what the switches tell.

use std::{io::Write as _, path::Path, time::Duration};

use tempfile::NamedTempFile;
use usbwright_emulator::{EmulatedDevice, protocol::Speed};
use usbwright_host_stack::{
    Handle, Io, OnViolation, PnpState, Stack, Threads,
    status::Win32Error,
    usb_target::{
        Device, ManualClock, Options, ResetOutcome, Wait,
        protocol::{Setup, request},
    },
};
use usbwright_models::osr_fx2::{self, Board, OsrFx2, Switches};
use usbwright_samples::fx2::{
    Fx2Driver, IDLE,
    public::{self, FilePlayback},
};

/// A board, its driver, and an application.
struct Bench {
    stack: Stack,
    handle: Handle,
    board: Board,
    usb: Device,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::new();
        let mut firmware = OsrFx2::new(osr_fx2::Options::default());
        let board = firmware.board();
        let port = EmulatedDevice::new(firmware, Speed::High, clock.now()).unwrap();
        let usb = Options::new().clock(clock.clone()).open(port);
        let usb = usb.wait().unwrap();
        let stack = Stack::builder()
            .usb_device(usb.clone())
            .driver("fx2", Fx2Driver)
            .clock(clock.clone())
            .threads(Threads::None)
            .on_violation(OnViolation::Panic)
            .start()
            .unwrap();
        let handle = stack.open_and_wait().unwrap();
        let bench = Self {
            stack,
            handle,
            board,
            usb,
            clock,
        };
        bench.forget_the_past();
        bench
    }

    /// Reads what the board has told of its switches until now. They are off then.
    fn forget_the_past(&self) {
        let is_told = |bits| {
            let waits = self.message();
            self.set_switches(bits);
            self.told(waits) == bits
        };
        assert!((1..=u8::MAX).any(is_told));
        assert!(is_told(0));
    }

    /// Has the board look at its switches, and send what it has to send of them: that takes a microframe.
    fn settle(&self) {
        self.may_wake();
        self.clock.advance(Duration::from_micros(125));
        self.stack.run();
    }

    /// The byte that comes.
    #[track_caller]
    fn told(&self, io: Io) -> u8 {
        self.settle();
        io.wait().ok().unwrap().data[0]
    }

    fn advance(&self, time: Duration) {
        self.clock.advance(time);
        self.stack.run();
    }

    /// Has a file played, each character for a second.
    fn play(&self, path: &Path) -> Io {
        let playback = FilePlayback {
            delay: SECOND,
            path: path.to_str().unwrap().to_owned(),
        };
        let io = self
            .handle
            .control(public::PLAY_FILE, playback.to_bytes(), 0);
        self.stack.run();
        io
    }

    /// What the board shows: its segments, and the character that the bar graph tells.
    fn shown(&self) -> (u8, char) {
        (
            self.board.segments().bits(),
            self.board.bar_graph().bits().into(),
        )
    }

    /// Waits for the switches.
    fn message(&self) -> Io {
        let io = self
            .handle
            .control(public::GET_INTERRUPT_MESSAGE, vec![], 1);
        self.stack.run();
        io
    }

    fn set_switches(&self, bits: u8) {
        self.board.set_switches(Switches::new(bits));
        self.settle();
    }

    fn control(
        &self,
        request_type: u8,
        request: u8,
        value: u16,
        index: u16,
        length: u16,
    ) -> Vec<u8> {
        let setup = Setup {
            request_type,
            request,
            value,
            index,
            length,
        };
        let ended = self.usb.control(setup, vec![]).wait();
        ended.data.to_vec()
    }

    /// Whether the board may wake its host (USB 2.0 §9.4.5).
    fn may_wake(&self) -> bool {
        self.control(0x80, request::GET_STATUS, 0, 0, 2)[0] & 2 != 0
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn a_file_is_played_character_by_character_and_what_cannot_be_shown_takes_its_time_too() {
    let bench = Bench::new();
    let file = file("a 1\n");
    let played = bench.play(file.path());
    assert_eq!(bench.shown(), (0xB7, 'a'));
    bench.advance(SECOND);
    assert_eq!(bench.shown(), (0xB7, 'a'), "a blank");
    bench.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(bench.shown(), (0xB7, 'a'), "still the blank");
    bench.advance(Duration::from_nanos(1));
    assert_eq!(bench.shown(), (0x0E, '1'));
    bench.advance(SECOND);
    assert!(!played.has_ended(), "a line feed");
    bench.advance(SECOND);
    assert!(played.has_ended());
    assert_eq!(played.wait().ok().unwrap().information, 0);
}

#[test]
fn a_file_that_is_cancelled_midway_ends_at_once_as_cancelled() {
    let bench = Bench::new();
    let file = file("12");
    let played = bench.play(file.path());
    bench.advance(SECOND / 2);
    played.cancel();
    assert!(played.has_ended());
    assert_eq!(played.wait().error(), Win32Error::CANCELLED);
    bench.advance(SECOND);
    assert_eq!(bench.shown(), (0x0E, '1'));
}

#[test]
fn files_are_played_one_after_another_and_keep_no_other_code_waiting() {
    let bench = Bench::new();
    let (first, second) = (file("1"), file("2"));
    let plays = [bench.play(first.path()), bench.play(second.path())];
    let bar = bench
        .handle
        .control(public::GET_BAR_GRAPH_DISPLAY, vec![], 1);
    assert_eq!(bar.wait().data[..], *b"1");
    bench.advance(SECOND);
    assert_eq!(bench.shown(), (0xBB, '2'));
    assert_eq!(plays.each_ref().map(Io::has_ended), [true, false]);
    bench.advance(SECOND);
    assert!(plays[1].has_ended());
}

#[test]
fn an_empty_file_is_played_in_no_time() {
    let bench = Bench::new();
    let file = file("");
    assert!(bench.play(file.path()).wait().ok().is_ok());
}

#[test]
fn a_file_that_is_not_there_or_cannot_be_read_is_told() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| bench.play(path).wait().error();
    let missing = folder.path().join("missing");
    assert_eq!(error(&missing), Win32Error::FILE_NOT_FOUND);
    assert_eq!(error(folder.path()), Win32Error::ACCESS_DENIED);
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    assert_eq!(error(&pipe), Win32Error::ACCESS_DENIED);
    assert_eq!(error(Path::new("/dev/zero")), Win32Error::ACCESS_DENIED);
}

#[test]
fn a_playback_without_delay_path_or_end_is_told() {
    let bench = Bench::new();
    for input in [&[][..], &[1], &[1, 0, b'/'], &[1, 0, b'/', 0]] {
        let io = bench.handle.control(public::PLAY_FILE, input.to_vec(), 0);
        assert_eq!(
            io.wait().error(),
            Win32Error::INVALID_PARAMETER,
            "{input:?}"
        );
    }
}

#[test]
fn a_file_pauses_while_the_system_sleeps_and_goes_on() {
    let bench = Bench::new();
    let file = file("12");
    let played = bench.play(file.path());
    bench.stack.suspend().unwrap();
    bench.advance(10 * SECOND);
    assert_eq!(bench.shown(), (0x0E, '1'));
    bench.stack.resume().unwrap();
    bench.stack.run();
    assert_eq!(bench.shown(), (0xBB, '2'));
    bench.advance(SECOND);
    assert!(played.wait().ok().is_ok());
}

#[test]
fn a_file_that_is_cancelled_while_the_system_sleeps_ends_there() {
    let bench = Bench::new();
    let file = file("12");
    let played = bench.play(file.path());
    bench.stack.suspend().unwrap();
    bench.advance(SECOND);
    played.cancel();
    assert_eq!(played.wait().error(), Win32Error::CANCELLED);
    bench.stack.resume().unwrap();
}

#[test]
fn a_file_ends_when_its_board_goes() {
    let bench = Bench::new();
    let file = file("12");
    let plays = [bench.play(file.path()), bench.play(file.path())];
    bench.stack.surprise_remove();
    let [playing, waiting] = plays.map(|it| it.wait().error());
    assert_eq!(playing, Win32Error::CANCELLED);
    assert_eq!(waiting, Win32Error::OPERATION_ABORTED);
    assert_eq!(bench.stack.violations(), []);
}

#[test]
fn a_board_that_nobody_uses_sleeps_after_ten_seconds_and_may_wake_its_host() {
    let bench = Bench::new();
    let waits = bench.message();
    assert!(!bench.may_wake());
    bench.advance(IDLE - Duration::from_nanos(1));
    assert_eq!(bench.stack.state(), PnpState::Started);
    bench.advance(Duration::from_nanos(1));
    assert_eq!(bench.stack.state(), PnpState::Idle);
    assert!(bench.may_wake());
    assert!(!waits.has_ended(), "it keeps no board awake");
    let read = bench.handle.control(public::READ_SWITCHES, vec![], 1);
    assert_eq!(read.wait().data[..], [0]);
    assert_eq!(bench.stack.state(), PnpState::Started);
    assert!(!bench.may_wake());
}

#[test]
fn a_file_that_is_played_and_a_read_that_waits_keep_the_board_awake() {
    let bench = Bench::new();
    let file = file("1234567890123");
    let played = bench.play(file.path());
    bench.advance(IDLE);
    for _ in 0..12 {
        bench.advance(SECOND);
    }
    assert!(played.has_ended());
    assert_eq!(bench.stack.state(), PnpState::Started);
    bench.advance(IDLE / 2);
    let read = bench.handle.read(1);
    bench.advance(IDLE / 2);
    assert_eq!(bench.stack.state(), PnpState::Started);
    bench.advance(IDLE / 2);
    assert_eq!(read.wait().error(), Win32Error::SEM_TIMEOUT);
    bench.advance(IDLE);
    assert_eq!(bench.stack.state(), PnpState::Idle);
}

#[test]
fn a_switch_that_is_set_while_the_board_sleeps_wakes_the_host_and_is_told() {
    let bench = Bench::new();
    let waits = bench.message();
    bench.advance(IDLE);
    bench.board.suspend();
    bench.set_switches(0x21);
    assert!(!waits.has_ended());
    bench.board.resume();
    bench.stack.signal_wake();
    assert_eq!(bench.stack.state(), PnpState::Started);
    assert_eq!(bench.told(waits), 0x21);
}

#[test]
fn a_switch_that_is_set_while_the_system_sleeps_wakes_that_and_is_told() {
    let bench = Bench::new();
    let waits = bench.message();
    bench.stack.suspend().unwrap();
    assert!(bench.may_wake());
    bench.board.suspend();
    bench.set_switches(0x12);
    assert!(!waits.has_ended());
    bench.board.resume();
    bench.stack.signal_wake();
    bench.stack.run();
    assert_eq!(bench.stack.state(), PnpState::Started);
    assert!(!bench.may_wake());
    assert_eq!(bench.told(waits), 0x12);
}

#[test]
fn an_interrupt_message_tells_of_the_next_change_and_of_every_bounce() {
    let bench = Bench::new();
    let waits = [bench.message(), bench.message()];
    assert!(!waits[0].has_ended());
    bench.set_switches(0x01);
    assert_eq!(
        waits.map(|it| bench.told(it)),
        [0x01, 0x01],
        "all that wait are told"
    );
    let waits = bench.message();
    assert!(!waits.has_ended(), "there was no other change");
    bench.stack.suspend().unwrap();
    // Nobody reads, and the board keeps the first of these.
    for bits in [0x03, 0x02, 0x03, 0x02, 0x82] {
        bench.set_switches(bits);
    }
    bench.stack.resume().unwrap();
    assert_eq!(bench.told(waits), 0x03);
    let switches = bench.handle.control(public::READ_SWITCHES, vec![], 1);
    assert_eq!(bench.told(switches), 0x82);
}

#[test]
fn an_interrupt_message_tells_of_the_switches_when_the_board_resumes_though_none_has_changed() {
    let bench = Bench::new();
    bench.set_switches(0x40);
    let waits = bench.message();
    bench.stack.suspend().unwrap();
    bench.board.suspend();
    assert!(!waits.has_ended());
    bench.board.resume();
    bench.stack.resume().unwrap();
    assert_eq!(bench.told(waits), 0x40);
}

#[test]
fn an_interrupt_message_tells_of_the_switches_when_the_board_starts() {
    let bench = Bench::new();
    bench.set_switches(0x08);
    let waits = bench.message();
    bench.stack.stop().unwrap();
    let reset = bench.usb.reset().wait();
    assert_eq!(reset.unwrap(), ResetOutcome::Kept);
    bench.stack.run();
    assert!(!waits.has_ended());
    bench.stack.restart().unwrap();
    assert_eq!(bench.told(waits), 0x08);
}

#[test]
fn an_interrupt_message_tells_of_the_switches_when_the_board_was_reset() {
    let bench = Bench::new();
    bench.set_switches(0x18);
    for code in [public::RESET_DEVICE, public::REENUMERATE_DEVICE] {
        let waits = bench.message();
        let _ = bench.handle.control(code, vec![], 0).wait().ok().unwrap();
        assert_eq!(bench.told(waits), 0x18, "{code}");
    }
    let waits = bench.message();
    bench.set_switches(0x19);
    assert_eq!(bench.told(waits), 0x19);
}

#[test]
fn a_driver_that_was_stopped_has_the_board_again_and_lights_its_dot() {
    let bench = Bench::new();
    let read = bench.handle.read(1);
    for _ in 0..3 {
        bench.stack.stop().unwrap();
        bench.control(0x40, 0xDB, 0x06, 0, 0);
        bench.stack.restart().unwrap();
        assert_eq!(bench.board.segments().bits(), 0x06 | 0x08);
    }
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    let _ = bench.handle.write(b"x".to_vec()).wait().ok().unwrap();
    assert_eq!(bench.handle.read(1).wait().data[..], *b"x");
    bench.set_switches(0x11);
    let waits = bench.message();
    bench.set_switches(0x10);
    assert_eq!(bench.told(waits), 0x10);
}

#[test]
fn who_waits_for_the_switches_is_told_that_reading_failed_and_that_the_board_has_gone() {
    let bench = Bench::new();
    let waits = bench.message();
    const HALT: u16 = 0;
    bench.control(0x02, request::SET_FEATURE, HALT, 0x81, 0);
    assert_eq!(waits.wait().error(), Win32Error::GEN_FAILURE);
    let waits = bench.message();
    bench.set_switches(0x02);
    assert_eq!(bench.told(waits), 0x02, "the driver reads again");
    let waits = bench.message();
    bench.stack.remove().unwrap();
    assert_eq!(waits.wait().error(), Win32Error::DEVICE_REMOVED);
    assert_eq!(bench.stack.violations(), []);
}
