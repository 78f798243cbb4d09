//! The nearest known name of one that is not known.

/// The known name that differs least from `name`, if it is near enough to be meant.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let name: Vec<char> = name.chars().collect();
    let far = if name.len() <= 6 { 1 } else { 2 + name.len() / 16 };
    known
        .filter_map(|known| Some((edits(&name, &known, far)?, known)))
        .min()
        .map(|(_, known)| known)
}

/// How many characters must be put in, taken out or changed (Levenshtein), case aside; `None`
/// if they are more than `far`.
fn edits(one: &[char], other: &str, far: usize) -> Option<usize> {
    // Each character that one has more is a change by itself.
    if one.len().abs_diff(other.chars().count()) > far {
        return None;
    }
    // How many it takes from what was read of `one` to each beginning of `other`.
    let mut row: Vec<usize> = (1..=other.chars().count()).collect();
    for (index, letter) in one.iter().enumerate() {
        let (mut diagonal, mut left) = (index, index + 1);
        let mut least = left;
        for (above, with) in row.iter_mut().zip(other.chars()) {
            let changed = diagonal + usize::from(!letter.eq_ignore_ascii_case(&with));
            diagonal = *above;
            left = changed.min(diagonal + 1).min(left + 1);
            least = least.min(left);
            *above = left;
        }
        if least > far {
            return None;
        }
    }
    Some(row.last().copied().unwrap_or(one.len())).filter(|edits| *edits <= far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("topic", "TOPIC", 0),
            ("topic", "topics", 1),
            ("topic", "tpoic", 2),
            ("kitten", "sitting", 3),
        ] {
            let one: Vec<char> = one.chars().collect();
            assert_eq!(edits(&one, other, expected), Some(expected), "{one:?} {other}");
            assert_eq!(edits(&one, other, 9), Some(expected), "{one:?} {other}");
            if let Some(fewer) = expected.checked_sub(1) {
                assert_eq!(edits(&one, other, fewer), None, "{one:?} {other}");
            }
        }
    }

    #[test]
    fn only_what_is_near_is_named() {
        let known = ["KAFKA_TOPIC", "KAFKA_BOOTSTRAP_SERVERS", "S3_KEY"];
        for (name, expected) in [
            ("KAFKA_TOPICS", Some("KAFKA_TOPIC")),
            ("KAFKA_BOOTSTRAP_SERVER", Some("KAFKA_BOOTSTRAP_SERVERS")),
            ("S3_KEYS", Some("S3_KEY")),
            ("S3_URI", None),
            ("KAFKA_PORT", None),
            ("KAFKA_SERVICE_HOST", None),
        ] {
            let found = nearest(name, known.iter().map(|&name| name.to_owned()));
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }
}
