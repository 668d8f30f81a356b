//! Chains of descriptors: one after the other, told apart by their lengths and types.

use super::ParseError;

/// One descriptor as it came, of whatever type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawDescriptor<'a> {
    /// Where it begins, in bytes from the start of the chain.
    pub offset: usize,
    /// Its type.
    #[doc(alias = "bDescriptorType")]
    pub kind: u8,
    /// All of its bytes, at least 2: as many as its length says.
    #[doc(alias = "bLength")]
    pub bytes: &'a [u8],
}

impl<'a> RawDescriptor<'a> {
    /// The descriptor at `offset`.
    ///
    /// # Errors
    /// Where its length is below 2 or goes beyond the end.
    pub fn at(chain: &'a [u8], offset: usize) -> Result<Self, ParseError> {
        let error = |rule| ParseError {
            descriptor: "descriptor",
            offset,
            rule,
        };
        let rest = chain.get(offset..).unwrap_or_default();
        let [length, kind, ..] = *rest else {
            return Err(error("a descriptor has at least 2 bytes"));
        };
        if length < 2 {
            return Err(error("bLength is at least 2"));
        }
        let bytes = rest
            .get(..usize::from(length))
            .ok_or_else(|| error("bLength goes beyond the end"))?;
        Ok(Self {
            offset,
            kind,
            bytes,
        })
    }

    /// What follows length and type.
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(2..).unwrap_or_default()
    }

    /// That this descriptor breaks `rule`; `descriptor` is what it is called.
    pub fn error(&self, descriptor: &'static str, rule: &'static str) -> ParseError {
        ParseError {
            descriptor,
            offset: self.offset,
            rule,
        }
    }
}

/// The descriptors of a chain in order; ends after the first that can't be told from the next.
#[derive(Clone, Debug)]
pub struct RawDescriptors<'a> {
    chain: &'a [u8],
    offset: usize,
}

impl<'a> RawDescriptors<'a> {
    /// Every descriptor of `chain`.
    pub fn new(chain: &'a [u8]) -> Self {
        Self::from(chain, 0)
    }

    /// The descriptors of `chain` from `offset` on.
    pub(super) fn from(chain: &'a [u8], offset: usize) -> Self {
        Self { chain, offset }
    }
}

impl<'a> Iterator for RawDescriptors<'a> {
    type Item = Result<RawDescriptor<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.chain.len() {
            return None;
        }
        let next = RawDescriptor::at(self.chain, self.offset);
        self.offset = next
            .as_ref()
            .map_or(self.chain.len(), |raw| self.offset + raw.bytes.len());
        Some(next)
    }
}
