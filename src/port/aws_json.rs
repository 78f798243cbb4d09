//! One signed request to a service of AWS that speaks JSON, and its answer.

use crate::flow::ports::Fault;
use crate::port::credentials::Credentials;
use crate::port::http::{Answer, Failed, Http, Request, wall_ms};
use crate::stop::{Peer, Stop};
use crate::wire::aws_endpoint::{Variant, url};
use crate::wire::aws_sign::{Scope, Unsigned, sign};

/// A service in a region.
pub(super) struct Service {
    pub(super) http: Http,
    pub(super) credentials: Credentials,
    /// As hosts and signatures have it.
    pub(super) name: &'static str,
    pub(super) region: String,
    /// With a slash at its end.
    pub(super) url: String,
    pub(super) content_type: &'static str,
    /// Whose affair it is when it does not answer.
    pub(super) peer: Peer,
}

pub(super) struct Call<'a> {
    /// For messages.
    pub(super) place: &'a str,
    pub(super) target: &'static str,
    pub(super) body: &'a [u8],
    /// Sending it twice does no harm.
    pub(super) repeatable: bool,
    pub(super) answer_bytes_max: usize,
}

/// Where the service is: at an endpoint of one's own, or AWS's.
pub(super) fn service_url(
    name: &str,
    region: &str,
    endpoint: Option<&str>,
    variant: Variant,
) -> String {
    match endpoint {
        Some(endpoint) => format!("{endpoint}/"),
        None => format!("{}/", url(name, region, variant)),
    }
}

impl Service {
    /// The head of the answer, and its body.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<(Answer, Vec<u8>), Fault> {
        let Call { place, target, body, repeatable, answer_bytes_max } = *call;
        let keys = self.credentials.current(self.peer)?;
        let mut headers = vec![
            ("content-type".to_owned(), self.content_type.to_owned()),
            ("x-amz-target".to_owned(), target.to_owned()),
        ];
        let request = Unsigned { method: "POST", url: &self.url, headers: &headers, body };
        let scope = Scope { service: self.name, region: &self.region, wall_ms: wall_ms() };
        let signed = sign(&request, &scope, &keys).map_err(|problem| {
            let problem = format!("{place}: {problem}");
            let advice = "Mend AWS_REGION and the AWS_ENDPOINT_URL of the service";
            Fault::last(Stop::refused(self.peer, problem, advice))
        })?;
        headers.extend(signed);
        let request = Request { body: Some(body), url: &self.url, headers: &headers, repeatable };
        let failed = |failed: Failed| failed.into_fault(self.peer, place);
        let mut answer = self.http.send(&request).map_err(failed)?;
        let body = answer.read_all(answer_bytes_max).map_err(failed)?;
        Ok((answer, body))
    }
}
