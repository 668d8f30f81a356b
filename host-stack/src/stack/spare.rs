//! Requests of applications, and their memories, that are used again: a stack that is warm allocates none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{Memory, request::irp::Irp, status::NtStatus};

/// The most requests that are kept, and the most memories of each kind.
const MOST: usize = 256;
/// The most bytes that a memory which is kept has room for.
const MOST_BYTES: usize = 64 << 10;

/// What is kept.
#[derive(Default)]
pub(crate) struct Spare(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    irps: Vec<Arc<Irp>>,
    /// Memories that hold nothing.
    empty: Vec<Memory>,
    /// Memories with room for a copy of what is written.
    rooms: Vec<Memory>,
}

/// The memories of a request.
#[derive(Default)]
pub(crate) struct Buffers {
    /// What an application gives.
    input: Option<Memory>,
    /// Whether that is a copy.
    copied: bool,
    /// Room for what it gets.
    output: Option<Memory>,
}

impl Buffers {
    pub(crate) fn input(&self) -> Option<&Memory> {
        self.input.as_ref()
    }

    pub(crate) fn output(&self) -> Option<&Memory> {
        self.output.as_ref()
    }
}

impl Spare {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a request, and memory of what is given and for what is to come; none for nothing.
    pub(crate) fn buffers(
        &self,
        input: Bytes,
        direct: bool,
        output: usize,
    ) -> Result<(Option<Arc<Irp>>, Buffers), NtStatus> {
        let mut lists = self.lists();
        let given = match (input.is_empty(), direct) {
            (true, _) => None,
            (false, true) => lists.empty.pop(),
            (false, false) => lists.rooms.pop(),
        };
        let room = match output {
            0 => None,
            _ => lists.empty.pop(),
        };
        let irp = lists.irps.pop();
        drop(lists);
        let buffers = Buffers {
            input: filled(given, input, direct),
            copied: !direct,
            output: zeroed(room, output)?,
        };
        Ok((irp, buffers))
    }

    /// Takes back what an application does not need any more: a request, if it has ended, and its memories, as far as nobody else has them.
    pub(crate) fn take_back(&self, irp: Arc<Irp>, buffers: Buffers) {
        if Arc::strong_count(&irp) > 1 && irp.outcome().is_none() {
            return;
        }
        let (copy, direct) = match buffers.copied {
            true => (buffers.input, None),
            false => (None, buffers.input),
        };
        let empty = [emptied(direct), emptied(buffers.output)];
        let copy = copy.filter(|it| it.size() <= MOST_BYTES);
        let mut lists = self.lists();
        keep(&mut lists.irps, Some(irp));
        empty.into_iter().for_each(|it| keep(&mut lists.empty, it));
        keep(&mut lists.rooms, copy);
    }
}

fn keep<T>(list: &mut Vec<T>, spare: Option<T>) {
    if let Some(spare) = spare
        && list.len() < MOST
    {
        list.push(spare);
    }
}

/// Memory of what is given: a copy, unless drivers get at it directly.
fn filled(spare: Option<Memory>, data: Bytes, direct: bool) -> Option<Memory> {
    if data.is_empty() {
        return None;
    }
    if let Some(mut memory) = spare {
        let renewed = match direct {
            true => memory.renew_holding(data.clone()),
            false => memory.renew_copying(&data),
        };
        if renewed {
            return Some(memory);
        }
    }
    let data = match direct {
        true => data,
        false => Bytes::copy_from_slice(&data),
    };
    Memory::new(data).ok()
}

/// Memory for what is to come.
fn zeroed(spare: Option<Memory>, length: usize) -> Result<Option<Memory>, NtStatus> {
    if length == 0 {
        return Ok(None);
    }
    if let Some(mut memory) = spare
        && memory.renew_zeroed(length)
    {
        return Ok(Some(memory));
    }
    Ok(Some(Memory::zeroed(length)?))
}

/// What nobody else has, without what it holds.
fn emptied(memory: Option<Memory>) -> Option<Memory> {
    let mut memory = memory?;
    memory.renew_zeroed(1).then_some(memory)
}
