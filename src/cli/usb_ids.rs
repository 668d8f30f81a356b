//! The names of vendors, products and classes, from the system's `usb.ids`.

use std::fs;

use usbwright::protocol::Class;

/// Where distributions have it.
const FILES: [&str; 2] = ["/usr/share/misc/usb.ids", "/usr/share/hwdata/usb.ids"];

/// The text of a `usb.ids` file (<http://www.linux-usb.org/usb-ids.html>); names nothing where there is none.
#[derive(Debug, Default)]
pub(super) struct UsbIds(String);

impl UsbIds {
    /// The system's.
    pub(super) fn load() -> Self {
        let bytes = FILES.iter().find_map(|file| fs::read(file).ok());
        Self(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    }

    /// `Vendor : Product (0525:a4a0)`, as the `usbip` tool says it.
    pub(super) fn product(&self, vendor_id: u16, product_id: u16) -> String {
        let vendor = self.under(&[&format!("{vendor_id:04x}")]);
        let product = self.under(&[&format!("{vendor_id:04x}"), &format!("{product_id:04x}")]);
        let vendor = vendor.unwrap_or("unknown vendor");
        let product = product.unwrap_or("unknown product");
        format!("{vendor} : {product} ({vendor_id:04x}:{product_id:04x})")
    }

    /// `Class / Subclass / Protocol (ff/00/00)`, as the `usbip` tool says it.
    pub(super) fn class(&self, class: Class) -> String {
        let Class {
            class,
            subclass,
            protocol,
        } = class;
        let codes = format!("({class:02x}/{subclass:02x}/{protocol:02x})");
        if (class, subclass, protocol) == (0, 0, 0) {
            return format!("(Defined at Interface level) {codes}");
        }
        let keys = [
            format!("C {class:02x}"),
            format!("{subclass:02x}"),
            format!("{protocol:02x}"),
        ];
        let keys = keys.each_ref().map(String::as_str);
        let name = |depth: usize, unknown| self.under(&keys[..depth]).unwrap_or(unknown);
        format!(
            "{} / {} / {} {codes}",
            name(1, "unknown class"),
            name(2, "unknown subclass"),
            name(3, "unknown protocol")
        )
    }

    /// The name of an entry, by its key and those of the entries that it is indented under.
    fn under(&self, keys: &[&str]) -> Option<&str> {
        let mut found = 0;
        for line in self.0.lines() {
            let entry = line.trim_start_matches('\t');
            let depth = line.len() - entry.len();
            if entry.is_empty() || entry.starts_with('#') || depth > found {
                continue;
            }
            if depth < found {
                // The entry it would be under has ended.
                return None;
            }
            let name = entry
                .strip_prefix(keys[depth])
                .and_then(|it| it.strip_prefix("  "));
            if let Some(name) = name {
                found += 1;
                if found == keys.len() {
                    return Some(name);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> UsbIds {
        UsbIds(
            "\
# comment
0001  Fry's Electronics
\t7778  Counterfeit flash drive [Kingston]

0525  Netchip Technology, Inc.
\t1080  NET1080 USB-USB Bridge
\ta4a0  Linux-USB \"Gadget Zero\"
\t\t0001  an interface
0547  Anchor Chips, Inc.
\ta4a1  another's
C 03  Human Interface Device
\t01  Boot Interface Subclass
\t\t01  Keyboard
\t\t02  Mouse
C 08  Mass Storage
\t06  SCSI
\t\t50  Bulk-Only
"
            .to_owned(),
        )
    }

    #[test]
    fn vendors_and_products_are_named() {
        let ids = ids();
        assert_eq!(
            ids.product(0x0525, 0xa4a0),
            "Netchip Technology, Inc. : Linux-USB \"Gadget Zero\" (0525:a4a0)"
        );
        // Not the product of the vendor after it.
        assert_eq!(
            ids.product(0x0525, 0xa4a1),
            "Netchip Technology, Inc. : unknown product (0525:a4a1)"
        );
        assert_eq!(
            ids.product(0x1234, 0xa4a0),
            "unknown vendor : unknown product (1234:a4a0)"
        );
    }

    #[test]
    fn classes_are_named_as_far_as_they_are_known() {
        let class = |class, subclass, protocol| {
            ids().class(Class {
                class,
                subclass,
                protocol,
            })
        };
        assert_eq!(
            class(3, 1, 2),
            "Human Interface Device / Boot Interface Subclass / Mouse (03/01/02)"
        );
        assert_eq!(
            class(3, 1, 0x50),
            "Human Interface Device / Boot Interface Subclass / unknown protocol (03/01/50)"
        );
        assert_eq!(
            class(0xff, 0, 0),
            "unknown class / unknown subclass / unknown protocol (ff/00/00)"
        );
        assert_eq!(class(0, 0, 0), "(Defined at Interface level) (00/00/00)");
    }

    #[test]
    fn without_a_file_everything_is_unknown() {
        let text = UsbIds::default().product(1, 2);
        assert_eq!(text, "unknown vendor : unknown product (0001:0002)");
    }
}
