//! Text that fits a terminal: nothing in it steers, and no line runs over the edge.

/// What one line is given at most; a terminal cuts by itself where it ends.
const LINE_CHARS_MAX: usize = 2_000;

/// Each line cut at the edge, not wrapped: the terminal knows where that is, and is asked to.
pub fn cut(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.lines() {
        shown.push_str("\x1b[?7l");
        shown.extend(line.chars().take(LINE_CHARS_MAX));
        shown.push_str("\x1b[?7h\n");
    }
    shown
}

/// Bytes as one line, what is not UTF-8 as `\xff`.
pub fn one_line(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                line.extend(letter.escape_default());
            } else {
                line.push(letter);
            }
        }
        for byte in chunk.invalid() {
            line.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_steers_nothing() {
        for (bytes, expected) in [
            (&b"7,Zo\xc3\xab"[..], "7,Zoë"),
            (b"a\tb\r\nc\x1b[2J\0", r"a\tb\r\nc\u{1b}[2J\u{0}"),
            (b"\xff,\xe9x", r"\xff,\xe9x"),
            (b"", ""),
        ] {
            assert_eq!(one_line(bytes), expected);
        }
    }

    #[test]
    fn lines_are_cut() {
        assert_eq!(cut("a\nb\n"), "\x1b[?7la\x1b[?7h\n\x1b[?7lb\x1b[?7h\n");
        assert_eq!(cut(&"x".repeat(9_000)).len(), LINE_CHARS_MAX + 11);
    }
}
