//! An object from a server that lives in this process: it answers ranges, each connection on
//! its own, with mishaps where a test wants them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::super::S3;
use super::super::tests::source_at;
use crate::flow::ports::{Fault, Opened, Pin, Read, Source};
use crate::limits::{AHEAD_CONNECTIONS, AHEAD_STRIPE_BYTES, SOURCE_READ_MS};

/// What the server does with the n-th request that it gets, from 1.
type Mishap = fn(usize) -> Act;

enum Act {
    Answer,
    /// Half of the answer, then the end of the connection.
    Cut,
    /// The answer, then the end of the connection, announced or not.
    Close {
        announced: bool,
    },
    /// These bytes in its place.
    Say(&'static str),
    /// The answer, which calls itself a row of chunks.
    Chunks,
    /// The answer, and something behind it.
    More,
    /// That of another object.
    Another,
    /// The answer, byte by byte at its beginning.
    Trickle,
}

struct Object {
    bytes: Vec<u8>,
    mishap: Mishap,
    requests: AtomicUsize,
    connections: AtomicUsize,
    /// First byte, and the one behind the last.
    asked: Mutex<Vec<(usize, usize)>>,
}

#[expect(clippy::disallowed_methods, reason = "the other end of a test needs its own threads")]
fn serve(bytes: Vec<u8>, mishap: Mishap) -> (S3, Arc<Object>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let object = Arc::new(Object {
        bytes,
        mishap,
        requests: AtomicUsize::new(0),
        connections: AtomicUsize::new(0),
        asked: Mutex::new(Vec::new()),
    });
    let shared = Arc::clone(&object);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            let object = Arc::clone(&shared);
            std::thread::spawn(move || answer(stream.unwrap(), &object));
        }
    });
    (source_at(&endpoint), object)
}

/// A client that hangs up ends it.
fn answer(mut stream: TcpStream, object: &Object) {
    while let Some((from, to)) = request(&mut stream, object.bytes.len()) {
        object.asked.lock().unwrap().push((from, to));
        let number = object.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let act = (object.mishap)(number);
        let (status, range) = if (from, to) == (0, object.bytes.len()) {
            ("200 OK", String::new())
        } else {
            let range = format!("bytes {from}-{}/{}", to - 1, object.bytes.len());
            ("206 Part", format!("Content-Range: {range}\r\n"))
        };
        let closing = matches!(act, Act::Close { announced: true });
        let close = match act {
            Act::Chunks => "Transfer-Encoding: chunked\r\n",
            _ if closing => "Connection: close\r\n",
            _ => "",
        };
        let etag = if matches!(act, Act::Another) { "other" } else { "e" };
        let length = to - from;
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{range}ETag: \"{etag}\"\r\nx-amz-version-id: v\r\n{close}\r\n"
        );
        let whole = [head.as_bytes(), &object.bytes[from..to]].concat();
        let (written, goes_on) = match act {
            Act::Answer | Act::Another | Act::Chunks => (stream.write_all(&whole), true),
            Act::Cut => (stream.write_all(&whole[..whole.len() / 2]), false),
            Act::Close { .. } => (stream.write_all(&whole), false),
            Act::Say(words) => (stream.write_all(words.as_bytes()), true),
            Act::More => (stream.write_all(&[&whole[..], b"more"].concat()), true),
            Act::Trickle => {
                let (front, rest) = whole.split_at(head.len() + 3);
                let mut written = front.iter().map(|byte| stream.write_all(&[*byte]));
                let failed = written.find(Result::is_err).unwrap_or(Ok(()));
                (failed.and_then(|()| stream.write_all(rest)), true)
            }
        };
        if written.is_err() || !goes_on {
            return;
        }
    }
}

fn request(stream: &mut TcpStream, object_bytes: usize) -> Option<(usize, usize)> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.extend(byte);
    }
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("GET /bucket/gr%C3%B6%C3%9Fe.csv?versionId=v HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("/eu-central-1/s3/aws4_request, SignedHeaders="), "{text}");
    let Some(range) = text.lines().find_map(|line| line.strip_prefix("range: bytes=")) else {
        return Some((0, object_bytes));
    };
    let (first, last) = range.split_once('-').unwrap();
    let to = if last.is_empty() { object_bytes } else { last.parse::<usize>().unwrap() + 1 };
    Some((first.parse().unwrap(), to))
}

const STRIPES: u64 = 15;

/// Not a whole number of stripes, and no two stripes alike.
fn bytes() -> Vec<u8> {
    let count = usize::try_from(STRIPES * AHEAD_STRIPE_BYTES - 1_000).unwrap();
    let mut state = 1_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        })
        .collect()
}

fn pin(source_bytes: usize) -> Pin {
    let source_bytes = u64::try_from(source_bytes).unwrap();
    Pin { etag: "\"e\"".into(), version_id: Some("v".into()), source_bytes }
}

/// Opens at a byte, and lets several connections read from there.
fn open(source: &mut S3, from: usize, pin: &Pin) {
    let opened = source.open(u64::try_from(from).unwrap(), None, Some(pin));
    assert_eq!(opened, Ok(Opened::Open(pin.clone())));
    source.begin_ahead();
}

/// Everything until the end or a fault, in reads of uneven sizes.
fn drain(source: &mut S3, all: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = vec![0; 128 * 1024];
    // Of a server that says nothing.
    let mut looks = 20_000 / SOURCE_READ_MS;
    for turn in 0_usize.. {
        let room = buffer.len() - (turn * 7_919) % 100_000;
        match source.read(&mut buffer[..room]) {
            Ok(Read::Bytes(count)) => all.extend_from_slice(&buffer[..count]),
            Ok(Read::NotYet) => {
                looks -= 1;
                assert!(looks > 0, "{} bytes came", all.len());
            }
            Ok(Read::End) => return Ok(()),
            Err(Fault::Passing(trouble)) => return Err(trouble.problem),
            Err(Fault::Final(stop)) => panic!("{stop}"),
        }
    }
    unreachable!("a source ends")
}

/// Whether each byte from `from` on was asked for by exactly one stripe.
fn assert_each_byte_once(asked: &[(usize, usize)], from: usize, end: usize) {
    let mut asked = asked.to_vec();
    asked.sort_unstable();
    let mut next = from;
    for (from, to) in asked {
        assert_eq!(from, next);
        next = to;
    }
    assert_eq!(next, end);
}

#[test]
fn stripes_come_in_order() {
    let stripes = usize::try_from(STRIPES).unwrap();
    let cases: [(&str, Mishap, usize); 4] = [
        ("all well", |_| Act::Answer, AHEAD_CONNECTIONS),
        ("in small pieces", |_| Act::Trickle, AHEAD_CONNECTIONS),
        ("closed after each answer", |_| Act::Close { announced: true }, stripes),
        ("closed behind our back", |_| Act::Close { announced: false }, stripes),
    ];
    let bytes = bytes();
    let pin = pin(bytes.len());
    for (name, mishap, connections) in cases {
        for from in [0, 777] {
            let (mut source, object) = serve(bytes.clone(), mishap);
            open(&mut source, from, &pin);
            let mut all = Vec::new();
            assert_eq!(drain(&mut source, &mut all), Ok(()), "{name}");
            assert!(all == bytes[from..], "{name}: other bytes");
            // And the one that it began with.
            assert_eq!(object.connections.load(Ordering::Relaxed), 1 + connections, "{name}");
            let asked = object.asked.lock().unwrap();
            assert_eq!(asked[0], (from, bytes.len()));
            assert_each_byte_once(&asked[1..], from, bytes.len());
        }
    }
}

#[test]
fn what_goes_wrong_ends_it_at_a_byte() {
    const SLOW: &str = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n";
    let cases: [(&str, Mishap); 7] = [
        ("answered in chunks", |n| if n == 9 { Act::Chunks } else { Act::Answer }),
        ("the connection was closed before all had come", |n| {
            if n == 9 { Act::Cut } else { Act::Answer }
        }),
        ("HTTP 503 to a read ahead", |n| if n == 9 { Act::Say(SLOW) } else { Act::Answer }),
        ("HTTP 206 to a read ahead", |n| if n == 9 { Act::Another } else { Act::Answer }),
        ("this is no answer of HTTP/1.1", |n| {
            if n == 9 { Act::Say("220 smtp.example\r\n\r\n") } else { Act::Answer }
        }),
        ("this is no answer of HTTP/1.1", |n| {
            if n == 2 { Act::Say("220 smtp.example\r\n\r\n") } else { Act::Answer }
        }),
        ("no fault", |n| if n == 20 { Act::Cut } else { Act::Answer }),
    ];
    let bytes = bytes();
    let pin = pin(bytes.len());
    for (expected, mishap) in cases {
        let (mut source, object) = serve(bytes.clone(), mishap);
        open(&mut source, 0, &pin);
        let (mut all, patience) = (Vec::new(), source.ahead_after_bytes);
        let ended = drain(&mut source, &mut all);
        let Err(problem) = ended else {
            assert_eq!((expected, all == bytes), ("no fault", true));
            continue;
        };
        assert!(problem.contains(expected) && problem.contains("still to come"), "{problem}");
        assert!(bytes.starts_with(&all) && all.len() < bytes.len(), "{expected}: other bytes");
        assert!(source.ahead_after_bytes > patience, "{expected}");
        // The rest comes as if nothing had been.
        open(&mut source, all.len(), &pin);
        assert_eq!(drain(&mut source, &mut all), Ok(()), "{expected}");
        assert!(all == bytes, "{expected}: other bytes");
        assert!(object.requests.load(Ordering::Relaxed) > 9);
    }
}

#[test]
fn what_comes_behind_a_stripe_is_not_taken_for_the_next() {
    let bytes = bytes();
    let (mut source, _) = serve(bytes.clone(), |n| if n == 1 { Act::Answer } else { Act::More });
    open(&mut source, 0, &pin(bytes.len()));
    let mut all = Vec::new();
    let problem = drain(&mut source, &mut all).unwrap_err();
    assert!(problem.contains("this is no answer of HTTP/1.1"), "{problem}");
    assert!(bytes.starts_with(&all));
}

#[test]
fn nobody_there_any_more() {
    let bytes = bytes();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (mut source, _) = serve(bytes.clone(), |_| Act::Answer);
    let opened = source.open(0, None, None);
    assert_eq!(opened, Ok(Opened::Open(pin(bytes.len()))));
    source.place.endpoint = Some(nobody);
    source.begin_ahead();
    let problem = drain(&mut source, &mut Vec::new()).unwrap_err();
    assert!(problem.contains("refused"), "{problem}");
}

#[test]
fn what_is_left_of_a_small_object_is_not_worth_it() {
    let bytes = bytes();
    let (mut source, object) = serve(bytes.clone(), |_| Act::Answer);
    let from = bytes.len() - usize::try_from(AHEAD_STRIPE_BYTES).unwrap() * 2;
    open(&mut source, from, &pin(bytes.len()));
    let mut all = Vec::new();
    assert_eq!(drain(&mut source, &mut all), Ok(()));
    assert!(all == bytes[from..] && object.requests.load(Ordering::Relaxed) == 1);
}
