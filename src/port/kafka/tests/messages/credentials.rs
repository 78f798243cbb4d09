//! Every way in which AWS credentials can be missing, refused or past their time.

use std::path::PathBuf;

use super::Messages;
use crate::flow::ports::Fault;
use crate::port::credentials::Credentials;
use crate::port::credentials::tests::variables;
use crate::port::http::Http;
use crate::port::http_script::{Act, Script, answer};
use crate::stop::Peer;
use crate::wire::aws_endpoint::Variant;

const CONFIG: &str = "\
[profile sso]
sso_session = s
[profile process]
credential_process = helper
[profile role]
role_arn = arn:aws:iam::1:role/load
source_profile = base
[profile lost]
role_arn = arn:aws:iam::1:role/load
source_profile = nobody
[profile empty]
region = eu-west-1
";
const CREDENTIALS: &str = "[base]\naws_access_key_id = AKB\naws_secret_access_key = hush\n";
const ROLE: (&str, &str) = ("AWS_ROLE_ARN", "arn:aws:iam::1:role/load");

/// A home with the files of the AWS tools.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        let home = std::env::temp_dir().join(format!("csv-to-kafka-home-{}", std::process::id()));
        std::fs::create_dir_all(home.join(".aws")).unwrap();
        std::fs::write(home.join(".aws/config"), CONFIG).unwrap();
        std::fs::write(home.join(".aws/credentials"), CREDENTIALS).unwrap();
        std::fs::write(home.join("bad"), "[default]\nhush").unwrap();
        std::fs::write(home.join("token"), "eyJ").unwrap();
        Home(home)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Asked for once; `~` in a value is this home, and this home is `~` in the message.
    fn ask(&self, values: &[(&str, &str)]) -> String {
        let home = ("HOME".to_owned(), self.path().to_owned());
        let mut values: Vec<(String, String)> = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace('~', self.path())))
            .chain([home])
            .collect();
        let is_set = |name: &str| values.iter().any(|(other, _)| other == name);
        if !is_set("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            values.push(("AWS_EC2_METADATA_DISABLED".into(), "true".into()));
        }
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let http = Http::new(&|_| None).unwrap();
        let chain = Credentials::find(&variables(&values), &http, "eu-west-1", Variant::default());
        words(chain.current(Peer::Source).unwrap_err()).replace(self.path(), "~")
    }

    /// With a server that answers in this way, at the address that the variable of this name has.
    fn answered(&self, name: &str, values: &[(&str, &str)], acts: Vec<Act>) -> String {
        let script = Script::run(vec![acts]);
        let message = self.ask(&[values, &[(name, &script.endpoint)]].concat());
        message.replace(&script.endpoint, "http://127.0.0.1:80")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn words(fault: Fault) -> String {
    match fault {
        Fault::Final(stop) => stop.to_string(),
        Fault::Passing(trouble) => format!("(again) {}", trouble.problem),
    }
}

pub(super) fn all() -> Messages {
    let home = Home::new();
    let profile = |name: &str| home.ask(&[("AWS_PROFILE", name)]);
    let sts = |status: &str, code: &str, values: &[(&str, &str)]| {
        let body = format!("<R><Error><Code>{code}</Code><Message>m</Message></Error></R>");
        home.answered("AWS_ENDPOINT_URL_STS", values, vec![answer(status, "", &body)])
    };
    let pod = [ROLE, ("AWS_WEB_IDENTITY_TOKEN_FILE", "~/token")];
    let instance = |acts: Vec<Act>| home.answered("AWS_EC2_METADATA_SERVICE_ENDPOINT", &[], acts);
    let session = || answer("200 OK", "", "session==");
    let container = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let fixed =
        Credentials::from_environment(&|name| name.starts_with("AWS_").then(|| "AKID".to_owned()));
    fixed.current(Peer::Source).unwrap();
    vec![
        ("nobody has any", home.ask(&[])),
        ("half of a pair", home.ask(&[("AWS_ACCESS_KEY_ID", "AKID")])),
        ("past their time", words(fixed.expired(Peer::Source, "S3 answers ExpiredToken".into()))),
        ("no such profile", profile("none")),
        ("a profile without any", profile("empty")),
        ("a profile of SSO", profile("sso")),
        ("a profile of a process", profile("process")),
        ("a role of nobody", profile("lost")),
        (
            "a file that is none",
            home.ask(&[("AWS_PROFILE", "default"), ("AWS_CONFIG_FILE", "~/bad")]),
        ),
        ("a role that refuses us", sts("403 No", "AccessDenied", &[("AWS_PROFILE", "role")])),
        ("no token", home.ask(&[ROLE, ("AWS_WEB_IDENTITY_TOKEN_FILE", "~/none")])),
        ("a token without a role", home.ask(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "~/token")])),
        ("a token that is too old", sts("400 No", "ExpiredTokenException", &pod)),
        ("a token of a stranger", sts("400 No", "InvalidIdentityToken", &pod)),
        ("a pod that may not", sts("403 No", "AccessDenied", &pod)),
        ("a container's address", home.ask(&[(container, "http://example.com/role")])),
        (
            "a container without a role",
            home.answered(container, &[], vec![answer("404 No", "", r#"{"message":"no role"}"#)]),
        ),
        ("an instance without a role", instance(vec![session(), answer("404 No", "", "")])),
        (
            "an instance that may not",
            instance(vec![
                session(),
                answer("200 OK", "", "load"),
                answer("200 OK", "", r#"{"Code":"AccessDenied","Message":"m"}"#),
            ]),
        ),
        ("an instance in trouble", instance(vec![answer("503 No", "", "")])),
    ]
}
