//! Blocks: what is written is read, checked and made safe; what can't be is told.

use super::*;

#[test]
fn every_length_of_read_and_write_is_about_the_same_blocks() {
    let mut host = Host::new(Sparse::new(1 << 20));
    let writes: [&[u8]; 4] = [
        &[0x0a, 0, 1, 0, 2, 0],
        &[0x2a, 0, 0, 0, 1, 2, 0, 0, 2, 0],
        &[0xaa, 0, 0, 0, 1, 4, 0, 0, 0, 2, 0, 0],
        &[0x8a, 0, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0, 0, 2, 0, 0],
    ];
    for (cdb, byte) in writes.into_iter().zip(1..) {
        host.send(cdb, &[byte; 1024]).unwrap();
    }
    let expected = [[1; 1024], [2; 1024], [3; 1024], [4; 1024]].concat();
    let reads: [&[u8]; 4] = [
        &[0x08, 0, 1, 0, 8, 0],
        &[0x28, 0, 0, 0, 1, 0, 0, 0, 8, 0],
        &[0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 0],
        &[0x88, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 0],
    ];
    for cdb in reads {
        assert_eq!(host.run(cdb).unwrap(), expected, "{cdb:02x?}");
    }
}

#[test]
fn no_blocks_are_256_in_a_command_of_six_bytes_and_none_in_others() {
    let mut host = Host::new(Sparse::new(1 << 20));
    assert_eq!(host.run(&[0x08, 0, 0, 0, 0, 0]).unwrap().len(), 256 * 512);
    assert_eq!(host.run(&cdb_10(READ_10, 0, 0, 0)), Ok(vec![]));
    assert_eq!(host.run(&cdb_16(READ_16, 0, 2048, 0)), Ok(vec![]));
}

#[test]
fn blocks_beyond_the_end_are_refused_before_anything_is_done() {
    let mut host = Host::new(Sparse::new(100 * 512));
    let refused = |block| Err(Sense::BLOCK_OUT_OF_RANGE.at(block));
    for (block, count) in [(100, 1), (99, 2), (0, 101), (u32::MAX, u16::MAX)] {
        for code in [READ_10, WRITE_10, VERIFY_10, SYNCHRONIZE_10] {
            let told = host.run(&cdb_10(code, 0, block, count));
            assert_eq!(told, refused(block.into()), "{code:#x}");
        }
    }
    let told = host.run(&cdb_16(READ_16, 0, u64::MAX, u32::MAX));
    assert_eq!(told, refused(u64::MAX));
    assert_eq!(host.run(&cdb_10(READ_10, 0, 101, 0)), refused(101));
    assert_eq!(host.run(&cdb_10(READ_10, 0, 99, 1)).unwrap(), [0; 512]);
}

#[test]
fn a_disk_of_more_than_two_tebibytes_is_used_to_its_end() {
    for (block, size) in [(BlockSize::B512, 3 << 40), (BlockSize::B4096, 40 << 40)] {
        let mut host = Host::with(Sparse::new(size), block);
        let bytes = u64::from(block.bytes());
        let last = size / bytes - 1;
        let short = host.run(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(short[..4], [0xff; 4]);
        let long = host.run(&cdb_16(0x9e, 0x10, 0, 32)).unwrap();
        assert_eq!(long[..8], last.to_be_bytes());
        assert_eq!(long[8..12], block.bytes().to_be_bytes());
        let data = vec![9; bytes as usize];
        host.send(&cdb_16(WRITE_16, 0, last, 1), &data).unwrap();
        assert_eq!(host.run(&cdb_16(READ_16, 0, last, 1)).unwrap(), data);
        let told = host.run(&cdb_16(READ_16, 0, last, 2));
        assert_eq!(told, Err(Sense::BLOCK_OUT_OF_RANGE.at(last)));
    }
}

#[test]
fn a_flush_and_a_forced_write_end_once_all_is_safe() {
    const FUA: u8 = 8;
    let (mut host, script) = Host::faulty(1 << 20);
    let unflushed = || script.lock().unwrap().unflushed;
    host.send(&cdb_10(WRITE_10, 0, 0, 1), &[1; 512]).unwrap();
    assert_eq!(unflushed(), 512);
    host.run(&cdb_10(SYNCHRONIZE_10, 0, 0, 0)).unwrap();
    assert_eq!(unflushed(), 0);
    host.send(&cdb_16(WRITE_16, 0, 0, 1), &[1; 512]).unwrap();
    // Even where the host does not ask for it to be awaited.
    host.run(&cdb_16(SYNCHRONIZE_16, 2, 0, 0)).unwrap();
    assert_eq!(unflushed(), 0);
    host.send(&cdb_16(WRITE_16, FUA, 0, 1), &[1; 512]).unwrap();
    assert_eq!(unflushed(), 0);
    script.lock().unwrap().unsafe_cache = true;
    for told in [
        host.run(&cdb_10(SYNCHRONIZE_10, 0, 0, 0)),
        host.send(&cdb_10(WRITE_10, FUA, 0, 1), &[1; 512]),
    ] {
        assert_eq!(told.unwrap_err().key, 3);
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_block_after_what_can_be() {
    let (mut host, script) = Host::faulty(1 << 20);
    script.lock().unwrap().unreadable = 10 * 512..11 * 512;
    let mut command = host.0.begin(0, &cdb_10(READ_10, 0, 8, 4));
    let first = host.0.data_in(&mut command, 2048, 512).unwrap();
    assert_eq!(first.len(), 1024);
    assert_eq!(host.0.data_in(&mut command, 1024, 512), None);
    let sense = host.0.finish(&command).unwrap_err();
    assert_eq!((sense.key, sense.code, sense.block), (3, 0x1100, Some(10)));
    // VERIFY finds it, too.
    let told = host.run(&cdb_10(VERIFY_10, 0, 0, 100)).unwrap_err();
    assert_eq!((told.key, told.block), (3, Some(10)));
    host.run(&cdb_10(VERIFY_10, 0, 11, 100)).unwrap();
}

#[test]
fn an_error_of_the_hosts_file_becomes_the_sense_data_that_says_so() {
    use std::io::ErrorKind;
    let (mut host, script) = Host::faulty(1 << 20);
    for (kind, key, code) in [
        (ErrorKind::StorageFull, 7, 0x2707),
        (ErrorKind::QuotaExceeded, 7, 0x2707),
        (ErrorKind::ReadOnlyFilesystem, 7, 0x2700),
        (ErrorKind::Other, 3, 0x0c00),
    ] {
        script.lock().unwrap().unwritable = Some((512..1024, kind));
        let told = host.send(&cdb_10(WRITE_10, 0, 1, 1), &[1; 512]);
        let sense = told.unwrap_err();
        assert_eq!((sense.key, sense.code, sense.block), (key, code, Some(1)));
        host.send(&cdb_10(WRITE_10, 0, 2, 1), &[1; 512]).unwrap();
    }
}

#[test]
fn verify_compares_where_it_is_asked_to() {
    const BYTCHK: u8 = 2;
    let mut host = Host::new(Sparse::new(1 << 20));
    let mut data = vec![5; 4096];
    host.send(&cdb_10(WRITE_10, 0, 126, 8), &data).unwrap();
    host.send(&cdb_10(VERIFY_10, BYTCHK, 126, 8), &data)
        .unwrap();
    data[3 * 512] = 6;
    let told = host.send(&cdb_10(VERIFY_10, BYTCHK, 126, 8), &data);
    assert_eq!(told, Err(Sense::MISCOMPARE_DURING_VERIFY.at(129)));
    let told = host.run(&cdb_10(VERIFY_10, 6, 0, 1));
    assert_eq!(told, Err(Sense::INVALID_FIELD_IN_CDB));
}

#[test]
fn a_long_read_or_check_takes_a_piece_of_the_medium_at_a_time() {
    let (mut host, script) = Host::faulty(1 << 30);
    // 32 MiB in one command, all of it asked for at once.
    let mut command = host.0.begin(0, &cdb_16(READ_16, 0, 0, 65536));
    let mut pieces = 0;
    while host.0.data_in(&mut command, usize::MAX, 512).is_some() {
        pieces += 1;
    }
    assert!(pieces >= 128);
    let mut check = host.0.begin(0, &cdb_10(VERIFY_10, 0, 0, 65535));
    let mut steps = 1;
    while host.0.work(&mut check) {
        steps += 1;
    }
    assert_eq!(steps, 8);
    assert!(script.lock().unwrap().most_read <= 256 << 10);
}

#[test]
fn a_packet_that_lies_in_two_pieces_of_the_medium_stays_whole() {
    let mut host = Host::new(Sparse::new(1 << 20));
    let data: Vec<u8> = (0..256 * 512).map(|i| (i / 512) as u8).collect();
    host.send(&cdb_10(WRITE_10, 0, 0, 256), &data).unwrap();
    // Packets of 1024 bytes from block 1: one of them crosses the medium's chunks of 64 KiB.
    let mut command = host.0.begin(0, &cdb_10(READ_10, 0, 1, 254));
    let mut got = Vec::new();
    while let Some(part) = host.0.data_in(&mut command, 1 << 20, 1024) {
        got.extend_from_slice(&part);
        assert!(part.len() % 1024 == 0 || got.len() == 254 * 512);
    }
    assert_eq!(got, data[512..255 * 512]);
}
