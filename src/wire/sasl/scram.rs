//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677), the client's side.
//!
//! ```text
//! client-first   n,,n=user,r=OURS
//! server-first   r=OURS+THEIRS,s=salt,i=rounds
//! client-final   c=biws,r=OURS+THEIRS,p=proof
//! server-final   v=signature
//!
//! salted    = PBKDF2(password, salt, rounds)
//! message   = client-first without "n,,"  ","  server-first  ","  client-final without ",p=…"
//! key       = HMAC(salted, "Client Key")
//! proof     = key XOR HMAC(H(key), message)
//! signature = HMAC(HMAC(salted, "Server Key"), message)
//! ```
//! The server proves with the signature that it knows the password too. Names and passwords go
//! as they are, as Kafka's own client sends them: no `SASLprep`.

use std::fmt;

use sha2::{Digest, Sha256, Sha512};

use super::{Turn, Word};
use crate::limits::{SCRAM_ROUNDS_MAX, SCRAM_ROUNDS_MIN, SCRAM_SALT_BYTES_MAX};
use crate::settings::{Password, Secret};
use crate::wire::record::base64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha512,
}

#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    password: Secret,
    nonce: String,
    /// The first message without its head.
    bare: String,
    /// Once the proof is sent: what the server must answer.
    signature: Option<Signature>,
}

/// Why the server's words can not be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadScram {
    /// Not of the form that the RFC has.
    Form,
    /// It does not continue our nonce.
    Nonce,
    Rounds {
        asked: u64,
    },
    /// It does not know the password.
    Signature,
    /// It said `e=`, with this word.
    Refused(String),
}

impl Scram {
    /// `nonce`: random bytes.
    pub fn new(hash: Hash, login: &Password, nonce: &[u8]) -> Scram {
        let mut digits = Vec::new();
        base64::write(nonce, &mut digits);
        let nonce = String::from_utf8_lossy(&digits).into_owned();
        let name = login.username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        Scram { hash, password: login.password.clone(), nonce, bare, signature: None }
    }

    pub fn first(&self) -> Word {
        Word::new(format!("n,,{}", self.bare).into_bytes())
    }

    pub fn hear(&mut self, heard: &[u8]) -> Result<Turn, BadScram> {
        let heard = std::str::from_utf8(heard).map_err(|_| BadScram::Form)?;
        match &self.signature {
            None => self.prove(heard).map(Turn::Say),
            Some(expected) => check(expected, heard).map(|()| Turn::Done),
        }
    }

    fn prove(&mut self, server_first: &str) -> Result<Word, BadScram> {
        let Challenge { nonce, salt, rounds } = Challenge::parse(server_first)?;
        let theirs = nonce.strip_prefix(&self.nonce).ok_or(BadScram::Nonce)?;
        if theirs.is_empty() {
            return Err(BadScram::Nonce);
        }
        let hash = self.hash;
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{without_proof}", self.bare);
        let salted = hash.stretch(self.password.reveal().as_bytes(), &salt, rounds);
        let key = hash.mac(&salted, b"Client Key");
        let mask = hash.mac(&hash.digest(&key), message.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&mask).map(|(key, mask)| key ^ mask).collect();
        let server_key = hash.mac(&salted, b"Server Key");
        self.signature = Some(Signature(hash.mac(&server_key, message.as_bytes())));
        let mut word = format!("{without_proof},p=").into_bytes();
        base64::write(&proof, &mut word);
        Ok(Word::new(word))
    }
}

struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: u32,
}

impl Challenge<'_> {
    fn parse(text: &str) -> Result<Challenge<'_>, BadScram> {
        let mut parts = text.split(',');
        let mut part = |name: &str| {
            parts.next().and_then(|part| part.strip_prefix(name)).ok_or(BadScram::Form)
        };
        if let Some(word) = text.strip_prefix("e=") {
            return Err(refused(word));
        }
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        let salt = base64::read(salt).ok_or(BadScram::Form)?;
        if salt.is_empty() || salt.len() > SCRAM_SALT_BYTES_MAX {
            return Err(BadScram::Form);
        }
        let asked: u64 = rounds.parse().map_err(|_| BadScram::Form)?;
        let rounds = u32::try_from(asked).map_err(|_| BadScram::Rounds { asked })?;
        if !(SCRAM_ROUNDS_MIN..=SCRAM_ROUNDS_MAX).contains(&rounds) {
            return Err(BadScram::Rounds { asked });
        }
        Ok(Challenge { nonce, salt, rounds })
    }
}

fn check(expected: &Signature, server_final: &str) -> Result<(), BadScram> {
    if let Some(word) = server_final.strip_prefix("e=") {
        return Err(refused(word));
    }
    let said = server_final.split(',').next().and_then(|part| part.strip_prefix("v="));
    let said = said.and_then(base64::read).ok_or(BadScram::Form)?;
    if *expected == Signature(said) { Ok(()) } else { Err(BadScram::Signature) }
}

fn refused(word: &str) -> BadScram {
    const SHOWN_CHARS_MAX: usize = 100;
    let shown = word.chars().filter(|letter| !letter.is_control()).take(SHOWN_CHARS_MAX);
    BadScram::Refused(shown.collect())
}

struct Signature(Vec<u8>);

impl PartialEq for Signature {
    /// Takes as long for one that is nearly right.
    fn eq(&self, other: &Signature) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        self.0.len() == other.0.len() && differing == 0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Display for BadScram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadScram::Form => f.write_str("what it says is no SCRAM"),
            BadScram::Nonce => f.write_str("it answers another login than this one"),
            BadScram::Rounds { asked } => write!(
                f,
                "it asks for {asked} rounds, {SCRAM_ROUNDS_MIN} to {SCRAM_ROUNDS_MAX} are done here"
            ),
            BadScram::Signature => f.write_str("it can not prove that it knows the password"),
            BadScram::Refused(word) => write!(f, "it says: {word}"),
        }
    }
}

// --- HMAC (RFC 2104) and PBKDF2 (RFC 8018) ----------------------------------------------

impl Hash {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
            Hash::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Keyed::<Sha256>::new(key, SHA256_BLOCK_BYTES).mac(&[message]),
            Hash::Sha512 => Keyed::<Sha512>::new(key, SHA512_BLOCK_BYTES).mac(&[message]),
        }
    }

    /// PBKDF2 with one block of output.
    fn stretch(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        // Milliseconds of work tell a fuzzer nothing.
        let rounds = if cfg!(fuzzing) { 1 } else { rounds };
        match self {
            Hash::Sha256 => {
                Keyed::<Sha256>::new(password, SHA256_BLOCK_BYTES).stretch(salt, rounds)
            }
            Hash::Sha512 => {
                Keyed::<Sha512>::new(password, SHA512_BLOCK_BYTES).stretch(salt, rounds)
            }
        }
    }
}

const SHA256_BLOCK_BYTES: usize = 64;
const SHA512_BLOCK_BYTES: usize = 128;

/// HMAC with its key taken in already.
struct Keyed<D> {
    inner: D,
    outer: D,
}

impl<D: Digest + Clone> Keyed<D> {
    fn new(key: &[u8], block_bytes: usize) -> Keyed<D> {
        let mut block =
            if key.len() > block_bytes { D::digest(key).to_vec() } else { key.to_vec() };
        block.resize(block_bytes, 0);
        let padded = |pad: u8| {
            let block: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
            D::new().chain_update(block)
        };
        Keyed { inner: padded(0x36), outer: padded(0x5C) }
    }

    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        self.outer.clone().chain_update(inner.finalize()).finalize().to_vec()
    }

    fn stretch(&self, salt: &[u8], rounds: u32) -> Vec<u8> {
        let mut last = self.mac(&[salt, &1_u32.to_be_bytes()]);
        let mut all = last.clone();
        for _ in 1..rounds {
            last = self.mac(&[&last]);
            for (all, last) in all.iter_mut().zip(&last) {
                *all ^= last;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scram(hash: Hash, name: &str, password: &str, nonce: &str) -> Scram {
        let password = Secret::new(password.into());
        let mut scram = Scram::new(hash, &Password { username: name.into(), password }, b"");
        scram.nonce = nonce.into();
        scram.bare = format!("{}{nonce}", scram.bare);
        scram
    }

    fn say(turn: Result<Turn, BadScram>) -> String {
        match turn {
            Ok(Turn::Say(word)) => String::from_utf8(word.reveal().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    const CLIENT: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let mut scram = scram(Hash::Sha256, "user", "pencil", CLIENT);
        assert_eq!(scram.first().reveal(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            say(scram.hear(SERVER_FIRST.as_bytes())),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let last = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(scram.hear(last), Ok(Turn::Done));
        assert_eq!(
            scram.hear(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4"),
            Err(BadScram::Form)
        );
        assert_eq!(
            scram.hear(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
            Err(BadScram::Signature)
        );
        assert_eq!(scram.hear(b"v="), Err(BadScram::Signature));
        assert_eq!(scram.hear(b"e=invalid-proof"), Err(BadScram::Refused("invalid-proof".into())));
        assert!(!format!("{scram:?}").contains("pencil"));
    }

    /// RFC 4231 (HMAC, test cases 1 and 6) and RFC 7914 (PBKDF2); those of SHA-512 and the long
    /// login from Python's hashlib.
    #[test]
    fn the_parts() {
        let hex = |bytes: Vec<u8>| {
            let half: [u8; 16] = *bytes.first_chunk().unwrap();
            format!("{:032x}", u128::from_be_bytes(half))
        };
        let key = [0x0B; 20];
        let long = [0xAA; 131];
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        for (found, expected) in [
            (Hash::Sha256.mac(&key, b"Hi There"), "b0344c61d8db38535ca8afceaf0bf12b"),
            (Hash::Sha512.mac(&key, b"Hi There"), "87aa7cdea5ef619d4ff0b4241a1d6cb0"),
            (Hash::Sha256.mac(&long, text), "60e431591ee0b67f0d8a26aacbf5b77f"),
            (Hash::Sha512.mac(&long, text), "80b24263c7c1a3ebb71493c1dd7be8b4"),
            (Hash::Sha256.stretch(b"passwd", b"salt", 1), "55ac046e56e3089fec1691c22544b605"),
            (
                Hash::Sha256.stretch(b"Password", b"NaCl", 80_000),
                "4ddcd8f60b98be21830cee5ef22701f9",
            ),
            (Hash::Sha512.stretch(b"pencil", b"salt", 4096), "2cfe3a1c151662b1ea49d13f595674a1"),
        ] {
            assert_eq!(hex(found), expected);
        }
    }

    #[test]
    fn names_are_escaped_and_passwords_go_as_utf8() {
        let odd = scram(Hash::Sha512, "a=b,c", "x", "n");
        assert_eq!(odd.first().reveal(), b"n,,n=a=3Db=2Cc,r=n");
        let mut utf8 = scram(Hash::Sha512, "user", "m\u{e4}rker-s\u{20ac}cret", "abc");
        assert_eq!(
            say(utf8.hear(b"r=abcdef,s=c2FsdHNhbHQ=,i=8192")),
            "c=biws,r=abcdef,p=iG3m4bsiQSQk5sTwEN7TqnRdtQXg7Ua4IWrFKyeeX4BCTqFa3OPNyfDq5VzfMD+rSwJLYUmGmAWCYzRrA/JGLw=="
        );
        assert_eq!(utf8.hear(b"v=tBdd1qar+jiuaT4IewU1hpJqqACFbXG0diGiLFtwZfJbSVmRWqdtKpogSenESItGdJJtb27SttvsiQB1Hkmp3w=="), Ok(Turn::Done));
    }

    #[test]
    fn what_a_server_may_not_say() {
        let nonce = |rest: &str| format!("r={CLIENT}{rest}");
        let cases = [
            (String::new(), BadScram::Form),
            ("r=other,s=c2FsdA==,i=4096".into(), BadScram::Nonce),
            (nonce(",s=c2FsdA==,i=4096"), BadScram::Nonce),
            (nonce("x,s=c2FsdA==,i=4095"), BadScram::Rounds { asked: 4095 }),
            (nonce("x,s=c2FsdA==,i=4294967296"), BadScram::Rounds { asked: 1 << 32 }),
            (nonce("x,s=c2FsdA==,i=many"), BadScram::Form),
            (nonce("x,s=c2FsdA=,i=4096"), BadScram::Form),
            (nonce("x,s=,i=4096"), BadScram::Form),
            (nonce("x,i=4096"), BadScram::Form),
            (format!("m=ext,{}", nonce("x,s=c2FsdA==,i=4096")), BadScram::Form),
            ("e=unknown-user".into(), BadScram::Refused("unknown-user".into())),
        ];
        for (heard, expected) in cases {
            let mut scram = scram(Hash::Sha256, "user", "pencil", CLIENT);
            assert_eq!(scram.hear(heard.as_bytes()), Err(expected), "{heard}");
        }
        let mut scram = scram(Hash::Sha256, "user", "pencil", CLIENT);
        assert_eq!(scram.hear(&[0xFF]), Err(BadScram::Form));
    }

    proptest::proptest! {
        #[test]
        fn noise_is_refused(noise in ".{0,80}", rest in "[a-z0-9=,+/]{0,60}") {
            let mut scram = scram(Hash::Sha256, "user", "pencil", CLIENT);
            proptest::prop_assert!(scram.hear(noise.as_bytes()).is_err());
            let near = format!("r={CLIENT}{rest}");
            if let Ok(turn) = scram.hear(near.as_bytes()) {
                proptest::prop_assert!(matches!(turn, Turn::Say(_)));
            }
        }
    }
}
