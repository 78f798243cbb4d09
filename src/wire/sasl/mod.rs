//! Logins as SASL mechanisms have them, without I/O: bytes to say, bytes heard.
//!
//! ```text
//! SaslHandshake      the mechanism's name ──>        <── those that the broker offers
//! SaslAuthenticate   what we say          ──>        <── what it says      once or twice
//!
//! PLAIN           \0 user \0 password                    nothing
//! SCRAM-SHA-…     n,,n=user,r=nonce                      r=…,s=salt,i=rounds
//!                 c=biws,r=…,p=proof                     v=signature
//! AWS_MSK_IAM     a presigned request as JSON            JSON
//! ```

pub mod msk_iam;
pub mod scram;

use std::fmt;

use self::scram::{BadScram, Hash, Scram};
use crate::settings::{Password, SaslMechanism};

/// One login, from its first word to its end.
#[derive(Debug)]
pub enum Conversation {
    /// All is said in the first word; what is heard does not matter.
    Single(Word),
    Scram(Box<Scram>),
}

/// What is said: no log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Word(Vec<u8>);

/// What comes after something was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    Say(Word),
    Done,
}

impl Conversation {
    pub fn plain(login: &Password) -> Conversation {
        let Password { username, password } = login;
        Conversation::Single(Word::new(
            [b"\0", username.as_bytes(), b"\0", password.reveal().as_bytes()].concat(),
        ))
    }

    pub fn scram(hash: Hash, login: &Password, nonce: &[u8]) -> Conversation {
        Conversation::Scram(Box::new(Scram::new(hash, login, nonce)))
    }

    pub fn first(&self) -> Word {
        match self {
            Conversation::Single(word) => word.clone(),
            Conversation::Scram(scram) => scram.first(),
        }
    }

    pub fn hear(&mut self, heard: &[u8]) -> Result<Turn, BadScram> {
        match self {
            Conversation::Single(_) => Ok(Turn::Done),
            Conversation::Scram(scram) => scram.hear(heard),
        }
    }
}

impl Word {
    pub fn new(bytes: Vec<u8>) -> Word {
        Word(bytes)
    }

    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The name that brokers know a mechanism by.
pub fn name(mechanism: &SaslMechanism) -> &'static str {
    match mechanism {
        SaslMechanism::Plain(_) => "PLAIN",
        SaslMechanism::Scram(Hash::Sha256, _) => "SCRAM-SHA-256",
        SaslMechanism::Scram(Hash::Sha512, _) => "SCRAM-SHA-512",
        SaslMechanism::AwsMskIam => "AWS_MSK_IAM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    #[test]
    fn plain_says_all_at_once() {
        let login = Password { username: "me".into(), password: Secret::new("h\u{fc}sh".into()) };
        let mut plain = Conversation::plain(&login);
        assert_eq!(plain.first().reveal(), "\0me\0h\u{fc}sh".as_bytes());
        assert_eq!(plain.hear(b""), Ok(Turn::Done));
        assert!(!format!("{plain:?}").contains("me"));
    }
}
