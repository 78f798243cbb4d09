//! The name and password for a login, from Secrets Manager: fetched for the first login, kept,
//! and fetched once more when the broker refuses what was kept, since secrets are rotated.
//!
//! ```text
//! current ──> fetched just now ── refused by the broker ──> final
//!         └─> kept            ── refused by the broker ──> forgotten, passing: the next fetches
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use crate::flow::ports::Fault;
use crate::limits::SECRET_ANSWER_BYTES_MAX;
use crate::port::aws_json::{Call, Service, service_url};
use crate::port::credentials::Credentials;
use crate::port::http::Http;
use crate::settings::Password;
use crate::stop::{Peer, Stop};
use crate::wire::aws_endpoint::Variant;
use crate::wire::secrets_manager::{
    CONTENT_TYPE, GET_TARGET, Reply, SecretArn, get_secret_value, reply,
};

/// A clone shares what is kept.
#[derive(Clone)]
pub struct SecretLogin {
    inner: Rc<Inner>,
}

struct Inner {
    service: Service,
    arn: SecretArn,
    kept: RefCell<Option<Password>>,
}

/// What to log in with.
pub struct Held {
    pub password: Password,
    /// Nothing newer is to be had.
    pub is_fresh: bool,
}

impl SecretLogin {
    pub fn new(
        http: Http,
        credentials: Credentials,
        arn: SecretArn,
        endpoint: Option<&str>,
        variant: Variant,
    ) -> SecretLogin {
        let region = arn.region().to_owned();
        let service = Service {
            http,
            credentials,
            name: "secretsmanager",
            url: service_url("secretsmanager", &region, endpoint, variant),
            region,
            content_type: CONTENT_TYPE,
            peer: Peer::Broker,
        };
        SecretLogin { inner: Rc::new(Inner { service, arn, kept: RefCell::new(None) }) }
    }

    pub fn current(&self) -> Result<Held, Fault> {
        if let Some(password) = &*self.inner.kept.borrow() {
            return Ok(Held { password: password.clone(), is_fresh: false });
        }
        let password = self.fetch()?;
        *self.inner.kept.borrow_mut() = Some(password.clone());
        Ok(Held { password, is_fresh: true })
    }

    /// The broker does not take it any more.
    pub fn forget(&self) {
        *self.inner.kept.borrow_mut() = None;
    }

    fn fetch(&self) -> Result<Password, Fault> {
        let Inner { service, arn, .. } = &*self.inner;
        let place = format!("Secrets Manager in {}", arn.region());
        let body = get_secret_value(arn);
        let call = Call {
            place: &place,
            target: GET_TARGET,
            body: &body,
            repeatable: true,
            answer_bytes_max: SECRET_ANSWER_BYTES_MAX,
        };
        let (answer, body) = service.call(&call)?;
        match reply(arn, answer.status(), &body) {
            Reply::Password(password) => Ok(password),
            Reply::Passing { problem } => Err(Fault::passing(problem)),
            Reply::Expired { problem } => Err(service.credentials.expired(Peer::Broker, problem)),
            Reply::Final { problem, advice } => {
                Err(Fault::last(Stop::refused(Peer::Broker, problem, advice)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::http_script::{Act, Script, answer};

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:1:secret:AmazonMSK_x-AbCdEf";

    fn login(script: &Script) -> SecretLogin {
        let lookup = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hush-hush".to_owned()),
            _ => None,
        };
        SecretLogin::new(
            Http::new(&|_| None).unwrap(),
            Credentials::from_environment(&lookup),
            SecretArn::parse(ARN).unwrap(),
            Some(&script.endpoint),
            Variant::default(),
        )
    }

    fn secret(password: &str) -> Act {
        let text = format!(r#"{{"username": "me", "password": "{password}"}}"#);
        let body = serde_json::json!({"SecretString": text}).to_string();
        answer("200 OK", "", &body)
    }

    #[test]
    fn a_secret_is_kept_until_it_is_refused() {
        let script = Script::run(vec![vec![secret("one"), secret("two")]]);
        let login = login(&script);
        let mut found = Vec::new();
        for forgets in [false, false, true, false] {
            if forgets {
                login.forget();
            }
            let Held { password, is_fresh } = login.clone().current().unwrap();
            found.push((password.password.reveal().to_owned(), is_fresh));
        }
        let expected = [("one", true), ("one", false), ("two", true), ("two", false)];
        assert_eq!(found, expected.map(|(text, is_fresh)| (text.to_owned(), is_fresh)));
        drop(login);
        for request in script.requests() {
            assert!(request.starts_with("post / http/1.1"), "{request}");
            assert!(request.contains("x-amz-target: secretsmanager.getsecretvalue\r\n"));
            assert!(request.contains("/eu-west-1/secretsmanager/aws4_request"), "{request}");
            assert!(request.ends_with(&format!("{{\"SecretId\":\"{ARN}\"}}")), "{request}");
        }
    }

    #[test]
    fn refusals() {
        let error = |code: &str| format!(r#"{{"__type": "{code}", "Message": "m"}}"#);
        let cases = [
            (answer("400 Bad", "", &error("AccessDeniedException")), "GetSecretValue"),
            (answer("400 Bad", "", &error("ExpiredTokenException")), "AWS_SESSION_TOKEN"),
            (answer("400 Bad", "", &error("ThrottlingException")), "passing"),
            (answer("200 OK", "", "{}"), "as MSK has it"),
            (answer("200 OK", "", &"x".repeat(200_000)), "passing"),
            (answer("500 Oops", "", ""), "passing"),
        ];
        for (act, expected) in cases {
            let script = Script::run(vec![vec![act]]);
            let words = match login(&script).current().err().unwrap() {
                Fault::Passing(trouble) => format!("passing: {}", trouble.problem),
                Fault::Final(stop) => stop.to_string(),
            };
            assert!(words.contains(expected) && !words.contains("hush"), "{words}");
        }
    }
}
