//! Playing a file: its characters are shown one after another.
//!
//! Files have a queue of their own, so that other codes are answered while one is played. It is power-managed: a file that is played keeps the board awake; while the
//! system sleeps it pauses.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    sync::Arc,
};

use rustix::fs::OFlags;
use usbwright_host_stack::{
    Device, Queue, Request, StopAction, StopNotice,
    status::{HResult, Win32Error},
};

use super::{hardware::Board, public::FilePlayback};

/// The most that is read of a file at once, in bytes.
const PIECE: usize = 512;

/// The queue that plays files, one at a time.
pub(super) fn queue(device: &Device, board: &Arc<Board>) -> Result<Queue, HResult> {
    let (plays, stops) = (Arc::clone(board), Arc::clone(board));
    let queue = device.sequential_queue();
    let queue = queue.on_device_control(move |queue, request, _| {
        let device = queue.device();
        device.spawn(play(Arc::clone(&plays), device.clone(), request));
    });
    queue
        .on_stop(move |_, notice| stop(&stops, notice))
        .create()
}

/// What is played pauses while the device sleeps. When the device goes it ends by itself, as it counts as cancelled.
fn stop(board: &Board, notice: StopNotice) {
    if notice.action() == StopAction::Suspend {
        board.pause();
        notice.acknowledge();
    }
}

/// What an application wants to have played.
pub(super) fn playback(request: &Request) -> Result<FilePlayback, HResult> {
    let input = request.input(0).ok();
    let playback = input.and_then(|it| FilePlayback::from_bytes(&it.payload().to_vec()));
    playback.ok_or(Win32Error::INVALID_PARAMETER.into())
}

async fn play(board: Arc<Board>, device: Device, request: Request) {
    let played = tokio::select! {
        biased;
        () = request.cancelled() => Err(Win32Error::CANCELLED.into()),
        played = show(&board, &device, &request) => played,
    };
    request.complete_with_information(played.err().unwrap_or(HResult::OK), 0);
}

async fn show(board: &Board, device: &Device, request: &Request) -> Result<(), HResult> {
    let FilePlayback { delay, path } = playback(request)?;
    let mut file = open(&path).map_err(|it| told(&it))?;
    let mut piece = [0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(|it| told(&it))?;
        if read == 0 {
            return Ok(());
        }
        for character in &piece[..read] {
            board.awake().await;
            if let Some(segments) = segments(*character) {
                board.show(device, segments, *character).await?;
            }
            device.sleep(delay).await?;
        }
    }
}

/// Opens a file with this process's rights, which are the application's. What is not a regular file might have a reader wait for ever.
fn open(path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// What an application is told of a file's error.
fn told(error: &io::Error) -> HResult {
    let code = match error.kind() {
        io::ErrorKind::NotFound => Win32Error::FILE_NOT_FOUND,
        io::ErrorKind::PermissionDenied => Win32Error::ACCESS_DENIED,
        io::ErrorKind::InvalidInput => Win32Error::INVALID_PARAMETER,
        _ => Win32Error::IO_DEVICE,
    };
    code.into()
}

/// The letters from A on, as the known sample shows them. Those that seven segments can't show look like something near.
const LETTERS: [u8; 26] = [
    0xB7, 0xF4, 0xB0, 0xB6, 0xF1, 0x71, 0xE7, 0x76, 0x10, 0x86, 0xF0, 0xD0, 0x57, 0x34, 0xB4, 0x73,
    0x67, 0x30, 0xE5, 0x07, 0xD6, 0x94, 0xD4, 0x76, 0x66, 0xB3,
];
/// The digits, which have the dot lit.
const DIGITS: [u8; 10] = [0xDF, 0x0E, 0xBB, 0xAF, 0x6E, 0xED, 0xFD, 0x0F, 0xFF, 0x6F];

/// How a character is shown; `None` for one that is not.
fn segments(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(DIGITS[usize::from(character - b'0')]),
        b'a'..=b'z' => Some(LETTERS[usize::from(character - b'a')]),
        b'A'..=b'Z' => Some(LETTERS[usize::from(character - b'A')]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the segments, and the bits of the board that light them.
    const SEGMENTS: [(&str, u8); 8] = [
        ("top", 0x01),
        ("top right", 0x02),
        ("bottom right", 0x04),
        ("dot", 0x08),
        ("bottom left", 0x10),
        ("centre", 0x20),
        ("top left", 0x40),
        ("bottom", 0x80),
    ];

    fn lit(character: u8) -> Vec<&'static str> {
        let bits = segments(character).unwrap();
        let lit = SEGMENTS.iter().filter(|(_, bit)| bits & bit != 0);
        lit.map(|(name, _)| *name).collect()
    }

    #[test]
    fn letters_of_either_case_and_digits_with_a_dot_are_shown_and_nothing_else() {
        assert_eq!(lit(b'1'), ["top right", "bottom right", "dot"]);
        assert_eq!(lit(b'7'), ["top", "top right", "bottom right", "dot"]);
        assert_eq!(lit(b'l'), ["bottom left", "top left", "bottom"]);
        assert_eq!(lit(b'L'), lit(b'l'));
        assert_eq!(
            lit(b'g'),
            [
                "top",
                "top right",
                "bottom right",
                "centre",
                "top left",
                "bottom"
            ]
        );
        for character in [b' ', b'-', b'\n', b'@', b'[', b'`', b'{', 0, 0xFF] {
            assert_eq!(segments(character), None, "{character}");
        }
    }
}
