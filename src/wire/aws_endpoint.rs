//! The hosts of AWS: service, region, and which of its variants (FIPS, dual stack).
//!
//! ```text
//! dynamodb      .eu-west-1.amazonaws.com        s3          .eu-west-1.amazonaws.com
//! dynamodb-fips .eu-west-1.amazonaws.com        s3-fips     .eu-west-1.amazonaws.com
//! dynamodb      .eu-west-1.api.aws              s3.dualstack.eu-west-1.amazonaws.com
//! ```
//!
//! The plain hosts of the US government's regions are FIPS already for some services, and have
//! no `-fips` beside them.

/// What `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    pub fips: bool,
    pub dual_stack: bool,
}

/// The URL of a service, without a slash at its end; not for S3, which addresses buckets.
pub fn url(service: &str, region: &str, variant: Variant) -> String {
    let Variant { fips, dual_stack } = variant;
    let (domain, dual_stack_domain) = domains(region);
    let gov = region.starts_with("us-gov-");
    let plain = match service {
        "dynamodb" | "sts" => gov && !dual_stack,
        "monitoring" => gov,
        _ => false,
    };
    // Its plain hosts have addresses of both families, and no others beside them.
    let has_both = service == "secretsmanager"
        && match partition(region) {
            "aws" | "aws-us-gov" => true,
            "aws-cn" => !fips,
            _ => false,
        };
    let suffix = if fips && !plain { "-fips" } else { "" };
    let domain = if dual_stack && !has_both { dual_stack_domain } else { domain };
    format!("https://{service}{suffix}.{region}.{domain}")
}

/// The host of S3 without a bucket.
pub fn s3_host(region: &str, variant: Variant) -> String {
    let (domain, _) = domains(region);
    let service = if variant.fips { "s3-fips" } else { "s3" };
    let dual_stack = if variant.dual_stack { ".dualstack" } else { "" };
    format!("{service}{dual_stack}.{region}.{domain}")
}

/// A URL without a path, a query and a user, and without the slash at its end.
pub fn endpoint(text: &str) -> Option<&str> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let is_good = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) && host.is_ascii();
    is_good.then_some(url)
}

/// The name of a region: it becomes a part of host names.
pub fn is_region(name: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= 32 && name.bytes().all(letters)
}

/// How ARNs call the partition of AWS that the region belongs to.
pub fn partition(region: &str) -> &'static str {
    let of = |prefix: &str| region.starts_with(prefix);
    match region {
        _ if of("cn-") => "aws-cn",
        _ if of("us-gov-") => "aws-us-gov",
        _ if of("us-iso-") => "aws-iso",
        _ if of("us-isob-") => "aws-iso-b",
        _ if of("us-isof-") => "aws-iso-f",
        _ if of("eu-isoe-") => "aws-iso-e",
        _ if of("eusc-") => "aws-eusc",
        _ => "aws",
    }
}

/// The domains of the partition of AWS that the region belongs to, plain and dual stack.
fn domains(region: &str) -> (&'static str, &'static str) {
    let of = |prefix: &str| region.starts_with(prefix);
    match region {
        _ if of("cn-") => ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
        _ if of("us-iso-") => ("c2s.ic.gov", "api.aws.ic.gov"),
        _ if of("us-isob-") => ("sc2s.sgov.gov", "api.aws.scloud"),
        _ if of("us-isof-") => ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        _ if of("eu-isoe-") => ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
        _ if of("eusc-") => ("amazonaws.eu", "api.amazonwebservices.eu"),
        _ => ("amazonaws.com", "api.aws"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolved by botocore 1.43.106: service, region, FIPS, dual stack, URL.
    const GOLDEN: &str = include_str!("aws_endpoint_golden.txt");

    #[test]
    fn endpoints_are_those_of_botocore() {
        let mut lines = 0;
        for line in GOLDEN.lines() {
            let [service, region, fips, dual_stack, expected] =
                line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let variant = Variant { fips: fips == "fips", dual_stack: dual_stack == "dual" };
            let found = match service {
                "s3" => format!("https://b-1.{}", s3_host(region, variant)),
                service => url(service, region, variant),
            };
            assert_eq!(found, expected, "{line}");
            lines += 1;
        }
        assert!(lines > 100, "{lines}");
    }

    #[test]
    fn partitions_are_those_of_arns() {
        for (region, expected) in [
            ("eu-west-1", "aws"),
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(partition(region), expected, "{region}");
        }
    }

    #[test]
    fn endpoints_of_ones_own() {
        for (text, expected) in [
            ("http://a:1/", Some("http://a:1")),
            ("https://a", Some("https://a")),
            ("https://", None),
            ("a:1", None),
            ("http://a/path", None),
            ("http://hush@a", None),
            ("http://a?b", None),
        ] {
            assert_eq!(endpoint(text), expected, "{text}");
        }
    }

    #[test]
    fn names_of_regions() {
        for (name, expected) in [
            ("eu-central-1", true),
            ("", false),
            ("evil.example/", false),
            ("EU", false),
            (&"a".repeat(33), false),
        ] {
            assert_eq!(is_region(name), expected, "{name}");
        }
    }
}
