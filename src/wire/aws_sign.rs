//! Signature version 4 of an HTTP request: `aws-sigv4` without the SDK around it.
//!
//! ```text
//! GET /bucket/a%20b.csv HTTP/1.1
//! range: bytes=5-
//! x-amz-content-sha256: e3b0c4…                                  S3 alone
//! x-amz-date: 20240229T235959Z
//! x-amz-security-token: …                                        temporary credentials
//! authorization: AWS4-HMAC-SHA256 Credential=…/20240229/eu-central-1/s3/aws4_request,
//!                SignedHeaders=host;range;…, Signature=…
//! ```

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningParams,
    SigningSettings, UriPathNormalizationMode, sign as sign_request,
};
use aws_sigv4::sign::v4;

/// What is to be signed. The host comes from the URL.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// For whom and when.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The name that the service has in signatures: `s3`, `dynamodb`, …
    pub service: &'a str,
    pub region: &'a str,
    /// Unix milliseconds.
    pub wall_ms: u64,
}

/// The request can not be signed; the library's words, which hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsignable(String);

impl fmt::Display for Unsignable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request can not be signed: {}", self.0)
    }
}

/// The headers to add to the request.
pub fn sign(
    request: &Unsigned<'_>,
    scope: &Scope<'_>,
    credentials: &Credentials,
) -> Result<Vec<(String, String)>, Unsignable> {
    let mut settings = SigningSettings::default();
    if scope.service == "s3" {
        // S3 takes keys byte for byte: `a//b`, `a/../b` and `a%2Fb` are three objects.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(UNIX_EPOCH + Duration::from_millis(scope.wall_ms))
        .settings(settings)
        .build()
        .map_err(|error| Unsignable(error.to_string()))?;
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new(
        request.method,
        request.url,
        headers,
        SignableBody::Bytes(request.body),
    )
    .map_err(|error| Unsignable(error.to_string()))?;
    let (instructions, _signature) = sign_request(signable, &SigningParams::V4(params))
        .map_err(|error| Unsignable(error.to_string()))?
        .into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Requests that botocore signed; each names its inputs and the headers that came out.
    const GOLDEN: &str = include_str!("aws_sign_golden.json");

    #[test]
    fn signs_as_botocore_does() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let cases = golden.as_array().unwrap();
        assert!(cases.len() >= 60, "{} cases", cases.len());
        for case in cases {
            let text = |name: &str| case[name].as_str().unwrap();
            let headers: Vec<(String, String)> = case["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            let credentials = Credentials::new(
                text("access_key"),
                text("secret_key"),
                case["token"].as_str().map(str::to_owned),
                None,
                "golden",
            );
            let request = Unsigned {
                method: text("method"),
                url: text("url"),
                headers: &headers,
                body: text("body").as_bytes(),
            };
            let scope = Scope {
                service: text("service"),
                region: text("region"),
                wall_ms: case["unix_seconds"].as_u64().unwrap() * 1_000,
            };
            let mut signed = sign(&request, &scope, &credentials).unwrap();
            signed.sort();
            let mut expected: Vec<(String, String)> = case["signed"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            expected.sort();
            assert_eq!(signed, expected, "{}", text("name"));
        }
    }

    #[test]
    fn what_can_not_be_signed_says_so_without_the_secret() {
        let credentials = Credentials::new("AKID", "hush-hush", None, None, "test");
        let request = Unsigned { method: "GET", url: "http://a b/", headers: &[], body: b"" };
        let scope = Scope { service: "s3", region: "us-east-1", wall_ms: 0 };
        let problem = sign(&request, &scope, &credentials).unwrap_err().to_string();
        assert!(problem.contains("can not be signed"), "{problem}");
        assert!(!problem.contains("hush"), "{problem}");
    }
}
