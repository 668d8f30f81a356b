//! The words of a step that are neither names nor options: numbers, endpoints and data.

use bytes::Bytes;
use usbwright::protocol::{Direction, EndpointAddress};

/// A number, decimal or with `0x` hexadecimal.
pub(in crate::cli) fn number(text: &str, most: u32) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|it| it.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16)
        }
        _ => text.parse(),
    };
    let fits = parsed.ok().filter(|number| *number <= most);
    fits.ok_or_else(|| format!("use a number from 0 to {most}, or 0x0 to {most:#x} in hexadecimal"))
}

/// A number of one byte.
pub(super) fn byte(text: &str) -> Result<u8, String> {
    number(text, u8::MAX.into()).map(|it| it as u8)
}

/// A number of two bytes.
pub(super) fn word(text: &str) -> Result<u16, String> {
    number(text, u16::MAX.into()).map(|it| it as u16)
}

/// An endpoint that is a pipe: its address in hexadecimal, or its number and direction.
pub(super) fn endpoint(text: &str) -> Result<EndpointAddress, String> {
    let lower = text.to_ascii_lowercase();
    let wrong = || {
        format!(
            "`{text}` names no endpoint: use its address in hexadecimal (0x81 or 81), or its number and direction (1in, 1out)"
        )
    };
    let directed = [("in", Direction::In), ("out", Direction::Out)]
        .into_iter()
        .find_map(|(word, direction)| Some((lower.strip_suffix(word)?, direction)));
    let address = match directed {
        Some((digits, direction)) => {
            let number = digits.parse().ok().filter(|it| *it <= 15);
            EndpointAddress::new(number.ok_or_else(wrong)?, direction)
        }
        None => {
            let digits = lower.strip_prefix("0x").unwrap_or(&lower);
            let plain = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_hexdigit());
            let byte = plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten();
            let byte = byte.filter(|it| it & 0x70 == 0).ok_or_else(wrong)?;
            EndpointAddress::from_byte(byte)
        }
    };
    match address.is_control() {
        true => Err(format!(
            "`{text}` is endpoint zero, which moves control transfers: use `control`"
        )),
        false => Ok(address),
    }
}

/// Bytes in hexadecimal digits; spaces, `:` and `,` may stand between them.
pub(in crate::cli) fn hex(text: &str) -> Result<Bytes, String> {
    let digits: Vec<_> = text
        .strip_prefix("0x")
        .unwrap_or(text)
        .chars()
        .filter(|it| !" :,".contains(*it))
        .collect();
    let values: Option<Vec<_>> = digits.iter().map(|it| it.to_digit(16)).collect();
    match values {
        Some(values) if values.len().is_multiple_of(2) => Ok(values
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()),
        _ => Err("use pairs of hexadecimal digits, such as 00ff7e or \"00 ff 7e\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_by_its_address_or_by_number_and_direction() {
        for (text, byte) in [
            ("0x81", 0x81),
            ("81", 0x81),
            ("0X8f", 0x8f),
            ("1", 0x01),
            ("1in", 0x81),
            ("15IN", 0x8f),
            ("10out", 0x0a),
        ] {
            assert_eq!(endpoint(text).unwrap().byte(), byte, "{text}");
        }
        for text in [
            "", "0x", "x81", "0x91", "16in", "in", "-1in", "+1", "0x181", "1 in",
        ] {
            assert!(endpoint(text).unwrap_err().contains("1in, 1out"), "{text}");
        }
        for text in ["0", "0x80", "0in"] {
            assert!(endpoint(text).unwrap_err().contains("use `control`"));
        }
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal_with_0x() {
        assert_eq!(byte("0xc0"), Ok(0xc0));
        assert_eq!(byte("192"), Ok(192));
        assert_eq!(word("0x0100"), Ok(256));
        for text in ["256", "0x100", "c0", "-1", "0x", "0x+1", ""] {
            let told = byte(text).unwrap_err();
            assert!(told.contains("0x0 to 0xff"), "{text}: {told}");
        }
    }

    #[test]
    fn data_is_pairs_of_digits() {
        for text in ["00ff7e", "0x00FF7e", "00 ff 7e", "00:ff:7e", "00,ff,7e"] {
            assert_eq!(hex(text).unwrap(), &[0, 0xff, 0x7e][..], "{text}");
        }
        assert!(hex("").unwrap().is_empty());
        for text in ["0", "0g", "00f"] {
            assert!(hex(text).is_err(), "{text}");
        }
    }
}
