//! What an application gets of the board's driver, whatever is between the driver and the board.

use std::{
    io::Write as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;
use usbwright::{
    host_stack::{ControlCode, IoOutcome, status::Win32Error},
    models::osr_fx2::{Board, Switches},
    target::Wait as _,
};
use usbwright_driver_manager::manager::Change;
use usbwright_samples::fx2::public::{self, FilePlayback};

use crate::wire::Wire;

/// Where the board's driver runs.
pub(crate) trait Place {
    type Driver: Driver;

    /// Starts the driver above the board, or a filter above the driver.
    fn start(&self, filter: bool) -> (Self::Driver, <Self::Driver as Driver>::Application);

    /// A folder whose files the driver may read.
    fn folder(&self) -> &Path;
}

/// A driver that runs; dropped, it ends.
pub(crate) trait Driver {
    type Application: Application;
    /// What opening a board that is gone is told.
    const GONE: Win32Error;

    fn change(&self, change: Change);

    /// Whether it has been removed.
    fn is_gone(&self) -> bool;

    /// Opens the board once more.
    fn open(&self) -> Result<Self::Application, Win32Error>;

    /// The rules that it has broken.
    fn violations(&self) -> Vec<String>;
}

/// What an application has open.
pub(crate) trait Application: Clone + Send {
    type Io: Pending;

    fn read(&self, length: usize) -> Self::Io;
    fn write(&self, data: Vec<u8>) -> Self::Io;
    fn control(&self, code: ControlCode, input: Vec<u8>, output: usize) -> Self::Io;
}

/// A request that it has made.
pub(crate) trait Pending {
    fn has_ended(&self) -> bool;
    fn cancel(&self);
    fn wait(self) -> IoOutcome;
}

/// Runs all of it on a board, which is unplugged in the end.
pub(crate) fn run(place: &impl Place, (board, wire): (&Board, &Wire), unplug: impl FnOnce()) {
    what_goes_through_the_filter_is_inverted_on_the_wire(place, wire);
    let (driver, handle) = place.start(false);
    the_driver_lights_the_dot(board);
    what_is_written_is_read_again(&handle);
    four_packets_are_taken_and_the_fifth_waits(&handle);
    what_had_come_of_a_cancelled_read_is_told(&handle);
    two_threads_have_a_hundred_transfers_each(&handle);
    displays_and_switches_are_set_and_read(&handle, board);
    the_configuration_descriptor_is_the_boards(&handle);
    interrupt_messages_tell_of_the_switches(&driver, &handle, board);
    buffers_that_are_too_small_are_told(&handle);
    an_unknown_code_is_told(&handle);
    a_file_is_played_or_cancelled_midway_or_cannot_be_read(&handle, board, place.folder());
    handles_survive_a_reset(&handle, board);
    a_board_that_is_unplugged_takes_its_handles_along(&driver, &handle, board, unplug);
    assert_eq!(driver.violations(), [""; 0]);
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|it| (it % 251) as u8).collect()
}

#[track_caller]
fn loops(handle: &impl Application, length: usize) {
    let written = handle.write(pattern(length));
    let mut read = Vec::new();
    while read.len() < length {
        read.extend(handle.read(length - read.len()).wait().ok().unwrap().data);
    }
    assert_eq!(read, pattern(length), "{length} bytes");
    assert_eq!(written.wait().ok().unwrap().information, length);
}

fn the_driver_lights_the_dot(board: &Board) {
    assert!(board.segments().dot());
}

fn what_is_written_is_read_again(handle: &impl Application) {
    for length in [1, 63, 64, 65, 511, 512, 513, 64 << 10] {
        for _ in 0..3 {
            loops(handle, length);
        }
    }
}

fn four_packets_are_taken_and_the_fifth_waits(handle: &impl Application) {
    for packet in 1..=4_u8 {
        let _ = handle.write(vec![packet]).wait().ok().unwrap();
    }
    let fifth = handle.write(vec![5]);
    // Once the board has answered this, it has seen the fifth packet, too.
    asked(handle, public::READ_SWITCHES);
    assert!(!fifth.has_ended());
    for packet in 1..=5_u8 {
        let read = handle.read(512).wait().ok().unwrap();
        assert_eq!(read.data[..], [packet]);
    }
    assert_eq!(fifth.wait().ok().unwrap().information, 1);
}

fn what_had_come_of_a_cancelled_read_is_told(handle: &impl Application) {
    for packets in [1, 3] {
        let read = handle.read(4 * 512);
        for packet in 0..packets {
            let _ = handle.write(vec![packet as u8; 512]).wait().ok().unwrap();
        }
        // Once the board has answered this, it has had the read as well.
        asked(handle, public::READ_SWITCHES);
        assert!(!read.has_ended());
        read.cancel();
        let ended = read.wait();
        assert_eq!(ended.error(), Win32Error::OPERATION_ABORTED);
        assert_eq!(ended.information, packets * 512);
    }
    // Nothing of it comes again, and nothing else is lost.
    loops(handle, 100);
}

fn two_threads_have_a_hundred_transfers_each(handle: &impl Application) {
    let writer = handle.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            let writes: Vec<_> = (0..100_u32)
                .map(|it| writer.write(it.to_le_bytes().to_vec()))
                .collect();
            for write in writes {
                assert_eq!(write.wait().ok().unwrap().information, 4);
            }
        });
        let reads: Vec<_> = (0..100).map(|_| handle.read(512)).collect();
        for (place, read) in (0_u32..).zip(reads) {
            assert_eq!(read.wait().ok().unwrap().data[..], place.to_le_bytes());
        }
    });
}

#[track_caller]
fn asked(handle: &impl Application, code: ControlCode) -> u8 {
    let told = handle.control(code, vec![], 1).wait().ok().unwrap();
    assert_eq!(told.information, 1);
    told.data[0]
}

fn displays_and_switches_are_set_and_read(handle: &impl Application, board: &Board) {
    let set = |code, value| handle.control(code, vec![value], 0).wait().ok().unwrap();
    let _ = set(public::SET_BAR_GRAPH_DISPLAY, 0xA5);
    assert_eq!(board.bar_graph().bits(), 0xA5);
    assert_eq!(asked(handle, public::GET_BAR_GRAPH_DISPLAY), 0xA5);
    let _ = set(public::SET_7_SEGMENT_DISPLAY, 0x06);
    assert_eq!(board.segments().character(), Some('1'));
    assert_eq!(asked(handle, public::GET_7_SEGMENT_DISPLAY), 0x06);
    board.set_switch(8, true).unwrap();
    assert_eq!(asked(handle, public::READ_SWITCHES), 0x01);
    board.set_switch(8, false).unwrap();
    assert_eq!(asked(handle, public::READ_SWITCHES), 0x00);
}

fn the_configuration_descriptor_is_the_boards(handle: &impl Application) {
    let told = handle
        .control(public::GET_CONFIG_DESCRIPTOR, vec![], 256)
        .wait()
        .ok()
        .unwrap();
    assert_eq!(
        (told.information, &told.data[..4]),
        (39, &[9, 2, 39, 0][..])
    );
}

fn message<A: Application>(handle: &A) -> A::Io {
    let waits = handle.control(public::GET_INTERRUPT_MESSAGE, vec![], 1);
    // Once the driver has answered this, it has the request that came before.
    asked(handle, public::READ_SWITCHES);
    waits
}

fn told(waits: impl Pending) -> u8 {
    waits.wait().ok().unwrap().data[0]
}

/// Sets the switches, and has the board tell of them. Whatever it told before has come before that.
fn tell(handle: &impl Application, board: &Board, bits: u8) -> u8 {
    let waits = message(handle);
    board.set_switches(Switches::new(bits));
    told(waits)
}

/// Waits until the board has nothing more to tell of what was before: it tells of something that was not.
fn forget_the_past(handle: &impl Application, board: &Board) {
    let is_told = |bits| {
        // The board looks at its switches from time to time, and takes ever more questions meanwhile.
        for _ in 0x30..bits {
            asked(handle, public::READ_SWITCHES);
        }
        tell(handle, board, bits) == bits
    };
    assert!((0x30..=u8::MAX).any(is_told));
}

fn interrupt_messages_tell_of_the_switches(
    driver: &impl Driver,
    handle: &impl Application,
    board: &Board,
) {
    forget_the_past(handle, board);
    for (bounces, bits) in [0x80, 0x00, 0x80, 0x20].into_iter().enumerate() {
        assert_eq!(tell(handle, board, bits), bits, "on change {bounces}");
    }
    let waits = message(handle);
    driver.change(Change::Suspend);
    // Nobody reads meanwhile: the board tells of the first of these, and of what there is when that was read.
    for bits in [0x21, 0x20, 0x21, 0x22] {
        board.set_switches(Switches::new(bits));
    }
    driver.change(Change::Resume);
    assert_eq!(told(waits), 0x21, "not debounced");
    assert_eq!(asked(handle, public::READ_SWITCHES), 0x22);
    forget_the_past(handle, board);
    let waits = message(handle);
    driver.change(Change::Suspend);
    board.suspend();
    board.set_switches(Switches::new(0x44));
    assert!(!waits.has_ended());
    board.resume();
    driver.change(Change::Resume);
    assert_eq!(told(waits), 0x44, "on resume");
    let waits = message(handle);
    driver.change(Change::Stop);
    driver.change(Change::Reset);
    assert!(!waits.has_ended());
    driver.change(Change::Restart);
    assert_eq!(told(waits), 0x44, "on start");
    board.set_switches(Switches::new(0));
}

fn buffers_that_are_too_small_are_told(handle: &impl Application) {
    let asks = [
        public::GET_BAR_GRAPH_DISPLAY,
        public::GET_7_SEGMENT_DISPLAY,
        public::READ_SWITCHES,
        public::GET_INTERRUPT_MESSAGE,
        public::SET_BAR_GRAPH_DISPLAY,
        public::SET_7_SEGMENT_DISPLAY,
    ];
    for code in asks {
        let error = handle.control(code, vec![], 0).wait().error();
        assert_eq!(error, Win32Error::INSUFFICIENT_BUFFER, "{code:?}");
    }
    let error = handle
        .control(public::GET_CONFIG_DESCRIPTOR, vec![], 38)
        .wait()
        .error();
    assert_eq!(error, Win32Error::INSUFFICIENT_BUFFER);
    // A delay without a path, less than that, and nothing.
    for length in [3, 2, 1, 0] {
        let input = vec![0; length];
        let error = handle.control(public::PLAY_FILE, input, 0).wait().error();
        assert_eq!(error, Win32Error::INVALID_PARAMETER, "{length} bytes");
    }
}

fn an_unknown_code_is_told(handle: &impl Application) {
    let code = ControlCode(0xFFDC_6FFC);
    assert_eq!(
        handle.control(code, vec![], 0).wait().error(),
        Win32Error::INVALID_FUNCTION
    );
}

fn play<A: Application>(handle: &A, delay: Duration, path: &Path) -> A::Io {
    let path = path.to_str().unwrap().to_owned();
    let playback = FilePlayback { delay, path };
    handle.control(public::PLAY_FILE, playback.to_bytes(), 0)
}

fn a_file_is_played_or_cancelled_midway_or_cannot_be_read(
    handle: &impl Application,
    board: &Board,
    files: &Path,
) {
    let mut file = NamedTempFile::new_in(files).unwrap();
    file.write_all(b"1 a").unwrap();
    let played = play(handle, Duration::from_millis(1), file.path()).wait();
    assert_eq!(played.ok().unwrap().information, 0);
    let shown = (board.segments().bits(), board.bar_graph().bits());
    assert_eq!(shown, (0xB7, b'a'));
    let mut changes = board.changes();
    let played = play(handle, Duration::from_secs(60), file.path());
    while changes.next().wait().unwrap().bar_graph.bits() != b'1' {}
    assert_eq!(asked(handle, public::GET_7_SEGMENT_DISPLAY), 0x0E);
    played.cancel();
    assert_eq!(played.wait().error(), Win32Error::CANCELLED);
    let folder = tempfile::tempdir_in(files).unwrap();
    let unreadable = play(handle, Duration::ZERO, folder.path()).wait();
    assert_eq!(unreadable.error(), Win32Error::ACCESS_DENIED);
    let missing = play(handle, Duration::ZERO, &folder.path().join("missing")).wait();
    assert_eq!(missing.error(), Win32Error::FILE_NOT_FOUND);
}

fn begins_anew(handle: &impl Application, code: ControlCode) {
    let _ = handle.control(code, vec![], 0).wait().ok().unwrap();
    loops(handle, 100);
}

fn handles_survive_a_reset(handle: &impl Application, board: &Board) {
    begins_anew(handle, public::RESET_DEVICE);
    let asked = board.state().reenumerations;
    begins_anew(handle, public::REENUMERATE_DEVICE);
    assert_eq!(board.state().reenumerations, asked + 1);
}

fn a_board_that_is_unplugged_takes_its_handles_along<D: Driver>(
    driver: &D,
    handle: &impl Application,
    board: &Board,
    unplug: impl FnOnce(),
) {
    begins_anew(handle, public::REENUMERATE_DEVICE);
    forget_the_past(handle, board);
    let waits = message(handle);
    unplug();
    // The driver's reader fails, or the stack goes before the driver says so.
    let told = [Win32Error::DEVICE_NOT_CONNECTED, Win32Error::DEVICE_REMOVED];
    let error = waits.wait().error();
    assert!(told.contains(&error), "{error}");
    let late = Instant::now() + Duration::from_secs(30);
    while !driver.is_gone() {
        assert!(Instant::now() < late, "the stack stays");
        thread::yield_now();
    }
    assert_eq!(handle.read(1).wait().error(), Win32Error::DEVICE_REMOVED);
    assert_eq!(driver.open().err(), Some(D::GONE));
}

fn what_goes_through_the_filter_is_inverted_on_the_wire(place: &impl Place, wire: &Wire) {
    let (_driver, handle) = place.start(true);
    loops(&handle, 100);
    let _ = handle.write(b"hello".to_vec()).wait().ok().unwrap();
    let inverted: Vec<u8> = b"hello".iter().map(|it| !it).collect();
    assert_eq!(wire.last_written(), inverted);
    assert_eq!(handle.read(64).wait().ok().unwrap().data[..], b"hello"[..]);
}
