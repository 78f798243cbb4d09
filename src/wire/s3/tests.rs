//! What S3 answers, and what is made of it.

use super::*;

fn place(bucket: &str, key: &str, endpoint: Option<&str>) -> Place {
    Place {
        bucket: bucket.into(),
        key: key.into(),
        version_id: None,
        region: "eu-central-1".into(),
        endpoint: endpoint.map(str::to_owned),
        variant: Variant::default(),
        requester_pays: false,
    }
}

#[test]
fn urls() {
    let local = Some("http://127.0.0.1:7070/");
    let aws = "https://b-1.s3.eu-central-1.amazonaws.com";
    let cases = [
        ("b-1", "a/b.csv", None, format!("{aws}/a/b.csv")),
        ("b-1", "a b+c%.csv", None, format!("{aws}/a%20b%2Bc%25.csv")),
        ("b-1", "/a//b/../c", None, format!("{aws}//a//b/../c")),
        ("b-1", "größe/🦀", None, format!("{aws}/gr%C3%B6%C3%9Fe/%F0%9F%A6%80")),
        ("b-1", "a?b#c&d=e~_-", None, format!("{aws}/a%3Fb%23c%26d%3De~_-")),
        ("b.1", "k", None, "https://s3.eu-central-1.amazonaws.com/b.1/k".into()),
        ("B_1", "k", None, "https://s3.eu-central-1.amazonaws.com/B_1/k".into()),
        ("b", "k\n", local, "http://127.0.0.1:7070/b/k%0A".into()),
    ];
    for (bucket, key, endpoint, expected) in cases {
        assert_eq!(place(bucket, key, endpoint).url(), expected);
    }
    let mut version = place("b", "k", local);
    version.version_id = Some("3/L4+~_-.=".into());
    assert_eq!(version.url(), "http://127.0.0.1:7070/b/k?versionId=3%2FL4%2B~_-.%3D");
    assert_eq!(version.name(), "s3://b/k?versionId=3/L4+~_-.=");
    let mut china = place("b", "k", None);
    china.region = "cn-north-1".into();
    assert_eq!(china.url(), "https://b.s3.cn-north-1.amazonaws.com.cn/k");
}

#[test]
fn content_ranges() {
    let range = |first, last, total| Some(ContentRange { bytes: Some((first, last)), total });
    let cases = [
        ("bytes 0-0/1", range(0, 0, 1)),
        ("bytes 5-99/100", range(5, 99, 100)),
        ("bytes */0", Some(ContentRange { bytes: None, total: 0 })),
        ("bytes 0-18446744073709551614/18446744073709551615", range(0, u64::MAX - 1, u64::MAX)),
        ("bytes 5-4/100", None),
        ("bytes 5-100/100", None),
        ("bytes 5-99/*", None),
        ("bytes +5-99/100", None),
        ("bytes 5-/100", None),
        ("items 5-99/100", None),
        ("bytes 0-18446744073709551615/18446744073709551616", None),
        ("", None),
    ];
    for (header, expected) in cases {
        assert_eq!(ContentRange::parse(header), expected, "{header}");
    }
}

const ETAG: &str = "\"e\"";

#[test]
fn requests_ask_for_what_is_wanted() {
    let pin = Some((ETAG, 100));
    let cases = [
        (Asked { from: 0, to: None, pinned: None }, vec![]),
        (Asked { from: 0, to: Some(7), pinned: None }, vec![("range", "bytes=0-6")]),
        (Asked { from: 9, to: None, pinned: pin }, vec![("range", "bytes=9-"), ("if-match", ETAG)]),
    ];
    for (asked, expected) in cases {
        let found = asked.headers();
        let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn successes_are_compared_with_what_was_asked() {
    let pin = Some((ETAG, 100));
    let body = |bytes| format!("body {bytes}");
    // from, to, pinned, status, Content-Length, Content-Range, ETag
    let cases = [
        (0, None, None, 200, "100", "", ETAG, body(100)),
        (0, None, None, 200, "0", "", ETAG, body(0)),
        (0, None, pin, 200, "100", "", ETAG, body(100)),
        (0, None, pin, 200, "101", "", ETAG, "replaced".into()),
        (0, None, pin, 200, "100", "", "\"f\"", "replaced".into()),
        (5, None, pin, 206, "95", "bytes 5-99/100", ETAG, body(95)),
        (5, Some(9), pin, 206, "4", "bytes 5-8/100", ETAG, body(4)),
        (5, Some(200), None, 206, "95", "bytes 5-99/100", ETAG, body(95)),
        (5, None, pin, 206, "94", "bytes 5-99/100", ETAG, "final".into()),
        (5, None, pin, 206, "90", "bytes 5-94/100", ETAG, "final".into()),
        (5, None, pin, 206, "96", "bytes 4-99/100", ETAG, "final".into()),
        (5, None, pin, 206, "95", "", ETAG, "final".into()),
        (5, None, pin, 200, "100", "", ETAG, "final".into()),
        (0, None, None, 200, "", "", ETAG, "final".into()),
        (0, None, None, 200, "100", "", "", "final".into()),
        (100, None, pin, 416, "0", "bytes */100", "", "at end".into()),
        (100, None, pin, 416, "0", "", "", "at end".into()),
        (100, None, pin, 416, "0", "bytes */90", "", "replaced".into()),
        (101, None, pin, 416, "0", "bytes */100", "", "final".into()),
        (5, None, None, 416, "0", "bytes */5", "", "final".into()),
        (5, None, pin, 412, "0", "", "", "replaced".into()),
        (5, None, None, 412, "0", "", "", "final".into()),
    ];
    for (from, to, pinned, status, length, range, etag, expected) in cases {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let headers = Headers {
            content_length: some(length),
            content_range: some(range),
            etag: some(etag),
            ..Headers::default()
        };
        let asked = Asked { from, to, pinned };
        let found = match reply(&place("b", "k", None), &asked, status, &headers, b"") {
            Reply::Body { bytes, .. } => body(bytes),
            Reply::AtEnd => "at end".into(),
            Reply::Replaced => "replaced".into(),
            Reply::Final { problem, .. } => {
                assert!(problem.starts_with("s3://b/k: "), "{problem}");
                "final".into()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{asked:?} {status} {headers:?}");
    }
}

/// Asked for, answered, told; what is from before the bucket kept versions has none.
#[test]
fn a_version_is_told_where_there_is_one() {
    let cases = [
        (None, Some("v1"), Ok(Some("v1"))),
        (None, Some("null"), Ok(None)),
        (None, None, Ok(None)),
        (Some("v1"), Some("v1"), Ok(Some("v1"))),
        (Some("null"), Some("null"), Ok(None)),
        (Some("null"), None, Ok(None)),
        (Some("v1"), Some("v2"), Err("asked for this version, it answers version v2")),
        (Some("v1"), Some("null"), Err("asked for this version, it answers version none")),
        (Some("v1"), None, Err("asked for this version, it answers version none")),
        (Some("null"), Some("v1"), Err("asked for this version, it answers version v1")),
    ];
    for (asked_for, header, expected) in cases {
        let headers = Headers {
            content_length: Some("3"),
            etag: Some(ETAG),
            version_id: header,
            ..Headers::default()
        };
        let asked = Asked { from: 0, to: None, pinned: None };
        let place = Place { version_id: asked_for.map(str::to_owned), ..place("b", "k", None) };
        match (reply(&place, &asked, 200, &headers, b""), expected) {
            (Reply::Body { version_id, .. }, Ok(expected)) => {
                assert_eq!(version_id.as_deref(), expected);
            }
            (Reply::Final { problem, .. }, Err(expected)) => {
                assert_eq!(problem, format!("{}: {expected}", place.name()));
            }
            (other, _) => panic!("{asked_for:?} {header:?}: {other:?}"),
        }
    }
}

/// The same refusals mean something else where no version was asked for.
#[test]
fn refusals_of_a_version() {
    let cases = [
        (404, "NoSuchVersion", "There is no such version", "Mend S3_BUCKET and S3_KEY"),
        (400, "InvalidArgument", "not the name of a version", "Mend what S3 names"),
        (405, "MethodNotAllowed", "a delete marker", "Mend what S3 names"),
        (405, "", "a delete marker", "Mend what S3 names"),
        (403, "AccessDenied", "s3:GetObjectVersion on", "s3:GetObject on"),
        (403, "", "s3:GetObjectVersion on", "s3:GetObject on"),
        (404, "NoSuchKey", "S3_KEY", "S3_KEY"),
    ];
    for (status, code, with_version, without) in cases {
        let xml = format!("<Error><Code>{code}</Code></Error>");
        for (version_id, expected) in [(Some("v1"), with_version), (None, without)] {
            let version_id = version_id.map(str::to_owned);
            let place = Place { version_id, ..place("b", "k", None) };
            let asked = Asked { from: 0, to: None, pinned: None };
            let headers = Headers::default();
            let Reply::Final { problem, advice } =
                reply(&place, &asked, status, &headers, xml.as_bytes())
            else {
                panic!("{code}")
            };
            assert!(advice.contains(expected), "{code}: {advice}");
            assert!(problem.starts_with(&place.name()), "{problem}");
        }
    }
}

#[test]
fn refusals_are_told_apart() {
    // status, code, message, x-amz-bucket-region, kind or words of the advice
    let cases = [
        (404, "NoSuchKey", "The specified key does not exist.", "", "S3_KEY"),
        (404, "NoSuchBucket", "No bucket.", "", "S3_BUCKET"),
        (403, "AccessDenied", "Access Denied", "", "s3:GetObject on arn:aws:s3:::b/k"),
        (403, "AccessDenied", "not authorized to perform: kms:Decrypt", "", "kms:Decrypt"),
        (400, "KMS.DisabledException", "is disabled", "", "kms:Decrypt"),
        (403, "AccessDenied", "The ciphertext refers to a customer master key", "", "kms:Decrypt"),
        (403, "AccessDenied", "on resource: arn:aws:s3:::kms/k", "", "s3:GetObject on"),
        (403, "InvalidObjectState", "archived", "", "restore-object"),
        (403, "InvalidAccessKeyId", "unknown", "", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "differs", "", "AWS_SECRET_ACCESS_KEY"),
        (301, "PermanentRedirect", "elsewhere", "us-west-2", "region us-west-2"),
        (400, "AuthorizationHeaderMalformed", "wrong", "us-west-2", "region us-west-2"),
        (301, "PermanentRedirect", "elsewhere", "", "get-bucket-location"),
        (400, "IllegalLocationConstraintException", "opt in", "", "get-bucket-location"),
        (400, "IllegalLocationConstraintException", "opt in", "af-south-1", "region af-south-1"),
        (400, "InvalidRequest", "stored using a form of Server Side Encryption", "", "SSE-C"),
        (400, "InvalidRequest", "odd", "", "Mend what S3 names"),
        (301, "PermanentRedirect", "elsewhere", "evil.example/", "get-bucket-location"),
        (403, "AccessDenied", "Access Denied", "us-west-2", "s3:GetObject"),
        (307, "TemporaryRedirect", "new bucket", "", "passing"),
        (503, "SlowDown", "Reduce your request rate", "", "passing"),
        (500, "InternalError", "We encountered", "", "passing"),
        (400, "RequestTimeout", "idle", "", "passing"),
        (400, "ThrottlingException", "slow", "", "passing"),
        (429, "", "", "", "passing"),
        (502, "", "", "", "passing"),
        (400, "ExpiredToken", "expired", "", "expired"),
        (403, "RequestTimeTooSkewed", "too large", "", "clock"),
        (403, "", "", "", "s3:GetObject"),
        (418, "Teapot", "short and stout", "", "Mend what S3 names"),
    ];
    for (status, code, message, region, expected) in cases {
        let xml = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>x</RequestId></Error>"
        );
        let headers = Headers {
            bucket_region: Some(region).filter(|region| !region.is_empty()),
            retry_after: Some("3"),
            ..Headers::default()
        };
        let asked = Asked { from: 0, to: None, pinned: None };
        match reply(&place("b", "k", None), &asked, status, &headers, xml.as_bytes()) {
            Reply::Passing { problem, pause_ms } => {
                assert_eq!(expected, "passing", "{problem}");
                assert_eq!(pause_ms, 3_000);
            }
            Reply::Elsewhere { region, .. } => assert_eq!(expected, format!("region {region}")),
            Reply::Expired { problem } => assert_eq!(expected, "expired", "{problem}"),
            Reply::ClockWrong { problem } => assert_eq!(expected, "clock", "{problem}"),
            Reply::Final { problem, advice } => {
                assert!(advice.contains(expected), "{code}: {advice}");
                assert!(problem.starts_with("s3://b/k: S3 answers "), "{problem}");
                assert!(problem.contains(code), "{problem}");
            }
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn the_command_that_restores_fits_the_object() {
    let glacier = "--bucket b --key 'it'\\''s a.csv' --restore-request Days=7,";
    let cases = [
        ("GLACIER", None, glacier.to_owned()),
        ("DEEP_ARCHIVE", None, glacier.to_owned()),
        ("INTELLIGENT_TIERING", None, glacier.replace("Days=7", "'{}'")),
        ("GLACIER", Some("v1"), glacier.replace("--restore", "--version-id v1 --restore")),
    ];
    for (class, version_id, expected) in cases {
        let body = format!(
            "<Error><Code>InvalidObjectState</Code><Message>m</Message><StorageClass>{class}</StorageClass></Error>"
        );
        let mut place = place("b", "it's a.csv", None);
        place.version_id = version_id.map(str::to_owned);
        let asked = Asked { from: 0, to: None, pinned: None };
        let found = reply(&place, &asked, 403, &Headers::default(), body.as_bytes());
        let Reply::Final { advice, .. } = found else { panic!("{found:?}") };
        assert!(advice.contains(&expected), "{advice}");
    }
}

#[test]
fn error_bodies_of_every_kind() {
    let some = |text: &str| Some(text.to_owned());
    let cases: [(&[u8], _, _); 7] = [
        (
            b"<Error><Code>A</Code><Message>a &lt;b&gt; &amp; c</Message></Error>",
            some("A"),
            some("a <b> & c"),
        ),
        (b"<Error xmlns=\"x\"><Code>A</Code></Error>", some("A"), None),
        (b"<html><body>403</body></html>", None, None),
        (b"<Other><Code>A</Code></Other>", None, None),
        (b"<Error><Code>A</Code><Mess", some("A"), None),
        (b"\xff\xfe\x00<<<>>>&&", None, None),
        (b"", None, None),
    ];
    for (body, code, message) in cases {
        let error = Error::parse(body);
        assert_eq!((error.code, error.message), (code, message));
    }
}
