//! Logging in: SASL over a connection whose broker has said what it offers.
//!
//! ```text
//! SaslHandshake 1       the mechanism      ──> 33: not this one, but these
//! SaslAuthenticate 0-1  word by word       ──> 58: refused; how long the login lasts
//! ```

use std::time::{Duration, Instant, SystemTime};

use crate::flow::ports::{Fault, Trouble};
use crate::limits::{LOGIN_TURNS_MAX, SESSION_MARGIN_PARTS};
use crate::port::secrets_manager::SecretLogin;
use crate::port::stream::Deadline;
use crate::settings::{self, Password, SaslMechanism};
use crate::stop::{Peer, Stop};
use crate::wire::kafka::answers::{self, Authenticated, Handshaken};
use crate::wire::kafka::errors::{is_final, show_error};
use crate::wire::kafka::requests::Ask;
use crate::wire::kafka::versions::{Offer, sasl};
use crate::wire::sasl::msk_iam::{self, region_of};
use crate::wire::sasl::{Conversation, Turn, Word, name};

use super::connection::{Failure, Link};
use super::security::{AwsLogin, Login};
use super::verdict;

const NONCE_BYTES: usize = 24;
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// When the login ends; `None`: with the connection.
pub(super) fn log_in(
    link: &mut Link,
    offers: &[Offer],
    login: &Login,
    deadline: Deadline,
) -> Result<Option<Instant>, Failure> {
    let mechanism = name(&login.mechanism);
    let Some((handshake, authenticate)) = sasl(offers) else {
        let problem =
            format!("the broker {} offers no login as Kafka 1.0 and later have it", link.server());
        return Err(refused(problem, "Use a newer broker, or KAFKA_SECURITY_PROTOCOL=SSL"));
    };
    let Begun { mut conversation, kept } = begin(link, login)?;
    link.exchange(&Ask::SaslHandshake { mechanism }, handshake, deadline)?;
    let answer = answers::sasl_handshake(link.frame(), handshake);
    let Handshaken { error_code, mechanisms } = answer.map_err(|bad| link.garbled(&bad))?;
    if error_code != 0 && !is_final(error_code) {
        return Err(not_now(link.server(), mechanism, error_code, None));
    }
    if error_code != 0 {
        let fault = verdict::no_mechanism(link.server(), mechanism, error_code, &mechanisms);
        return Err(final_failure(fault));
    }
    let mut word = conversation.first();
    // The broker counts from when it answers, which is later.
    let since = Instant::now();
    for _ in 0..LOGIN_TURNS_MAX {
        link.exchange(&Ask::SaslAuthenticate { word: &word }, authenticate, deadline)?;
        let answer = answers::sasl_authenticate(link.frame(), authenticate);
        let answer = answer.map_err(|bad| link.garbled(&bad))?;
        if answer.error_code != 0 && !is_final(answer.error_code) {
            let said = answer.error_message.as_deref();
            return Err(not_now(link.server(), mechanism, answer.error_code, said));
        }
        if answer.error_code != 0
            && let Some(secret) = kept
        {
            secret.forget();
            return Err(rotated(link.server(), mechanism));
        }
        if answer.error_code != 0 {
            return Err(final_failure(turned_away(link.server(), login, &answer)));
        }
        match conversation.hear(&answer.heard) {
            Ok(Turn::Say(next)) => word = next,
            Ok(Turn::Done) => return Ok(renewal(since, answer.session_lifetime_ms)),
            Err(bad) => {
                let fault = verdict::stranger(link.server(), mechanism, &bad);
                return Err(final_failure(fault));
            }
        }
    }
    let problem = format!("the login at {} ({mechanism}) has no end", link.server());
    Err(refused(problem, "Look into the broker's log for the reason"))
}

struct Begun<'a> {
    conversation: Conversation,
    /// The secret was fetched for an earlier login, and may have been replaced since.
    kept: Option<&'a SecretLogin>,
}

fn begin<'a>(link: &Link, login: &'a Login) -> Result<Begun<'a>, Failure> {
    let (conversation, kept) = match &login.mechanism {
        SaslMechanism::Plain(source) => {
            let (password, kept) = password(login, source)?;
            (Conversation::plain(&password), kept)
        }
        SaslMechanism::Scram(hash, source) => {
            let (password, kept) = password(login, source)?;
            let mut nonce = [0; NONCE_BYTES];
            getrandom::fill(&mut nonce).map_err(|why| Failure {
                fault: Fault::passing(format!("the system gives no randomness: {why}")),
                hung_up: false,
            })?;
            (Conversation::scram(*hash, &password, &nonce), kept)
        }
        SaslMechanism::AwsMskIam => (Conversation::Single(signed(link, login)?), None),
    };
    Ok(Begun { conversation, kept })
}

fn password<'a>(
    login: &'a Login,
    source: &settings::Login,
) -> Result<(Password, Option<&'a SecretLogin>), Failure> {
    match (source, &login.aws) {
        (settings::Login::Password(password), _) => Ok((password.clone(), None)),
        (settings::Login::Secret(_), Some(AwsLogin::Secret(secret))) => {
            let held = secret.current().map_err(|fault| Failure { fault, hung_up: false })?;
            Ok((held.password, (!held.is_fresh).then_some(secret)))
        }
        _ => unreachable!("a secret comes with what fetches it"),
    }
}

/// The next login is made with the secret as it is now.
fn rotated(server: &str, mechanism: &str) -> Failure {
    let problem = format!(
        "{server} does not take the login with {mechanism} any more; the secret is fetched again"
    );
    Failure { fault: Fault::passing(problem), hung_up: false }
}

/// The broker has its own trouble: nothing is said of the login.
fn not_now(server: &str, mechanism: &str, error_code: i16, said: Option<&str>) -> Failure {
    let said = said.map(|said| format!(": {}", verdict::quoted(said))).unwrap_or_default();
    let error = show_error(error_code);
    let problem = format!("{server} takes no login with {mechanism} now: {error}{said}");
    Failure { fault: Fault::passing(problem), hung_up: false }
}

/// The region in the broker's name first: it is the one that the signature must have.
fn signed(link: &Link, login: &Login) -> Result<Word, Failure> {
    let host = link.host();
    let Some(AwsLogin::Role { credentials, region }) = &login.aws else {
        unreachable!("the settings of AWS_MSK_IAM come with those of AWS")
    };
    let region = region_of(host).unwrap_or(region);
    let keys =
        credentials.current(Peer::Broker).map_err(|fault| Failure { fault, hung_up: false })?;
    // A clock before 1970 signs for 1970, and the broker's refusal says so.
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    let wall_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let unsigned = msk_iam::Login { host, region, user_agent: USER_AGENT, wall_ms };
    msk_iam::payload(&unsigned, &keys).map_err(|why| {
        refused(
            format!("the login at {} can not be signed: {why}", link.server()),
            "Mend KAFKA_BOOTSTRAP_SERVERS",
        )
    })
}

fn turned_away(server: &str, login: &Login, answer: &Authenticated) -> Fault {
    let said = verdict::quoted(answer.error_message.as_deref().unwrap_or("no reason given"));
    // MSK takes a few new IAM connections a second and says so in this way.
    if matches!(login.mechanism, SaslMechanism::AwsMskIam) && said.contains("Too many") {
        let problem = format!("{server} takes no more logins for now: {said}");
        return Fault::Passing(Trouble { problem, missing: None, pause_ms: 0 });
    }
    // A login lasts as long as the credentials, and those are about to end.
    if let Some(AwsLogin::Role { credentials, .. }) = &login.aws
        && said.contains("Session too short")
    {
        let problem =
            format!("{server} takes no login of credentials that are near their end: {said}");
        return credentials.expired(Peer::Broker, problem);
    }
    verdict::no_login(server, &login.mechanism, answer.error_code, &said)
}

/// Some time before the broker ends it, and never so early that nothing gets done.
pub(super) fn renewal(since: Instant, lifetime_ms: u64) -> Option<Instant> {
    if lifetime_ms == 0 {
        return None;
    }
    since.checked_add(Duration::from_millis(lifetime_ms - lifetime_ms / SESSION_MARGIN_PARTS))
}

fn refused(problem: String, advice: &str) -> Failure {
    final_failure(Fault::last(Stop::refused(Peer::Broker, problem, advice)))
}

fn final_failure(fault: Fault) -> Failure {
    Failure { fault, hung_up: false }
}
