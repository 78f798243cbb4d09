//! The steady state allocates nothing per row: ten times the rows bring only what their batches,
//! checkpoints and progress lines bring. Alone in its process, so that only this run is counted.
#![expect(unsafe_code, reason = "a counting allocator can not be written without")]
#![expect(clippy::unwrap_used, reason = "a test's helpers")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use csv_to_kafka::event::Event;
use csv_to_kafka::flow::job::{Job, Target};
use csv_to_kafka::flow::ports::{Now, Ports};
use csv_to_kafka::limits::{BATCH_BYTES_MAX, ROW_BYTES_MAX};
use csv_to_kafka::port::embedded_log::EmbeddedLog;
use csv_to_kafka::port::file::File;
use csv_to_kafka::port::file_ledger::FileLedger;
use csv_to_kafka::port::machine::Machine;
use csv_to_kafka::port::spot::Spot;
use csv_to_kafka::settings::{Csv, Header, OnBadRow};
use csv_to_kafka::stop::Stop;
use csv_to_kafka::wire::compress::Compression;

const ROWS_FEW: u64 = 20_000;
const ROWS_MANY: u64 = 200_000;
/// What a batch may allocate, its checkpoint and progress included.
const PER_BATCH_MAX: u64 = 200;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn rows_cost_no_allocation() {
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let (few, few_batches) = allocations(ROWS_FEW, compression);
        let (many, many_batches) = allocations(ROWS_MANY, compression);
        let batches = many_batches - few_batches;
        assert!(batches > 0, "{compression:?}: more rows are more batches");
        let extra = many.saturating_sub(few);
        assert!(
            extra <= batches * PER_BATCH_MAX,
            "{compression:?}: {extra} allocations more for {} rows more, in {batches} batches",
            ROWS_MANY - ROWS_FEW
        );
    }
}

/// The allocations of a whole run over so many rows, and its batches.
fn allocations(rows: u64, compression: Compression) -> (u64, u64) {
    let name = format!("csv-to-kafka-allocations-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let source = directory.join("rows.csv");
    write_rows(&source, rows);
    let mut log = EmbeddedLog::open(&directory.join("log")).unwrap();
    let mut file = File::new(source.to_str().unwrap());
    let mut ledger = FileLedger::new(directory.join("ledger.json").to_str().unwrap());
    let mut world = Machine::new(Box::new(|_: &Event<'_>, _: Now| {}), Spot::off()).unwrap();
    let mut ports = Ports {
        source: &mut file,
        main: &mut log,
        dead: None,
        ledger: &mut ledger,
        metrics: None,
        world: &mut world,
    };
    let job = job(compression);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let outcome = csv_to_kafka::flow::run(&job, &mut ports);
    let counted = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(outcome.stop, Stop::Complete { rows });
    std::fs::remove_dir_all(&directory).unwrap();
    (counted, outcome.summary.batches)
}

fn write_rows(path: &Path, rows: u64) {
    let mut text = String::from("id,name,note\n");
    for row in 1..=rows {
        let note = if row % 7 == 0 { "\"with, a \"\"quote\"\"\nand a line\"" } else { "plain ü" };
        writeln!(text, "{row},name {},{note}", row * 7919 % 10_007).unwrap();
    }
    std::fs::write(path, text).unwrap();
}

fn job(compression: Compression) -> Job {
    Job {
        job_id: "allocations".into(),
        source: "file:/rows.csv".into(),
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
        key_column: Some("id".into()),
        on_bad_row: OnBadRow::Stop,
        bad_rows_max: 0,
        compression,
        batch_bytes_max: BATCH_BYTES_MAX / 8,
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
