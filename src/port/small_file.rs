//! Files that hold a token, a profile, a certificate: read whole, and never more than a bound.

use std::fs::File;
use std::io::{ErrorKind, Read as _};

/// Why a file was not read; the text begins with its path and holds nothing of its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub problem: String,
}

/// The text of a file.
pub fn read_text(path: &str, bytes_max: usize) -> Result<String, Unread> {
    match read_text_if_there(path, bytes_max)? {
        Some(text) => Ok(text),
        None => Err(Unread { problem: format!("{path} is not there") }),
    }
}

/// The text of a file; `None`: there is none.
pub fn read_text_if_there(path: &str, bytes_max: usize) -> Result<Option<String>, Unread> {
    let unread = |why: String| Unread { problem: format!("{path} {why}") };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unread(format!("can not be read: {error}"))),
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| unread(format!("can not be read: {error}")))?;
    if bytes.len() > bytes_max {
        return Err(unread(format!("is larger than {bytes_max} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| unread("is not UTF-8".into()))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_up_to_a_bound() {
        let directory = std::env::temp_dir().join(format!("ctk-small-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        std::fs::write(path("text"), "hush").unwrap();
        std::fs::write(path("bytes"), [0xFF, 0xFE]).unwrap();
        let cases = [
            ("text", 4, Ok("hush")),
            ("text", 3, Err("is larger than 3 bytes")),
            ("bytes", 9, Err("is not UTF-8")),
            ("none", 9, Err("is not there")),
            ("text/none", 9, Err("is not there")),
            ("", 9, Err("can not be read")),
        ];
        for (name, bytes_max, expected) in cases {
            match (read_text(&path(name), bytes_max), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(Unread { problem }), Err(words)) => {
                    assert!(problem.contains(words) && !problem.contains("hush"), "{problem}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
