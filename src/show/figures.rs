//! Numbers as people read them, and UTC times, by hand: no calendar crate for one format.

/// `1234567` is `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `1,234 rows`.
pub fn counted(number: u64, thing: &str) -> String {
    let ending = match thing {
        _ if number == 1 => "",
        "batch" => "es",
        "retry" => return format!("{} retries", count(number)),
        _ => "s",
    };
    format!("{} {thing}{ending}", count(number))
}

/// Powers of ten, as disks and networks are sold.
pub fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) => format!("{} {name}", tenths(number, *unit)),
        None => counted(number, "byte"),
    }
}

/// One decimal below ten of a unit, none above.
fn tenths(number: u64, unit: u64) -> String {
    let whole = number / unit;
    if whole >= 10 {
        return count(whole);
    }
    format!("{whole}.{}", (number % unit) * 10 / unit)
}

pub fn duration(duration_ms: u64) -> String {
    let seconds = duration_ms / 1_000;
    match seconds {
        0 => format!("{duration_ms} ms"),
        1..60 => format!("{} s", tenths(duration_ms, 1_000)),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// So many a second; 0 where there was no time.
pub fn per_second(number: u64, elapsed_ms: u64) -> u64 {
    scale(number, 1_000, elapsed_ms)
}

/// Whole percents, 0 of nothing.
pub fn percent(part: u64, whole: u64) -> u64 {
    scale(part, 100, whole)
}

/// `number * factor / divisor`, without an overflow on the way; 0 where it is divided by 0.
pub fn scale(number: u64, factor: u64, divisor: u64) -> u64 {
    if divisor == 0 {
        return 0;
    }
    let scaled = u128::from(number) * u128::from(factor) / u128::from(divisor);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// How many times smaller: `7.9`, or nothing where nothing was sent.
pub fn ratio(raw_bytes: u64, sent_bytes: u64) -> Option<String> {
    (sent_bytes > 0).then(|| {
        let tenths = scale(raw_bytes, 10, sent_bytes);
        format!("{}.{}", tenths / 10, tenths % 10)
    })
}

/// Four decimals of a dollar.
pub fn money(nano_dollars: u64) -> String {
    const UNIT: u64 = 1_000_000_000;
    match nano_dollars {
        0..100_000 => "under $0.0001".to_owned(),
        _ => format!("${}.{:04}", count(nano_dollars / UNIT), nano_dollars % UNIT / 100_000),
    }
}

/// `2026-11-21T13:04:55.123Z`.
pub fn utc(unix_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    let (year, month, day) = date(unix_ms / DAY_MS);
    let of_day = unix_ms % DAY_MS;
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The civil date of a day since 1970-01-01. Years are counted from March, so that the leap
/// day is the last one of its year, in eras of 400 years = 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    const FROM_YEAR_0: u64 = 719_468;
    let shifted = days + FROM_YEAR_0;
    let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let leap_days = day_of_era / 1_460;
    let year_of_era =
        (day_of_era - leap_days + day_of_era / 36_524 - day_of_era / (ERA_DAYS - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(number), expected);
        }
        assert_eq!([counted(0, "row"), counted(1, "row")], ["0 rows", "1 row"]);
    }

    #[test]
    fn sizes() {
        for (number, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (9_999, "9.9 kB"),
            (10_000, "10 kB"),
            (999_999, "999 kB"),
            (1_500_000, "1.5 MB"),
            (2_000_000_000, "2.0 GB"),
            (u64::MAX, "18,446,744 TB"),
        ] {
            assert_eq!(bytes(number), expected);
        }
    }

    #[test]
    fn durations() {
        for (milliseconds, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (9_999, "9.9 s"),
            (59_999, "59 s"),
            (60_000, "1 min 00 s"),
            (3_599_999, "59 min 59 s"),
            (3_600_000, "1 h 00 min"),
            (90_060_000, "25 h 01 min"),
        ] {
            assert_eq!(duration(milliseconds), expected);
        }
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!(per_second(1_000, 0), 0);
        assert_eq!(per_second(1_000, 500), 2_000);
        assert_eq!(per_second(u64::MAX, 1), u64::MAX);
        assert_eq!([percent(1, 3), percent(3, 3), percent(1, 0)], [33, 100, 0]);
        assert_eq!(ratio(79, 10).as_deref(), Some("7.9"));
        assert_eq!(ratio(5, 10).as_deref(), Some("0.5"));
        assert_eq!(ratio(5, 0), None);
    }

    /// Expected: `date -u -d @SECONDS +%FT%T`.
    #[test]
    fn times() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_767_225_599_000, "2025-12-31T23:59:59.000Z"),
            (1_767_225_600_001, "2026-01-01T00:00:00.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(milliseconds), expected);
        }
    }
}
