//! Who we are for AWS, and where AWS is: credentials, region, endpoints.
//!
//! ```text
//! Credentials::current ── first link of the chain that has some ──> access key, secret, token
//!   environment   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//! ```
//!
//! Further sources are further [`Link`]s. No secret is ever part of a message.

use std::cell::RefCell;
use std::rc::Rc;

use aws_credential_types::Credentials as Keys;

use crate::flow::ports::Fault;
use crate::stop::{Peer, Stop};

/// How the environment is read; an empty value counts as none.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One source of credentials.
pub trait Link {
    /// How messages call it.
    fn name(&self) -> &'static str;
    /// The credentials that it has now; the text says why it has none.
    fn keys(&mut self) -> Result<Keys, String>;
    /// Whether asking again can bring others.
    fn can_renew(&self) -> bool;
}

/// The credentials of a run. A clone shares them.
#[derive(Clone)]
pub struct Credentials {
    chain: Rc<RefCell<Chain>>,
}

struct Chain {
    links: Vec<Box<dyn Link>>,
    found: Option<(usize, Keys)>,
}

impl Credentials {
    /// Those that the environment names.
    pub fn from_environment(lookup: Lookup<'_>) -> Credentials {
        Credentials::from_chain(vec![Box::new(Environment::read(lookup))])
    }

    /// The first link that has credentials wins.
    pub fn from_chain(links: Vec<Box<dyn Link>>) -> Credentials {
        Credentials { chain: Rc::new(RefCell::new(Chain { links, found: None })) }
    }

    pub fn current(&self, peer: Peer) -> Result<Keys, Fault> {
        let Chain { links, found } = &mut *self.chain.borrow_mut();
        if let Some((_, keys)) = found {
            return Ok(keys.clone());
        }
        let mut tried = Vec::with_capacity(links.len());
        for (index, link) in links.iter_mut().enumerate() {
            match link.keys() {
                Ok(keys) => {
                    *found = Some((index, keys.clone()));
                    return Ok(keys);
                }
                Err(why) => tried.push(format!("{}: {why}", link.name())),
            }
        }
        Err(Fault::last(Stop::refused(
            peer,
            format!("no AWS credentials were found ({})", tried.join("; ")),
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN where they are temporary",
        )))
    }

    /// After the service said that they are past their time: others are fetched at the next
    /// call where that is possible.
    pub fn expired(&self, peer: Peer, problem: String) -> Fault {
        let Chain { links, found } = &mut *self.chain.borrow_mut();
        let link = found.take().and_then(|(index, _)| links.get(index));
        if link.is_some_and(|link| link.can_renew()) {
            return Fault::passing(problem);
        }
        Fault::last(Stop::refused(
            peer,
            problem,
            "The credentials in the environment are past their time: set fresh ones in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and start again: it resumes",
        ))
    }
}

/// Fixed keys from environment variables.
struct Environment {
    keys: Result<Keys, String>,
}

impl Environment {
    fn read(lookup: Lookup<'_>) -> Environment {
        let value = |name: &str| set(lookup, name);
        let keys = match (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                Ok(Keys::new(id, secret, value("AWS_SESSION_TOKEN"), None, "environment"))
            }
            (None, None) => Err("AWS_ACCESS_KEY_ID is not set".into()),
            (Some(_), None) => Err("AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY".into()),
            (None, Some(_)) => Err("AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID".into()),
        };
        Environment { keys }
    }
}

impl Link for Environment {
    fn name(&self) -> &'static str {
        "environment"
    }
    fn keys(&mut self) -> Result<Keys, String> {
        self.keys.clone()
    }
    fn can_renew(&self) -> bool {
        false
    }
}

/// The services that we talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    S3,
    DynamoDb,
}

/// The region to sign for; the error is a line for the list of problems.
pub fn region(lookup: Lookup<'_>) -> Result<String, String> {
    let region = set(lookup, "AWS_REGION").or_else(|| set(lookup, "AWS_DEFAULT_REGION"));
    let region = region.ok_or("AWS_REGION is missing: the region of the bucket and the table")?;
    let is_name = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_name {
        Ok(region)
    } else {
        Err(format!("AWS_REGION is not the name of a region: {region}"))
    }
}

/// A custom endpoint, if one is set; the error is a line for the list of problems.
pub fn endpoint(service: Service, lookup: Lookup<'_>) -> Result<Option<String>, String> {
    let own = match service {
        Service::S3 => "AWS_ENDPOINT_URL_S3",
        Service::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
    };
    for name in [own, "AWS_ENDPOINT_URL"] {
        let Some(url) = set(lookup, name) else { continue };
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let is_url = host.is_some_and(|host| {
            // A user name here would be a secret in every message.
            !host.is_empty() && !host.starts_with('/') && !host.contains(['@', '?', '#', ' '])
        });
        if !is_url {
            return Err(format!("{name} is not a URL like https://host:port"));
        }
        return Ok(Some(url.trim_end_matches('/').to_owned()));
    }
    Ok(None)
}

fn set(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| values.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    }

    const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKID");
    const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "hush");
    const TOKEN: (&str, &str) = ("AWS_SESSION_TOKEN", "whisper");

    #[test]
    fn keys_from_the_environment() {
        let cases: [(&'static [_], Result<Option<&str>, &str>); 5] = [
            (&[ID, SECRET], Ok(None)),
            (&[ID, SECRET, TOKEN], Ok(Some("whisper"))),
            (&[ID, SECRET, ("AWS_SESSION_TOKEN", "")], Ok(None)),
            (&[ID, TOKEN], Err("without AWS_SECRET_ACCESS_KEY")),
            (&[("AWS_ACCESS_KEY_ID", " "), ("X", "y")], Err("AWS_ACCESS_KEY_ID is not set")),
        ];
        for (values, expected) in cases {
            let credentials = Credentials::from_environment(&of(values));
            match (credentials.current(Peer::Ledger), expected) {
                (Ok(keys), Ok(token)) => {
                    assert_eq!(keys.access_key_id(), "AKID");
                    assert_eq!(keys.secret_access_key(), "hush");
                    assert_eq!(keys.session_token(), token);
                    let shown = format!("{keys:?}");
                    assert!(!shown.contains("hush") && !shown.contains("whisper"), "{shown}");
                }
                (Err(Fault::Final(stop)), Err(words)) => {
                    let text = stop.to_string();
                    assert!(text.contains(words) && !text.contains("whisper"), "{text}");
                }
                (found, _) => panic!("{found:?}"),
            }
        }
    }

    struct Renewing(u32);

    impl Link for Renewing {
        fn name(&self) -> &'static str {
            "renewing"
        }
        fn keys(&mut self) -> Result<Keys, String> {
            self.0 += 1;
            Ok(Keys::new(format!("AKID{}", self.0), "s", None, None, "test"))
        }
        fn can_renew(&self) -> bool {
            true
        }
    }

    #[test]
    fn what_is_past_its_time_is_asked_for_again_where_that_helps() {
        let fixed = Credentials::from_environment(&of(&[ID, SECRET]));
        fixed.current(Peer::Source).unwrap();
        assert!(matches!(fixed.expired(Peer::Source, "late".into()), Fault::Final(_)));

        let environment = Box::new(Environment::read(&of(&[])));
        let chain = Credentials::from_chain(vec![environment, Box::new(Renewing(0))]);
        let id = || chain.current(Peer::Source).unwrap().access_key_id().to_owned();
        assert_eq!([id(), id()], ["AKID1", "AKID1"]);
        assert_eq!(chain.expired(Peer::Source, "late".into()), Fault::passing("late"));
        assert_eq!(id(), "AKID2");
    }

    type Expected = Result<Option<&'static str>, ()>;
    type Variables = &'static [(&'static str, &'static str)];

    #[test]
    fn regions_and_endpoints() {
        let regions: [(Variables, Option<&str>); 5] = [
            (&[("AWS_REGION", "eu-central-1"), ("AWS_DEFAULT_REGION", "x")], Some("eu-central-1")),
            (&[("AWS_DEFAULT_REGION", "us-west-2")], Some("us-west-2")),
            (&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-west-2")], Some("us-west-2")),
            (&[("AWS_REGION", "evil.example/")], None),
            (&[], None),
        ];
        for (values, expected) in regions {
            assert_eq!(region(&of(values)).ok().as_deref(), expected, "{values:?}");
        }
        let both = &[("AWS_ENDPOINT_URL", "http://a:1/"), ("AWS_ENDPOINT_URL_S3", "https://b")];
        let endpoints: [(Service, Variables, Expected); 6] = [
            (Service::S3, both, Ok(Some("https://b"))),
            (Service::DynamoDb, both, Ok(Some("http://a:1"))),
            (Service::S3, &[], Ok(None)),
            (Service::S3, &[("AWS_ENDPOINT_URL", "localhost:4566")], Err(())),
            (Service::S3, &[("AWS_ENDPOINT_URL", "http://u:p@host")], Err(())),
            (Service::S3, &[("AWS_ENDPOINT_URL", "http://")], Err(())),
        ];
        for (service, values, expected) in endpoints {
            let found = endpoint(service, &of(values));
            assert_eq!(found.as_ref().map(|e| e.as_deref()).map_err(|_| ()), expected);
        }
    }
}
