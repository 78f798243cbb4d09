//! The profile: the files that the AWS tools write, and the roles that they name.

use aws_credential_types::Credentials as Keys;

use super::container::Container;
use super::instance::Instance;
use super::sts::Sts;
use super::{Environment, LOG, Link, NoKeys, Renewal};
use crate::limits::{METADATA_TIMEOUT_MS, PROFILE_FILE_BYTES_MAX};
use crate::port::small_file::{Unread, read_text_if_there};
use crate::settings::{Aws, AwsVariables};
use crate::wire::aws_endpoint::endpoint;
use crate::wire::aws_profile::{BadLine, File, NoPlan, Plan, Profiles};
use crate::wire::http::one_line;

/// The link of the chain.
pub(super) struct Profile {
    files: Files,
    sts: Sts,
    variables: AwsVariables,
    renewal: Renewal,
}

impl Profile {
    pub(super) fn new(variables: &AwsVariables, sts: Sts) -> Profile {
        let files = Files::new(variables);
        Profile { files, sts, variables: variables.clone(), renewal: Renewal::Itself }
    }

    fn obtain(&self, plan: &Plan) -> Result<Keys, NoKeys> {
        match plan {
            Plan::Keys(keys) => Ok(keys.clone()),
            Plan::Role { role, base } => {
                let base = self.obtain(base).map_err(|why| match why {
                    NoKeys::NotHere(why) => NoKeys::Refused {
                        problem: format!("{}: credential_source: {why}", self.files.title()),
                        advice: "Mend credential_source in the profile".into(),
                    },
                    other => other,
                })?;
                self.sts.assume(role, &base)
            }
            Plan::WebIdentity { role, token_file } => self.sts.assume_with_token(role, token_file),
            Plan::Environment => Environment::of(&self.variables).keys(),
            Plan::Container => Container::new(&self.variables).keys(),
            Plan::Instance => Instance::new(&self.variables, METADATA_TIMEOUT_MS).keys(),
        }
    }
}

impl Link for Profile {
    fn name(&self) -> &'static str {
        "profile"
    }

    fn keys(&mut self) -> Result<Keys, NoKeys> {
        let plan = self.files.plan()?;
        self.renewal = match &plan {
            Plan::Keys(_) => Renewal::ByHand(format!(
                "The credentials in {} are past their time: renew them there",
                self.files.title()
            )),
            _ => Renewal::Itself,
        };
        self.obtain(&plan)
    }

    fn renewal(&self) -> Renewal {
        self.renewal.clone()
    }
}

/// The two files, and which profile in them is meant.
pub(super) struct Files {
    name: String,
    /// Somebody chose the profile: that it has no credentials is no reason to look elsewhere.
    is_chosen: bool,
    config: Option<String>,
    credentials: Option<String>,
}

impl Files {
    pub(super) fn new(variables: &AwsVariables) -> Files {
        let home = variables.get("HOME");
        let at = |name: &str, usual: &str| match variables.get(name) {
            Some(path) => Some(match (path.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => format!("{home}/{rest}"),
                _ => path.to_owned(),
            }),
            None => home.map(|home| format!("{home}/.aws/{usual}")),
        };
        let chosen = variables.get("AWS_PROFILE");
        Files {
            name: chosen.unwrap_or("default").to_owned(),
            is_chosen: chosen.is_some(),
            config: at("AWS_CONFIG_FILE", "config"),
            credentials: at("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        }
    }

    /// The region of the profile, or why there is none.
    pub(super) fn region(&self) -> Result<String, String> {
        let profiles = self.read()?;
        match profiles.region(&self.name) {
            Some(region) => Ok(region.to_owned()),
            None if profiles.has(&self.name) => Err(format!("no region in {}", self.title())),
            None => Err(format!("there is no {}", self.title())),
        }
    }

    /// What the settings leave open and the profile says, as the AWS tools have it: where the
    /// services are, FIPS, dual stack, the authorities.
    pub(super) fn complete(&self, aws: &mut Aws) -> Result<(), String> {
        // Why there is none is the affair of whoever needs something of it.
        let Ok(profiles) = self.read() else { return Ok(()) };
        let ignores = match aws.variables.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
            Some(word) => word == "true",
            None => profiles.says(&self.name, "ignore_configured_endpoint_urls") == Some(true),
        };
        let mut sts = aws.variables.get("AWS_ENDPOINT_URL_STS").map(str::to_owned);
        for (service, place) in [
            ("s3", &mut aws.s3_endpoint),
            ("dynamodb", &mut aws.dynamodb_endpoint),
            ("cloudwatch", &mut aws.cloudwatch_endpoint),
            ("secrets_manager", &mut aws.secrets_endpoint),
            ("sts", &mut sts),
        ] {
            if ignores {
                let of_flag = aws.flag_endpoints.get(service).cloned();
                if *place != of_flag {
                    log::info!(target: LOG, "the endpoint that is set for {service} does not count: profile {} ignores such", one_line(&self.name));
                }
                *place = of_flag;
                continue;
            }
            let Some(url) = profiles.endpoint(&self.name, service).filter(|_| place.is_none())
            else {
                continue;
            };
            // It might hold a password: it is not repeated.
            let url = endpoint(url).ok_or_else(|| {
                format!(
                    "{}: endpoint_url takes http://host:port or https://host:port",
                    self.title()
                )
            })?;
            log::info!(target: LOG, "{service} is at {url}, as profile {} has it", one_line(&self.name));
            *place = Some(url.to_owned());
        }
        aws.variables.set("AWS_ENDPOINT_URL_STS", sts.as_deref().unwrap_or_default());
        for (name, key, place) in [
            ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint", &mut aws.variant.fips),
            ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint", &mut aws.variant.dual_stack),
        ] {
            if aws.variables.get(name).is_none() {
                *place |= profiles.says(&self.name, key) == Some(true);
            }
        }
        if let (None, Some(path)) =
            (aws.variables.get("AWS_CA_BUNDLE"), profiles.ca_bundle(&self.name))
        {
            aws.variables.set("AWS_CA_BUNDLE", path);
        }
        Ok(())
    }

    fn plan(&self) -> Result<Plan, NoKeys> {
        let title = self.title();
        let found = match self.read() {
            Ok(profiles) => profiles.plan(&self.name),
            Err(problem) => Err(NoPlan::Wrong(problem)),
        };
        let (problem, advice) = match found {
            Ok(plan) => return Ok(plan),
            Err(NoPlan::Missing) => (
                format!("there is no {title}"),
                "Mend AWS_PROFILE (aws configure list-profiles shows those that there are), AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE".to_owned(),
            ),
            Err(NoPlan::Empty) => (
                format!("{title} has no credentials"),
                "Mend AWS_PROFILE, or what the files say of it".to_owned(),
            ),
            Err(NoPlan::ByHand { problem, advice }) => (problem, advice),
            Err(NoPlan::Wrong(why)) => (format!("{title}: {why}"), "Mend the profile".to_owned()),
        };
        if self.is_chosen {
            Err(NoKeys::Refused { problem, advice })
        } else if advice.starts_with("Hand") {
            Err(NoKeys::NotHere(format!("{problem} ({advice})")))
        } else {
            Err(NoKeys::NotHere(problem))
        }
    }

    fn read(&self) -> Result<Profiles, String> {
        let text = |path: &Option<String>| match path {
            None => Ok(String::new()),
            Some(path) => match read_text_if_there(path, PROFILE_FILE_BYTES_MAX) {
                Ok(text) => Ok(text.unwrap_or_default()),
                Err(Unread { problem }) => Err(problem),
            },
        };
        let (config, credentials) = (text(&self.config)?, text(&self.credentials)?);
        Profiles::parse(&config, &credentials).map_err(|BadLine { file, line }| {
            let path = match file {
                File::Config => &self.config,
                File::Credentials => &self.credentials,
            };
            let path = path.as_deref().unwrap_or_default();
            format!("line {line} of {path} is neither [section] nor name = value")
        })
    }

    /// As messages name it.
    fn title(&self) -> String {
        let paths: Vec<&str> =
            [&self.config, &self.credentials].into_iter().filter_map(Option::as_deref).collect();
        let places = match paths.as_slice() {
            [] => "no file: HOME is not set".to_owned(),
            paths => paths.join(", "),
        };
        format!("profile {} ({places})", one_line(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use std::path::PathBuf;

    use super::*;
    use crate::port::credentials::tests::{shown, variables};
    use crate::port::http::Http;
    use crate::port::http_script::{Script, answer};
    use crate::wire::aws_endpoint::Variant;

    /// A home with both files.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str, config: &str, credentials: &str) -> Home {
            let path = std::env::temp_dir().join(format!("ctk-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join(".aws")).unwrap();
            std::fs::write(path.join(".aws/config"), config).unwrap();
            std::fs::write(path.join(".aws/credentials"), credentials).unwrap();
            Home(path)
        }

        fn link(&self, values: &[(&str, &str)]) -> Profile {
            let mut values = values.to_vec();
            values.push(("HOME", self.0.to_str().unwrap()));
            let variables = variables(&values);
            let http = Http::new(&|_| None).unwrap();
            Profile::new(&variables, Sts::new(http, "eu-west-1", Variant::default(), &variables))
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    const CONFIG: &str = "[default]\nregion = eu-west-3\n[profile sso]\nsso_session = s\n[profile role]\nrole_arn = arn:r\nsource_profile = base\n[profile env]\nrole_arn = arn:r\ncredential_source = Environment\n";
    const CREDENTIALS: &str =
        "[base]\naws_access_key_id = AKB\naws_secret_access_key = base-secret\n";

    #[test]
    fn files_and_profiles() {
        let home = Home::new("profiles", CONFIG, CREDENTIALS);
        let other = home.0.join(".aws/credentials");
        let other = other.to_str().unwrap();
        let cases: [(&[(&str, &str)], &str); 8] = [
            (&[("AWS_PROFILE", "base")], "AKB base-secret -"),
            (&[], "not here: profile default ("),
            (&[("AWS_PROFILE", "none")], "refused: there is no profile none ("),
            (&[("AWS_PROFILE", "default")], "refused: profile default ("),
            (
                &[("AWS_PROFILE", "sso")],
                "refused: profile sso signs in by SSO, which is the AWS CLI's to do. Hand its credentials over: eval \"$(aws configure export-credentials --profile 'sso' --format env)\"",
            ),
            (&[("AWS_PROFILE", "env")], "refused: profile env ("),
            (
                &[("AWS_PROFILE", "base"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")],
                "refused: there is no profile base (",
            ),
            (
                &[
                    ("AWS_PROFILE", "base"),
                    ("AWS_CONFIG_FILE", "/nowhere"),
                    ("AWS_SHARED_CREDENTIALS_FILE", other),
                ],
                "AKB base-secret -",
            ),
        ];
        for (values, expected) in cases {
            let found = shown(&home.link(values).keys());
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!(home.link(&[]).files.region().unwrap(), "eu-west-3");
        assert!(home.link(&[("AWS_PROFILE", "base")]).files.region().is_err());
        let tilde = home.link(&[("AWS_CONFIG_FILE", "~/.aws/config")]);
        assert_eq!(tilde.files.region().unwrap(), "eu-west-3");
    }

    #[test]
    fn what_the_settings_leave_open() {
        let config = "[default]\nuse_dualstack_endpoint = true\nservices = s\nendpoint_url = http://all/\nca_bundle = /ca\n[services s]\ns3 =\n  endpoint_url = http://s3:1\n[profile bad]\nendpoint_url = http://hush@x\n[profile ignoring]\nendpoint_url = http://own\nignore_configured_endpoint_urls = TRUE\n";
        let home = Home::new("complete", config, "");
        let aws = |values: &[(&str, &str)]| {
            let mut values = values.to_vec();
            values.push(("HOME", home.0.to_str().unwrap()));
            Aws {
                region: None,
                s3_endpoint: None,
                dynamodb_endpoint: Some("http://db".into()),
                cloudwatch_endpoint: None,
                secrets_endpoint: None,
                flag_endpoints: BTreeMap::new(),
                variant: Variant::default(),
                requester_pays: false,
                s3_version_id: None,
                read_ahead: true,
                spot_notice: true,
                variables: variables(&values),
            }
        };
        let mut found = aws(&[("AWS_USE_FIPS_ENDPOINT", "false")]);
        Files::new(&found.variables.clone()).complete(&mut found).unwrap();
        assert_eq!(found.s3_endpoint.as_deref(), Some("http://s3:1"));
        assert_eq!(found.dynamodb_endpoint.as_deref(), Some("http://db"));
        assert_eq!(found.secrets_endpoint.as_deref(), Some("http://all"));
        assert_eq!(found.variables.get("AWS_ENDPOINT_URL_STS"), Some("http://all"));
        assert_eq!(found.variables.get("AWS_CA_BUNDLE"), Some("/ca"));
        assert_eq!(found.variant, Variant { fips: false, dual_stack: true });

        let mut found = aws(&[("AWS_USE_DUALSTACK_ENDPOINT", "false"), ("AWS_CA_BUNDLE", "/own")]);
        Files::new(&found.variables.clone()).complete(&mut found).unwrap();
        assert_eq!(found.variables.get("AWS_CA_BUNDLE"), Some("/own"));
        assert_eq!(found.variant, Variant::default());

        let mut found = aws(&[("AWS_PROFILE", "none")]);
        let before = found.clone();
        Files::new(&found.variables.clone()).complete(&mut found).unwrap();
        assert_eq!(found, before);

        // As botocore has it, but that flags are above all.
        let ignoring = |values: &[(&str, &str)]| {
            let mut found = aws(&[&[("AWS_PROFILE", "ignoring")], values].concat());
            found.s3_endpoint = Some("http://flag".into());
            found.flag_endpoints.insert("s3", "http://flag".into());
            Files::new(&found.variables.clone()).complete(&mut found).unwrap();
            let sts = found.variables.get("AWS_ENDPOINT_URL_STS").map(str::to_owned);
            [found.s3_endpoint, found.dynamodb_endpoint, found.secrets_endpoint, sts]
        };
        let (flag, db, own) = ("http://flag", "http://db", "http://own");
        let some = |urls: [&str; 4]| urls.map(|url| (!url.is_empty()).then(|| url.to_owned()));
        let name = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
        let sts = ("AWS_ENDPOINT_URL_STS", "http://sts");
        assert_eq!(ignoring(&[sts]), some([flag, "", "", ""]));
        assert_eq!(ignoring(&[sts, (name, "true")]), some([flag, "", "", ""]));
        assert_eq!(ignoring(&[sts, (name, "false")]), some([flag, db, own, "http://sts"]));

        let mut found = aws(&[("AWS_PROFILE", "bad")]);
        let problem = Files::new(&found.variables.clone()).complete(&mut found).unwrap_err();
        assert!(problem.contains("profile bad") && !problem.contains("hush"), "{problem}");
    }

    #[test]
    fn a_role_of_another_profile() {
        let home = Home::new("role", CONFIG, CREDENTIALS);
        let good = "<R><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>t</SessionToken></Credentials></AssumeRoleResult></R>";
        let script = Script::run(vec![vec![answer("200 OK", "", good)]]);
        let mut link =
            home.link(&[("AWS_PROFILE", "role"), ("AWS_ENDPOINT_URL_STS", &script.endpoint)]);
        assert_eq!(shown(&link.keys()), "ASIA hush t");
        assert_eq!(link.renewal(), Renewal::Itself);
        let [request] = script.requests().try_into().unwrap();
        assert!(request.contains("credential=akb/"), "{request}");
        let mut link = home.link(&[("AWS_PROFILE", "base")]);
        link.keys().unwrap();
        assert!(
            matches!(link.renewal(), Renewal::ByHand(advice) if advice.contains("profile base"))
        );
    }

    #[test]
    fn a_file_that_can_not_be_read_is_named_and_not_shown() {
        let home = Home::new("bad", "[default]\nhush", "");
        let found = shown(&home.link(&[]).keys());
        assert!(found.starts_with("not here: ") && found.contains("line 2 of "), "{found}");
        assert!(!found.contains("hush"), "{found}");
        let found = shown(&home.link(&[("AWS_PROFILE", "default")]).keys());
        assert!(found.starts_with("refused: "), "{found}");
    }
}
