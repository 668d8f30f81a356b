//! Commands with fields that are often right, and nearly right otherwise.

use super::script::Script;

/// A command, padded with zeros.
pub(super) type Cdb = [u8; 16];

/// The commands that a disk knows; those of blocks more than once.
const CODES: [u8; 40] = [
    0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x5a,
    0x88, 0x8a, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xaf, 0x28, 0x2a, 0x28, 0x2a, 0x88,
    0x8a, 0x2f, 0x42, 0x93, 0x41, 0x35, 0x28, 0x2a,
];

/// Puts a big-endian number into a field.
pub(super) fn put(field: &mut [u8], number: u64) {
    let bytes = number.to_be_bytes();
    let length = field.len();
    field.copy_from_slice(&bytes[8 - length..]);
}

/// The number that a field has.
pub(super) fn number(field: &[u8]) -> u64 {
    field
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A block of a medium that has so many, or one beyond.
pub(super) fn block(script: &mut Script<'_>, blocks: u64) -> u64 {
    match script.byte() {
        0..200 => script.up_to(blocks as usize - 1) as u64,
        200..230 => blocks - script.up_to(3) as u64,
        230..250 => blocks + script.up_to(300) as u64,
        _ => number(&script.bytes::<8>()),
    }
}

pub(super) fn count(script: &mut Script<'_>) -> u64 {
    match script.byte() {
        0..200 => script.up_to(8) as u64,
        200..250 => script.up_to(400) as u64,
        _ => number(&script.bytes::<4>()),
    }
}

/// A command for a medium of so many blocks.
pub(super) fn command(script: &mut Script<'_>, blocks: u64) -> Cdb {
    let mut cdb = [0; 16];
    cdb[0] = match script.one_in(32) {
        true => script.byte(),
        false => script.one_of(&CODES),
    };
    match cdb[0] {
        0x03 | 0x12 | 0x1a | 0x5a | 0xa0 | 0xa3 => describing(script, &mut cdb),
        0x1b | 0x1e => cdb[4] = script.one_of(&[0, 1, 2, 3, 1, 1, 0x10]),
        0x25 if !script.one_in(8) => {}
        0x42 => put(
            &mut cdb[7..9],
            script.one_of(&[24, 40, 8, 24, 0, 7, 23, 65535]),
        ),
        0x9e => {
            cdb[1] = script.one_of(&[0x10, 0x10, 0x10, 0x11]);
            put(&mut cdb[10..14], script.one_of(&[32, 12, 0, 64]));
        }
        code => {
            let (block, count) = (block(script, blocks), count(script));
            match code >> 5 {
                0 => {
                    put(&mut cdb[1..4], block & 0x1f_ffff);
                    put(&mut cdb[4..5], count & 0xff);
                }
                1 | 2 => {
                    put(&mut cdb[2..6], block & 0xffff_ffff);
                    put(&mut cdb[7..9], count & 0xffff);
                }
                5 => {
                    put(&mut cdb[2..6], block & 0xffff_ffff);
                    put(&mut cdb[6..10], count);
                }
                _ => {
                    put(&mut cdb[2..10], block);
                    put(&mut cdb[10..14], count);
                }
            }
            if code >= 0x20 && script.one_in(3) {
                cdb[1] = script.one_of(&[0x08, 0x02, 0x01, 0x08, 0x02, 0x10, 0x20, 0x04, 0xff]);
            }
        }
    }
    cdb
}

/// Commands that ask what the unit is.
fn describing(script: &mut Script<'_>, cdb: &mut Cdb) {
    let choices = [0, 1, 2, 3, 8, 0x3f, 0x80, 0x83, 0xb0, 0xb1, 0xb2, 0xff];
    cdb[1] = match cdb[0] {
        0xa3 => 0x0c,
        _ => u8::from(script.one_in(2)),
    };
    cdb[2] = script.one_of(&choices);
    cdb[3] = script.one_of(&[0, 0, 0, 0x28, 0x9e]);
    let length = script.one_of(&[255, 36, 18, 16, 8, 4, 0]);
    match cdb[0] {
        0x5a => put(&mut cdb[7..9], length),
        0xa0 | 0xa3 => put(&mut cdb[6..10], length * 16),
        0x12 => put(&mut cdb[3..5], length),
        _ => put(&mut cdb[4..5], length),
    }
}

/// The parameters of an UNMAP, `length` bytes of them.
pub(super) fn ranges(script: &mut Script<'_>, length: usize, blocks: u64) -> Vec<u8> {
    let mut list = vec![0; length];
    let told = match script.one_in(8) {
        true => script.up_to(64) as u64,
        false => length.saturating_sub(8) as u64,
    };
    put(&mut list[2..4], told & 0xffff);
    // All ranges of a long list are alike.
    let (first, blocks_each) = (block(script, blocks), count(script) & 0xffff_ffff);
    for range in list[8..].chunks_exact_mut(16) {
        put(&mut range[..8], first);
        put(&mut range[8..12], blocks_each);
    }
    list
}
