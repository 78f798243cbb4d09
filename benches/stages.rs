//! The stages of the inner loop, each alone: `cargo bench --bench stages`.
//!
//! ```text
//! parse ─> encode ─> batch ─> compress ─> checksum
//! ```
//! Each stage is given what the one before it makes, ready in memory.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench")]

#[expect(dead_code, reason = "the whole loop is another bench's")]
mod lab;

use std::hint::black_box;

use csv_to_kafka::limits::{BATCH_BYTES_MAX, BATCH_OVERHEAD_BYTES, ROW_BYTES_MAX, SLICE_BYTES};
use csv_to_kafka::wire::batch_writer::{Added, BatchWriter};
use csv_to_kafka::wire::compress::{Compression, Encoder};
use csv_to_kafka::wire::csv::{Dialect, Parser, Row, Step};
use csv_to_kafka::wire::record::RowTemplate;
use csv_to_kafka::wire::record_batch::Batch;

const ROWS: u64 = 200_000;
const PASSES: usize = 7;

fn main() {
    let text = lab::rows(ROWS);
    let rows = &text[text.iter().position(|&byte| byte == b'\n').unwrap() + 1..];
    let values = encode_all(rows);
    let records = values.iter().map(Vec::len).sum::<usize>();
    println!("{ROWS} rows, best of {PASSES} passes\n");
    println!("| stage | bytes in | MB/s | rows/s |");
    println!("|---|---|---|---|");

    stage("parse", rows.len(), || parse(rows, |_, _| {}));
    let template = template();
    let mut out = Vec::with_capacity(SLICE_BYTES);
    stage("parse and encode", rows.len(), || {
        parse(rows, |row, number| {
            out.clear();
            template.write(row, number, &mut out);
            black_box(&out);
        });
    });
    stage("batch, not compressed", records, || batch(&values));
    let joined = values.concat();
    for compression in Compression::ALL {
        let mut encoder = Encoder::new(compression);
        let mut out = Vec::with_capacity(2 * BATCH_BYTES_MAX);
        stage(&format!("compress, {compression}"), joined.len(), || {
            for batch in joined.chunks(BATCH_BYTES_MAX) {
                out.clear();
                encoder.begin(&mut out);
                for slice in batch.chunks(SLICE_BYTES) {
                    encoder.encode(slice, &mut out);
                }
                encoder.finish(&mut out);
                black_box(&out);
            }
        });
    }
    stage("checksum (CRC-32C)", joined.len(), || {
        black_box(crc32c::crc32c(black_box(&joined)));
    });
}

fn stage(name: &str, bytes: usize, mut pass: impl FnMut()) {
    let best = (0..PASSES).map(|_| lab::timed(&mut pass).1).min().unwrap();
    let megabytes = lab::per_second(bytes as u64, best) / 1_000_000;
    println!("| {name} | {bytes} | {megabytes} | {} |", lab::per_second(ROWS, best));
}

fn parse(rows: &[u8], mut each: impl FnMut(&Row, u64)) {
    let dialect = Dialect { delimiter: b',', quote: Some(b'"') };
    let columns = lab::COLUMNS.len();
    let mut parser = Parser::new(dialect, ROW_BYTES_MAX, Some(columns));
    let mut row = Row::with_capacity(ROW_BYTES_MAX, columns);
    let (mut at, mut number) = (0, 0);
    loop {
        match parser.step(&rows[at..], true, &mut row) {
            Step::Row { row_bytes } => {
                number += 1;
                each(&row, number);
                at += row_bytes;
            }
            Step::End => return,
            other => panic!("rows that are all good: {other:?}"),
        }
    }
}

fn template() -> RowTemplate {
    RowTemplate::new(&lab::COLUMNS.map(str::to_owned), "s3://bench/rows.csv")
}

fn encode_all(rows: &[u8]) -> Vec<Vec<u8>> {
    let template = template();
    let mut values = Vec::new();
    parse(rows, |row, number| {
        let mut value = Vec::new();
        template.write(row, number, &mut value);
        values.push(value);
    });
    values
}

fn batch(values: &[Vec<u8>]) {
    let room = BATCH_BYTES_MAX - BATCH_OVERHEAD_BYTES;
    let mut writer = BatchWriter::new(Compression::None, BATCH_BYTES_MAX, room);
    writer.restart(Batch::with_capacity(BATCH_BYTES_MAX));
    for value in values {
        loop {
            match writer.add(None, |slice| slice.extend_from_slice(value)) {
                Added::Yes => break,
                Added::SliceFull => writer.compress_slice(),
                Added::BatchFull => {
                    let full = writer.finish();
                    writer.restart(black_box(full));
                }
                Added::TooLarge { bytes } => panic!("a record of {bytes} bytes"),
            }
        }
    }
}
