//! Certificates and private keys as PEM text, and the names of what is none.
//!
//! ```text
//! -----BEGIN CERTIFICATE-----       any number of these, in order
//! MIIDBz…                           base64 of DER
//! -----END CERTIFICATE-----
//! -----BEGIN PRIVATE KEY-----       one of these: PKCS#8; also RSA PRIVATE KEY (PKCS#1)
//! …                                 and EC PRIVATE KEY (SEC1)
//! ```
//! Other kinds of blocks, and text between them, are passed over, as OpenSSL does. Keystores
//! and encrypted keys are named with the command that converts them.

use std::fmt;

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::limits::CERTIFICATES_MAX;

/// One certificate or more, in the order of the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificates(Vec<CertificateDer<'static>>);

/// A private key; no log and no message shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    kind: KeyKind,
    der: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Pkcs1,
    Pkcs8,
    Sec1,
}

/// Why a text holds nothing that can be used. The wording says what converts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadPem {
    Jks,
    Pkcs12,
    /// DER, perhaps of the right thing.
    Binary,
    EncryptedKey,
    NoCertificate,
    NoKey,
    TooManyCertificates,
    /// A block that is cut short or no base64; the library's words, which show nothing of it.
    Garbled(String),
}

impl Certificates {
    pub fn parse(bytes: &[u8]) -> Result<Certificates, BadPem> {
        let mut found = Vec::new();
        for section in sections(bytes)? {
            if let (SectionKind::Certificate, der) = section {
                if found.len() == CERTIFICATES_MAX {
                    return Err(BadPem::TooManyCertificates);
                }
                found.push(CertificateDer::from(der));
            }
        }
        if found.is_empty() { Err(BadPem::NoCertificate) } else { Ok(Certificates(found)) }
    }

    pub fn as_der(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

impl PrivateKey {
    /// The first key of the text; certificates may stand beside it.
    pub fn parse(bytes: &[u8]) -> Result<PrivateKey, BadPem> {
        if is_encrypted(bytes) {
            return Err(BadPem::EncryptedKey);
        }
        for (kind, der) in sections(bytes)? {
            let kind = match kind {
                SectionKind::PrivateKey => KeyKind::Pkcs8,
                SectionKind::RsaPrivateKey => KeyKind::Pkcs1,
                SectionKind::EcPrivateKey => KeyKind::Sec1,
                _ => continue,
            };
            return Ok(PrivateKey { kind, der });
        }
        Err(BadPem::NoKey)
    }

    pub fn to_der(&self) -> PrivateKeyDer<'static> {
        let der = self.der.clone();
        match self.kind {
            KeyKind::Pkcs1 => PrivateKeyDer::Pkcs1(der.into()),
            KeyKind::Pkcs8 => PrivateKeyDer::Pkcs8(der.into()),
            KeyKind::Sec1 => PrivateKeyDer::Sec1(der.into()),
        }
    }
}

type Sections = Vec<(SectionKind, Vec<u8>)>;

const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

fn sections(bytes: &[u8]) -> Result<Sections, BadPem> {
    if let Some(bad) = binary(bytes) {
        return Err(bad);
    }
    let mut text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    // Text that had to go through one line, as variables often do. No block holds a backslash,
    // so it does not matter whether there are true line ends too.
    let unfolded;
    if text.windows(2).any(|two| two == b"\\n") {
        unfolded = String::from_utf8_lossy(text).replace("\\r", "").replace("\\n", "\n");
        text = unfolded.as_bytes();
    }
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text)
        .collect::<Result<Sections, _>>()
        .map_err(|why| BadPem::Garbled(words(&why)))
}

/// The library shows the very line that it can not read, which might be part of a key.
fn words(why: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match why {
        Error::MissingSectionEnd { .. } => "a block has no end".into(),
        Error::IllegalSectionStart { .. } => "a block begins with no BEGIN line".into(),
        _ => "a block is no base64".into(),
    }
}

fn binary(bytes: &[u8]) -> Option<BadPem> {
    match bytes {
        [0xFE, 0xED, 0xFE, 0xED, ..] | [0xCE, 0xCE, 0xCE, 0xCE, ..] => Some(BadPem::Jks),
        // A sequence that begins with version 3: no certificate and no key does.
        [0x30, 0x80, 2, 1, 3, ..]
        | [0x30, 0x80 | 0x81, _, 2, 1, 3, ..]
        | [0x30, 0x82, _, _, 2, 1, 3, ..]
        | [0x30, 0x83, _, _, _, 2, 1, 3, ..] => Some(BadPem::Pkcs12),
        [0x30, 0x80..=0x83, ..] => Some(BadPem::Binary),
        _ => None,
    }
}

fn is_encrypted(bytes: &[u8]) -> bool {
    let has = |words: &[u8]| bytes.windows(words.len()).any(|window| window == words);
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

impl fmt::Display for BadPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPem::Jks => f.write_str(
                "a Java keystore (JKS), where PEM is taken; convert it: keytool -importkeystore -srckeystore FILE -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12 -in store.p12 -nokeys -out certificates.pem, and openssl pkcs12 -in store.p12 -nocerts -nodes -out key.pem",
            ),
            BadPem::Pkcs12 => f.write_str(
                "a PKCS#12 keystore, where PEM is taken; convert it: openssl pkcs12 -in FILE -nokeys -out certificates.pem, and openssl pkcs12 -in FILE -nocerts -nodes -out key.pem",
            ),
            BadPem::Binary => f.write_str(
                "DER, where PEM is taken; convert it: openssl x509 -inform der -in FILE -out certificate.pem, or openssl pkey -inform der -in FILE -out key.pem",
            ),
            BadPem::EncryptedKey => f.write_str(
                "an encrypted key, and there is no setting for its password; decrypt it: openssl pkey -in FILE -out key.pem",
            ),
            BadPem::NoCertificate => f.write_str("no certificate is in it (-----BEGIN CERTIFICATE-----)"),
            BadPem::NoKey => f.write_str("no private key is in it (-----BEGIN PRIVATE KEY-----)"),
            BadPem::TooManyCertificates => {
                write!(f, "more than {CERTIFICATES_MAX} certificates are in it")
            }
            BadPem::Garbled(why) => write!(f, "it is no PEM: {why}"),
        }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} certificates)", self.0.len())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAMCAQI=\n-----END PRIVATE KEY-----\n";

    #[test]
    fn certificates_in_order() {
        let other = CERTIFICATE.replace("MAMCAQE=", "MAMCAQM=");
        let text = format!("subject=CN\n{CERTIFICATE}\n{KEY}{other}");
        let found = Certificates::parse(text.as_bytes()).unwrap();
        let last_bytes: Vec<u8> = found.as_der().iter().map(|der| der[4]).collect();
        assert_eq!(last_bytes, [1, 3]);
        let many = CERTIFICATE.repeat(CERTIFICATES_MAX + 1);
        assert_eq!(Certificates::parse(many.as_bytes()), Err(BadPem::TooManyCertificates));
    }

    /// What became of the line ends on the way, and what an editor puts before the first line.
    #[test]
    fn line_ends_of_every_kind() {
        let two = CERTIFICATE.repeat(2);
        for (name, text) in [
            ("CRLF", two.replace('\n', "\r\n")),
            ("CR", two.replace('\n', "\r")),
            ("one line", two.trim_end().replace('\n', "\\n")),
            ("one line of a file", two.replace('\n', "\\n") + "\n"),
            ("one line with CRLF", two.replace('\n', "\\r\\n")),
            ("a line each", format!("{}\n{CERTIFICATE}", CERTIFICATE.replace('\n', "\\n"))),
            ("byte order mark", format!("\u{feff}{two}")),
        ] {
            let found = Certificates::parse(text.as_bytes()).map(|found| found.as_der().len());
            assert_eq!(found, Ok(2), "{name}");
        }
    }

    #[test]
    fn keys_of_each_kind() {
        let rsa = KEY.replace("PRIVATE", "RSA PRIVATE");
        let ec = format!("{CERTIFICATE}{}", KEY.replace("PRIVATE", "EC PRIVATE"));
        for (text, kind) in [(KEY, KeyKind::Pkcs8), (&rsa, KeyKind::Pkcs1), (&ec, KeyKind::Sec1)] {
            let key = PrivateKey::parse(text.as_bytes()).unwrap();
            assert_eq!((key.kind, key.der.as_slice()), (kind, &[0x30, 3, 2, 1, 2][..]));
            assert_eq!(key.to_der().secret_der(), key.der);
            assert_eq!(format!("{key:?}"), "(secret)");
        }
    }

    #[test]
    fn what_is_no_pem_is_named() {
        let encrypted = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let old = KEY.replace("KEY-----\nM", "KEY-----\nProc-Type: 4,ENCRYPTED\n\nM");
        let cases: [(&[u8], BadPem); 11] = [
            (&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2], BadPem::Jks),
            (&[0x30, 0x82, 9, 9, 2, 1, 3, 0x30], BadPem::Pkcs12),
            (&[0x30, 0x83, 1, 9, 9, 2, 1, 3, 0x30], BadPem::Pkcs12),
            (&[0x30, 0x80, 2, 1, 3, 0x30], BadPem::Pkcs12),
            (&[0x30, 0x82, 3, 9, 0x30, 0x82], BadPem::Binary),
            (encrypted.as_bytes(), BadPem::EncryptedKey),
            (old.as_bytes(), BadPem::EncryptedKey),
            (CERTIFICATE.as_bytes(), BadPem::NoKey),
            (b"", BadPem::NoKey),
            (&KEY.as_bytes()[..40], BadPem::Garbled("a block has no end".into())),
            (
                b"-----BEGIN PRIVATE KEY-----\n!hush!\n-----END PRIVATE KEY-----\n",
                BadPem::Garbled("a block is no base64".into()),
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(PrivateKey::parse(bytes), Err(expected));
        }
        assert_eq!(Certificates::parse(KEY.as_bytes()), Err(BadPem::NoCertificate));
        let advice = [BadPem::Jks, BadPem::Pkcs12, BadPem::Binary, BadPem::EncryptedKey];
        assert!(advice.iter().all(|bad| bad.to_string().contains("openssl")));
    }
}
