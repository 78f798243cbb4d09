//! How brokers are spoken to, and who we are for them.

use super::*;

#[test]
fn logins() {
    let me = "KAFKA_SASL_USERNAME=me KAFKA_SASL_PASSWORD_FILE=/secret";
    let aws = "AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=A AWS_SECRET_ACCESS_KEY=S";
    for (variables, expected) in [
        (
            "SASL_PLAINTEXT KAFKA_SASL_MECHANISM=plain",
            "Plain(Password(Password { username: \"me\", password: (secret) }))",
        ),
        (
            "SASL_SSL KAFKA_SASL_MECHANISM=scram-sha-512",
            "Scram(Sha512, Password(Password { username: \"me\", password: (secret) }))",
        ),
        ("SASL_SSL KAFKA_SASL_MECHANISM=AWS_MSK_IAM", "AwsMskIam"),
    ] {
        let rest = if variables.contains("IAM") { aws } else { me };
        let settings = run_of(&format!("{LOCAL} KAFKA_SECURITY_PROTOCOL={variables} {rest}"), "");
        assert_eq!(format!("{:?}", settings.security.login.unwrap()), expected);
        assert_eq!(settings.security.tls.is_some(), variables.starts_with("SASL_SSL"));
        assert_eq!(settings.aws.is_some(), variables.contains("IAM"), "{variables}");
    }
}

#[test]
fn a_login_in_secrets_manager() {
    let arn = "arn:aws:secretsmanager:us-west-2:1:secret:AmazonMSK_x-AbCdEf";
    let login = format!(
        "KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=SCRAM-SHA-512 KAFKA_SASL_SECRET_ARN={arn} AWS_ACCESS_KEY_ID=A AWS_SECRET_ACCESS_KEY=S"
    );
    // Where nothing else is on AWS, its region is the one that counts.
    for (more, region, endpoint) in [
        ("", "us-west-2", None),
        ("AWS_REGION=eu-west-1", "eu-west-1", None),
        ("AWS_ENDPOINT_URL=http://a:1", "us-west-2", Some("http://a:1")),
        (
            "AWS_ENDPOINT_URL=http://a:1 AWS_ENDPOINT_URL_SECRETS_MANAGER=http://b:2/",
            "us-west-2",
            Some("http://b:2"),
        ),
    ] {
        let settings = run_of(&format!("{LOCAL} {login} {more}"), "");
        assert_eq!(settings.security.secret().unwrap().to_string(), arn);
        let aws = settings.aws.unwrap();
        assert_eq!(aws.region.as_deref(), Some(region), "{more}");
        assert_eq!(aws.secrets_endpoint.as_deref(), endpoint, "{more}");
    }
    let bare = REMOTE.split(" AWS_REGION").next().expect("its start");
    assert_eq!(run_of(&format!("{bare} {login}"), "").aws.unwrap().region, None);
}

#[test]
fn plaintext_to_elsewhere_is_a_warning() {
    let login = "KAFKA_SASL_MECHANISM=PLAIN KAFKA_SASL_USERNAME=me KAFKA_SASL_PASSWORD=p";
    for (variables, expected) in [
        ("KAFKA_BOOTSTRAP_SERVERS=localhost,127.0.0.1,[::1]:9", None),
        ("KAFKA_BOOTSTRAP_SERVERS=localhost,b-1:9092", Some("rows go to b-1:9092 in plain text")),
        ("KAFKA_BOOTSTRAP_SERVERS=b-1 KAFKA_SECURITY_PROTOCOL=SSL", None),
        (
            "KAFKA_BOOTSTRAP_SERVERS=b-1 KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT LOGIN",
            Some("login and rows go to b-1:9092 in plain text"),
        ),
    ] {
        let variables = variables.replace("LOGIN", login);
        let warnings = parsed(&format!("{LOCAL} {variables}"), "").warnings;
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{variables}: {warnings:?}");
        assert!(warnings.iter().zip(expected).all(|(warning, words)| warning.contains(words)));
    }
}

#[test]
fn a_key_in_the_place_of_its_path_is_not_repeated() {
    let key = "-----BEGIN%20PRIVATE%20KEY-----hush";
    for (name, instead) in [
        ("KAFKA_SSL_KEY_FILE", "KAFKA_SSL_KEY_PEM"),
        ("KAFKA_SSL_CERT_FILE", "KAFKA_SSL_CERT_PEM"),
        ("KAFKA_SSL_CA_FILE", "KAFKA_SSL_CA_PEM"),
    ] {
        let flag = format!("--{}", name.to_lowercase().replace('_', "-"));
        let ssl = format!("{LOCAL} KAFKA_SECURITY_PROTOCOL=SSL");
        for (variables, arguments, origin) in [
            (format!("{ssl} {name}={key}"), String::new(), name),
            (ssl.clone(), format!("{flag} {key}"), &flag),
            (ssl.clone(), format!("{flag}={key}"), &flag),
        ] {
            let said = problems_of(&variables, &arguments).join(" ");
            let words =
                format!("{origin} takes a path, and is given the text itself; set {instead}");
            assert!(said.contains(&words) && !said.contains("hush"), "{said}");
        }
    }
    // A key as a flag, of the right name or of another one.
    for flag in ["--kafka-ssl-key-pem", "--kafka-ssl-key-pen"] {
        let said = problems_of(LOCAL, &format!("{flag} {key}")).join(" ");
        assert!(said.contains(flag) && !said.contains("hush"), "{said}");
    }
}

#[test]
fn a_secret_after_a_mistyped_flag_is_not_repeated() {
    for arguments in
        ["--kafka-sasl-pasword hush", "run --kafka-sasl-pasword hush", "--kafka-sasl-pasword=hush"]
    {
        let said = problems_of(LOCAL, arguments).join(" ");
        let words = "unknown flag --kafka-sasl-pasword; if a secret is meant, it is never an argument: set the variable KAFKA_SASL_PASSWORD";
        assert!(said.contains(words) && !said.contains("hush"), "{said}");
    }
}

#[test]
fn a_key_that_can_not_be_read_is_not_missing_too() {
    let remote = REMOTE.replace("AWS_SECRET_ACCESS_KEY=S", "");
    for (key, expected) in [
        ("", "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is missing"),
        ("AWS_SECRET_ACCESS_KEY_FILE=/none", "AWS_SECRET_ACCESS_KEY_FILE=/none: No such file"),
        ("AWS_SECRET_ACCESS_KEY_FILE=/secret AWS_SECRET_ACCESS_KEY=S", "are both set"),
    ] {
        let problems = problems_of(&format!("{remote} {key}"), "");
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
    }
}

#[test]
fn a_password_that_can_not_be_read_is_not_missing_too() {
    let login =
        "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT KAFKA_SASL_MECHANISM=PLAIN KAFKA_SASL_USERNAME=me";
    for (password, expected) in [
        ("", "KAFKA_SASL_PASSWORD is missing"),
        ("KAFKA_SASL_PASSWORD_FILE=/none", "KAFKA_SASL_PASSWORD_FILE=/none: No such file"),
        ("KAFKA_SASL_PASSWORD_FILE=/secret KAFKA_SASL_PASSWORD=p", "are both set"),
    ] {
        let problems = problems_of(&format!("{LOCAL} {login} {password}"), "");
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
    }
}
