//! What only just is so, or only just is not; and how a source is read.

use super::{
    Bytes, Change, ETAG, Hurry, NOW_SECONDS, Stage, found, good, item, looked, looked_through,
    refused, stands, told,
};
use crate::finding::{Finding, Subject};
use crate::flow::ports::{Fault, Opened, Pin, Read, Source};
use crate::limits::{READ_BYTES, SAMPLE_BYTES};
use crate::settings::OnBadRow;

#[test]
fn what_keeps_us_from_both_topics_is_said_once() {
    let mut stage = good();
    stage.job.on_bad_row = OnBadRow::SetAside { topic: "bad".into() };
    stage.described = Err(refused("wrong password"));
    stage.dead = stage.described.clone();
    assert_eq!(told(&found(&stage)), "fail broker_refused");
    stage.dead = Err(refused("no such topic"));
    assert_eq!(told(&found(&stage)), "fail broker_refused, fail dead_letters_refused");
}

/// A source that opens and then sends nothing, or of which the reads are noted.
struct Watched<'a> {
    bytes: Option<Bytes<'a>>,
    asked: Vec<usize>,
}

impl Source for Watched<'_> {
    fn open(&mut self, from: u64, to: Option<u64>, pin: Option<&Pin>) -> Result<Opened, Fault> {
        let silent = Pin { etag: ETAG.into(), version_id: None, source_bytes: 5 };
        let bytes = self.bytes.as_mut();
        bytes.map_or(Ok(Opened::Open(silent)), |bytes| bytes.open(from, to, pin))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault> {
        self.asked.push(buffer.len());
        self.bytes.as_mut().map_or(Ok(Read::NotYet), |bytes| bytes.read(buffer))
    }
}

#[test]
fn a_source_that_sends_nothing() {
    let stage = good();
    let mut source = Watched { bytes: None, asked: Vec::new() };
    let mut world = Hurry { waited_ms: 0, look_ms: 1_000, gone: false };
    let report = looked_through(&stage, false, &mut source, &mut world);
    let problem = report.findings.iter().find_map(|finding| match finding {
        Finding::Unreachable { subject: Subject::Source, problem } => Some(problem.as_str()),
        _ => None,
    });
    assert_eq!(problem, Some("it opens, but sends nothing for 8 s"));
    // One that has nothing to send is no such source.
    let empty = Stage { source: Ok(Vec::new()), ..good() };
    assert_eq!(told(&found(&empty)), "fail bad_source");
}

/// As many bytes as the longest row may need, if that is more than a sample, and no read more.
#[test]
fn how_much_of_a_source_is_read() {
    let mut stage = good();
    stage.job.csv.row_bytes_max = SAMPLE_BYTES + 10;
    let row = "x".repeat(1_000) + "\n";
    stage.source = Ok(("id\n".to_owned() + &row.repeat(2_000)).into_bytes());
    let mut source = Watched { bytes: Some(Bytes(&stage, 0)), asked: Vec::new() };
    let mut world = Hurry { waited_ms: 0, look_ms: 0, gone: false };
    let report = looked_through(&stage, false, &mut source, &mut world);
    assert_eq!(told(&report), "");
    let (last, whole) = source.asked.split_last().unwrap();
    assert_eq!((*last, whole), (12, [READ_BYTES; SAMPLE_BYTES / READ_BYTES].as_slice()));
}

#[test]
fn the_rows_that_are_shown() {
    let stage = Stage { source: Ok(b"a,b\n1\n2,3".to_vec()), ..good() };
    // The second row, which ends where the source does.
    let record = r#"{"a":"2","b":"3","_source_line":2,"_source_file":"s3://b/k"}"#;
    assert_eq!(looked(&stage, true).shown.unwrap().records, [record]);
}

/// Items that only just do, or only just do not.
#[test]
fn what_a_run_would_do_at_the_edges() {
    let cases: [(Change, &str, &str); 5] = [
        (|s| item(s).run_id = None, "", "resumes"),
        (|s| item(s).timestamp = Some(NOW_SECONDS - 24 * 60 * 60), "", "resumes"),
        (
            |s| {
                let item = item(s);
                item.main.producers = None;
                item.total_sent = Some(0);
            },
            "",
            "new_job",
        ),
        (|s| item(s).etag = None, "fail overwritten", ""),
        (
            |s| {
                item(s);
                s.log = (40, 50);
            },
            "",
            "resumes",
        ),
    ];
    for (index, (change, expected, expected_ok)) in cases.into_iter().enumerate() {
        let mut stage = good();
        change(&mut stage);
        let report = found(&stage);
        assert_eq!((told(&report).as_str(), stands(&report)), (expected, expected_ok), "{index}");
    }
}
