//! The nearest known name of one that is not known.

/// The known name that differs least from `name`, if it is near enough to be meant.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let length = name.chars().count();
    let far = if length <= 6 { 1 } else { 2 + length / 16 };
    known
        .map(|known| (edits(name, &known), known))
        .filter(|(edits, _)| *edits <= far)
        .min()
        .map(|(_, known)| known)
}

/// How many characters must be put in, taken out or changed (Levenshtein), case aside.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_ascii_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.to_ascii_lowercase().chars().enumerate() {
        let mut next = vec![index + 1];
        for (column, (with, pair)) in other.iter().zip(row.windows(2)).enumerate() {
            let &[diagonal, above] = pair else { continue };
            let changed = diagonal + usize::from(letter != *with);
            let left = next.get(column).map_or(usize::MAX, |left| left + 1);
            next.push(changed.min(above + 1).min(left));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
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
            assert_eq!(edits(one, other), expected, "{one} {other}");
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
