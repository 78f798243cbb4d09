//! A picture of numbers over time: SVG for the lines, HTML for the words beside it.
//!
//! The drawing is stretched to whatever width the page has, and its text is not: labels stand
//! beside it, placed by percents.
//!
//! ```text
//!  400k ┬──────────╮                    height: 0 (top) to 1,000
//!       │  ╭───╮   │ gap ░ ╭────
//!     0 ┴──┴───┴───┴─░░░─┴────          width: 0 to 10,000 along the axis
//!       13:00   13:05      09:00        a long pause between runs is drawn short
//! ```

use std::fmt::Write as _;

use super::figures::{scale, utc};

const WIDTH: u64 = 10_000;
const HEIGHT: u64 = 1_000;
const TICKS_MAX: u64 = 5;
/// Room for a time below the picture on a phone, in parts of its width.
const LABEL_WIDTH: u64 = 1_900;
const GRID_LINES: u64 = 4;

/// Time, as far as something ran; pauses are short.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    parts: Vec<Part>,
    shows_days: bool,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    from_ms: u64,
    to_ms: u64,
    from_x: u64,
    to_x: u64,
    is_gap: bool,
}

impl Axis {
    /// `runs`: when each began and ended, in their order.
    pub(super) fn new(runs: &[(u64, u64)]) -> Axis {
        let mut spans: Vec<(u64, u64, bool)> = Vec::new();
        for (from_ms, to_ms) in runs {
            let end_ms = spans.last().map_or(*from_ms, |(_, end_ms, _)| *end_ms);
            if *from_ms > end_ms {
                spans.push((end_ms, *from_ms, true));
            }
            if *to_ms > end_ms.max(*from_ms) {
                spans.push((end_ms.max(*from_ms), *to_ms, false));
            }
        }
        let ran_ms: u64 =
            spans.iter().filter(|span| !span.2).map(|(from, to, _)| to - from).sum::<u64>().max(1);
        let gaps = spans.iter().filter(|span| span.2).count().max(1) as u64;
        // All pauses together are at most half as wide as what ran.
        let gap_ms_max = (ran_ms / 2 / gaps).max(1);
        let shown_ms = |(from, to, is_gap): &(u64, u64, bool)| {
            if *is_gap { (to - from).min(gap_ms_max) } else { to - from }
        };
        let all_ms: u64 = spans.iter().map(shown_ms).sum::<u64>().max(1);
        let mut passed_ms = 0;
        let parts: Vec<Part> = spans
            .iter()
            .map(|span| {
                let from_x = scale(passed_ms, WIDTH, all_ms);
                passed_ms += shown_ms(span);
                let to_x = scale(passed_ms, WIDTH, all_ms);
                Part { from_ms: span.0, to_ms: span.1, from_x, to_x, is_gap: span.2 }
            })
            .collect();
        let days = |at_ms: u64| at_ms / 86_400_000;
        let shows_days = match (parts.first(), parts.last()) {
            (Some(first), Some(last)) => days(first.from_ms) != days(last.to_ms),
            _ => false,
        };
        Axis { parts, shows_days }
    }

    fn x(&self, at_ms: u64) -> u64 {
        let part = self.parts.iter().find(|part| at_ms <= part.to_ms).or(self.parts.last());
        part.map_or(0, |part| {
            let into_ms = at_ms.clamp(part.from_ms, part.to_ms) - part.from_ms;
            let width = part.to_x - part.from_x;
            part.from_x + scale(into_ms, width, part.to_ms - part.from_ms)
        })
    }

    /// Hundredths of a percent as CSS has them.
    pub(super) fn left(&self, at_ms: u64) -> String {
        let x = self.x(at_ms);
        format!("{}.{:02}%", x / 100, x % 100)
    }

    /// So long is one part in `parts` of what is shown.
    pub(super) fn part_ms(&self, parts: u64) -> u64 {
        let ran = self.parts.iter().filter(|part| !part.is_gap);
        ran.map(|part| part.to_ms - part.from_ms).sum::<u64>() / parts
    }

    fn gaps(&self) -> String {
        let gaps = self.parts.iter().filter(|part| part.is_gap);
        gaps.fold(String::new(), |mut svg, part| {
            let (x, width) = (part.from_x, (part.to_x - part.from_x).max(1));
            push(
                &mut svg,
                format_args!(
                    "<rect class=\"gap\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"{HEIGHT}\"/>"
                ),
            );
            svg
        })
    }

    /// The times below a picture.
    pub(super) fn times(&self) -> String {
        let step_ms = step_ms(self.part_ms(TICKS_MAX));
        let mut html = String::from("<div class=\"times\">");
        let mut free_x = 0;
        for part in self.parts.iter().filter(|part| !part.is_gap) {
            let first = part.from_ms.next_multiple_of(step_ms);
            let ticks = (part.to_ms.saturating_sub(first) / step_ms + 1).min(TICKS_MAX * 2);
            let marked = (0..ticks).map(|tick| first + tick * step_ms);
            for at_ms in marked.filter(|at_ms| *at_ms <= part.to_ms) {
                let x = self.x(at_ms);
                if x < free_x {
                    continue;
                }
                free_x = x + LABEL_WIDTH * if self.shows_days { 3 } else { 2 } / 2;
                let class = match x {
                    0..LABEL_WIDTH => " class=\"from\"",
                    x if x > WIDTH - LABEL_WIDTH / 2 => " class=\"to\"",
                    _ => "",
                };
                let (left, label) = (self.left(at_ms), self.label(at_ms, step_ms));
                push(&mut html, format_args!("<i{class} style=\"left:{left}\">{label}</i>"));
            }
        }
        html + "</div>"
    }

    fn label(&self, at_ms: u64, step_ms: u64) -> String {
        let time = utc(at_ms);
        let clock_end = if step_ms < 60_000 { 19 } else { 16 };
        let clock = time.get(11..clock_end).unwrap_or_default();
        match time.get(5..10).filter(|_| self.shows_days) {
            Some(day) => format!("{day} {clock}"),
            None => clock.to_owned(),
        }
    }
}

/// A step that clocks have.
fn step_ms(at_least_ms: u64) -> u64 {
    const SECOND: u64 = 1_000;
    const STEPS: [u64; 18] = [
        1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200,
        86_400,
    ];
    let step = STEPS.iter().map(|seconds| seconds * SECOND).find(|step| *step >= at_least_ms);
    let days = at_least_ms.div_ceil(86_400_000).max(1);
    step.unwrap_or(days * 86_400_000)
}

/// Stretches of a line, each of (time, value).
pub(super) type Stretches = Vec<Vec<(u64, u64)>>;

/// What a picture shows.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// Beside the title.
    pub(super) said: &'a str,
    pub(super) axis: &'a Axis,
    pub(super) stretches: &'a Stretches,
    /// Where runs begin and end.
    pub(super) bounds: &'a [u64],
}

impl Chart<'_> {
    /// Title, picture, times.
    pub(super) fn html(&self) -> String {
        let Chart { title, said, axis, .. } = self;
        let top = self.stretches.iter().flatten().map(|(_, value)| *value).max().unwrap_or(0);
        let top = nice(top);
        let mut svg = axis.gaps();
        for line in 1..GRID_LINES {
            let y = HEIGHT * line / GRID_LINES;
            push(
                &mut svg,
                format_args!(
                    "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\" vector-effect=\"non-scaling-stroke\"/>"
                ),
            );
        }
        for at_ms in self.bounds {
            let x = axis.x(*at_ms);
            push(
                &mut svg,
                format_args!(
                    "<line class=\"bound\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{HEIGHT}\" vector-effect=\"non-scaling-stroke\"/>"
                ),
            );
        }
        for stretch in self.stretches {
            svg.push_str(&self.stretch(stretch, top));
        }
        let labels = [(0, top), (HEIGHT / 2, top / 2)]
            .map(|(y, value)| format!("<i style=\"top:{}%\">{}</i>", y / 10, short(value)));
        format!(
            "<figure><figcaption>{title}<span>{said}</span></figcaption><div class=\"plot\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{title}: {said}\">{svg}</svg>{}</div>{}</figure>\n",
            labels.concat(),
            axis.times()
        )
    }

    fn stretch(&self, stretch: &[(u64, u64)], top: u64) -> String {
        let place = |(at_ms, value): &(u64, u64)| {
            (self.axis.x(*at_ms), HEIGHT - scale(*value, HEIGHT, top).min(HEIGHT))
        };
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else {
            return String::new();
        };
        let mut path = String::new();
        for (index, (x, y)) in stretch.iter().map(place).enumerate() {
            push(&mut path, format_args!("{}{x} {y}", if index == 0 { 'M' } else { 'L' }));
        }
        let (from_x, to_x) = (self.axis.x(first.0), self.axis.x(last.0));
        format!(
            "<path class=\"area\" d=\"{path}L{to_x} {HEIGHT}L{from_x} {HEIGHT}Z\"/><path class=\"trace\" d=\"{path}\" vector-effect=\"non-scaling-stroke\"/>"
        )
    }
}

/// The next round number.
fn nice(number: u64) -> u64 {
    // Half of it is a label too.
    const STEPS: [u64; 12] = [10, 12, 14, 16, 20, 24, 30, 40, 50, 60, 80, 100];
    let mut power = 1_u64;
    while number / power >= 100 {
        power *= 10;
    }
    let step = STEPS.into_iter().find(|step| step.saturating_mul(power) >= number);
    match number {
        0..=2 => 2,
        3..=10 => number.next_multiple_of(2),
        _ => step.unwrap_or(100).saturating_mul(power),
    }
}

/// `1.2M`, for a label.
fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match UNITS.iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) if number.is_multiple_of(*unit) => format!("{}{name}", number / unit),
        Some((unit, name)) => {
            format!("{}.{}{name}", number / unit, number % unit * 10 / unit)
        }
        None => number.to_string(),
    }
}

pub(super) fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    match text.write_fmt(more) {
        Ok(()) => {}
        Err(std::fmt::Error) => unreachable!("a string takes all that fits into memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers() {
        for (number, expected) in [
            (0, 2),
            (1, 2),
            (3, 4),
            (9, 10),
            (11, 12),
            (123_126, 140_000),
            (399_999, 400_000),
            (7_000_000, 8_000_000),
        ] {
            assert_eq!(nice(number), expected, "{number}");
        }
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1k"), (1_500, "1.5k"), (2_000_000, "2M")]
        {
            assert_eq!(short(number), expected);
        }
        for (at_least_ms, expected) in [(0, 1_000), (2_001, 5_000), (86_400_001, 172_800_000)] {
            assert_eq!(step_ms(at_least_ms), expected);
        }
    }

    #[test]
    fn a_long_pause_is_drawn_short() {
        let day = 86_400_000;
        let axis = Axis::new(&[(1_000, 11_000), (day, day + 10_000)]);
        let at = [0, 1_000, 6_000, 11_000, day, day + 5_000, day + 10_000, 9 * day];
        assert_eq!(
            at.map(|at_ms| axis.x(at_ms)),
            [0, 0, 1_666, 3_333, 6_666, 8_333, 10_000, 10_000]
        );
        assert!(axis.times().contains(">01-02 00:00:00<"), "{}", axis.times());
    }

    #[test]
    fn runs_at_once_and_runs_of_no_length() {
        let axis = Axis::new(&[(1_000, 9_000), (2_000, 4_000), (9_000, 9_000)]);
        assert_eq!([1_000, 5_000, 9_000].map(|at_ms| axis.x(at_ms)), [0, 5_000, 10_000]);
        for runs in [&[][..], &[(5, 5)], &[(5, 5), (5, 5)]] {
            let axis = Axis::new(runs);
            assert_eq!((axis.x(7), axis.part_ms(3)), (0, 0), "{runs:?}");
        }
    }
}
