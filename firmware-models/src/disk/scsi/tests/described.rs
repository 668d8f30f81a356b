//! What a unit tells of itself.

use super::*;

fn inquiry(page: Option<u8>, room: u8) -> [u8; 6] {
    [
        0x12,
        u8::from(page.is_some()),
        page.unwrap_or(0),
        0,
        room,
        0,
    ]
}

#[test]
fn a_disk_says_who_it_is() {
    let mut host = Host::new(Sparse::new(512));
    let told = host.run(&inquiry(None, 255)).unwrap();
    assert_eq!(told[..8], [0, 0, 6, 2, 31, 0, 0, 2]);
    assert_eq!(&told[8..], b"usbwrighDisk            0100");
    assert_eq!(host.run(&inquiry(None, 5)).unwrap(), told[..5]);
    assert_eq!(host.run(&inquiry(None, 0)).unwrap(), []);
    let wrong = Err(Sense::INVALID_FIELD_IN_CDB);
    assert_eq!(host.run(&[0x12, 0, 0x80, 0, 255, 0]), wrong);
    assert_eq!(host.run(&inquiry(Some(0x81), 255)), wrong);
}

#[test]
fn every_page_of_product_data_is_there_with_its_length() {
    let mut host = Host::new(Sparse::new(512));
    let pages = host.run(&inquiry(Some(0), 255)).unwrap();
    assert_eq!(pages, [0, 0, 0, 6, 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
    for page in &pages[4..] {
        let told = host.run(&inquiry(Some(*page), 255)).unwrap();
        assert_eq!(told[1], *page);
        let length = u16::from_be_bytes([told[2], told[3]]);
        assert_eq!(usize::from(length) + 4, told.len());
    }
    let serial = host.run(&inquiry(Some(0x80), 255)).unwrap();
    assert_eq!(serial[4..], *b"0123456789AB");
    let rotation = host.run(&inquiry(Some(0xb1), 255)).unwrap();
    assert_eq!(rotation[4..6], [0, 1]);
}

#[test]
fn every_unit_has_a_name_of_its_own() {
    let unit = |_| {
        let drive = Drive::new(Some(Box::new(Sparse::new(512))));
        Unit::new(drive, BlockSize::B512, identity())
    };
    let mut host = Host::of((0..15).map(unit).collect());
    let mut names = Vec::new();
    for lun in 0..15 {
        let page = host.on(lun, &inquiry(Some(0x83), 255), &[]).unwrap();
        // A name in ASCII and a number of eight bytes, which begins with a 3.
        assert_eq!(page[4..7], [2, 1, 0]);
        let number = &page[8 + usize::from(page[7])..];
        assert_eq!((number.len(), number[..4].to_vec()), (12, vec![1, 3, 0, 8]));
        assert_eq!(number[4] >> 4, 3);
        names.push(page);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 15);
    let luns = host.run(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]).unwrap();
    assert_eq!((luns.len(), luns[3]), (128, 120));
    assert_eq!(luns[8 + 14 * 8..][..2], [0, 14]);
    let told = host.on(15, &[0; 6], &[]);
    assert_eq!(told, Err(Sense::LOGICAL_UNIT_NOT_SUPPORTED));
}

#[test]
fn the_caching_page_says_that_writes_are_cached() {
    let mut host = Host::new(Sparse::new(512));
    let page = |first| {
        let mut page = vec![8, 18, first];
        page.resize(20, 0);
        page
    };
    for number in [8, 0x3f] {
        let short = host.run(&[0x1a, 0, number, 0, 255, 0]).unwrap();
        assert_eq!(short[..4], [23, 0, 0x10, 0]);
        assert_eq!(short[4..], page(4));
        let long = host.run(&[0x5a, 0, number, 0, 0, 0, 0, 1, 0, 0]).unwrap();
        assert_eq!(long[..8], [0, 26, 0, 0x10, 0, 0, 0, 0]);
        assert_eq!(long[8..], page(4));
    }
    // None of it can be changed, and none of it is saved.
    let changeable = host.run(&[0x1a, 0, 0x48, 0, 255, 0]).unwrap();
    assert_eq!(changeable[4..], page(0));
    let saved = host.run(&[0x1a, 0, 0xc8, 0, 255, 0]);
    assert_eq!(saved, Err(Sense::SAVING_NOT_SUPPORTED));
    let other = host.run(&[0x1a, 0, 0x1c, 0, 255, 0]);
    assert_eq!(other, Err(Sense::INVALID_FIELD_IN_CDB));
}

fn report(option: u8, code: u8, action: u8) -> [u8; 12] {
    [0xa3, 0x0c, option, code, 0, action, 0, 0, 2, 0, 0, 0]
}

#[test]
fn the_commands_that_are_reported_are_those_that_there_are() {
    let mut host = Host::new(Sparse::new(1 << 20));
    let all = host.run(&report(0, 0, 0)).unwrap();
    let codes: Vec<u8> = all[4..].chunks(8).map(|it| it[0]).collect();
    assert_eq!(u32::from_be_bytes([all[0], all[1], all[2], all[3]]), 8 * 27);
    assert!(codes.is_sorted());
    for code in 0..=u8::MAX {
        // The service actions of READ CAPACITY (16) and REPORT SUPPORTED OPERATION CODES.
        let action = match code {
            0x9e => 0x10,
            0xa3 => 0x0c,
            _ => 0,
        };
        let mut cdb = [0; 16];
        (cdb[0], cdb[1]) = (code, action);
        let begun = host.0.begin(0, &cdb);
        let unknown = host.0.finish(&begun) == Err(Sense::INVALID_OPERATION_CODE);
        assert_eq!(unknown, !codes.contains(&code), "{code:#x}");
        let one = host.run(&report(3, code, action)).unwrap();
        match unknown {
            true => assert_eq!(one, [0, 1, 0, 0]),
            false => assert_eq!((one[1], one[4], one[3]), (3, code, one.len() as u8 - 4)),
        }
    }
}

#[test]
fn a_command_is_reported_by_its_code_or_its_service_action() {
    let mut host = Host::new(Sparse::new(512));
    let wrong = Err(Sense::INVALID_FIELD_IN_CDB);
    let read = host.run(&report(1, READ_10, 0)).unwrap();
    assert_eq!(read[..4], [0, 3, 0, 10]);
    assert_eq!(host.run(&report(1, 0x9e, 0)), wrong);
    assert_eq!(host.run(&report(2, READ_10, 0)), wrong);
    assert_eq!(host.run(&report(4, READ_10, 0)), wrong);
    let capacity = host.run(&report(2, 0x9e, 0x10)).unwrap();
    assert_eq!(capacity[4..6], [0x9e, 0x10]);
    let none = host.run(&report(2, 0x9e, 0x11)).unwrap();
    assert_eq!(none, [0, 1, 0, 0]);
    // With timeouts: twelve bytes more.
    let read = host.run(&report(0x81, READ_10, 0)).unwrap();
    assert_eq!((read[1], read.len()), (0x83, 4 + 10 + 12));
    let told = host.run(&cdb_16(0x9e, 0x11, 0, 32));
    assert_eq!(told, wrong);
}
