//! The client against servers by script.

use super::*;
use crate::port::http_script::{Act, Script, answer, certified};

fn get(http: &Http, url: &str, repeatable: bool) -> Result<Answer, Failed> {
    http.send(&Request { body: None, url, headers: &[], repeatable })
}

#[test]
fn an_answer_is_what_was_sent() {
    let gzip = "content-encoding: gzip\r\n";
    let script = Script::run(vec![vec![
        answer("404 Not Found", gzip, "not gzip"),
        answer("301 Moved", "location: http://127.0.0.1:1/\r\n", "moved"),
        answer("200 OK", "", ""),
    ]]);
    let http = Http::new(&|_| None).unwrap();
    for (status, body) in [(404, "not gzip"), (301, "moved"), (200, "")] {
        let mut answer = get(&http, &format!("{}/a%20b//c", script.endpoint), false).unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.read_all(100).unwrap(), body.as_bytes());
    }
    for request in script.requests() {
        assert!(request.starts_with("get /a%20b//c http/1.1\r\n"), "{request}");
        let agent = format!("user-agent: csv-to-kafka/{}\r\n", env!("CARGO_PKG_VERSION"));
        assert!(request.contains(&agent), "{request}");
        assert!(!request.contains("accept"), "{request}");
    }
}

#[test]
fn a_connection_that_closed_in_the_pool() {
    let script = || {
        let first = vec![answer("200 OK", "", "1"), Act::Ignore];
        Script::run(vec![first, vec![answer("200 OK", "", "2")]])
    };
    let http = Http::new(&|_| None).unwrap();
    let server = script();
    for body in ["1", "2"] {
        let mut answer = get(&http, &server.endpoint, true).unwrap();
        assert_eq!(answer.read_all(9).unwrap(), body.as_bytes());
    }
    assert_eq!(server.requests().len(), 3);

    let server = script();
    get(&http, &server.endpoint, false).unwrap().read_all(9).unwrap();
    let failed = get(&http, &server.endpoint, false).unwrap_err();
    assert!(failed.advice.is_none() && failed.problem.contains("closed"), "{failed:?}");
    get(&http, &server.endpoint, false).unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_call_comes_to_its_end() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Le".to_vec();
    let body = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123".to_vec();
    let script = Script::run(vec![
        vec![Act::Ignore, Act::Hold],
        vec![Act::Answer(head), Act::Hold],
        vec![Act::Answer(body), Act::Hold],
    ]);
    let http = Http::impatient();
    for _ in 0..2 {
        let failed = get(&http, &script.endpoint, true).unwrap_err();
        let problem = format!("no answer in time ({})", host(&script.endpoint));
        assert_eq!(failed, Failed { problem, advice: None });
    }
    let failed = get(&http, &script.endpoint, true).unwrap().read_all(9).unwrap_err();
    assert!(failed.problem.contains("did not come to its end"), "{failed:?}");
    script.requests();
}

#[test]
fn a_body_has_a_bound() {
    let script = Script::run(vec![vec![answer("200 OK", "", "123456")]]);
    let http = Http::new(&|_| None).unwrap();
    let failed = get(&http, &script.endpoint, true).unwrap().read_all(5).unwrap_err();
    assert!(failed.problem.contains("longer than 5 bytes"), "{failed:?}");
}

#[test]
fn a_clock_that_is_far_off_stops_the_run() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    // Beyond the limit by years; where exactly it lies is not a matter of a test's speed.
    for (date, is_wrong) in [("Sun, 06 Nov 1994 08:49:37 GMT", true), ("no date", false)] {
        let date_line = format!("date: {date}\r\n");
        let script = Script::run(vec![vec![answer("503 Slow", &date_line, "")]]);
        let http = Http::new(&|_| None).unwrap();
        let checked = get(&http, &script.endpoint, true).unwrap().check_clock(Peer::Ledger);
        match checked {
            Err(Fault::Final(stop)) => {
                let Stop::ClockWrong { peer: Peer::Ledger, skew_seconds } = *stop else {
                    panic!("{stop}")
                };
                assert!(is_wrong && skew_seconds >= now - 784_111_777, "{skew_seconds}");
            }
            Ok(()) => assert!(!is_wrong),
            Err(fault) => panic!("{fault:?}"),
        }
    }
}

#[test]
fn a_server_that_does_not_take_a_time_stamp() {
    let past = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (date, skew_ms, expected) in [
        (past, None, "differs from that of"),
        ("", None, "late. This machine's clock is wrong"),
        // As if the server's clock were ours, or nearly so.
        (past, Some(-60_000), "passing: late"),
        (past, Some(61_000), "by 61 s"),
    ] {
        let script = Script::run(vec![vec![answer("403 No", date, "")]]);
        let mut answer = get(&Http::new(&|_| None).unwrap(), &script.endpoint, true).unwrap();
        answer.skew_ms = skew_ms.or(answer.skew_ms);
        let words = match answer.clock_wrong(Peer::Source, "late".into()) {
            Fault::Passing(trouble) => format!("passing: {}", trouble.problem),
            Fault::Final(stop) => stop.to_string(),
        };
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn what_can_not_be_reached() {
    let http = Http::new(&|_| None).unwrap();
    // A port that was ours a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = get(&http, &format!("http://{address}/"), true).unwrap_err();
    assert!(refused.problem.contains("refused") && refused.advice.is_none(), "{refused:?}");
    let unknown = get(&http, "gopher://host/", true).unwrap_err();
    assert!(unknown.advice.is_some(), "{unknown:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the other end of a test needs its own thread")]
fn a_port_without_tls() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let plain = get(&Http::new(&|_| None).unwrap(), &url, false).unwrap_err();
    assert!(plain.problem.starts_with("what answers speaks no TLS"), "{plain:?}");
    assert!(plain.advice.is_some_and(|advice| advice.contains("http://")), "{plain:?}");
    server.join().unwrap();
}

#[test]
fn a_port_with_tls() {
    let alert = Act::Answer(vec![0x15, 3, 1, 0, 2, 2, 70]);
    let go = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let nginx = "<center>The plain HTTP request was sent to HTTPS port</center>";
    let other = "The plain HTTP request was sent to a port";
    for (act, is_tls) in [
        (alert, true),
        (Act::Answer(go.to_vec()), true),
        (answer("400 Bad Request", "", nginx), true),
        (answer("400 Bad Request", "", other), false),
        // An object may hold such words, and such bytes.
        (answer("200 OK", "", nginx), false),
        (answer("200 OK", "", "\x15\x03"), false),
    ] {
        let script = Script::run(vec![vec![act]]);
        let read = get(&Http::new(&|_| None).unwrap(), &script.endpoint, false)
            .and_then(|mut answer| answer.read_all(100));
        match read {
            Ok(_) => assert!(!is_tls),
            Err(failed) => {
                let at = host(&script.endpoint);
                let problem =
                    format!("what answers speaks TLS, and plain http was asked for ({at})");
                assert_eq!(failed.problem, problem);
                assert!(failed.advice.is_some_and(|advice| advice.contains("https://")));
                assert!(is_tls);
            }
        }
        script.requests();
    }
}

#[test]
fn certificates_that_are_not_taken() {
    let directory = std::env::temp_dir().join(format!("ctk-distrust-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("authority.pem").to_str().unwrap().to_owned();
    let authority = include_bytes!("../tls/testdata/authority.pem");
    let server = include_bytes!("../tls/testdata/server.pem");
    std::fs::write(&path, authority).unwrap();
    let bundle = |name: &str| (name == "AWS_CA_BUNDLE").then(|| path.clone());
    let (knows, knows_not) = (Http::new(&bundle).unwrap(), Http::new(&|_| None).unwrap());
    let unfit = ("the certificate can not be accepted: ", "(CA:FALSE)");
    for (http, certificate, (problem, advice)) in [
        (&knows_not, &server[..], ("the certificate is not trusted: ", "set AWS_CA_BUNDLE to")),
        (&knows, &server[..], ("the certificate is for another host name: ", "Name the host as")),
        // Its own authority: that it is in the bundle does not help.
        (&knows, &authority[..], unfit),
        (&knows_not, &authority[..], unfit),
    ] {
        let (url, server) = certified(certificate);
        let failed = get(http, &url, true).unwrap_err();
        server.join().unwrap();
        let at = format!(" ({})", host(&url));
        let words = failed.problem.strip_prefix(problem);
        assert!(words.is_some_and(|words| words.ends_with(&at)), "{failed:?}");
        assert!(failed.advice.is_some_and(|said| said.contains(advice)), "{failed:?}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    for why in [rustls::CertificateError::Expired, rustls::CertificateError::NotValidYet] {
        let why = TlsError::InvalidCertificate(why);
        let failed = failed(&Error::Io(io::Error::new(io::ErrorKind::InvalidData, why)));
        assert!(failed.problem.starts_with("the certificate is not valid today: "), "{failed:?}");
        assert!(failed.advice.is_some_and(|advice| advice.contains("clock")), "{failed:?}");
    }
}

#[test]
fn proxies() {
    let cases = [
        ("http://user:hush@proxy:3128", true),
        ("proxy:3128", true),
        ("socks5://proxy:1080", false),
        ("http://hush@", false),
    ];
    for (url, is_proxy) in cases {
        let lookup = |name: &str| match name {
            "https_proxy" => Some(url.to_owned()),
            "NO_PROXY" => Some("169.254.169.254, .internal".to_owned()),
            _ => None,
        };
        match Http::new(&lookup) {
            Ok(http) => assert!(is_proxy && http.proxied.is_some(), "{url}"),
            Err(problem) => {
                assert!(!is_proxy, "{url}");
                assert!(problem.contains("HTTPS_PROXY") && !problem.contains("hush"));
            }
        }
    }
}

#[test]
fn who_goes_through_the_proxy() {
    let lookup = |name: &str| match name {
        "HTTPS_PROXY" => Some(String::new()),
        "https_proxy" => Some("http://proxy:3128".to_owned()),
        "no_proxy" => Some("eu-west-1.amazonaws.com,10.0.0.0/8".to_owned()),
        _ => None,
    };
    let http = Http::new(&lookup).unwrap();
    let cases = [
        ("https://b.s3.eu-central-1.amazonaws.com/k", true),
        ("https://b.s3.eu-west-1.amazonaws.com/k", false),
        ("https://10.1.2.3:9000/k", false),
        ("http://b.s3.eu-central-1.amazonaws.com/k", false),
    ];
    for (url, expected) in cases {
        assert_eq!(http.way(url).is_none(), expected, "{url}");
        assert_eq!(!std::ptr::eq(http.agent(url), &raw const http.direct), expected, "{url}");
    }
}

#[test]
fn a_proxy_that_does_not_let_us_through() {
    let cases = [
        ("407 Proxy Authentication Required", Some("a name and a password")),
        ("403 Forbidden", Some("NO_PROXY")),
        ("503 Busy", None),
    ];
    for (status, advice) in cases {
        let script = Script::run(vec![vec![answer(status, "", "")]]);
        let place = host(&script.endpoint).to_owned();
        let proxy = format!("http://us%40er:hush%3A@{place}");
        let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| proxy.clone());
        let failed = get(&Http::new(&lookup).unwrap(), "https://host.example/", false);
        let failed = failed.unwrap_err();
        let by = format!("(host.example through the proxy {place}, HTTPS_PROXY)");
        assert!(failed.problem.ends_with(&by), "{failed:?}");
        assert!(failed.problem.contains(&status[..3]), "{failed:?}");
        assert_eq!(failed.advice.is_some(), advice.is_some(), "{failed:?}");
        assert!(failed.advice.unwrap_or_default().contains(advice.unwrap_or_default()));
        let [request] = script.requests().try_into().unwrap();
        assert!(request.starts_with("connect host.example:443 http/1.1"), "{request}");
        // us@er:hush: in base64; the script tells requests in small letters.
        let sent = "dXNAZXI6aHVzaDo=".to_ascii_lowercase();
        assert!(request.contains(&format!("proxy-authorization: basic {sent}")), "{request}");
    }
    // A port that was ours a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    drop(listener);
    let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| format!("http://u:hush@{place}"));
    let http = Http::new(&lookup).unwrap();
    let failed = get(&http, "https://host.example/", false).unwrap_err();
    let by = format!("(host.example through the proxy {place}, HTTPS_PROXY)");
    assert!(failed.problem.contains("refused") && failed.problem.ends_with(&by), "{failed:?}");
    // What does not go through it does not name it.
    let failed = get(&http, &format!("http://{place}/"), false).unwrap_err();
    assert!(!failed.problem.contains("proxy"), "{failed:?}");
}

#[test]
fn bundles_of_authorities() {
    let directory = std::env::temp_dir().join(format!("ctk-bundle-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("bundle.pem");
    let pem = |text: &str| format!("-----BEGIN {text}-----\nMAA=\n-----END {text}-----\n");
    let cases = [
        (Some(format!("# a comment\n{}{}", pem("CERTIFICATE"), pem("CERTIFICATE"))), ""),
        (Some(pem("PRIVATE KEY")), "holds no certificate"),
        (Some(String::new()), "holds no certificate"),
        (Some(pem("CERTIFICATE").replace("MAA=", "hush!")), "is not the text of certificates"),
        (Some("x".repeat(CERTIFICATES_BYTES_MAX + 1)), "is larger than"),
        (None, "is not there"),
    ];
    for (text, expected) in cases {
        match &text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let bundle =
            |name: &str| (name == "AWS_CA_BUNDLE").then(|| path.to_str().unwrap().to_owned());
        match Http::new(&bundle) {
            Ok(_) => assert_eq!(expected, ""),
            Err(problem) => {
                assert!(!expected.is_empty() && problem.contains(expected), "{problem}");
                assert!(problem.starts_with("AWS_CA_BUNDLE: ") && !problem.contains("hush"));
            }
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_nearby_put() {
    let script = Script::run(vec![vec![answer("200 OK", "", "token")]]);
    let headers = [("x-ttl".to_owned(), "60".to_owned())];
    let url = format!("{}/latest", script.endpoint);
    let request = Request { body: None, url: &url, headers: &headers, repeatable: true };
    let mut answer = Http::nearby(1_000).put(&request).unwrap();
    assert_eq!(answer.read_all(9).unwrap(), b"token");
    let [request] = script.requests().try_into().unwrap();
    assert!(request.starts_with("put /latest http/1.1\r\n"), "{request}");
    assert!(request.contains("content-length: 0\r\n") && request.contains("x-ttl: 60\r\n"));
}
