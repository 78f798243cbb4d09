//! Base64 (RFC 4648, standard alphabet, padded).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Three bytes become four characters, and so does what is left of three.
pub(super) const GROUP_BYTES: usize = 3;
pub(super) const GROUP_CHARS: usize = 4;

pub(in crate::wire) fn write(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(GROUP_BYTES) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        let digit = |index: u32| ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
        let mut chars = [digit(0), digit(1), digit(2), digit(3)];
        chars[group.len() + 1..].fill(b'=');
        out.extend_from_slice(&chars);
    }
}

/// The bytes, or `None` if it is not what [`write`] makes of them.
pub(in crate::wire) fn read(text: &str) -> Option<Vec<u8>> {
    let chars = text.as_bytes();
    if !chars.len().is_multiple_of(GROUP_CHARS) {
        return None;
    }
    let mut out = Vec::with_capacity(chars.len() / GROUP_CHARS * GROUP_BYTES);
    for group in chars.chunks(GROUP_CHARS) {
        let mut bits = 0;
        for char in group {
            // Padding counts as zeros; whether it is in its place is seen below.
            let digit = ALPHABET.iter().position(|digit| digit == char);
            let digit = digit.or((*char == b'=').then_some(0))?;
            bits = bits << 6 | u32::try_from(digit).ok()?;
        }
        let padding = group.iter().rev().take_while(|char| **char == b'=').count();
        let kept = GROUP_BYTES.checked_sub(padding)?;
        out.extend_from_slice(bits.to_be_bytes().get(1..=kept)?);
    }
    let mut again = Vec::with_capacity(chars.len());
    write(&out, &mut again);
    (again == chars).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    /// RFC 4648, section 10; the last two reach all ends of the alphabet (Python's base64).
    #[test]
    fn known_vectors() {
        let table: [(&[u8], &str); 10] = [
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff", "/w=="),
            (b"\xff\xfe\xfd\x00\x01\x02", "//79AAEC"),
            (b"\xfb\xef\xbe\x00\x10\x83", "++++ABCD"),
        ];
        for (bytes, expected) in table {
            let mut out = Vec::new();
            write(bytes, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{bytes:?}");
            assert_eq!(read(expected).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn what_is_none() {
        for text in
            ["Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9=", "=m9v", "Zm 9", "Zm9v\n"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
