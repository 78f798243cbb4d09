//! The first rows of a source, made into batches as a run would, to see what they weigh.
//!
//! ```text
//! first bytes ──csv──> rows ──JSON──> records ──compressed──> batches
//!   bytes               rows, bad rows  largest_record_bytes    log_bytes
//! ```

use crate::flow::bounds::Bounds;
use crate::flow::job::Job;
use crate::limits::COLUMNS_MAX;
use crate::stop::{BadRow, Stop};
use crate::wire::batch_writer::{Added, BatchWriter};
use crate::wire::csv::{Parser, Row, Step};
use crate::wire::record::RowTemplate;
use crate::wire::record_batch::Batch;

/// What the first rows of a source weigh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Of the source, from its first row on.
    pub bytes: u64,
    pub rows: u64,
    pub bad_rows: u64,
    pub first_bad: Option<(u64, u64, BadRow)>,
    /// From here on nothing can be read.
    pub fatal: Option<Stop>,
    /// Key and value.
    pub largest_record_bytes: u64,
    /// Of the batches.
    pub log_bytes: u64,
    /// The sample is the whole source.
    pub is_whole: bool,
}

/// What is sampled.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub columns: &'a [String],
    pub key_index: Option<usize>,
    /// Where they begin in the source.
    pub byte_offset: u64,
    pub bytes: &'a [u8],
    /// The source ends with them.
    pub at_end: bool,
}

impl Sample {
    pub fn take(job: &Job, bounds: Bounds, source: &Rows<'_>) -> Sample {
        let mut sample = Sample { is_whole: source.at_end, ..Sample::default() };
        let mut weighed = Weighed::new(job, bounds, source);
        let row_bytes_max = job.csv.row_bytes_max;
        let mut parser = Parser::new(job.dialect(), row_bytes_max, Some(source.columns.len()));
        let mut row = Row::with_capacity(row_bytes_max, COLUMNS_MAX);
        // Each turn but the last takes a byte or more.
        loop {
            let byte_offset = source.byte_offset + sample.bytes;
            let at = usize::try_from(sample.bytes).unwrap_or(usize::MAX);
            let input = source.bytes.get(at..).unwrap_or(&[]);
            let (row_bytes, why) = match parser.step(input, source.at_end, &mut row) {
                Step::Row { row_bytes } => (row_bytes, weighed.add(&row, sample.rows + 1)),
                Step::Bad { row_bytes, why } => (row_bytes, Some(why)),
                Step::Blank(blank_bytes) => {
                    sample.bytes += blank_bytes as u64;
                    continue;
                }
                Step::NeedInput | Step::End => break,
                Step::TooLong => {
                    let (row, bytes_max) = (sample.rows + 1, row_bytes_max);
                    sample.fatal = Some(Stop::RowTooLong { row, byte_offset, bytes_max });
                    break;
                }
                Step::OpenQuote => {
                    sample.fatal = Some(Stop::OpenQuote { row: sample.rows + 1, byte_offset });
                    break;
                }
            };
            sample.rows += 1;
            sample.bytes += row_bytes as u64;
            if let Some(why) = why {
                sample.bad_rows += 1;
                sample.first_bad.get_or_insert((sample.rows, byte_offset, why));
            }
        }
        sample.largest_record_bytes = weighed.largest_record_bytes;
        sample.log_bytes = weighed.end();
        sample
    }
}

/// Records on a scale: the batches that they fill, one after another in one buffer.
struct Weighed<'a> {
    writer: BatchWriter,
    template: RowTemplate,
    source: &'a Rows<'a>,
    largest_record_bytes: u64,
    log_bytes: u64,
}

impl<'a> Weighed<'a> {
    fn new(job: &Job, bounds: Bounds, source: &'a Rows<'a>) -> Weighed<'a> {
        let Bounds { batch_bytes_max, record_bytes_max } = bounds;
        let mut writer = BatchWriter::new(job.compression, batch_bytes_max, record_bytes_max);
        writer.restart(Batch::with_capacity(batch_bytes_max));
        let template = RowTemplate::new(source.columns, &job.source);
        Weighed { writer, template, source, largest_record_bytes: 0, log_bytes: 0 }
    }

    fn add(&mut self, row: &Row, row_number: u64) -> Option<BadRow> {
        let key = self.source.key_index.and_then(|index| row.field(index));
        // A slice, then a batch has to make room, at most once each.
        loop {
            let mut record_bytes = key.unwrap_or_default().len();
            let added = self.writer.add(key, |out| {
                let before = out.len();
                self.template.write(row, row_number, out);
                record_bytes += out.len() - before;
            });
            match added {
                Added::Yes => {
                    self.largest_record_bytes = self.largest_record_bytes.max(record_bytes as u64);
                    return None;
                }
                Added::SliceFull => self.writer.compress_slice(),
                Added::BatchFull => {
                    let batch = self.writer.finish();
                    self.log_bytes += batch.as_bytes().len() as u64;
                    self.writer.restart(batch);
                }
                Added::TooLarge { bytes } => {
                    let bytes_max = self.writer.record_bytes_max();
                    return Some(BadRow::RecordTooLarge { bytes, bytes_max });
                }
            }
        }
    }

    fn end(mut self) -> u64 {
        if !self.writer.is_empty() {
            self.log_bytes += self.writer.finish().as_bytes().len() as u64;
        }
        self.log_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::golden::golden;

    /// Samples of every kind, weighed in small batches.
    #[test]
    fn what_a_sample_tells() {
        let many = (1..=200).fold(String::new(), |rows, n| rows + &format!("{n},name of {n}\n"));
        let long = format!("1,a\n2,b\n3,{}\n4,d\n", "x".repeat(200));
        let large = format!("1,a\n2,{}\n3,c\n", "\u{1}".repeat(90));
        let columns = ["id".to_owned(), "name".to_owned()];
        let mut text = String::new();
        for (name, bytes, at_end, key_index) in [
            ("nothing", "", true, None),
            ("one row", "1,a\n", true, None),
            ("many rows", many.as_str(), true, None),
            ("many rows with keys", many.as_str(), true, Some(1)),
            ("many rows of a longer source", many.as_str(), false, None),
            ("bad rows and blank lines", "1,a\n\n\n2,b,x\n3,c\n4\n", true, None),
            ("a row that is too long", long.as_str(), true, None),
            ("a record that is too large", large.as_str(), true, None),
            ("a quote that stays open", "1,a\n2,\"b\n", true, None),
        ] {
            let mut job = Job::reader("j".into(), String::new(), 0);
            job.source = "s".into();
            job.csv.row_bytes_max = 100;
            let bounds = Bounds { batch_bytes_max: 4_096, record_bytes_max: 300 };
            let bytes = bytes.as_bytes();
            let rows = Rows { columns: &columns, key_index, byte_offset: 8, bytes, at_end };
            let sample = Sample::take(&job, bounds, &rows);
            text += &["=== ", name, "\n", &format!("{sample:?}\n")].concat();
        }
        golden("sample", &text);
    }
}
