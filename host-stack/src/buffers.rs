//! How drivers get at the data of requests: by copies, or by the application's own memory.

use crate::{Method, request::RequestType};

/// How a driver would like to get at data.
#[doc(alias = "WDF_DEVICE_IO_TYPE")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// By a copy.
    #[default]
    #[doc(alias = "WdfDeviceIoBuffered")]
    Buffered,
    /// By the application's own memory.
    #[doc(alias = "WdfDeviceIoDirect")]
    Direct,
    /// Either way.
    #[doc(alias = "WdfDeviceIoBufferedOrDirect")]
    BufferedOrDirect,
}

/// When a driver's data is made ready.
#[doc(alias = "WDF_DEVICE_IO_BUFFER_RETRIEVAL")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retrieval {
    /// Before the request is delivered.
    #[default]
    #[doc(alias = "WdfDeviceIoBufferRetrievalCopyImmediately")]
    Immediate,
    /// When the driver asks for it.
    #[doc(alias = "WdfDeviceIoBufferRetrievalDeferred")]
    Deferred,
}

/// How a driver would like to get at the data of its requests. The default is buffered, and immediate.
#[doc(alias = "SetIoTypePreference")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoType {
    /// When it is made ready. Direct access is deferred.
    pub retrieval: Retrieval,
    /// For reads and writes.
    pub read_write: Access,
    /// For control codes.
    pub control: Access,
    /// Shorter transfers are buffered, in bytes. It is taken to be at least 8192, and a multiple of a page.
    #[doc(alias = "DirectTransferThreshold")]
    pub direct_threshold: usize,
}

impl IoType {
    /// Whether drivers go together in one stack, each with its name.
    ///
    /// # Errors
    /// The first rule that is broken.
    #[doc(alias = "GetDeviceStackIoTypePreference")]
    pub fn agree<'a>(
        drivers: impl Iterator<Item = (&'a str, Self)> + Clone,
    ) -> Result<(), IoTypeError> {
        Agreed::between(drivers).map(drop)
    }
}

/// Why the drivers of a stack don't go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IoTypeError {
    /// One wants copies only, another none.
    #[error(
        "driver {buffered} takes {what} buffered only, and driver {direct} direct only: let one of them take both"
    )]
    Incompatible {
        /// What they do not agree on.
        what: &'static str,
        /// The driver that wants copies.
        buffered: String,
        /// The driver that wants none.
        direct: String,
    },
    /// Direct access is deferred.
    #[error("driver {0} wants direct access with immediate retrieval: direct access is deferred")]
    DirectIsDeferred(String),
}

/// A page, in bytes.
const PAGE: usize = 4096;
/// The least threshold, in bytes.
const LEAST_THRESHOLD: usize = 8192;

/// What the drivers of a stack agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    read_write: bool,
    control: bool,
    threshold: usize,
}

impl Agreed {
    /// What drivers agree on, each with its name.
    pub(crate) fn between<'a>(
        drivers: impl Iterator<Item = (&'a str, IoType)> + Clone,
    ) -> Result<Self, IoTypeError> {
        for (name, it) in drivers.clone() {
            let direct = it.read_write != Access::Buffered || it.control != Access::Buffered;
            if direct && it.retrieval == Retrieval::Immediate {
                return Err(IoTypeError::DirectIsDeferred(name.to_owned()));
            }
        }
        let read_write = drivers.clone().map(|(name, it)| (name, it.read_write));
        let control = drivers.clone().map(|(name, it)| (name, it.control));
        let threshold = drivers
            .map(|(_, it)| it.direct_threshold)
            .max()
            .unwrap_or(0);
        Ok(Self {
            read_write: is_direct("reads and writes", &read_write)?,
            control: is_direct("control codes", &control)?,
            threshold: threshold.max(LEAST_THRESHOLD).next_multiple_of(PAGE),
        })
    }

    /// Whether a request's data is the application's own.
    pub(crate) fn is_direct(
        &self,
        kind: RequestType,
        method: Option<Method>,
        length: usize,
    ) -> bool {
        let agreed = match kind {
            RequestType::Read | RequestType::Write => self.read_write,
            RequestType::DeviceControl => {
                self.control && matches!(method, Some(Method::InDirect | Method::OutDirect))
            }
            _ => false,
        };
        agreed && length >= self.threshold
    }
}

fn is_direct<'a>(
    what: &'static str,
    drivers: &(impl Iterator<Item = (&'a str, Access)> + Clone),
) -> Result<bool, IoTypeError> {
    let first = |wanted: Access| {
        drivers
            .clone()
            .find(|(_, it)| *it == wanted)
            .map(|(name, _)| name.to_owned())
    };
    match (first(Access::Buffered), first(Access::Direct)) {
        (Some(buffered), Some(direct)) => Err(IoTypeError::Incompatible {
            what,
            buffered,
            direct,
        }),
        (None, Some(_)) => Ok(true),
        (Some(_), None) => Ok(false),
        (None, None) => Ok(drivers.clone().next().is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(read_write: Access) -> IoType {
        IoType {
            retrieval: Retrieval::Deferred,
            read_write,
            ..IoType::default()
        }
    }

    fn agree(all: &[Access]) -> Result<bool, IoTypeError> {
        let names = ["lower", "upper", "third"];
        let drivers = names.into_iter().zip(all.iter().map(|it| wants(*it)));
        Agreed::between(drivers).map(|it| it.read_write)
    }

    #[test]
    fn a_stack_is_direct_where_nobody_wants_copies() {
        use Access::{Buffered, BufferedOrDirect, Direct};
        assert_eq!(agree(&[Buffered, Buffered]), Ok(false));
        assert_eq!(agree(&[Buffered, BufferedOrDirect]), Ok(false));
        assert_eq!(agree(&[Direct, BufferedOrDirect]), Ok(true));
        assert_eq!(agree(&[BufferedOrDirect, BufferedOrDirect]), Ok(true));
        assert_eq!(agree(&[Direct]), Ok(true));
    }

    #[test]
    fn drivers_that_do_not_go_together_are_told_by_name() {
        let error =
            agree(&[Access::Buffered, Access::BufferedOrDirect, Access::Direct]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "driver lower takes reads and writes buffered only, and driver third direct only: let one of them take both"
        );
    }

    #[test]
    fn direct_access_is_deferred() {
        let wanted = IoType {
            read_write: Access::Direct,
            ..IoType::default()
        };
        let error = Agreed::between([("fx2", wanted)].into_iter()).unwrap_err();
        assert_eq!(error, IoTypeError::DirectIsDeferred("fx2".to_owned()));
    }

    #[test]
    fn transfers_under_the_threshold_are_buffered() {
        let agreed = Agreed::between([("fx2", wants(Access::Direct))].into_iter()).unwrap();
        let is_direct = |length| agreed.is_direct(RequestType::Write, None, length);
        assert!(!is_direct(8191));
        assert!(is_direct(8192));
        assert!(is_direct(8193));
        let higher = IoType {
            direct_threshold: 8193,
            ..wants(Access::Direct)
        };
        let agreed = Agreed::between([("fx2", higher)].into_iter()).unwrap();
        assert!(!agreed.is_direct(RequestType::Read, None, 12287));
        assert!(agreed.is_direct(RequestType::Read, None, 12288));
    }

    #[test]
    fn a_control_code_is_direct_where_its_method_is() {
        let wanted = IoType {
            retrieval: Retrieval::Deferred,
            control: Access::Direct,
            ..IoType::default()
        };
        let agreed = Agreed::between([("fx2", wanted)].into_iter()).unwrap();
        let is_direct =
            |method| agreed.is_direct(RequestType::DeviceControl, Some(method), 1 << 20);
        assert!(is_direct(Method::OutDirect));
        assert!(is_direct(Method::InDirect));
        assert!(!is_direct(Method::Buffered));
    }
}
