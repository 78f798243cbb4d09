//! The profile files of the AWS tools, and what a profile says about who we are.
//!
//! ```text
//! config                         credentials
//! [default]                      [default]
//! region = eu-west-1             aws_access_key_id = …
//! [profile load]                 aws_secret_access_key = …
//! role_arn = arn:aws:iam::…
//! source_profile = default       a line that is further in belongs to the one before it
//! services = mine
//! [services mine]                endpoints, service by service
//! s3 =
//!   endpoint_url = http://…
//! ```
//!
//! Both files are read as one; where both say something, `credentials` wins.

use std::collections::BTreeMap;

use aws_credential_types::Credentials as Keys;

use crate::wire::http::one_line;

/// Profiles that may name each other with `source_profile`.
const CHAIN_MAX: usize = 5;

/// What the two files say. Their values may be secret: it is not shown.
pub struct Profiles {
    by_name: BTreeMap<String, Profile>,
    /// `s3.endpoint_url` and the like, by the name of the section.
    services: BTreeMap<String, Profile>,
}

type Profile = BTreeMap<String, String>;

/// A line that has no place in such a file. The line itself may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLine {
    pub file: File,
    pub line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    Config,
    Credentials,
}

/// How a profile comes to its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    Keys(Keys),
    Role { role: Role, base: Box<Plan> },
    WebIdentity { role: Role, token_file: String },
    Environment,
    Container,
    Instance,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Role {
    pub arn: String,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    pub duration_seconds: Option<u32>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPlan {
    /// There is no such profile.
    Missing,
    /// It has no credentials.
    Empty,
    /// Only the AWS CLI, or a person, can do what it says.
    ByHand { problem: String, advice: String },
    /// It contradicts itself.
    Wrong(String),
}

impl Profiles {
    /// Of the contents of both files; one that is not there is empty.
    pub fn parse(config: &str, credentials: &str) -> Result<Profiles, BadLine> {
        let mut profiles = Profiles { by_name: BTreeMap::new(), services: BTreeMap::new() };
        profiles.add(config, File::Config)?;
        profiles.add(credentials, File::Credentials)?;
        Ok(profiles)
    }

    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub fn region(&self, name: &str) -> Option<&str> {
        self.value(name, "region")
    }

    /// Where a service is, as its variables have it: `s3`, `secrets_manager`.
    pub fn endpoint(&self, name: &str, service: &str) -> Option<&str> {
        let services = self.value(name, "services").and_then(|section| self.services.get(section));
        let own = services.and_then(|services| services.get(&format!("{service}.endpoint_url")));
        own.map(String::as_str)
            .filter(|url| !url.is_empty())
            .or_else(|| self.value(name, "endpoint_url"))
    }

    /// What is `true` or `false`.
    pub fn says(&self, name: &str, key: &str) -> Option<bool> {
        self.value(name, key).map(|value| value.eq_ignore_ascii_case("true"))
    }

    pub fn ca_bundle(&self, name: &str) -> Option<&str> {
        self.value(name, "ca_bundle")
    }

    pub fn plan(&self, name: &str) -> Result<Plan, NoPlan> {
        self.plan_of(name, &mut Vec::new())
    }

    fn value(&self, name: &str, key: &str) -> Option<&str> {
        let value = self.by_name.get(name)?.get(key)?;
        if value.is_empty() { None } else { Some(value) }
    }

    fn add(&mut self, text: &str, file: File) -> Result<(), BadLine> {
        // `None`: a section of another kind, or none yet.
        let mut current: Option<Section> = None;
        let mut service = String::new();
        // How far in the last value of the section begins: a whole file may be moved in.
        let mut value_at: Option<usize> = None;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let bad = BadLine { file, line: index + 1 };
            let at = line.len() - line.trim_start().len();
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if value_at.is_some_and(|value_at| at > value_at) {
                if let (Some(Section::Services(name)), Some((key, value))) =
                    (&current, line.split_once('='))
                {
                    let key = format!("{service}.{}", key.trim().to_ascii_lowercase());
                    let services = self.services.entry(name.clone()).or_default();
                    services.insert(key, without_comment(value).to_owned());
                }
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let (section, _) = rest.split_once(']').ok_or(bad)?;
                current = Section::of(section.trim(), file);
                value_at = None;
                if let Some(Section::Profile(name)) = &current {
                    self.by_name.entry(name.clone()).or_default();
                }
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(bad)?;
            value_at = Some(at);
            let key = key.trim().to_ascii_lowercase();
            match &current {
                Some(Section::Profile(name)) => {
                    let profile = self.by_name.entry(name.clone()).or_default();
                    profile.insert(key, without_comment(value).to_owned());
                }
                Some(Section::Services(_)) => service = key,
                None => {}
            }
        }
        Ok(())
    }

    fn plan_of(&self, name: &str, seen: &mut Vec<String>) -> Result<Plan, NoPlan> {
        if !self.has(name) {
            return Err(NoPlan::Missing);
        }
        let keys = self.keys(name)?;
        // A source that has keys beside a role of its own gives the keys, to itself too.
        let is_own_source = seen.iter().any(|earlier| earlier == name);
        if let Some(keys) = &keys
            && (is_own_source || (1..CHAIN_MAX).contains(&seen.len()))
        {
            return Ok(Plan::Keys(keys.clone()));
        }
        if is_own_source || seen.len() == CHAIN_MAX {
            let names = seen.join(", ");
            return Err(NoPlan::Wrong(format!(
                "source_profile leads in a circle, or through more than {CHAIN_MAX} profiles ({})",
                one_line(&names)
            )));
        }
        seen.push(name.to_owned());
        if let Some(arn) = self.value(name, "role_arn") {
            return self.role(name, arn, seen);
        }
        match keys {
            Some(keys) => Ok(Plan::Keys(keys)),
            None => Err(self.why_not(name, seen)),
        }
    }

    fn keys(&self, name: &str) -> Result<Option<Keys>, NoPlan> {
        let value = |key: &str| self.value(name, key);
        match (value("aws_access_key_id"), value("aws_secret_access_key")) {
            (Some(id), Some(secret)) => {
                let token = value("aws_session_token").or_else(|| value("aws_security_token"));
                Ok(Some(Keys::new(id, secret, token.map(str::to_owned), None, "profile")))
            }
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(NoPlan::Wrong("aws_access_key_id without aws_secret_access_key".into()))
            }
            (None, Some(_)) => {
                Err(NoPlan::Wrong("aws_secret_access_key without aws_access_key_id".into()))
            }
        }
    }

    fn role(&self, name: &str, arn: &str, seen: &mut Vec<String>) -> Result<Plan, NoPlan> {
        let value = |key: &str| self.value(name, key);
        if value("mfa_serial").is_some() {
            return Err(by_hand(name, seen, "asks for a code of a second factor (mfa_serial)"));
        }
        let duration_seconds = match value("duration_seconds").map(str::parse::<u32>) {
            None => None,
            Some(Ok(seconds)) if (900..=43_200).contains(&seconds) => Some(seconds),
            Some(_) => {
                return Err(NoPlan::Wrong("duration_seconds takes 900 to 43200".into()));
            }
        };
        let role = Role {
            arn: arn.to_owned(),
            session_name: value("role_session_name").map(str::to_owned),
            external_id: value("external_id").map(str::to_owned),
            duration_seconds,
        };
        let sources =
            (value("source_profile"), value("credential_source"), value("web_identity_token_file"));
        let base = match sources {
            (None, None, Some(file)) => {
                return Ok(Plan::WebIdentity { role, token_file: file.to_owned() });
            }
            (Some(source), None, None) => match self.plan_of(source, seen) {
                Ok(base) => base,
                Err(NoPlan::Missing) => {
                    return Err(NoPlan::Wrong(format!(
                        "source_profile {}: there is no such profile",
                        one_line(source)
                    )));
                }
                Err(NoPlan::Empty) => {
                    return Err(NoPlan::Wrong(format!(
                        "source_profile {} has no credentials",
                        one_line(source)
                    )));
                }
                Err(other) => return Err(other),
            },
            (None, Some("Environment"), None) => Plan::Environment,
            (None, Some("EcsContainer"), None) => Plan::Container,
            (None, Some("Ec2InstanceMetadata"), None) => Plan::Instance,
            (None, Some(_), None) => {
                return Err(NoPlan::Wrong(
                    "credential_source takes Environment, EcsContainer or Ec2InstanceMetadata"
                        .into(),
                ));
            }
            (None, None, None) => {
                return Err(NoPlan::Wrong(
                    "role_arn needs source_profile, credential_source or web_identity_token_file"
                        .into(),
                ));
            }
            _ => {
                return Err(NoPlan::Wrong(
                    "only one of source_profile, credential_source and web_identity_token_file goes with role_arn".into(),
                ));
            }
        };
        Ok(Plan::Role { role, base: Box::new(base) })
    }

    fn why_not(&self, name: &str, seen: &[String]) -> NoPlan {
        let has = |key: &str| self.value(name, key).is_some();
        if has("sso_session") || has("sso_start_url") || has("sso_account_id") {
            return by_hand(name, seen, "signs in by SSO");
        }
        if has("credential_process") {
            return by_hand(name, seen, "asks another program (credential_process)");
        }
        if has("login_session") {
            return by_hand(name, seen, "signs in by aws login");
        }
        NoPlan::Empty
    }
}

/// The first of those that were seen is the one that was asked for: handed over, its
/// credentials are those of its role.
fn by_hand(name: &str, seen: &[String], what: &str) -> NoPlan {
    let asked_for = one_line(seen.first().map_or(name, String::as_str));
    let name = one_line(name);
    NoPlan::ByHand {
        problem: format!("profile {name} {what}, which is the AWS CLI's to do"),
        advice: format!(
            "Hand its credentials over: eval \"$(aws configure export-credentials --profile '{}' --format env)\"",
            asked_for.replace('\'', "")
        ),
    }
}

/// A section of a file.
enum Section {
    Profile(String),
    Services(String),
}

impl Section {
    /// `None`: one of another kind.
    fn of(section: &str, file: File) -> Option<Section> {
        let after = |word: &str| {
            let rest = section.strip_prefix(word)?;
            rest.starts_with([' ', '\t']).then(|| unquoted(rest.trim()))
        };
        match file {
            File::Credentials => Some(Section::Profile(unquoted(section))),
            File::Config if section == "default" => Some(Section::Profile(section.to_owned())),
            File::Config => after("profile")
                .map(Section::Profile)
                .or_else(|| after("services").map(Section::Services)),
        }
    }
}

fn unquoted(name: &str) -> String {
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| name.strip_prefix(*quote).and_then(|name| name.strip_suffix(*quote)));
    unquoted.unwrap_or(name).to_owned()
}

/// A comment begins with a blank before its sign: a secret may hold the sign itself.
fn without_comment(value: &str) -> &str {
    let comments = [" #", " ;", "\t#", "\t;"];
    let end = comments.iter().filter_map(|sign| value.find(sign)).min();
    end.and_then(|end| value.get(..end)).unwrap_or(value).trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: &str = "aws_access_key_id = AK\naws_secret_access_key=s/+#=;x";

    fn plan(config: &str, credentials: &str, name: &str) -> Result<Plan, NoPlan> {
        Profiles::parse(config, credentials).unwrap().plan(name)
    }

    /// The plan in a few letters.
    fn shown(found: &Result<Plan, NoPlan>) -> String {
        match found {
            Ok(Plan::Keys(keys)) => format!(
                "keys {} {} {}",
                keys.access_key_id(),
                keys.secret_access_key(),
                keys.session_token().unwrap_or("-")
            ),
            Ok(Plan::Role { role, base }) => {
                let rest = (&role.session_name, &role.external_id, role.duration_seconds);
                let rest =
                    if rest == (&None, &None, None) { String::new() } else { format!("{rest:?}") };
                format!("role {}{rest} by {}", role.arn, shown(&Ok((**base).clone())))
            }
            Ok(Plan::WebIdentity { role, token_file }) => format!("web {} {token_file}", role.arn),
            Ok(other) => format!("{other:?}"),
            Err(NoPlan::ByHand { problem, advice }) => format!("{problem}. {advice}"),
            Err(NoPlan::Wrong(why)) => why.clone(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn profiles_and_what_they_say() {
        let cli = "which is the AWS CLI's to do. Hand its credentials over: eval \"$(aws configure export-credentials --profile 'p' --format env)\"";
        let k = "keys AK s/+#=;x -";
        let cases: Vec<(String, String, String)> = vec![
            // config, credentials, expected of profile p
            (String::new(), format!("[p]\n{KEYS}"), k.into()),
            (String::new(), format!("  [p]\n    {}", KEYS.replace('\n', "\n    ")), k.into()),
            (String::new(), format!("[p]\n\t{}\n[q]", KEYS.replace('\n', "\n\n\t")), k.into()),
            (String::new(), format!("\u{feff}[p]\r\n{}\r\n", KEYS.replace('\n', "\r\n")), k.into()),
            (format!("[profile p]\n{KEYS}\naws_session_token=t # temporary"), String::new(), k.replace('-', "t")),
            (format!("[profile 'p']\n{KEYS}"), "[p]\naws_access_key_id = BK".into(), k.replace("AK", "BK")),
            (format!("[p]\n{KEYS}"), String::new(), "Missing".into()),
            (format!("[profilep]\n{KEYS}\n[sso-session p]\nx=y"), String::new(), "Missing".into()),
            (String::new(), String::new(), "Missing".into()),
            ("[profile p]\nregion = x\ns3 =\n  aws_access_key_id = nested\n; c\n# c".into(), String::new(), "Empty".into()),
            ("[profile p]".into(), format!("# c\n[p]\n{}", &KEYS[..22]), "aws_access_key_id without aws_secret_access_key".into()),
            ("[profile p]\nrole_arn = r\nsource_profile = b".into(), format!("[b]\n{KEYS}"), format!("role r by {k}")),
            ("[profile p]\nrole_arn = r\nsource_profile = p".into(), format!("[p]\n{KEYS}"), format!("role r by {k}")),
            (
                format!("[profile p]\nrole_arn = r\nsource_profile = q\n[profile q]\nrole_arn = r2\nsource_profile = b\n{KEYS}"),
                "[b]".into(),
                format!("role r by {k}"),
            ),
            (
                "[profile p]\nrole_arn = r\nsource_profile = q\n[profile q]\nROLE_ARN=r2\nsource_profile=b\nexternal_id = e\nrole_session_name=n\nduration_seconds=900".into(),
                format!("[b]\n{KEYS}"),
                format!("role r by role r2(Some(\"n\"), Some(\"e\"), Some(900)) by {k}"),
            ),
            ("[profile p]\nrole_arn = r\nsource_profile = p".into(), String::new(), "source_profile leads in a circle, or through more than 5 profiles (p)".into()),
            ("[profile p]\nrole_arn = r\nsource_profile = b".into(), String::new(), "source_profile b: there is no such profile".into()),
            ("[profile p]\nrole_arn = r\nsource_profile = b\n[profile b]".into(), String::new(), "source_profile b has no credentials".into()),
            ("[profile p]\nrole_arn = r\ncredential_source = Ec2InstanceMetadata".into(), String::new(), "role r by Instance".into()),
            ("[profile p]\nrole_arn = r\ncredential_source = EcsContainer".into(), String::new(), "role r by Container".into()),
            ("[profile p]\nrole_arn = r\ncredential_source = Environment".into(), String::new(), "role r by Environment".into()),
            ("[profile p]\nrole_arn = r\ncredential_source = Other".into(), String::new(), "credential_source takes Environment, EcsContainer or Ec2InstanceMetadata".into()),
            ("[profile p]\nrole_arn = r\nweb_identity_token_file = /t".into(), String::new(), "web r /t".into()),
            ("[profile p]\nrole_arn = r\nweb_identity_token_file = /t\nsource_profile = p".into(), String::new(), "only one of source_profile, credential_source and web_identity_token_file goes with role_arn".into()),
            ("[profile p]\nrole_arn = r".into(), String::new(), "role_arn needs source_profile, credential_source or web_identity_token_file".into()),
            ("[profile p]\nrole_arn = r\nsource_profile = b\nduration_seconds = 9".into(), String::new(), "duration_seconds takes 900 to 43200".into()),
            ("[profile p]\nrole_arn = r\nsource_profile = b\nmfa_serial = m".into(), String::new(), format!("profile p asks for a code of a second factor (mfa_serial), {cli}")),
            ("[profile p]\nsso_session = s".into(), String::new(), format!("profile p signs in by SSO, {cli}")),
            ("[profile p]\nrole_arn = r\nsource_profile = q\n[profile q]\nsso_start_url = s".into(), String::new(), format!("profile q signs in by SSO, {cli}")),
            ("[profile p]\ncredential_process = x".into(), String::new(), format!("profile p asks another program (credential_process), {cli}")),
            (format!("[profile p]\ncredential_process = x\n{KEYS}"), String::new(), k.into()),
        ];
        for (config, credentials, expected) in cases {
            let found = shown(&plan(&config, &credentials, "p"));
            assert_eq!(found, expected, "{config}\n---\n{credentials}");
        }
    }

    #[test]
    fn a_long_chain_has_an_end() {
        let config = |count: usize| {
            let profile =
                |i: usize| format!("[profile p{i}]\nrole_arn=r\nsource_profile=p{}\n", i + 1);
            (0..count).map(profile).collect::<String>() + &format!("[profile p{count}]\n{KEYS}")
        };
        assert!(plan(&config(4), "", "p0").is_ok());
        assert!(matches!(plan(&config(5), "", "p0"), Err(NoPlan::Wrong(_))));
    }

    #[test]
    fn the_region_of_a_profile() {
        let profiles =
            Profiles::parse("[default]\nregion = a\n[profile p]\nregion=b ; c", "[p]\nx=y")
                .unwrap();
        let cases = [("default", Some("a")), ("p", Some("b")), ("q", None)];
        for (name, expected) in cases {
            assert_eq!(profiles.region(name), expected, "{name}");
        }
    }

    #[test]
    fn where_the_services_of_a_profile_are() {
        let config = "[default]\nendpoint_url = http://all # for tests\n[profile p]\nservices = mine\nendpoint_url=http://p\nuse_fips_endpoint = True\nca_bundle = /ca.pem\n[services mine]\ns3 = \n  endpoint_url = http://s3\n  max = 1\ndynamodb =\n  endpoint_url = http://db\n[services 'other']\nsts=\n  endpoint_url = http://sts\n[profile q]\nservices = other\n[profile r]\nignore_configured_endpoint_urls = true";
        let profiles = Profiles::parse(config, "").unwrap();
        let cases = [
            ("default", "s3", Some("http://all")),
            ("p", "s3", Some("http://s3")),
            ("p", "dynamodb", Some("http://db")),
            ("p", "sts", Some("http://p")),
            ("q", "sts", Some("http://sts")),
            ("q", "s3", None),
            ("none", "s3", None),
        ];
        for (name, service, expected) in cases {
            assert_eq!(profiles.endpoint(name, service), expected, "{name} {service}");
        }
        assert_eq!(profiles.says("p", "use_fips_endpoint"), Some(true));
        assert_eq!(profiles.says("p", "use_dualstack_endpoint"), None);
        assert_eq!(profiles.says("r", "ignore_configured_endpoint_urls"), Some(true));
        assert_eq!(profiles.ca_bundle("p"), Some("/ca.pem"));
    }

    #[test]
    fn a_line_that_can_not_be_read_is_named_by_its_number() {
        let cases = [
            ("[default]\nhush", "", File::Config, 2),
            ("", "\n[default", File::Credentials, 2),
            ("hush", "", File::Config, 1),
        ];
        for (config, credentials, file, line) in cases {
            let bad = Profiles::parse(config, credentials).err().unwrap();
            assert_eq!(bad, BadLine { file, line });
        }
    }

    #[test]
    fn a_plan_does_not_show_its_secret() {
        let shown =
            format!("{:?}", plan("", "[p]\naws_access_key_id=AK\naws_secret_access_key=hush", "p"));
        assert!(!shown.contains("hush"), "{shown}");
    }

    proptest! {
        /// Whatever the files hold, each of their profiles has a plan or a reason.
        #[test]
        fn any_files(config in PIECES, credentials in PIECES) {
            let Ok(profiles) = Profiles::parse(&config, &credentials) else { return Ok(()) };
            for name in profiles.by_name.keys() {
                let found = profiles.plan(name);
                prop_assert!(found != Err(NoPlan::Missing), "{}", name);
            }
        }
    }

    const PIECES: &str = "(\\[(profile )?[a-c\"]{1,2}\\]|\n|role_arn=r|source_profile ?= ?[a-c]|aws_access_key_id=A|aws_secret_access_key=hush| x=y|credential_source=Environment|mfa_serial=m|sso_session=s|duration_seconds=[0-9]{1,6}|=|\\[|#|.{0,2}|\n){0,30}";
}
