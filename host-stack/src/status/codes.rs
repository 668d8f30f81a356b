//! The macro of which each family of codes is made, and how a code is written out.

use std::fmt;

/// Makes of a table, whose rows are `NAME = value "SPELLING": "meaning";`, the constants of a family and their names.
macro_rules! codes {
    ($family:ident { $($name:ident = $value:literal $spelling:literal: $meaning:literal;)* }) => {
        impl $family {
            $(
                #[doc = concat!($meaning, " (`", $spelling, "`, ", stringify!($value), ")")]
                #[doc(alias = $spelling)]
                pub const $name: Self = Self($value);
            )*

            /// How the code is spelled in Microsoft's headers, for those that this module has a constant for.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($spelling),)*
                    _ => None,
                }
            }
        }

        impl ::std::fmt::Debug for $family {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }
    };
}

/// Writes `NAME (0x12345678)`, or the number alone.
pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, name: Option<&str>, code: u32) -> fmt::Result {
    match name {
        Some(name) => write!(f, "{name} (0x{code:08X})"),
        None => write!(f, "0x{code:08X}"),
    }
}
