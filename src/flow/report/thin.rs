//! Bounded collections of a report: when one is full, neighbours become one.
//!
//! ```text
//! points  1 2 3 4 5 6 7 8  ──full──>  1   3   5   7  then every second one   …
//! marks   !  !! !  ▲  !    ──full──>  !3   ▲  !                 (of one kind, near each other)
//! notes   the first ones … and the last ones
//! ```

use std::collections::VecDeque;

use crate::limits::{REPORT_MARKS_MAX, REPORT_NOTES_MAX, REPORT_POINTS_MAX};

/// Where the job was at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub at_ms: u64,
    pub row: u64,
    /// Since its run began: requests that were answered, and the time until they were.
    pub answers: Option<(u64, u64)>,
    /// The first one of a run: nothing leads to it.
    pub is_first: bool,
}

#[derive(Debug, Default)]
pub struct Points {
    kept: Vec<Point>,
    /// The last one, while it is not kept.
    pending: Option<Point>,
    /// One of so many is kept.
    stride: u64,
    skipped: u64,
    run_begins: bool,
}

impl Points {
    pub(super) fn run_begins(&mut self) {
        self.keep_pending();
        self.run_begins = true;
    }

    /// `is_boundary`: where a run begins and ends is never thinned out as it comes.
    pub(super) fn add(
        &mut self,
        at_ms: u64,
        row: u64,
        answers: Option<(u64, u64)>,
        is_boundary: bool,
    ) {
        let is_first = std::mem::take(&mut self.run_begins);
        self.pending = Some(Point { at_ms, row, answers, is_first });
        self.skipped += 1;
        if is_first || is_boundary || self.skipped >= self.stride {
            self.keep_pending();
        }
    }

    pub(super) fn finish(&mut self) {
        self.keep_pending();
    }

    fn keep_pending(&mut self) {
        let Some(point) = self.pending.take() else { return };
        self.skipped = 0;
        self.kept.push(point);
        if self.kept.len() >= REPORT_POINTS_MAX {
            self.stride = self.stride.max(1) * 2;
            let mut index = 0;
            self.kept.retain(|point| {
                index += 1;
                point.is_first || index % 2 == 1
            });
            // A log of nothing but beginnings.
            if self.kept.len() > REPORT_POINTS_MAX / 2 + REPORT_POINTS_MAX / 4 {
                self.kept.dedup_by_key(|point| point.row);
                self.kept.truncate(REPORT_POINTS_MAX / 2);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Point> {
        self.kept.iter()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    Start,
    Complete,
    /// Start it again.
    Stopped,
    Failed,
    /// The last that was heard of a run before another began.
    Vanished,
    Retry,
    Warning,
    SetAside,
    /// A lost answer, or a silence.
    Settled,
    Throttled,
}

/// Something that happened, once or several times at about that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub at_ms: u64,
    pub kind: MarkKind,
    pub count: u64,
}

#[derive(Debug, Default)]
pub struct Marks {
    marks: Vec<Mark>,
    /// How near is one.
    near_ms: u64,
}

impl Marks {
    pub(super) fn add(&mut self, at_ms: u64, kind: MarkKind) {
        self.marks.push(Mark { at_ms, kind, count: 1 });
        if self.marks.len() >= REPORT_MARKS_MAX {
            // Twice as near each time: the time of a log has an end.
            while self.marks.len() > REPORT_MARKS_MAX / 2 {
                self.near_ms = self.near_ms.max(500).saturating_mul(2);
                self.marks = self.merged(self.near_ms);
            }
        }
    }

    /// Marks of one kind, each at least so far from the next.
    pub fn merged(&self, near_ms: u64) -> Vec<Mark> {
        let mut sorted = self.marks.clone();
        sorted.sort_by_key(|mark| (mark.kind, mark.at_ms));
        sorted.dedup_by(|mark, before| {
            let is_near = mark.at_ms.saturating_sub(before.at_ms) < near_ms;
            let is_one = mark.kind == before.kind && is_near;
            before.count += if is_one { mark.count } else { 0 };
            is_one
        });
        sorted.sort_by_key(|mark| (mark.at_ms, mark.kind));
        sorted
    }

    pub fn count(&self, kind: MarkKind) -> u64 {
        self.marks.iter().filter(|mark| mark.kind == kind).map(|mark| mark.count).sum()
    }
}

/// What was said of something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub at_ms: u64,
    pub kind: MarkKind,
    pub text: String,
    /// Said so many times in a row.
    pub times: u64,
}

#[derive(Debug, Default)]
pub struct Notes {
    pub first: Vec<Note>,
    /// Between the first and the last ones.
    pub left_out: u64,
    pub last: VecDeque<Note>,
}

impl Notes {
    pub(super) fn add(&mut self, at_ms: u64, kind: MarkKind, text: &str) {
        let before = self.last.back_mut().or(self.first.last_mut());
        if let Some(note) = before.filter(|note| note.kind == kind && note.text == text) {
            note.times += 1;
            return;
        }
        let note = Note { at_ms, kind, text: text.to_owned(), times: 1 };
        if self.first.len() < REPORT_NOTES_MAX / 2 {
            self.first.push(note);
            return;
        }
        self.last.push_back(note);
        if self.last.len() > REPORT_NOTES_MAX / 2 {
            self.last.pop_front();
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stay_few_and_even() {
        let mut points = Points::default();
        for second in 0..1_000_000_u64 {
            if second % 100_000 == 0 {
                points.run_begins();
            }
            points.add(second * 1_000, second * 10, None, false);
        }
        points.finish();
        let kept: Vec<Point> = points.iter().copied().collect();
        assert!(kept.len() < REPORT_POINTS_MAX && kept.len() > REPORT_POINTS_MAX / 4);
        assert_eq!(kept.iter().filter(|point| point.is_first).count(), 10);
        assert_eq!(kept.last().map(|point| point.row), Some(9_999_990));
        let widest = kept.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).max();
        assert!(widest < Some(4_000_000 * 1_000 / REPORT_POINTS_MAX as u64), "{widest:?}");
    }

    #[test]
    fn runs_without_end_are_few_points_too() {
        let mut points = Points::default();
        for second in 0..100_000_u64 {
            points.run_begins();
            points.add(second * 1_000, second, None, true);
        }
        points.finish();
        assert!(points.iter().count() <= REPORT_POINTS_MAX);
    }

    #[test]
    fn marks_become_one_with_their_neighbours() {
        let mut marks = Marks::default();
        for second in 0..100_000_u64 {
            marks.add(second * 1_000, MarkKind::Retry);
            if second % 10_000 == 0 {
                marks.add(second * 1_000, MarkKind::Start);
            }
        }
        assert!(marks.merged(0).len() < REPORT_MARKS_MAX);
        assert_eq!([marks.count(MarkKind::Retry), marks.count(MarkKind::Start)], [100_000, 10]);
    }

    #[test]
    fn notes_keep_both_ends() {
        let mut notes = Notes::default();
        for number in 0..1_000_u64 {
            for _ in 0..3 {
                notes.add(number, MarkKind::Retry, &format!("said {number}"));
            }
        }
        let half = REPORT_NOTES_MAX as u64 / 2;
        assert_eq!((notes.first.len() as u64, notes.last.len() as u64), (half, half));
        assert_eq!(notes.left_out, 1_000 - 2 * half);
        assert_eq!(notes.last.back().map(|note| (note.at_ms, note.times)), Some((999, 3)));
    }

    /// As many points as set it off, of which so many after the first are the first of a run.
    fn thinned(beginnings: usize) -> Vec<u64> {
        let mut points = Points::default();
        for row in 0..REPORT_POINTS_MAX {
            // Those that would be left out.
            if row % 2 == 1 && row / 2 < beginnings {
                points.run_begins();
            }
            points.add(0, row as u64, None, true);
        }
        points.iter().map(|point| point.row).collect()
    }

    #[test]
    fn every_second_point_is_left_out() {
        let half = REPORT_POINTS_MAX / 2;
        let even: Vec<u64> = (0..half as u64).map(|index| 2 * index).collect();
        assert_eq!(thinned(0), even);
        // So many beginnings are kept too, and no more.
        assert_eq!(thinned(half / 2).len(), half + half / 2);
        let all: Vec<u64> = (0..half as u64).collect();
        assert_eq!(thinned(half / 2 + 1), all);
    }

    #[test]
    fn marks_become_one_only_when_they_are_too_many() {
        let half = REPORT_MARKS_MAX as u64 / 2;
        let mut marks = Marks::default();
        for second in 0..half {
            assert_eq!(marks.merged(0).len() as u64, 2 * second);
            marks.add(second * 1_000, MarkKind::Retry);
            marks.add(second * 1_000, MarkKind::Retry);
        }
        // A second apart is not near a second, and half as many are few enough.
        assert_eq!(marks.merged(0).len() as u64, half);
        assert!(marks.merged(0).iter().all(|mark| mark.count == 2));
    }
}
