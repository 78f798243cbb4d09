//! The two ends of a bench: rows that lie in memory, and a partition that takes every batch.
//! What is measured between them is the program's own loop.
#![expect(clippy::unwrap_used, reason = "a bench's helpers")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use csv_to_kafka::event::Event;
use csv_to_kafka::flow::job::{Job, Target};
use csv_to_kafka::flow::ports::{
    Answer, Broker, Confirmed, Described, Fault, Ledger, LedgerPage, Mark, Now, Opened, Pin, Ports,
    ProducerIdentity, Read, ReadTo, Source, Stored, TopicSettings, Visit, World,
};
use csv_to_kafka::limits::{BATCH_BYTES_MAX, ROW_BYTES_MAX};
use csv_to_kafka::settings::{Csv, Header, OnBadRow};
use csv_to_kafka::stop::Stop;
use csv_to_kafka::wire::checkpoint::{Checkpoint, OnlyIf};
use csv_to_kafka::wire::compress::Compression;
use csv_to_kafka::wire::record_batch::Batch;

pub(crate) const COLUMNS: [&str; 10] = [
    "order_id", "customer", "city", "country", "product", "quantity", "price", "currency",
    "status", "note",
];

/// Rows of ten columns and 80 bytes, each a function of its number.
pub(crate) fn rows(row_count: u64) -> Vec<u8> {
    const CITIES: [&str; 8] =
        ["Berlin", "Lisbon", "Oslo", "Madrid", "Vienna", "Prague", "Dublin", "Zagreb"];
    const STATES: [&str; 4] = ["new", "paid", "sent", "back"];
    let mut text = COLUMNS.join(",") + "\n";
    for row in 1..=row_count {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let pick = usize::try_from(mixed & 0xffff).unwrap();
        let start = text.len();
        write!(
            text,
            "{:09},c{:07},{},DE,p{:05},{},{}.{:02},EUR,{},",
            100_000_000 + row,
            mixed % 9_999_991,
            CITIES[pick % CITIES.len()],
            mixed % 99_991,
            mixed % 9 + 1,
            mixed % 997,
            mixed % 100,
            STATES[pick / 8 % STATES.len()],
        )
        .unwrap();
        while text.len() - start < 79 {
            let at = u8::try_from((mixed + text.len() as u64) % 26).unwrap();
            text.push(char::from(b'a' + at));
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// What `work` answers, and how long it took.
#[expect(clippy::disallowed_methods, reason = "a bench has a clock")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let answer = work();
    (answer, began.elapsed())
}

pub(crate) fn per_second(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / took.as_nanos().max(1)).unwrap()
}

/// The whole loop over `text`; what was sent, in bytes.
pub(crate) fn copy(text: &[u8], compression: Compression) -> u64 {
    let mut source = Memory { text, at: 0 };
    let mut main = Taking { flying: None, end: 0, bytes: 0 };
    let mut ledger = Slate(None);
    let mut world = Clock { monotonic_us: 0 };
    let mut ports = Ports {
        source: &mut source,
        main: &mut main,
        dead: None,
        ledger: &mut ledger,
        metrics: None,
        world: &mut world,
    };
    let outcome = csv_to_kafka::flow::run(&job(compression), &mut ports);
    assert!(matches!(outcome.stop, Stop::Complete { .. }), "{:?}", outcome.stop);
    main.bytes
}

struct Memory<'a> {
    text: &'a [u8],
    at: usize,
}

impl Source for Memory<'_> {
    fn open(&mut self, from: u64, _: Option<u64>, _: Option<&Pin>) -> Result<Opened, Fault> {
        self.at = usize::try_from(from).unwrap();
        let source_bytes = self.text.len() as u64;
        Ok(Opened::Open(Pin { etag: "\"bench\"".into(), version_id: None, source_bytes }))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault> {
        let rest = &self.text[self.at..];
        let bytes = rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&rest[..bytes]);
        self.at += bytes;
        Ok(if bytes == 0 { Read::End } else { Read::Bytes(bytes) })
    }
}

/// Takes every batch at once.
struct Taking {
    flying: Option<Batch>,
    end: i64,
    bytes: u64,
}

impl Broker for Taking {
    fn describe(&mut self) -> Result<Described, Fault> {
        Ok(Described {
            cluster_id: Some("bench".into()),
            topic_id: Some("bench".into()),
            partition_count: 1,
            leader: String::new(),
            leader_epoch: 0,
            replica_count: 3,
            in_sync_count: 3,
            rights: None,
        })
    }

    fn topic_settings(&mut self) -> Result<TopicSettings, Fault> {
        Ok(TopicSettings { max_message_bytes: Some(1_048_588), ..TopicSettings::default() })
    }

    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault> {
        Ok(ProducerIdentity { id: 1, epoch: 0 })
    }

    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault> {
        Ok(Some(if mark == Mark::Start { 0 } else { self.end }))
    }

    fn read(&mut self, _: i64, to: i64, _: Visit<'_>) -> Result<ReadTo, Fault> {
        Ok(ReadTo::Offset(to))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn send(&mut self, batch: Batch) {
        self.flying = Some(batch);
    }

    fn confirm(&mut self, _: u64) -> Confirmed {
        let Some(batch) = self.flying.take() else { return Confirmed::Idle };
        let answer = Answer { error_code: 0, base_offset: self.end, throttle_ms: 0 };
        self.end += i64::from(batch.record_count());
        self.bytes += batch.as_bytes().len() as u64;
        Confirmed::Answered(batch, answer)
    }

    fn hang_up(&mut self) -> Option<Batch> {
        self.flying.take()
    }
}

/// A ledger of one item, whose conditions always hold.
struct Slate(Option<Checkpoint>);

impl Ledger for Slate {
    fn load(&mut self, _: &str) -> Result<Option<Checkpoint>, Fault> {
        Ok(self.0.clone())
    }

    fn list(&mut self, _: Option<&str>) -> Result<LedgerPage, Fault> {
        Err(Fault::passing("one job is all there is"))
    }

    fn store(&mut self, change: &Checkpoint, _: &OnlyIf) -> Result<Stored, Fault> {
        let mut item = self.0.take().unwrap_or_default();
        item.merge(change);
        self.0 = Some(item.clone());
        Ok(Stored::Done(Box::new(item)))
    }
}

/// Each look at it is a microsecond later: what is counted is the same each time.
struct Clock {
    monotonic_us: u64,
}

impl World for Clock {
    fn now(&mut self) -> Now {
        self.monotonic_us += 1;
        let monotonic_ms = self.monotonic_us / 1_000;
        Now { monotonic_ms, wall_ms: 1_700_000_000_000 + monotonic_ms }
    }

    fn random(&mut self) -> u64 {
        7
    }

    fn wait(&mut self, _: u64) {}

    fn stop_asked(&mut self) -> Option<&'static str> {
        None
    }

    fn is_gone(&mut self, _: &str) -> bool {
        false
    }

    fn tell(&mut self, _: &Event<'_>) {}
}

fn job(compression: Compression) -> Job {
    Job {
        job_id: "bench".into(),
        source: "s3://bench/rows.csv".into(),
        source_version: None,
        target: Target { topic: "rows".into(), partition: 0 },
        bootstrap: String::new(),
        csv: Csv {
            delimiter: b',',
            delimiter_given: true,
            quote: Some(b'"'),
            header: Header::First,
            columns: Vec::new(),
            row_bytes_max: ROW_BYTES_MAX,
        },
        key_column: None,
        on_bad_row: OnBadRow::Stop,
        bad_rows_max: 0,
        compression,
        batch_bytes_max: BATCH_BYTES_MAX,
        checkpoint_interval_rows: 10_000,
        lease_seconds: 15,
        retries_max: 5,
        rows_per_second_max: None,
        rows_max: None,
        host: String::new(),
        identity: String::new(),
        version: String::new(),
    }
}
