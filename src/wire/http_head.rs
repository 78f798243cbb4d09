//! HTTP/1.1 as far as a GET of a part of an object takes it.
//!
//! ```text
//! GET /data/a.csv HTTP/1.1          HTTP/1.1 206 Partial Content
//! host: bucket.s3…                  Content-Length: 1048576
//! range: bytes=5-99                 Content-Range: bytes 5-99/100
//! authorization: …                  ETag: "9bb58f…"
//!                                   Connection: close
//!                                                            an empty line, then the body
//! ```
//!
//! Names of headers have no case. A header over several lines, which nobody writes any more, is
//! no header.

use crate::limits::HTTP_HEAD_BYTES_MAX;

/// The bytes of a GET; `None` where a word would break out of its line.
pub fn get(target: &str, host: &str, headers: &[(String, String)]) -> Option<Vec<u8>> {
    let agent = concat!("csv-to-kafka/", env!("CARGO_PKG_VERSION"));
    let fixed = [("host", host), ("user-agent", agent)];
    let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut request = format!("GET {target} HTTP/1.1\r\n");
    let mut is_fit = !target.contains(|c: char| c.is_control() || c == ' ');
    for (name, value) in fixed.into_iter().chain(given) {
        is_fit &= !name.contains(|c: char| c.is_control() || c == ':');
        is_fit &= !value.contains(char::is_control);
        for part in [name, ": ", value, "\r\n"] {
            request.push_str(part);
        }
    }
    request.push_str("\r\n");
    is_fit.then(|| request.into_bytes())
}

/// What stands before the body of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'a> {
    pub status: u16,
    headers: Vec<(&'a str, &'a str)>,
    /// Where the body begins.
    pub head_bytes: usize,
}

/// This is not the head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHttp;

impl Head<'_> {
    /// `None`: its end has not come yet.
    pub fn parse(bytes: &[u8]) -> Result<Option<Head<'_>>, NotHttp> {
        let front = bytes.get(..HTTP_HEAD_BYTES_MAX).unwrap_or(bytes);
        let Some(at) = memchr::memmem::find(front, b"\r\n\r\n") else {
            return if bytes.len() >= HTTP_HEAD_BYTES_MAX { Err(NotHttp) } else { Ok(None) };
        };
        let text =
            front.get(..at).and_then(|head| std::str::from_utf8(head).ok()).ok_or(NotHttp)?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or(NotHttp)?;
        let digits =
            status.get(..3).filter(|_| matches!(status.as_bytes().get(3), None | Some(b' ')));
        let status = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or(NotHttp)?;
        let headers = lines
            .map(|line| line.split_once(':').map(|(name, value)| (name, value.trim())))
            .collect::<Option<Vec<_>>>()
            .ok_or(NotHttp)?;
        Ok(Some(Head { status, headers, head_bytes: at + 4 }))
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Whether the server closes the connection behind this answer.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_lines() {
        let headers = [("range".to_owned(), "bytes=5-99".to_owned())];
        let written = String::from_utf8(get("/a%20b", "host:9000", &headers).unwrap()).unwrap();
        let agent = format!("user-agent: csv-to-kafka/{}\r\n", env!("CARGO_PKG_VERSION"));
        let expected =
            format!("GET /a%20b HTTP/1.1\r\nhost: host:9000\r\n{agent}range: bytes=5-99\r\n\r\n");
        assert_eq!(written, expected);
        let broken = [
            ("/a b", "h", "x", "y"),
            ("/", "h\n", "x", "y"),
            ("/", "h", "x", "y\rz"),
            ("/", "h", "x:", "y"),
        ];
        for (target, host, name, value) in broken {
            assert_eq!(get(target, host, &[(name.to_owned(), value.to_owned())]), None);
        }
    }

    #[test]
    fn heads() {
        let whole = "HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nconnection:Close\r\n\r\nbody";
        let head = Head::parse(whole.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (head.status, head.header("etag"), head.header("x")),
            (206, Some("\"e\""), None)
        );
        assert!(head.closes());
        assert_eq!(&whole[head.head_bytes..], "body");
        for end in 0..whole.len() - "body".len() {
            assert_eq!(Head::parse(&whole.as_bytes()[..end]), Ok(None), "{end}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HTTP_HEAD_BYTES_MAX));
        let broken = [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "\r\n\r\n",
            &long,
        ];
        for bytes in broken {
            assert_eq!(Head::parse(bytes.as_bytes()), Err(NotHttp), "{bytes:.40}");
        }
        let bare = Head::parse(b"HTTP/1.1 503\r\n\r\n").unwrap().unwrap();
        assert!(bare.status == 503 && !bare.closes());
    }
}
