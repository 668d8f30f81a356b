//! Room is given back, and what it held reads as zeros.

use super::*;

const UNMAP: u8 = 8;
const NO_DATA: u8 = 1;

/// An UNMAP and its list.
fn unmap(ranges: &[(u64, u32)]) -> ([u8; 10], Vec<u8>) {
    let body = u16::try_from(ranges.len() * 16).unwrap();
    let mut list = (body + 6).to_be_bytes().to_vec();
    list.extend(body.to_be_bytes());
    list.extend([0; 4]);
    for (block, count) in ranges {
        list.extend(block.to_be_bytes());
        list.extend(count.to_be_bytes());
        list.extend([0; 4]);
    }
    (cdb_10(0x42, 0, 0, body + 8), list)
}

fn filled() -> (Host, Arc<Mutex<Script>>) {
    let (mut host, script) = Host::faulty(1 << 20);
    for block in (0..2048).step_by(128) {
        let cdb = cdb_10(WRITE_10, 0, block, 128);
        host.send(&cdb, &[7; 65536]).unwrap();
    }
    (host, script)
}

/// The blocks that are not as they were filled.
fn zeroed(host: &mut Host) -> Vec<u64> {
    let data = host.run(&cdb_10(READ_10, 0, 0, 2048)).unwrap();
    let blocks = (0..).zip(data.chunks(512));
    let changed = blocks.filter(|(_, block)| **block != [7; 512]);
    changed
        .map(|(number, block)| {
            assert_eq!(block, [0; 512]);
            number
        })
        .collect()
}

#[test]
fn unmapped_ranges_read_as_zeros_and_nothing_else_does() {
    let (mut host, _) = filled();
    let (cdb, list) = unmap(&[(3, 2), (0, 0), (1000, 300)]);
    host.send(&cdb, &list).unwrap();
    let expected: Vec<_> = (3..5).chain(1000..1300).collect();
    assert_eq!(zeroed(&mut host), expected);
}

#[test]
fn an_unmap_that_is_wrong_does_nothing() {
    let (mut host, _) = filled();
    let (cdb, list) = unmap(&[(3, 2), (2040, 9)]);
    let told = host.send(&cdb, &list);
    assert_eq!(told, Err(Sense::BLOCK_OUT_OF_RANGE.at(2040)));
    let (cdb, list) = unmap(&[(0, 1); 257]);
    let told = host.send(&cdb, &list);
    assert_eq!(told, Err(Sense::INVALID_FIELD_IN_PARAMETERS));
    let told = host.send(&cdb_10(0x42, 0, 0, 7), &[0; 7]);
    assert_eq!(told, Err(Sense::PARAMETER_LIST_LENGTH));
    // The list says that it is longer than what came.
    let (cdb, mut list) = unmap(&[(5, 1)]);
    list[..4].copy_from_slice(&[0xff; 4]);
    host.send(&cdb, &list).unwrap();
    assert_eq!(host.run(&cdb_10(0x42, 0, 0, 0)), Ok(vec![]));
    assert_eq!(zeroed(&mut host), [5]);
}

#[test]
fn write_same_writes_a_block_again_and_again() {
    let (mut host, script) = filled();
    let block: Vec<u8> = (0..512).map(|i| i as u8).collect();
    host.send(&cdb_10(WRITE_SAME_10, 0, 100, 300), &block)
        .unwrap();
    let data = host.run(&cdb_10(READ_10, 0, 99, 302)).unwrap();
    assert_eq!(data[..512], [7; 512]);
    assert_eq!(data[301 * 512..], [7; 512]);
    assert!(data[512..301 * 512].chunks(512).all(|it| it == block));
    // Zeros, whether the medium can give room back or not, sent or not.
    for (keeps_room, code, flags) in [
        (false, WRITE_SAME_10, UNMAP),
        (false, WRITE_SAME_16, UNMAP | NO_DATA),
        (true, WRITE_SAME_10, 0),
        (true, WRITE_SAME_16, NO_DATA),
    ] {
        let (mut host, script) = filled();
        script.lock().unwrap().keeps_room = keeps_room;
        let told = match code {
            WRITE_SAME_10 => host.send(&cdb_10(code, flags, 9, 1001), &[0; 512]),
            _ => host.send(&cdb_16(code, flags, 9, 1001), &[0; 512]),
        };
        assert_eq!(told, Ok(vec![]));
        assert_eq!(zeroed(&mut host), (9..1010).collect::<Vec<_>>());
    }
    for cdb in [
        cdb_10(WRITE_SAME_10, 0, 0, 0),
        cdb_10(WRITE_SAME_10, 0x10, 0, 1),
    ] {
        assert_eq!(host.run(&cdb), Err(Sense::INVALID_FIELD_IN_CDB));
    }
    script.lock().unwrap().keeps_room = true;
    let told = host.run(&cdb_10(WRITE_SAME_10, UNMAP, 0, 1));
    assert_eq!(told, Err(Sense::INVALID_FIELD_IN_CDB));
}

#[test]
fn a_disk_tells_whether_it_gives_room_back() {
    let (mut host, script) = Host::faulty(1 << 20);
    let told = |host: &mut Host| {
        let capacity = host.run(&cdb_16(0x9e, 0x10, 0, 32)).unwrap();
        let page = host.run(&[0x12, 1, 0xb2, 0, 255, 0]).unwrap();
        let limits = host.run(&[0x12, 1, 0xb0, 0, 255, 0]).unwrap();
        (capacity[14], page[5], limits[20..24].to_vec())
    };
    assert_eq!(told(&mut host), (0xc0, 0xe4, vec![0xff; 4]));
    script.lock().unwrap().keeps_room = true;
    assert_eq!(told(&mut host), (0, 0, vec![0; 4]));
    let (cdb, list) = unmap(&[(0, 1)]);
    assert_eq!(host.send(&cdb, &list), Err(Sense::INVALID_OPERATION_CODE));
}
