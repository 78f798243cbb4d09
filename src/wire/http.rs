//! What every HTTP answer has: a `Date` (RFC 9110, the one form that servers may write), and
//! words of a stranger that end up in our messages. Inside bodies times are written as RFC
//! 3339 has them.
//!
//! ```text
//! Sun, 06 Nov 1994 08:49:37 GMT
//! 0    5  8   12   17 20 23  26
//!
//! 1994-11-06T08:49:37Z     …37.123Z     …37+01:00
//! 0    5  8  11 14 17 19
//! ```

/// Foreign words, fit for one line of a log: no control characters, at most 400 characters.
pub fn one_line(words: &str) -> String {
    let chars_max = 400;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = words.trim().chars().map(clean).take(chars_max).collect();
    if words.trim().chars().count() > chars_max {
        line.push('…');
    }
    // The sentence goes on after it.
    line.truncate(line.trim_end_matches(['.', ' ']).len());
    line
}

/// Unix seconds; `None` for anything else than the fixed form.
pub fn unix_seconds(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = |from: usize, to: usize| {
        let digits = date.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            digits.parse::<i64>().ok()
        } else {
            None
        }
    };
    if date.len() != 29 || date.get(25..) != Some(" GMT") || date.get(3..5) != Some(", ") {
        return None;
    }
    let separators = [(7, " "), (11, " "), (16, " "), (19, ":"), (22, ":")];
    if separators.iter().any(|(at, expected)| date.get(*at..=*at) != Some(expected)) {
        return None;
    }
    let day = number(5, 7)?;
    let month_name = date.get(8..11)?;
    let month = (1_i64..).zip(MONTHS).find(|(_, name)| *name == month_name)?.0;
    let year = number(12, 16)?;
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days_to(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Unix seconds of a time as RFC 3339 writes it; a part of a second is left out.
pub fn unix_seconds_rfc3339(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| {
        let digits = time.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            digits.parse::<i64>().ok()
        } else {
            None
        }
    };
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if separators.iter().any(|(at, expected)| time.get(*at..=*at) != Some(expected)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut zone = time.get(19..)?;
    if let Some(fraction) = zone.strip_prefix('.') {
        zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if zone.len() == fraction.len() {
            return None;
        }
    }
    let offset_seconds = match zone.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let from = time.len() - zone.len() + 1;
            let seconds = number(from, from + 2)? * 3_600 + number(from + 3, from + 5)? * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = days_to(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds - offset_seconds)
}

/// Days from the first of January 1970.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that a leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_stay_on_one_line() {
        assert_eq!(one_line(" Access\r\nDenied. "), "Access  Denied");
        assert_eq!(one_line("\u{1b}[31mred"), " [31mred");
        assert_eq!(one_line(&"ä".repeat(500)).chars().count(), 401);
    }

    #[test]
    fn dates_as_servers_write_them() {
        // Expected values from `date -d … +%s`.
        let cases = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Fri, 31 Dec 2100 12:00:00 GMT", Some(4_133_937_600)),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994 +8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Növ 1994 08:49:37 GM", None),
            ("", None),
        ];
        for (date, expected) in cases {
            assert_eq!(unix_seconds(date), expected, "{date}");
        }
    }

    #[test]
    fn times_inside_bodies() {
        let cases = [
            ("1994-11-06T08:49:37Z", Some(784_111_777)),
            ("1994-11-06T08:49:37.123Z", Some(784_111_777)),
            ("1994-11-06T09:49:37+01:00", Some(784_111_777)),
            ("1994-11-06T08:19:37.5-00:30", Some(784_111_777)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("1994-11-06T08:49:37", None),
            ("1994-11-06T08:49:37.Z", None),
            ("1994-11-06 08:49:37Z", None),
            ("1994-13-06T08:49:37Z", None),
            ("1994-11-06T24:49:37Z", None),
            ("1994-11-06T08:49:37+1:00", None),
            ("1994-11-06T08:49:37+ä:00", None),
            ("", None),
        ];
        for (time, expected) in cases {
            assert_eq!(unix_seconds_rfc3339(time), expected, "{time}");
        }
    }
}
