//! Which commands there are: their codes, the bits of them that mean something, and who begins them.

use super::{Sense, Task, Unit, blocks, capacity, cdb::Cdb, control, inquiry, mode, report, thin};

/// A command that a unit knows.
pub(super) struct Operation {
    pub(super) code: u8,
    #[doc(alias = "SERVICE ACTION")]
    pub(super) action: Option<u8>,
    /// The bits that mean something, in all bytes behind the code.
    #[doc(alias = "CDB USAGE DATA")]
    pub(super) usage: &'static [u8],
    begin: Begin,
    /// Whether it is done even where the unit has something to tell before (SPC-4 §5.15, SAM-5 §5.14).
    in_spite_of_attention: bool,
}

type Begin = fn(&mut Unit, &Cdb) -> Result<Task, Sense>;

const fn operation(code: u8, usage: &'static [u8], begin: Begin) -> Operation {
    Operation {
        code,
        action: None,
        usage,
        begin,
        in_spite_of_attention: false,
    }
}

impl Operation {
    const fn action(self, action: u8) -> Self {
        Self {
            action: Some(action),
            ..self
        }
    }

    const fn always(self) -> Self {
        Self {
            in_spite_of_attention: true,
            ..self
        }
    }
}

/// REQUEST SENSE does not make a unit forget its sense data before it tells it.
const REQUEST_SENSE: u8 = 0x03;

const ADDRESS_10: &[u8] = &[0x18, 0xff, 0xff, 0xff, 0xff, 0x00, 0xff, 0xff, 0x00];
const ADDRESS_12: &[u8] = &[
    0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];
const ADDRESS_16: &[u8] = &[
    0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];
const VERIFY_10: &[u8] = &[0x16, 0xff, 0xff, 0xff, 0xff, 0x00, 0xff, 0xff, 0x00];
const VERIFY_12: &[u8] = &[
    0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];
const VERIFY_16: &[u8] = &[
    0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];
const SYNCHRONIZE_16: &[u8] = &[
    0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];
const CAPACITY_16: &[u8] = &[
    0x1f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];
const REPORT_OPERATIONS: &[u8] = &[
    0x1f, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];
const REPORT_LUNS: &[u8] = &[
    0x00, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
];

/// Every command, in the order of their codes.
pub(super) static OPERATIONS: &[Operation] = &[
    operation(0x00, &[0, 0, 0, 0, 0], control::test_unit_ready),
    operation(
        REQUEST_SENSE,
        &[0x01, 0, 0, 0xff, 0],
        control::request_sense,
    )
    .always(),
    operation(0x08, &[0x1f, 0xff, 0xff, 0xff, 0], blocks::read_6),
    operation(0x0a, &[0x1f, 0xff, 0xff, 0xff, 0], blocks::write_6),
    operation(0x12, &[0x01, 0xff, 0xff, 0xff, 0], inquiry::inquiry).always(),
    operation(0x1a, &[0x08, 0xff, 0xff, 0xff, 0], mode::sense_6),
    operation(0x1b, &[0x01, 0, 0, 0xf7, 0], control::start_stop_unit),
    operation(0x1e, &[0, 0, 0, 0x03, 0], control::prevent_allow_removal),
    operation(
        0x25,
        &[0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        capacity::read_10,
    ),
    operation(0x28, ADDRESS_10, blocks::read_10),
    operation(0x2a, ADDRESS_10, blocks::write_10),
    operation(0x2f, VERIFY_10, blocks::verify_10),
    operation(
        0x35,
        &[0x02, 0xff, 0xff, 0xff, 0xff, 0x00, 0xff, 0xff, 0x00],
        blocks::synchronize_cache_10,
    ),
    operation(
        0x41,
        &[0x08, 0xff, 0xff, 0xff, 0xff, 0x00, 0xff, 0xff, 0x00],
        thin::write_same_10,
    ),
    operation(0x42, &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0], thin::unmap),
    operation(
        0x5a,
        &[0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0],
        mode::sense_10,
    ),
    operation(0x88, ADDRESS_16, blocks::read_16),
    operation(0x8a, ADDRESS_16, blocks::write_16),
    operation(0x8f, VERIFY_16, blocks::verify_16),
    operation(0x91, SYNCHRONIZE_16, blocks::synchronize_cache_16),
    operation(
        0x93,
        &[
            0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00,
            0x00,
        ],
        thin::write_same_16,
    ),
    operation(0x9e, CAPACITY_16, capacity::read_16).action(0x10),
    operation(0xa0, REPORT_LUNS, report::luns).always(),
    operation(0xa3, REPORT_OPERATIONS, report::operations).action(0x0c),
    operation(0xa8, ADDRESS_12, blocks::read_12),
    operation(0xaa, ADDRESS_12, blocks::write_12),
    operation(0xaf, VERIFY_12, blocks::verify_12),
];

/// Begins a command.
pub(super) fn begin(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let code = cdb.byte(0);
    if code != REQUEST_SENSE {
        unit.sense = Sense::NONE;
    }
    let mut known = OPERATIONS.iter().filter(|it| it.code == code).peekable();
    if known.peek().is_none() {
        return Err(Sense::INVALID_OPERATION_CODE);
    }
    let action = cdb.byte(1) & 0x1f;
    let operation = known
        .find(|it| it.action.is_none_or(|it| it == action))
        .ok_or(Sense::INVALID_FIELD_IN_CDB)?;
    if !operation.in_spite_of_attention
        && let Some(attention) = unit.take_attention()
    {
        return Err(attention);
    }
    (operation.begin)(unit, cdb)
}
