//! Base64 (RFC 4648, standard alphabet, padded).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Three bytes become four characters, and so does what is left of three.
pub(super) const GROUP_BYTES: usize = 3;
pub(super) const GROUP_CHARS: usize = 4;

pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use super::write;

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
        }
    }
}
