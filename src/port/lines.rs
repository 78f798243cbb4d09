//! The lines of a file, or of standard input, one after the other, none longer than its bound.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _};

/// Hands each line to `each`, without its end; what is not UTF-8 in it replaced, what is beyond
/// `bytes_max` left out. `path`: `None` is standard input.
pub fn each_line(
    path: Option<&str>,
    bytes_max: usize,
    each: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let Some(path) = path else {
        let input = io::stdin();
        if input.is_terminal() {
            return Err("standard input is a terminal, not a log".to_owned());
        }
        let read = lines(&mut input.lock(), bytes_max, each);
        return read.map_err(|e| format!("standard input can not be read: {e}"));
    };
    let file = File::open(path).map_err(|e| format!("{path}: {e}"))?;
    lines(&mut BufReader::new(file), bytes_max, each).map_err(|e| format!("{path}: {e}"))
}

fn lines(input: &mut dyn BufRead, bytes_max: usize, each: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut line: Vec<u8> = Vec::new();
    // Each turn takes what the buffer has.
    loop {
        let read = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read.is_empty() {
            break;
        }
        let end = memchr::memchr(b'\n', read);
        let piece = read.get(..end.unwrap_or(read.len())).unwrap_or(read);
        let room = bytes_max.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let used = piece.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            each(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    if !line.is_empty() {
        each(&String::from_utf8_lossy(&line));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_kinds() {
        let input = b"one\n\nt\xffo\r\nfar too long\nlast";
        for buffer_bytes in [1, 2, 3, 5, 100] {
            let mut found = Vec::new();
            let mut input = BufReader::with_capacity(buffer_bytes, &input[..]);
            lines(&mut input, 5, &mut |line| found.push(line.to_owned())).unwrap();
            assert_eq!(found, ["one", "", "t\u{fffd}o\r", "far t", "last"], "{buffer_bytes}");
        }
    }

    #[test]
    fn a_file_that_is_not_there() {
        let problem = each_line(Some("no/such/file"), 5, &mut |_| {}).unwrap_err();
        assert!(problem.starts_with("no/such/file: "), "{problem}");
    }
}
