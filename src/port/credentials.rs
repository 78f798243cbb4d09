//! Who we are for AWS: a chain of places that may know, asked one after the other.
//!
//! ```text
//! Credentials::current ── first link of the chain that has some ──> access key, secret, token
//!   environment     AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//!   profile         AWS_PROFILE in AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE
//!   web identity    AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, by STS
//!   container       AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
//!   instance        the metadata of EC2
//!
//! more than 15 minutes left          these
//! less                               that link again, at most every 30 s; if it fails, these
//! past their time, or ExpiredToken   that link again, at once; if it fails, a fault
//! ```
//!
//! The link that had them first is asked again from then on. No secret is ever part of a
//! message.

mod account;
mod container;
pub(in crate::port) mod instance;
mod profile;
mod sts;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials as Keys;

pub use self::account::AwsAccount;
use self::container::Container;
use self::instance::Instance;
use self::profile::{Files, Profile};
use self::sts::{Sts, WebIdentity};
use crate::flow::ports::Fault;
use crate::limits::{
    CREDENTIALS_LEFT_MS, CREDENTIALS_RETRY_MS, CREDENTIALS_RETRY_MS_MAX, METADATA_TIMEOUT_MS,
};
use crate::port::http::Http;
use crate::settings::{Aws, AwsVariables};
use crate::stop::{Peer, Stop};
use crate::wire::aws_endpoint::{Variant, is_region};

/// Who speaks, in the log.
pub(super) const LOG: &str = "aws";

/// How the environment is read; an empty value counts as none.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One source of credentials.
pub trait Link {
    /// How messages call it.
    fn name(&self) -> &'static str;
    /// The credentials that it has now.
    fn keys(&mut self) -> Result<Keys, NoKeys>;
    /// After it gave some: what brings others when they are past their time.
    fn renewal(&self) -> Renewal;
}

/// Why a link has no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoKeys {
    /// It does not apply here: the next link is asked.
    NotHere(String),
    /// It applies, and may have some in a moment.
    Passing(String),
    /// It applies, and a person must act.
    Refused { problem: String, advice: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// Asking again.
    Itself,
    /// A person, who is told this.
    ByHand(String),
}

/// The credentials of a run. A clone shares them.
#[derive(Clone)]
pub struct Credentials {
    chain: Rc<RefCell<Chain>>,
}

struct Chain {
    links: Vec<Box<dyn Link>>,
    found: Option<Found>,
    clock: Box<dyn Fn() -> Now>,
}

#[derive(Clone, Copy)]
struct Now {
    /// Since some moment.
    monotonic: Duration,
    wall: SystemTime,
}

struct Found {
    index: usize,
    keys: Keys,
    /// The service says that they are past their time.
    is_rejected: bool,
    /// Before this it is not asked again for what is not pressing.
    next: Duration,
    /// Before this not even for what was rejected.
    next_rejected: Duration,
}

impl Credentials {
    /// Of the environment, the profile files, a web identity, the container, the instance.
    /// `http` is for STS, which may be behind a proxy; the others never are.
    pub fn find(
        variables: &AwsVariables,
        http: &Http,
        region: &str,
        variant: Variant,
    ) -> Credentials {
        let sts = Sts::new(http.clone(), region, variant, variables);
        Credentials::from_chain(vec![
            Box::new(Environment::of(variables)),
            Box::new(Profile::new(variables, sts.clone())),
            Box::new(WebIdentity::new(variables, sts)),
            Box::new(Container::new(variables)),
            Box::new(Instance::new(variables, METADATA_TIMEOUT_MS)),
        ])
    }

    /// Those that the environment names.
    pub fn from_environment(lookup: Lookup<'_>) -> Credentials {
        Credentials::from_chain(vec![Box::new(Environment::read(lookup))])
    }

    /// The first link that has credentials wins.
    pub fn from_chain(links: Vec<Box<dyn Link>>) -> Credentials {
        let start = Instant::now();
        let clock = move || Now { monotonic: start.elapsed(), wall: SystemTime::now() };
        Credentials::with_clock(links, Box::new(clock))
    }

    fn with_clock(links: Vec<Box<dyn Link>>, clock: Box<dyn Fn() -> Now>) -> Credentials {
        Credentials { chain: Rc::new(RefCell::new(Chain { links, found: None, clock })) }
    }

    pub fn current(&self, peer: Peer) -> Result<Keys, Fault> {
        let chain = &mut *self.chain.borrow_mut();
        match &chain.found {
            None => chain.first(peer),
            Some(_) => chain.again(peer),
        }
    }

    /// Those in hand, without asking anybody.
    pub fn held(&self) -> Option<Keys> {
        self.chain.borrow().found.as_ref().map(|found| found.keys.clone())
    }

    /// The link that has them, once they were asked for.
    pub fn origin(&self) -> Option<&'static str> {
        let Chain { links, found, .. } = &*self.chain.borrow();
        links.get(found.as_ref()?.index).map(|link| link.name())
    }

    /// After the service said that they are past their time: others are fetched at the next
    /// call where that is possible.
    pub fn expired(&self, peer: Peer, problem: String) -> Fault {
        let Chain { links, found, .. } = &mut *self.chain.borrow_mut();
        let Some(found) = found else { return Fault::passing(problem) };
        match links.get(found.index).map(|link| link.renewal()) {
            Some(Renewal::ByHand(advice)) => Fault::last(Stop::refused(
                peer,
                problem,
                format!("{advice}, and start again: it resumes"),
            )),
            Some(Renewal::Itself) | None => {
                found.is_rejected = true;
                Fault::passing(problem)
            }
        }
    }
}

impl Chain {
    /// Asks one link after the other.
    fn first(&mut self, peer: Peer) -> Result<Keys, Fault> {
        let mut tried = Vec::with_capacity(self.links.len());
        for (index, link) in self.links.iter_mut().enumerate() {
            match link.keys() {
                Ok(keys) => {
                    log::info!(target: LOG, "credentials come from: {}", link.name());
                    let next = (self.clock)().monotonic + retry(Duration::ZERO);
                    self.found = Some(Found {
                        index,
                        keys: keys.clone(),
                        is_rejected: false,
                        next,
                        next_rejected: Duration::ZERO,
                    });
                    return Ok(keys);
                }
                Err(NoKeys::NotHere(why)) => tried.push(format!("{}: {why}", link.name())),
                Err(NoKeys::Passing(why)) => {
                    return Err(Fault::passing(format!("AWS credentials: {}: {why}", link.name())));
                }
                Err(NoKeys::Refused { problem, advice }) => {
                    let problem = format!("AWS credentials: {}: {problem}", link.name());
                    return Err(Fault::last(Stop::refused(peer, problem, advice)));
                }
            }
        }
        Err(Fault::last(Stop::refused(
            peer,
            format!("no AWS credentials were found (tried, in this order: {})", tried.join("; ")),
            "Give this machine, task or pod a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN where they are temporary)",
        )))
    }

    /// Those that were found, or fresh ones of the same link.
    fn again(&mut self, peer: Peer) -> Result<Keys, Fault> {
        let Chain { links, found, clock } = self;
        let Some(found) = found else { unreachable!("called with credentials in hand") };
        let now = clock();
        // An end that lies behind us is an error there.
        let left =
            found.keys.expiry().map(|end| end.duration_since(now.wall).unwrap_or(Duration::ZERO));
        let is_past = left == Some(Duration::ZERO);
        let is_due = left.is_some_and(|left| left < Duration::from_millis(CREDENTIALS_LEFT_MS));
        let asks = if found.is_rejected {
            now.monotonic >= found.next_rejected
        } else {
            is_due && now.monotonic >= found.next
        };
        let Some(link) = links.get_mut(found.index).filter(|_| asks) else {
            return Ok(found.keys.clone());
        };
        let answer = link.keys();
        let spent = clock().monotonic.saturating_sub(now.monotonic);
        let wait = retry(spent);
        found.next = now.monotonic + wait;
        match answer {
            Ok(keys) => {
                if found.is_rejected {
                    found.next_rejected = now.monotonic + wait;
                }
                found.is_rejected = false;
                found.keys = keys.clone();
                Ok(keys)
            }
            // Clocks differ, and some services take them a while longer: the service decides.
            Err(why) if !found.is_rejected && !is_past => {
                log::warn!(
                    target: LOG,
                    "credentials are not renewed yet: {}: {}",
                    link.name(),
                    why.words()
                );
                Ok(found.keys.clone())
            }
            // They are of no use: the next call asks again, and the flow waits between.
            Err(NoKeys::Refused { problem, advice }) => {
                found.next = now.monotonic;
                let problem = format!("AWS credentials: {}: {problem}", link.name());
                Err(Fault::last(Stop::refused(peer, problem, advice)))
            }
            Err(NoKeys::Passing(why) | NoKeys::NotHere(why)) => {
                found.next = now.monotonic;
                Err(Fault::passing(format!(
                    "AWS credentials are past their time, and {} has no others: {why}",
                    link.name()
                )))
            }
        }
    }
}

impl NoKeys {
    fn words(&self) -> &str {
        match self {
            NoKeys::NotHere(why) | NoKeys::Passing(why) => why,
            NoKeys::Refused { problem, .. } => problem,
        }
    }
}

/// How long to wait after a renewal that took so long: at most 1 % of the time goes to them.
fn retry(spent: Duration) -> Duration {
    let least = Duration::from_millis(CREDENTIALS_RETRY_MS);
    let most = Duration::from_millis(CREDENTIALS_RETRY_MS_MAX);
    spent.saturating_mul(100).clamp(least, most)
}

/// Fixed keys from environment variables.
struct Environment {
    keys: Result<Keys, NoKeys>,
}

impl Environment {
    fn of(variables: &AwsVariables) -> Environment {
        Environment::read(&|name| variables.get(name).map(str::to_owned))
    }

    fn read(lookup: Lookup<'_>) -> Environment {
        let value = |name: &str| set(lookup, name);
        let half = |given: &str, missing: &str| NoKeys::Refused {
            problem: format!("{given} without {missing}"),
            advice: format!("Set {missing} too"),
        };
        let keys = match (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                Ok(Keys::new(id, secret, value("AWS_SESSION_TOKEN"), None, "environment"))
            }
            (None, None) => Err(NoKeys::NotHere("AWS_ACCESS_KEY_ID is not set".into())),
            (Some(_), None) => Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        };
        Environment { keys }
    }
}

impl Link for Environment {
    fn name(&self) -> &'static str {
        "environment"
    }
    fn keys(&mut self) -> Result<Keys, NoKeys> {
        self.keys.clone()
    }
    fn renewal(&self) -> Renewal {
        Renewal::ByHand(
            "The credentials in the environment are past their time: set fresh ones in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN".into(),
        )
    }
}

/// The settings, and what the profile says where they leave it open.
pub fn with_profile(aws: &Aws) -> Result<Aws, Stop> {
    let mut completed = aws.clone();
    let files = Files::new(&aws.variables);
    files.complete(&mut completed).map_err(|problem| Stop::Settings(vec![problem]))?;
    Ok(completed)
}

/// The region to sign for: that of the settings, of the profile, of the instance.
pub fn region(given: Option<&str>, variables: &AwsVariables) -> Result<String, Stop> {
    if let Some(given) = given {
        return checked_region(given.to_owned(), "AWS_REGION");
    }
    let of_profile = match Files::new(variables).region() {
        Ok(region) => return checked_region(region, "the region of the profile"),
        Err(why) => why,
    };
    match Instance::new(variables, METADATA_TIMEOUT_MS).region() {
        Ok(region) => checked_region(region, "the region of the instance"),
        // The instance has one, and will say so.
        Err(NoKeys::Passing(problem)) => {
            Err(Stop::GaveUp { peer: Peer::Source, attempts: 1, seconds: 0, problem })
        }
        Err(why) => Err(Stop::Settings(vec![format!(
            "AWS_REGION is missing: requests to S3 and DynamoDB are signed for a region, and none is to be found elsewhere (profile: {of_profile}; instance: {})",
            why.words()
        )])),
    }
}

fn checked_region(region: String, origin: &str) -> Result<String, Stop> {
    if is_region(&region) {
        Ok(region)
    } else {
        let problem = format!("{origin} is not the name of a region, like eu-west-1");
        Err(Stop::Settings(vec![problem]))
    }
}

fn set(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
#[path = "credentials/tests.rs"]
pub(in crate::port) mod tests;
