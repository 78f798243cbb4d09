//! The little XML that AWS writes: texts, told with the names of the elements around them.
//!
//! ```text
//! <Error><Code>AccessDenied</Code></Error>   ["Error", "Code"]  "AccessDenied"
//! ```
//!
//! A text may come in several parts. What is not XML is read as far as it goes: an answer
//! without the elements that matter is the caller's to judge.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements inside each other; what is deeper is not AWS's, and its texts are not told.
const DEPTH_MAX: usize = 16;

/// Tells each text of a body whose size its reader has bounded.
pub fn texts(body: &[u8], tell: &mut dyn FnMut(&[String], &str)) {
    let body = String::from_utf8_lossy(body);
    let mut reader = Reader::from_str(&body);
    let mut path: Vec<String> = Vec::new();
    let mut too_deep = 0_usize;
    // Each event takes at least one byte of the body.
    for _ in 0..=body.len() {
        match reader.read_event() {
            Ok(Event::Start(_)) if path.len() == DEPTH_MAX => too_deep += 1,
            Ok(Event::Start(start)) => path.push(start.local_name().as_ref().to_owned()),
            Ok(Event::End(_)) if too_deep > 0 => too_deep -= 1,
            Ok(Event::End(_)) => {
                path.pop();
            }
            Ok(Event::Text(text)) if too_deep == 0 => tell(&path, &text),
            Ok(Event::GeneralRef(reference)) if too_deep == 0 => tell(
                &path,
                match &*reference {
                    "lt" => "<",
                    "gt" => ">",
                    "amp" => "&",
                    "quot" => "\"",
                    "apos" => "'",
                    _ => "?",
                },
            ),
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_where_they_are() {
        let deep = "<d>".repeat(40) + "x" + &"</d>".repeat(40) + "<a>y</a>";
        let cases = [
            ("<a><b>1</b><b>2</b></a>", "a/b=1 a/b=2"),
            ("<?xml version=\"1.0\"?><x:a xmlns:x=\"u\"><b>&lt;&odd;</b></x:a>", "a/b=< a/b=?"),
            ("<a><b>1</c>", "a/b=1"),
            ("<a", ""),
            ("not xml", "=not xml"),
            (&deep, "a=y"),
        ];
        for (body, expected) in cases {
            let mut told = Vec::new();
            texts(body.as_bytes(), &mut |path, text| {
                told.push(format!("{}={text}", path.join("/")));
            });
            assert_eq!(told.join(" "), expected, "{body}");
        }
    }
}
