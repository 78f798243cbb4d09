//! JSON strings, escaped exactly as `serde_json` does.
//!
//! `\b \t \n \f \r \" \\`, the other control characters as `\u00xx`; all else as it is.

use crate::wire::swar;

const HEX: &[u8; 16] = b"0123456789abcdef";

#[expect(clippy::needless_bitwise_bool, reason = "many bytes are asked at once, without a branch")]
pub fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// How many bytes [`write_escaped`] makes of one.
pub fn escaped_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        0x00..0x20 => 6,
        _ => 1,
    }
}

/// With its quotes. `text` is UTF-8.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Without its quotes.
pub fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(plain_bytes) = first_escaped(rest) {
        let (plain, from) = rest.split_at(plain_bytes);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = from.split_first() else { return };
        write_escape(byte, out);
        rest = after;
    }
    out.extend_from_slice(rest);
}

fn first_escaped(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = swar::escapes(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(index * 8 + swar::lowest(marks));
        }
    }
    rest.iter().position(|&byte| is_escaped(byte)).map(|at| words.len() * 8 + at)
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
