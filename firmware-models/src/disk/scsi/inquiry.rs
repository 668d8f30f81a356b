//! INQUIRY and the vital product data (SPC-4 §6.4, §7.8; SBC-3 §6.5).

use super::{Sense, Task, Unit, cdb::Cdb, thin};

/// SPC-4.
const VERSION: u8 = 6;
/// The pages, in the order of their codes.
const PAGES: [u8; 6] = [0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2];
/// The most blocks that a host should move at a time; it may move more.
const OPTIMAL_TRANSFER: u32 = 1 << 20;

pub(super) fn inquiry(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let page = cdb.byte(2);
    let mut reply = match (cdb.has(1, 1), page) {
        (false, 0) => standard(unit),
        (true, page) if PAGES.contains(&page) => vital(unit, page),
        _ => return Err(Sense::INVALID_FIELD_IN_CDB),
    };
    reply.truncate(cdb.number(3, 2) as usize);
    Ok(Task::Reply(reply.into()))
}

fn standard(unit: &Unit) -> Vec<u8> {
    let removable = if unit.removable { 0x80 } else { 0 };
    // Commands may be queued; what follows has 31 bytes.
    let mut reply = vec![0, removable, VERSION, 2, 31, 0, 0, 2];
    reply.extend(text::<8>(&unit.identity.vendor));
    reply.extend(text::<16>(&unit.identity.product));
    reply.extend(text::<4>(&unit.identity.revision));
    reply
}

/// ASCII in a field of `N` bytes, with spaces behind it.
fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (place, byte) in field.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    field
}

fn vital(unit: &Unit, page: u8) -> Vec<u8> {
    let body = match page {
        0x80 => unit.identity.serial.clone().into_bytes(),
        0x83 => identification(unit),
        0xb0 => limits(unit),
        0xb1 => characteristics(),
        0xb2 => thin::provisioning(unit),
        _ => PAGES.to_vec(),
    };
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let mut reply = vec![0, page];
    reply.extend(length.to_be_bytes());
    reply.extend(body);
    reply
}

/// Device identification: the maker's own designation, and a number that is most likely no other unit's.
fn identification(unit: &Unit) -> Vec<u8> {
    const ASCII: u8 = 2;
    const BINARY: u8 = 1;
    const T10_VENDOR: u8 = 1;
    const NAA: u8 = 3;
    let identity = &unit.identity;
    let mut name = text::<8>(&identity.vendor).to_vec();
    name.extend(text::<16>(&identity.product));
    name.extend(identity.serial.bytes().take(200));
    name.extend(format!(":{}", unit.place.0).bytes());
    // Locally assigned: the uppermost four bits are 3.
    let number = hash(&name) >> 4 | 3 << 60;
    let mut reply = vec![
        ASCII,
        T10_VENDOR,
        0,
        u8::try_from(name.len()).unwrap_or(u8::MAX),
    ];
    reply.extend(name);
    reply.extend([BINARY, NAA, 0, 8]);
    reply.extend(number.to_be_bytes());
    reply
}

/// FNV-1a, which is the same on every machine.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Block limits.
fn limits(unit: &Unit) -> Vec<u8> {
    let mut page = vec![0; 60];
    let blocks = OPTIMAL_TRANSFER / unit.block.bytes();
    // WSNZ: WRITE SAME of no blocks does not mean all of them.
    page[0] = 1;
    page[8..12].copy_from_slice(&blocks.to_be_bytes());
    if unit.discards() {
        page[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
        page[20..24].copy_from_slice(&thin::MOST_RANGES.to_be_bytes());
        let granularity = thin::GRANULARITY / unit.block.bytes();
        page[24..28].copy_from_slice(&granularity.to_be_bytes());
    }
    page[32..40].copy_from_slice(&thin::MOST_SAME.to_be_bytes());
    page
}

/// Block device characteristics: it does not rotate.
fn characteristics() -> Vec<u8> {
    let mut page = vec![0; 60];
    page[1] = 1;
    page
}
