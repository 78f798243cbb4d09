//! A refusal by KMS, in the words of the service that asked it for a key.
//!
//! ```text
//! User: … is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:…
//! Access to KMS is not allowed
//! The ciphertext refers to a customer master key that does not exist, does not exist in this
//! region, or you are not allowed to access.
//! ```
//!
//! Names say nothing: a role, a bucket, a table may be called after KMS.

/// Words that stand for it where its own name does not.
const PHRASES: [&str; 3] =
    ["ciphertext refers to", "customer master key", "encryption credentials"];

/// Whether the key that something is encrypted with is what the message is about.
pub fn is_meant(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let is_kms = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match word.strip_prefix("arn:") {
            // The service is the second of its parts.
            Some(rest) => rest.split(':').nth(1) == Some("kms"),
            None => word == "kms" || word.starts_with("kms:"),
        }
    };
    PHRASES.iter().any(|phrase| message.contains(phrase))
        || message.split_ascii_whitespace().any(is_kms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_meant_and_not_a_name() {
        let denied = |action: &str, resource: &str| {
            format!(
                "User: arn:aws:sts::1:assumed-role/kms-loader/kms is not authorized to perform: {action} on resource: \"{resource}\" because no identity-based policy allows the {action} action"
            )
        };
        let cases = [
            (denied("kms:Decrypt", "arn:aws:kms:eu-west-1:1:key/k"), true),
            ("The key is gone: arn:aws:kms:eu-west-1:1:key/k.".into(), true),
            ("Access to KMS is not allowed".into(), true),
            ("The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.".into(), true),
            ("Inaccessible encryption credentials".into(), true),
            (denied("s3:GetObject", "arn:aws:s3:::kms/kms:a/kms.csv"), false),
            (denied("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:1:table/kms"), false),
            ("Access Denied".into(), false),
            (String::new(), false),
        ];
        for (message, expected) in cases {
            assert_eq!(is_meant(&message), expected, "{message}");
        }
    }
}
