//! Whose the credentials are: what `check` asks, and a run never does.

use super::Credentials;
use super::sts::Sts;
use crate::flow::ports::{Account, Caller, Fault};
use crate::port::http::Http;
use crate::settings::AwsVariables;
use crate::stop::Peer;
use crate::wire::aws_endpoint::Variant;

pub struct AwsAccount {
    credentials: Credentials,
    http: Http,
    /// `None`: only other services than AWS's own are spoken to, and their keys are not AWS's
    /// business.
    sts: Option<Sts>,
}

impl AwsAccount {
    /// `asks`: AWS itself is spoken to. An endpoint that is set for STS is asked in any case.
    pub fn new(
        credentials: Credentials,
        http: Http,
        region: &str,
        variant: Variant,
        variables: &AwsVariables,
        asks: bool,
    ) -> AwsAccount {
        let asks = asks || variables.get("AWS_ENDPOINT_URL_STS").is_some();
        let sts = asks.then(|| Sts::new(http.clone(), region, variant, variables));
        AwsAccount { credentials, http, sts }
    }
}

impl Account for AwsAccount {
    fn credentials(&mut self) -> Result<&'static str, Fault> {
        self.credentials.current(Peer::Ledger)?;
        Ok(self.credentials.origin().unwrap_or("nowhere"))
    }

    fn caller(&mut self) -> Result<Option<Caller>, Fault> {
        let Some(sts) = &self.sts else { return Ok(None) };
        let keys = self.credentials.current(Peer::Ledger)?;
        sts.caller(&keys).map(Some).map_err(|refused| match refused {
            super::NoKeys::Refused { problem, .. }
            | super::NoKeys::Passing(problem)
            | super::NoKeys::NotHere(problem) => Fault::passing(problem),
        })
    }

    fn skew_ms(&mut self) -> Option<i64> {
        self.http.skew_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::credentials::tests::variables;
    use crate::port::http_script::{Script, answer};

    const GOOD: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><UserId>U</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
    const BAD: &str = "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no such token</Message></Error></ErrorResponse>";

    fn account(endpoint: &str, asks: bool) -> AwsAccount {
        let lookup = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hush-hush".to_owned()),
            _ => None,
        };
        let values = [("AWS_ENDPOINT_URL_STS", endpoint)];
        let set = if endpoint.is_empty() { &values[..0] } else { &values[..] };
        let http = Http::new(&|_| None).unwrap();
        let credentials = Credentials::from_environment(&lookup);
        let variant = Variant::default();
        AwsAccount::new(credentials, http, "eu-west-1", variant, &variables(set), asks)
    }

    #[test]
    fn aws_says_who_we_are() {
        let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let script =
            Script::run(vec![vec![answer("200 OK", date, GOOD), answer("403 No", "", BAD)]]);
        let mut account = account(&script.endpoint, false);
        assert_eq!((account.credentials(), account.skew_ms()), (Ok("environment"), None));
        let caller = Caller { account: "1".into(), arn: "arn:aws:sts::1:assumed-role/r/s".into() };
        assert_eq!(account.caller(), Ok(Some(caller)));
        assert!(account.skew_ms().is_some_and(|skew_ms| skew_ms > 0));
        let Err(Fault::Passing(trouble)) = account.caller() else { panic!() };
        assert!(trouble.problem.contains("InvalidClientTokenId"), "{}", trouble.problem);
        drop(account);
        for request in script.requests() {
            assert!(request.ends_with("Action=GetCallerIdentity&Version=2011-06-15"), "{request}");
            assert!(request.contains("/eu-west-1/sts/aws4_request"), "{request}");
            assert!(!request.contains("hush"), "{request}");
        }
    }

    #[test]
    fn keys_of_other_services_are_not_shown_to_aws() {
        assert_eq!(account("", false).caller(), Ok(None));
    }
}
