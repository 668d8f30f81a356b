//! What a file target is asked for, and how it ended.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Window,
    request::{
        Parameters,
        format::Asked,
        irp::{Irp, Outcome},
    },
    status::NtStatus,
};

/// The most bytes that move at once.
pub(super) const PIECE: usize = 1 << 20;

/// What a file target is asked for.
pub(super) struct Operation {
    pub(super) irp: Arc<Irp>,
    pub(super) kind: Kind,
    /// Bytes that have moved.
    pub(super) moved: usize,
}

pub(super) enum Kind {
    Read {
        window: Option<Window>,
        offset: u64,
        /// Room for what comes, once it was needed.
        room: Vec<u8>,
    },
    Write {
        data: Bytes,
        offset: u64,
    },
    Flush,
    Query {
        class: u32,
        window: Option<Window>,
    },
    Set {
        class: u32,
        information: Bytes,
    },
}

/// How an operation has ended, which is yet to be told.
pub(super) struct Ended {
    irp: Arc<Irp>,
    status: NtStatus,
    information: usize,
    data: Option<(Window, Vec<u8>)>,
}

fn length(window: Option<&Window>) -> usize {
    window.map_or(0, Window::len)
}

impl Operation {
    /// What a request asks for; otherwise how it ends.
    pub(super) fn of(irp: &Arc<Irp>) -> Result<Self, NtStatus> {
        let mut body = irp.body();
        if body.has_ended() {
            return Err(NtStatus::CANCELLED);
        }
        let asked = Asked::of(body.top()).ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
        drop(body);
        let Asked {
            parameters,
            input,
            output,
        } = asked;
        let sent = || input.map_or_else(Bytes::new, |it| it.payload().into_bytes());
        let kind = match parameters {
            Parameters::Read(transfer) => Kind::Read {
                window: output,
                offset: transfer.offset,
                room: Vec::new(),
            },
            Parameters::Write(transfer) => Kind::Write {
                data: sent(),
                offset: transfer.offset,
            },
            Parameters::Flush => Kind::Flush,
            Parameters::QueryInformation { class, .. } => Kind::Query {
                class,
                window: output,
            },
            Parameters::SetInformation { class, .. } => Kind::Set {
                class,
                information: sent(),
            },
            _ => return Err(NtStatus::INVALID_DEVICE_REQUEST),
        };
        Ok(Self {
            irp: Arc::clone(irp),
            kind,
            moved: 0,
        })
    }

    /// Bytes that are to be read, or room for information.
    pub(super) fn room(&self) -> usize {
        match &self.kind {
            Kind::Read { window, .. } | Kind::Query { window, .. } => length(window.as_ref()),
            _ => 0,
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self.kind, Kind::Read { .. })
    }

    /// Whether it is a transfer of no bytes.
    pub(super) fn moves_nothing(&self) -> bool {
        match &self.kind {
            Kind::Read { .. } => self.room() == 0,
            Kind::Write { data, .. } => data.is_empty(),
            _ => false,
        }
    }

    /// It has ended so, with the bytes that have moved.
    pub(super) fn ended(self, status: NtStatus) -> Ended {
        let Self { irp, kind, moved } = self;
        let data = match kind {
            Kind::Read {
                window: Some(window),
                mut room,
                ..
            } if moved > 0 => {
                room.truncate(moved);
                // What is kept for long is not to be much larger than what came.
                if room.capacity() / 2 > room.len() {
                    room.shrink_to_fit();
                }
                Some((window, room))
            }
            _ => None,
        };
        Ended {
            irp,
            status,
            information: moved,
            data,
        }
    }

    /// Information about the file was told, or why not.
    pub(super) fn answered(self, answer: Result<Vec<u8>, NtStatus>) -> Ended {
        let Self { irp, kind, .. } = self;
        let (status, told) = match answer {
            Ok(told) => (NtStatus::SUCCESS, told),
            Err(status) => (status, Vec::new()),
        };
        let information = told.len();
        let data = match kind {
            Kind::Query {
                window: Some(window),
                ..
            } if information > 0 => Some((window, told)),
            _ => None,
        };
        Ended {
            irp,
            status,
            information,
            data,
        }
    }
}

impl Ended {
    /// Puts what came where it belongs, and tells.
    pub(super) fn tell(self) {
        let Self {
            irp,
            mut status,
            mut information,
            data,
        } = self;
        if let Some((window, data)) = data
            && let Err(error) = window.fill(data.into())
        {
            (status, information) = (error.status(), 0);
        }
        irp.ended(Outcome {
            status,
            information,
            usb: None,
        });
    }
}

/// As many zeros as are wanted in `room`.
pub(super) fn make_room(room: &mut Vec<u8>, length: usize) -> Result<(), NtStatus> {
    let more = length.saturating_sub(room.len());
    room.try_reserve_exact(more)
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    room.resize(length, 0);
    Ok(())
}
