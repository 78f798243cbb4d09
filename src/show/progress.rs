//! One line for a terminal that is written over again and again: bar, rows, rate, time left.

use super::figures::{count, counted, duration, per_second, percent, ratio};
use crate::event::Progress;

const BAR_CELLS: u64 = 24;

/// The line, without the bytes that bring the cursor back.
pub fn bar(progress: &Progress) -> String {
    let done = percent(progress.byte_offset, progress.source_bytes).min(100);
    let mut parts = vec![
        format!("{} {done:>3} %", cells(done)),
        counted(progress.row, "row"),
        format!("{} rows/s", count(per_second(progress.rows_here, progress.elapsed_ms))),
    ];
    parts.extend(progress.left_ms().map(|left_ms| format!("{} left", duration(left_ms))));
    parts.extend(
        ratio(progress.bytes_raw, progress.bytes_sent).map(|ratio| format!("{ratio}x smaller")),
    );
    if progress.dead_letters > 0 {
        parts.push(format!("{} set aside", count(progress.dead_letters)));
    }
    if progress.retries > 0 {
        parts.push(counted(progress.retries, "retry"));
    }
    parts.join("  ")
}

/// The bar alone.
pub(super) fn cells(percent: u64) -> String {
    let full = percent.min(100) * BAR_CELLS / 100;
    (0..BAR_CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        let middle = Progress {
            row: 1_234_567,
            rows_here: 1_000_000,
            dead_letters: 2,
            byte_offset: 500,
            source_bytes: 1_000,
            elapsed_ms: 2_500,
            bytes_raw: 790,
            bytes_sent: 100,
            retries: 1,
            ..Progress::default()
        };
        let end = Progress { byte_offset: 1_000, retries: 0, dead_letters: 0, ..middle };
        for (progress, expected) in [
            (Progress::default(), "░░░░░░░░░░░░░░░░░░░░░░░░   0 %  0 rows  0 rows/s"),
            (
                middle,
                "████████████░░░░░░░░░░░░  50 %  1,234,567 rows  400,000 rows/s  3.0 s left  7.9x smaller  2 set aside  1 retry",
            ),
            (
                end,
                "████████████████████████ 100 %  1,234,567 rows  400,000 rows/s  0 ms left  7.9x smaller",
            ),
        ] {
            assert_eq!(bar(&progress), expected);
        }
    }
}
