//! What a device is called, in its USB descriptors.

use crate::{ParameterError, Parameters};

/// What a device is called, in its USB descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    /// Who made it.
    #[doc(alias = "iManufacturer")]
    pub vendor: String,
    /// What it is.
    #[doc(alias = "iProduct")]
    pub product: String,
    /// Its serial number. A disk's has at least twelve hexadecimal digits (Bulk-Only Transport 1.0 §4.1.1), and hosts tell disks apart by it.
    #[doc(alias = "iSerialNumber")]
    pub serial: String,
}

impl Strings {
    /// A product of this project, with the serial number 0.
    pub fn of(product: &str) -> Self {
        Self {
            vendor: "usbwright".to_owned(),
            product: product.to_owned(),
            serial: "0".to_owned(),
        }
    }

    /// Takes the parameters `vendor`, `product` and `serial`; what is not given is as it is here.
    pub(crate) fn take(self, parameters: &mut Parameters) -> Result<Self, ParameterError> {
        Ok(Self {
            vendor: parameters.printable("vendor")?.unwrap_or(self.vendor),
            product: parameters.printable("product")?.unwrap_or(self.product),
            serial: parameters.printable("serial")?.unwrap_or(self.serial),
        })
    }
}
