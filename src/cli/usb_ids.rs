//! The names of vendors, products and classes, from the system's `usb.ids`.

use std::{collections::HashMap, fs};

use usbwright::protocol::Class;

/// Where distributions have it.
const FILES: [&str; 2] = ["/usr/share/misc/usb.ids", "/usr/share/hwdata/usb.ids"];

/// The names of a `usb.ids` file (<http://www.linux-usb.org/usb-ids.html>), each by the keys that lead to it, such as
/// `0525/a4a0` or `C 03/01`; names nothing where there is none.
#[derive(Debug, Default)]
pub(super) struct UsbIds(HashMap<String, String>);

impl UsbIds {
    /// The system's.
    pub(super) fn load() -> Self {
        let bytes = FILES.iter().find_map(|file| fs::read(file).ok());
        Self::parse(&String::from_utf8_lossy(&bytes.unwrap_or_default()))
    }

    /// Those of a file of that text; lines that are no entries are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut names = HashMap::new();
        let mut keys = Vec::new();
        for line in text.lines() {
            let entry = line.trim_start_matches('\t');
            let depth = line.len() - entry.len();
            let Some((key, name)) = entry.split_once("  ") else {
                continue;
            };
            if entry.starts_with('#') || depth > keys.len() {
                continue;
            }
            keys.truncate(depth);
            keys.push(key);
            names
                .entry(keys.join("/"))
                .or_insert_with(|| name.to_owned());
        }
        Self(names)
    }

    /// A vendor's name.
    pub(super) fn vendor(&self, vendor_id: u16) -> Option<&str> {
        self.name(&format!("{vendor_id:04x}"))
    }

    /// A product's name.
    pub(super) fn product_name(&self, vendor_id: u16, product_id: u16) -> Option<&str> {
        self.name(&format!("{vendor_id:04x}/{product_id:04x}"))
    }

    /// The names of a class, its subclass and its protocol.
    pub(super) fn class_names(&self, class: Class) -> [Option<&str>; 3] {
        let Class {
            class,
            subclass,
            protocol,
        } = class;
        [
            self.name(&format!("C {class:02x}")),
            self.name(&format!("C {class:02x}/{subclass:02x}")),
            self.name(&format!("C {class:02x}/{subclass:02x}/{protocol:02x}")),
        ]
    }

    /// A language's name, and that of its dialect.
    pub(super) fn language(&self, language: u16) -> [Option<&str>; 2] {
        let (own, dialect) = (language & 0x03ff, language >> 10);
        [
            self.name(&format!("L {own:04x}")),
            self.name(&format!("L {own:04x}/{dialect:02x}")),
        ]
    }

    /// `Vendor : Product (0525:a4a0)`, as the `usbip` tool says it.
    pub(super) fn product(&self, vendor_id: u16, product_id: u16) -> String {
        let vendor = self.vendor(vendor_id).unwrap_or("unknown vendor");
        let product = self.product_name(vendor_id, product_id);
        let product = product.unwrap_or("unknown product");
        format!("{vendor} : {product} ({vendor_id:04x}:{product_id:04x})")
    }

    /// `Class / Subclass / Protocol (ff/00/00)`, as the `usbip` tool says it.
    pub(super) fn class(&self, class: Class) -> String {
        let codes = codes(class);
        if class == Class::PER_INTERFACE {
            return format!("(Defined at Interface level) {codes}");
        }
        let [name, subclass, protocol] = self.class_names(class);
        format!(
            "{} / {} / {} {codes}",
            name.unwrap_or("unknown class"),
            subclass.unwrap_or("unknown subclass"),
            protocol.unwrap_or("unknown protocol")
        )
    }

    /// The codes, and as much of `Class / Subclass / Protocol` as has names.
    pub(super) fn known_class(&self, class: Class) -> String {
        let names = self.class_names(class).into_iter().flatten();
        let names: Vec<_> = names.collect();
        format!("{} {}", codes(class), names.join(" / "))
            .trim_end()
            .to_owned()
    }

    fn name(&self, keys: &str) -> Option<&str> {
        self.0.get(keys).map(String::as_str)
    }
}

/// `(ff/00/00)`.
fn codes(class: Class) -> String {
    let Class {
        class,
        subclass,
        protocol,
    } = class;
    format!("({class:02x}/{subclass:02x}/{protocol:02x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> UsbIds {
        UsbIds::parse(
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
L 0009  English
\t01  US
",
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
    fn languages_are_named_with_their_dialects() {
        assert_eq!(ids().language(0x0409), [Some("English"), Some("US")]);
        assert_eq!(ids().language(0x0809), [Some("English"), None]);
    }

    #[test]
    fn what_has_no_name_is_told_by_its_codes() {
        let keyboard = Class {
            class: 3,
            subclass: 1,
            protocol: 0x77,
        };
        assert_eq!(
            ids().known_class(keyboard),
            "(03/01/77) Human Interface Device / Boot Interface Subclass"
        );
        assert_eq!(ids().known_class(Class::VENDOR), "(ff/00/00)");
    }

    #[test]
    fn without_a_file_everything_is_unknown() {
        let text = UsbIds::default().product(1, 2);
        assert_eq!(text, "unknown vendor : unknown product (0001:0002)");
    }
}
