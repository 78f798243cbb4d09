//! The whole loop, without what lies outside of it: rows from memory to a partition that takes
//! every batch.
//!
//! ```text
//! cargo bench --bench inner_loop                  rows per second with each compression
//! cargo bench --bench inner_loop -- once gzip     one pass, nothing printed: for callgrind
//! cargo bench --bench inner_loop -- rows          the making of its rows alone, to be subtracted
//! ```
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench")]

mod lab;

use std::time::Duration;

use csv_to_kafka::wire::compress::Compression;

const ROWS: u64 = 1_000_000;
const ROWS_ONCE: u64 = 100_000;
const PASSES: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().filter(|word| !word.starts_with('-')).collect();
    match words.get(1).map(String::as_str) {
        Some("once") => {
            let name = words.get(2).unwrap();
            lab::copy(&lab::rows(ROWS_ONCE), Compression::parse(name).unwrap());
        }
        Some("rows") => assert!(!lab::rows(ROWS_ONCE).is_empty()),
        _ => compare(),
    }
}

fn compare() {
    let text = lab::rows(ROWS);
    println!("{ROWS} rows of {} bytes, {PASSES} passes each\n", text.len() as u64 / ROWS);
    println!("| compression | bytes a row | rows/s: min | median | max |");
    println!("|---|---|---|---|---|");
    let mut passes = vec![Vec::new(); Compression::ALL.len()];
    let mut sent = [0; Compression::ALL.len()];
    for _ in 0..PASSES {
        for (index, compression) in Compression::ALL.into_iter().enumerate() {
            let (bytes, took) = lab::timed(|| lab::copy(&text, compression));
            sent[index] = bytes;
            passes[index].push(took);
        }
    }
    for (index, compression) in Compression::ALL.into_iter().enumerate() {
        passes[index].sort_unstable();
        let rate = |took: Duration| lab::per_second(ROWS, took);
        println!(
            "| {compression} | {:.1} | {} | {} | {} |",
            f64::from(u32::try_from(sent[index] * 10 / ROWS).unwrap()) / 10.0,
            rate(*passes[index].last().unwrap()),
            rate(passes[index][PASSES / 2]),
            rate(passes[index][0]),
        );
    }
}
