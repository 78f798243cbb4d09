//! A request with every time limit set starts no thread. Alone in its process, so that the
//! numbers which the standard library gives to threads count ours alone.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use csv_to_kafka::port::http::{Http, Request};

/// The number of a thread that is started now: one more than that of the last one.
#[expect(clippy::disallowed_methods, reason = "a thread is what is counted here")]
#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn next_thread_number() -> u64 {
    let id = std::thread::spawn(|| std::thread::current().id()).join().unwrap();
    let digits: String = format!("{id:?}").chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the server needs its own thread")]
fn a_request_starts_no_thread() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).unwrap() > 0);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        status.lines().find(|line| line.starts_with("Threads:")).unwrap().to_owned()
    });
    let before = next_thread_number();
    // A name, so that it has to be looked up.
    let url = format!("http://localhost:{port}/");
    let http = Http::new(&|_| None).unwrap();
    let request = Request { body: None, url: &url, headers: &[], repeatable: false };
    let mut answer = http.send(&request).unwrap();
    assert_eq!(answer.read_all(9).unwrap(), b"ok");
    assert_eq!(next_thread_number(), before + 1);
    // Main thread, this test's, the server's.
    assert_eq!(server.join().unwrap().split_whitespace().last(), Some("3"));
}
