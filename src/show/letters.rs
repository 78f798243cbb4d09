//! Dead letters as a table for people, and as a file that can be mended and loaded.
//!
//! ```text
//!   row   byte  reason                                                 raw row
//!     7    180  too_few_fields: 2 fields, the header has 3             7,Zoë
//!
//! 1 dead letter of job orders-7 in orders-bad/0
//! ```

use super::figures::{count, counted};
use super::terminal::{cut, one_line};
use crate::flow::letters::Found;
use crate::wire::checkpoint::Checkpoint;
use crate::wire::record::dead_letter::Letter;

/// Most reasons fit.
const REASON_CHARS: usize = 53;

/// The text that goes around and between the letters.
pub struct Table {
    job_id: String,
    topic: String,
    row_digits: usize,
    byte_digits: usize,
    /// Lines are cut at the terminal's edge, not wrapped.
    is_terminal: bool,
}

impl Table {
    pub fn new(item: &Checkpoint, is_terminal: bool) -> Table {
        let digits = |number: Option<u64>| number.unwrap_or(0).to_string().len();
        Table {
            job_id: item.job_id.clone(),
            topic: item.dlq.topic.clone().unwrap_or_default(),
            row_digits: digits(item.last_line).max("row".len()),
            byte_digits: digits(item.source_bytes).max("byte".len()),
            is_terminal,
        }
    }

    pub fn head(&self) -> String {
        self.line("row", "byte", "reason", "raw row")
    }

    pub fn row(&self, letter: &Letter) -> String {
        let mut raw = one_line(&letter.raw);
        if !letter.is_whole {
            let (held, all) = (count(letter.raw.len() as u64), count(letter.row_bytes));
            raw = format!("[{held} of {all} bytes] {raw}");
        }
        let (row, byte) = (letter.row_number.to_string(), letter.byte_offset.to_string());
        self.line(&row, &byte, &one_line(letter.reason.as_bytes()), &raw)
    }

    pub fn foot(&self, found: &Found) -> String {
        let letters = counted(found.letters, "dead letter");
        format!("\n{letters} of job {} in {}/0\n", self.job_id, self.topic)
    }

    fn line(&self, row: &str, byte: &str, reason: &str, raw: &str) -> String {
        let (rows, bytes) = (self.row_digits, self.byte_digits);
        let line = format!("{row:>rows$}  {byte:>bytes$}  {reason:<REASON_CHARS$}  {raw}\n");
        if self.is_terminal { cut(&line) } else { line }
    }
}

/// Where there is nothing to print.
pub fn none(job_id: &str) -> String {
    format!("Job {job_id} has no dead letters.\n")
}

/// A letter that is not in a file that was asked for, and where its row is.
pub fn left_out(letter: &Letter) -> String {
    format!(
        "row {} is not in this file: its dead letter holds {} of {} bytes. It is in the source from byte {} on",
        letter.row_number,
        count(letter.raw.len() as u64),
        count(letter.row_bytes),
        letter.byte_offset
    )
}

/// What could not be printed, if anything.
pub fn lacking(found: &Found) -> Vec<String> {
    let mut lines = Vec::new();
    if found.deleted > 0 {
        lines.push(format!(
            "{} of this job are not in the topic any more: deleted by retention. Their rows are in the source",
            counted(found.deleted, "dead letter")
        ));
    }
    if found.odd > 0 {
        let records = counted(found.odd, "record");
        lines.push(format!("{records} under this job's producer id are no dead letters"));
    }
    lines
}

pub const NO_HEADER: &str = "the file has no header line: no record of the job is left to tell the columns' names. Write it in, as the source has it";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checkpoint::LaneItem;

    fn letter(row_number: u64, raw: &[u8], is_whole: bool) -> Letter {
        Letter {
            row_number,
            byte_offset: 180,
            reason: "too_few_fields: 2 fields, the header has 3".into(),
            row_bytes: 300_000,
            raw: raw.to_vec(),
            is_whole,
        }
    }

    #[test]
    fn a_table() {
        let item = Checkpoint {
            job_id: "orders-7".into(),
            last_line: Some(12_345),
            source_bytes: Some(1_000_000),
            dlq: LaneItem { topic: Some("bad".into()), ..LaneItem::default() },
            ..Checkpoint::default()
        };
        let table = Table::new(&item, false);
        let letters =
            [letter(7, "7,Zoë\t\x1b[2J".as_bytes(), true), letter(12_345, b"8\xff,", false)];
        let rows: String = letters.iter().map(|letter| table.row(letter)).collect();
        let found = Found { letters: 2, ..Found::default() };
        let expected =
            "  row     byte  reason                                                 raw row
    7      180  too_few_fields: 2 fields, the header has 3             7,Zoë\\t\\u{1b}[2J
12345      180  too_few_fields: 2 fields, the header has 3             [3 of 300,000 bytes] 8\\xff,

2 dead letters of job orders-7 in bad/0
";
        assert_eq!(table.head() + &rows + &table.foot(&found), expected);
    }
}
