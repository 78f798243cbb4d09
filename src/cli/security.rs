//! How brokers are spoken to: the protocol, and the certificates and keys that it needs.
//!
//! ```text
//! PLAINTEXT        nothing
//! SSL              KAFKA_SSL_…, all of them optional
//! SASL_PLAINTEXT   KAFKA_SASL_MECHANISM, and what that needs
//! SASL_SSL         both
//! ```
//! A setting that the protocol has no use for is a problem: somebody believes that it works.

use std::net::IpAddr;

use super::given::{Value, Values};
use super::shown;
use crate::limits::LOGIN_BYTES_MAX;
use crate::settings::{
    ClientCertificate, KafkaSecurity, KafkaTls, Login, Password, SaslMechanism, Secret, Server,
};
use crate::wire::pem::{BadPem, Certificates, PrivateKey};
use crate::wire::sasl::scram::Hash;
use crate::wire::secrets_manager::SecretArn;

/// Reads a small file whole, or says in words why not.
type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

const TLS_SETTINGS: [&str; 6] = [
    "KAFKA_SSL_CA_FILE",
    "KAFKA_SSL_CA_PEM",
    "KAFKA_SSL_CERT_FILE",
    "KAFKA_SSL_CERT_PEM",
    "KAFKA_SSL_KEY_FILE",
    "KAFKA_SSL_KEY_PEM",
];

const SASL_SETTINGS: [&str; 4] =
    ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_SASL_SECRET_ARN"];

/// `None`: there is a problem.
pub(super) fn security(
    values: &mut Values,
    servers: Option<&[Server]>,
    read_file: ReadFile<'_>,
) -> Option<KafkaSecurity> {
    let protocol = shown(&values.text_or_default("KAFKA_SECURITY_PROTOCOL"));
    let with_tls = protocol.ends_with("SSL");
    let problems_before = values.problems().len();
    if !with_tls {
        refuse_unused(values, &TLS_SETTINGS, &format!("{protocol} has no TLS"));
        warn_of_plaintext(values, &protocol, servers.unwrap_or_default());
    }
    let tls = if with_tls { Some(tls(values, read_file)) } else { None };
    let login = if protocol.starts_with("SASL") {
        login(values, &protocol)
    } else {
        refuse_unused(values, &SASL_SETTINGS, &format!("{protocol} has no login"));
        None
    };
    (values.problems().len() == problems_before).then_some(KafkaSecurity { tls, login })
}

/// `None`: there is a problem.
fn login(values: &mut Values, protocol: &str) -> Option<SaslMechanism> {
    let Some(mechanism) = values.text("KAFKA_SASL_MECHANISM").map(shown) else {
        values.problem(format!(
            "KAFKA_SASL_MECHANISM is missing: KAFKA_SECURITY_PROTOCOL={protocol} needs PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or AWS_MSK_IAM"
        ));
        return None;
    };
    if mechanism == "AWS_MSK_IAM" {
        refuse_unused(
            values,
            &SASL_SETTINGS[1..],
            &format!("{protocol} with KAFKA_SASL_MECHANISM=AWS_MSK_IAM takes the AWS credentials"),
        );
        if protocol == "SASL_PLAINTEXT" {
            values.problem("KAFKA_SASL_MECHANISM=AWS_MSK_IAM needs KAFKA_SECURITY_PROTOCOL=SASL_SSL: MSK takes it over TLS only");
        }
        return Some(SaslMechanism::AwsMskIam);
    }
    let login = match values.get("KAFKA_SASL_SECRET_ARN").cloned() {
        Some(arn) => Login::Secret(secret(values, &arn)?),
        None => Login::Password(password(values, &mechanism)?),
    };
    Some(match mechanism.as_str() {
        "PLAIN" => SaslMechanism::Plain(login),
        "SCRAM-SHA-256" => SaslMechanism::Scram(Hash::Sha256, login),
        _ => SaslMechanism::Scram(Hash::Sha512, login),
    })
}

/// Name and password are both in it.
fn secret(values: &mut Values, arn: &Value) -> Option<SecretArn> {
    for name in ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"] {
        if let Some(value) = values.get(name) {
            let (ours, theirs) = (value.origin.clone(), &arn.origin);
            values.problem(format!(
                "{ours} and {theirs} are both set; the secret holds name and password"
            ));
        }
    }
    let parsed = SecretArn::parse(&arn.text);
    if parsed.is_none() {
        values.problem(format!(
            "{}={} is not the ARN of a secret, like arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_loader-AbCdEf",
            arn.origin,
            shown(&arn.text)
        ));
    }
    parsed
}

fn password(values: &mut Values, mechanism: &str) -> Option<Password> {
    for name in ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"] {
        let Some(value) = values.get(name).cloned() else {
            if !values.is_refused(name) {
                values.problem(format!("{name} is missing: KAFKA_SASL_MECHANISM={mechanism} needs it, or KAFKA_SASL_SECRET_ARN"));
            }
            continue;
        };
        let origin = value.origin;
        if value.text.len() > LOGIN_BYTES_MAX || value.text.contains('\0') {
            values.problem(format!("{origin}: takes at most {LOGIN_BYTES_MAX} bytes, without NUL"));
        } else if name == "KAFKA_SASL_USERNAME" && mechanism != "PLAIN" && !value.text.is_ascii() {
            values.problem(format!("{origin}: {mechanism} takes a name in ASCII"));
        }
    }
    let username = values.text("KAFKA_SASL_USERNAME")?.to_owned();
    let password = Secret::new(values.text("KAFKA_SASL_PASSWORD")?.to_owned());
    Some(Password { username, password })
}

fn tls(values: &mut Values, read_file: ReadFile<'_>) -> KafkaTls {
    let roots =
        pem(values, ["KAFKA_SSL_CA_FILE", "KAFKA_SSL_CA_PEM"], read_file, Certificates::parse);
    let chain =
        pem(values, ["KAFKA_SSL_CERT_FILE", "KAFKA_SSL_CERT_PEM"], read_file, Certificates::parse);
    let key =
        pem(values, ["KAFKA_SSL_KEY_FILE", "KAFKA_SSL_KEY_PEM"], read_file, PrivateKey::parse);
    let has = |names: [&str; 2]| names.into_iter().any(|name| values.get(name).is_some());
    let has_chain = has(["KAFKA_SSL_CERT_FILE", "KAFKA_SSL_CERT_PEM"]);
    let has_key = has(["KAFKA_SSL_KEY_FILE", "KAFKA_SSL_KEY_PEM"]);
    if has_chain && !has_key {
        values.problem("the certificate's private key is missing: set KAFKA_SSL_KEY_FILE, or KAFKA_SSL_KEY_PEM");
    }
    if has_key && !has_chain {
        values.problem("the private key's certificate is missing: set KAFKA_SSL_CERT_FILE, or KAFKA_SSL_CERT_PEM");
    }
    let client = match (chain, key) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain, key }),
        _ => None,
    };
    KafkaTls { roots, client }
}

/// What a file holds, or the text itself.
fn pem<T>(
    values: &mut Values,
    [file, text]: [&str; 2],
    read_file: ReadFile<'_>,
    parse: fn(&[u8]) -> Result<T, BadPem>,
) -> Option<T> {
    let given = [values.get(file).cloned(), values.get(text).cloned()];
    let (origin, bytes) = match given {
        [None, None] => return None,
        [Some(file), Some(text)] => {
            values.problem(format!(
                "{} and {} are both set; one of them is enough",
                file.origin, text.origin
            ));
            return None;
        }
        [None, Some(Value { text, origin, .. })] => (origin, text.into_bytes()),
        // A key in a message would be no secret any more.
        [Some(Value { text: path, origin, .. }), None] if path.contains("-----BEGIN ") => {
            values.problem(format!(
                "{origin} takes a path, and is given the text itself; set {text} to it instead"
            ));
            return None;
        }
        [Some(Value { text: path, origin, .. }), None] => {
            let origin = format!("{origin}={}", shown(&path));
            match read_file(&path) {
                Ok(bytes) => (origin, bytes),
                Err(problem) => {
                    values.problem(format!("{origin}: {problem}"));
                    return None;
                }
            }
        }
    };
    match parse(&bytes) {
        Ok(parsed) => Some(parsed),
        Err(bad) => {
            values.problem(format!("{origin}: {bad}"));
            None
        }
    }
}

fn refuse_unused(values: &mut Values, names: &[&str], why: &str) {
    for name in names {
        if let Some(value) = values.get(name) {
            let origin = value.origin.clone();
            values.problem(format!("{origin} is set, but KAFKA_SECURITY_PROTOCOL={why}"));
        }
    }
}

fn warn_of_plaintext(values: &mut Values, protocol: &str, servers: &[Server]) {
    if let Some(server) = servers.iter().find(|server| !is_loopback(&server.host)) {
        let (what, with_tls) = if protocol == "PLAINTEXT" {
            ("rows go", "SSL")
        } else {
            ("login and rows go", "SASL_SSL")
        };
        values.warn(format!(
            "{what} to {} in plain text, for everybody on the way to read; KAFKA_SECURITY_PROTOCOL={with_tls} encrypts them",
            shown(&server.to_string())
        ));
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_on_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("kafka", false),
            ("10.0.0.1", false),
            ("127.0.0.1.example.com", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
