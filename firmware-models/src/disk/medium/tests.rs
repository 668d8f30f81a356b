//! What a disk gets from its media.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// All of a part of a medium.
fn all(medium: &mut impl Medium, mut at: u64, length: usize) -> Vec<u8> {
    let mut data = Vec::new();
    while data.len() < length {
        let part = medium.read(at, length - data.len()).unwrap();
        assert!(!part.is_empty() && part.len() <= length - data.len());
        at += part.len() as u64;
        data.extend_from_slice(&part);
    }
    data
}

fn image(size: u64) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    fs::write(&path, vec![7; size as usize]).unwrap();
    (folder, path)
}

#[test]
fn what_was_read_stays_as_it_was() {
    let (_folder, path) = image(1 << 20);
    let media: [Box<dyn Medium>; 2] = [
        Box::new(Sparse::new(1 << 20)),
        Box::new(FileMedium::open(&path, Access::Write).unwrap()),
    ];
    for mut medium in media {
        for length in [4096, 60_000] {
            medium.write(0, &vec![1; length]).unwrap();
            let before = medium.read(0, length).unwrap();
            medium.write(0, &vec![2; length]).unwrap();
            let after = medium.read(0, length).unwrap();
            assert!(before.iter().all(|byte| *byte == 1), "{medium:?}");
            assert!(after.iter().all(|byte| *byte == 2), "{medium:?}");
        }
    }
}

#[test]
fn to_read_what_is_in_memory_copies_nothing() {
    let mut medium = Sparse::new(1 << 20);
    medium.write(4096, &[1; 8192]).unwrap();
    let pieces = [medium.read(4096, 4096), medium.read(4096, 8192)];
    let places = pieces.map(|piece| piece.unwrap().as_ptr());
    assert_eq!(places[0], places[1]);
    let nothing = medium.read(1 << 19, 1 << 19).unwrap();
    assert!(ZEROS.as_ptr_range().contains(&nothing.as_ptr()));
}

#[test]
fn a_file_is_read_into_memory_that_nobody_has_any_more() {
    let (_folder, path) = image(1 << 20);
    let mut medium = FileMedium::open(&path, Access::Read).unwrap();
    let first = medium.read(0, 100_000).unwrap();
    let second = medium.read(0, 100_000).unwrap();
    let (place, other) = (first.as_ptr(), second.as_ptr());
    assert_ne!(place, other);
    drop(first);
    assert_eq!(medium.read(0, 200_000).unwrap().as_ptr(), place);
    // Many at once are all right, too, and a large one comes in parts.
    let held: Vec<_> = (0..20).map(|_| medium.read(0, 1 << 20).unwrap()).collect();
    assert!(
        held.iter()
            .all(|data| data.len() == 256 << 10 && **data == [7; 256 << 10])
    );
    assert_eq!(*second, [7; 100_000]);
}

#[test]
fn a_sparse_medium_of_many_tebibytes_takes_what_is_written_to_it() {
    let size = 64 << 40;
    let mut medium = Sparse::new(size);
    medium.write(size - 3, &[1, 2, 3]).unwrap();
    medium.write(5 << 40, &[4; 100]).unwrap();
    assert_eq!(medium.used(), 128 << 10);
    assert_eq!(all(&mut medium, size - 4, 4), [0, 1, 2, 3]);
    medium.discard(0, size).unwrap();
    assert_eq!(medium.used(), 0);
}

#[test]
fn a_snapshot_shows_its_image_and_leaves_it_as_it_is() {
    let (_folder, path) = image(200_000);
    let below = FileMedium::open(&path, Access::Read).unwrap();
    let mut snapshot = Sparse::over(below);
    snapshot.write(100_000, &[1, 2, 3]).unwrap();
    snapshot.discard(0, 65_536).unwrap();
    let data = all(&mut snapshot, 0, 200_000);
    assert_eq!(data[99_999..100_004], [7, 1, 2, 3, 7]);
    assert!(data[..65_536].iter().all(|byte| *byte == 0));
    assert!(data[65_536..99_999].iter().all(|byte| *byte == 7));
    assert!(fs::read(&path).unwrap().iter().all(|byte| *byte == 7));
}

#[test]
fn a_hole_in_an_image_gives_its_room_back() {
    let (_folder, path) = image(1 << 20);
    let mut medium = FileMedium::open(&path, Access::Write).unwrap();
    if !medium.discards() {
        return; // not every file system can
    }
    medium.flush().unwrap();
    let before = fs::metadata(&path).unwrap().blocks();
    medium.discard(0, 512 << 10).unwrap();
    medium.flush().unwrap();
    let after = fs::metadata(&path).unwrap();
    assert!(after.blocks() < before);
    assert_eq!(after.len(), 1 << 20);
    assert_eq!(all(&mut medium, (512 << 10) - 1, 2), [0, 7]);
}

#[test]
fn an_image_that_is_written_to_is_nobody_elses() {
    let (_folder, path) = image(4096);
    let told = |access| FileMedium::open(&path, access).unwrap_err().to_string();
    let writer = FileMedium::open(&path, Access::Write).unwrap();
    for access in [Access::Read, Access::Write] {
        assert!(told(access).contains("is in use"), "{}", told(access));
    }
    drop(writer);
    let readers = [Access::Read; 2].map(|access| FileMedium::open(&path, access).unwrap());
    assert!(told(Access::Write).contains("use ro or snapshot"));
    assert!(readers[0].is_read_only());
}

#[test]
fn an_image_that_is_none_is_told_apart() {
    let (folder, path) = image(4096);
    let told = |path| {
        let error = FileMedium::open(path, Access::Read).unwrap_err();
        error.to_string()
    };
    assert!(told(folder.path()).contains("neither a file nor a block device"));
    assert!(told(&folder.path().join("none")).contains("No such file"));
    let error = FileMedium::open_or_create(&path, 8192).unwrap_err();
    assert!(
        error.to_string().contains("has 4096 bytes and not 8192"),
        "{error}"
    );
}

#[test]
fn an_image_is_made_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let mut medium = FileMedium::open_or_create(&path, 5 << 30).unwrap();
    assert_eq!(medium.size(), 5 << 30);
    assert_eq!(all(&mut medium, (5 << 30) - 8, 8), [0; 8]);
    assert!(fs::metadata(&path).unwrap().blocks() < 100);
    drop(medium);
    FileMedium::open_or_create(&path, 5 << 30).unwrap();
}

#[test]
fn an_image_that_has_become_shorter_is_an_error_to_read() {
    let (_folder, path) = image(100_000);
    let mut medium = FileMedium::open(&path, Access::Write).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(10)
        .unwrap();
    for length in [512, 50_000] {
        let error = medium.read(50_000, length).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize, u8),
    Discard(u64, usize),
    Read(u64, usize),
}

const SIZE: u64 = 200_000;

fn step() -> impl Strategy<Value = Step> {
    let part = || (0..SIZE, 1usize..150_000);
    let within = |(at, length): (u64, usize)| (at, length.min((SIZE - at) as usize));
    prop_oneof![
        (part(), any::<u8>()).prop_map(move |(it, byte)| {
            let (at, length) = within(it);
            Step::Write(at, length, byte)
        }),
        part().prop_map(move |it| {
            let (at, length) = within(it);
            Step::Discard(at, length)
        }),
        part().prop_map(move |it| {
            let (at, length) = within(it);
            Step::Read(at, length)
        }),
    ]
}

/// Does the same to a medium and to plain memory.
fn agrees(mut medium: impl Medium, mut model: Vec<u8>, steps: &[Step]) {
    for step in steps {
        match *step {
            Step::Write(at, length, byte) => {
                let data: Vec<u8> = (0..length).map(|i| byte.wrapping_add(i as u8)).collect();
                medium.write(at, &data).unwrap();
                model[at as usize..][..length].copy_from_slice(&data);
            }
            Step::Discard(at, length) if medium.discards() => {
                medium.discard(at, length as u64).unwrap();
                model[at as usize..][..length].fill(0);
            }
            Step::Discard(..) => {}
            Step::Read(at, length) => {
                assert_eq!(all(&mut medium, at, length), model[at as usize..][..length]);
            }
        }
    }
    assert_eq!(all(&mut medium, 0, SIZE as usize), model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_medium_has_what_was_written_to_it(steps in prop::collection::vec(step(), 0..20)) {
        let (_folder, path) = image(SIZE);
        agrees(Sparse::new(SIZE), vec![0; SIZE as usize], &steps);
        let below = FileMedium::open(&path, Access::Read).unwrap();
        agrees(Sparse::over(below), vec![7; SIZE as usize], &steps);
        let file = FileMedium::open(&path, Access::Write).unwrap();
        agrees(file, vec![7; SIZE as usize], &steps);
    }
}
