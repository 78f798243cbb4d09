//! Logins against scripted peers; SCRAM's own words are tested where they are made.

use super::super::{AwsLogin, KafkaConfig, KafkaPartition, Security};
use super::peer::{ALL_WELL, Act, OFFERS, Peer, bytes, metadata, offers, offers_of, one, text};
use super::{passing, stopped};
use crate::flow::ports::{Broker, Fault};
use crate::port::credentials::Credentials;
use crate::port::http::Http;
use crate::port::http_script::{self, answer};
use crate::port::secrets_manager::SecretLogin;
use crate::settings::{KafkaSecurity, Login, Password, SaslMechanism, Secret};
use crate::wire::aws_endpoint::Variant;
use crate::wire::sasl::scram::Hash;
use crate::wire::secrets_manager::SecretArn;

fn password() -> Login {
    Login::Password(Password { username: "me".into(), password: Secret::new("hush".into()) })
}

fn partition(port: u16, mechanism: SaslMechanism) -> KafkaPartition {
    let keys = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("hush".to_owned()),
        _ => None,
    };
    let credentials = Credentials::from_environment(&keys);
    let aws = AwsLogin::Role { credentials, region: "eu-west-1".into() };
    partition_with(port, mechanism, aws)
}

fn partition_with(port: u16, mechanism: SaslMechanism, aws: AwsLogin) -> KafkaPartition {
    let settings = KafkaSecurity { tls: None, login: Some(mechanism) };
    KafkaPartition::new(KafkaConfig {
        bootstrap: vec![("127.0.0.1".into(), port)],
        topic: "t".into(),
        partition: 0,
        client_id: "test".into(),
        security: Security::new(&settings, Some(aws)).unwrap(),
        client: crate::settings::KafkaClient::Auto,
        compression: crate::wire::compress::Compression::None,
    })
}

fn sasl_offers() -> Act {
    offers_of(&[&OFFERS[..], &[(17, 0, 1), (36, 0, 2)]].concat())
}

fn handshake(error: i16, mechanisms: &[&str]) -> Act {
    let count = u32::try_from(mechanisms.len()).unwrap().to_be_bytes();
    let names: Vec<u8> = mechanisms.iter().flat_map(|name| text(name)).collect();
    Act::Say(bytes(&[&error.to_be_bytes(), &count, &names]))
}

/// `SaslAuthenticate` 1.
fn authenticate(error: i16, message: Option<&str>, heard: &[u8], lifetime_ms: i64) -> Act {
    Act::Say(bytes(&[
        &error.to_be_bytes(),
        &message.map_or(vec![0xFF, 0xFF], text),
        &u32::try_from(heard.len()).unwrap().to_be_bytes(),
        heard,
        &lifetime_ms.to_be_bytes(),
    ]))
}

fn welcome(lifetime_ms: i64) -> [Act; 3] {
    [sasl_offers(), handshake(0, &["PLAIN"]), authenticate(0, None, b"", lifetime_ms)]
}

fn api_key(request: &[u8]) -> i16 {
    i16::from_be_bytes([request[0], request[1]])
}

#[test]
fn the_login_comes_before_all_else() {
    // The silence keeps the connection open.
    let peer = Peer::start(|port| {
        vec![[&welcome(0)[..], &[metadata(port, &ALL_WELL), Act::Silence]].concat()]
    });
    let mut partition = partition(peer.port, SaslMechanism::Plain(password()));
    partition.describe().unwrap();
    // Without an end the login serves as long as the connection.
    partition.connect().unwrap();
    drop(partition);
    let requests = peer.requests();
    let keys: Vec<i16> = requests.iter().map(|request| api_key(request)).collect();
    assert_eq!(keys, [18, 17, 36, 3]);
    assert!(requests[2].ends_with(b"\0\0\0\x08\0me\0hush"));
}

#[test]
fn a_login_that_is_about_to_end_is_renewed_on_a_new_connection() {
    let peer = Peer::start(|port| {
        let first = [&welcome(1)[..], &[metadata(port, &ALL_WELL), Act::Silence]].concat();
        vec![first, [&welcome(60_000)[..], &[Act::Silence]].concat()]
    });
    let mut partition = partition(peer.port, SaslMechanism::Plain(password()));
    partition.describe().unwrap();
    let since = std::time::Instant::now();
    while since.elapsed().as_millis() < 2 {
        std::hint::spin_loop();
    }
    partition.connect().unwrap();
    partition.connect().unwrap();
    drop(partition);
    let keys: Vec<i16> = peer.requests().iter().map(|request| api_key(request)).collect();
    assert_eq!(keys, [18, 17, 36, 3, 18, 17, 36]);
}

#[test]
fn a_login_is_renewed_with_an_eighth_of_its_time_left() {
    use super::super::login::renewal;
    let since = std::time::Instant::now();
    for (lifetime_ms, expected) in
        [(0, None), (1, Some(1)), (3_000, Some(2_625)), (3_600_000, Some(3_150_000))]
    {
        let after = renewal(since, lifetime_ms).map(|at| at.duration_since(since).as_millis());
        assert_eq!(after, expected, "{lifetime_ms}");
    }
}

/// Given what the broker says of a wrong password.
type Script = fn(Option<&str>) -> Vec<Act>;

#[test]
fn refusals_are_final_and_say_what_to_do() {
    let plain = || SaslMechanism::Plain(password());
    let scram = || SaslMechanism::Scram(Hash::Sha256, password());
    let said = Some("Authentication failed: Invalid username or password");
    let cases: [(&str, SaslMechanism, Script, &[&str]); 7] = [
        (
            "another mechanism",
            plain(),
            |_| vec![sasl_offers(), handshake(33, &["SCRAM-SHA-256", "GSSAPI"])],
            &["does not take PLAIN", "(33)", "It offers SCRAM-SHA-256, GSSAPI"],
        ),
        (
            "no login here",
            plain(),
            |_| vec![sasl_offers(), handshake(34, &[])],
            &["takes no login on this port", "(34)", "KAFKA_SECURITY_PROTOCOL"],
        ),
        (
            "wrong password",
            plain(),
            |said| vec![sasl_offers(), handshake(0, &[]), authenticate(58, said, b"", 0)],
            &["Invalid username or password", "(58)", "KAFKA_SASL_PASSWORD_FILE"],
        ),
        (
            "no right to connect",
            SaslMechanism::AwsMskIam,
            |_| {
                vec![
                    sasl_offers(),
                    handshake(0, &[]),
                    authenticate(58, Some("Access denied"), b"", 0),
                ]
            },
            &["AWS_MSK_IAM: Access denied", "kafka-cluster:Connect"],
        ),
        (
            "a stranger",
            scram(),
            |_| {
                vec![
                    sasl_offers(),
                    handshake(0, &[]),
                    authenticate(0, None, b"r=x,s=c2Fs,i=4096", 0),
                ]
            },
            &["(SCRAM-SHA-256) ends: it answers another login", "KAFKA_BOOTSTRAP_SERVERS"],
        ),
        (
            "a proof that is not asked for",
            scram(),
            |_| vec![sasl_offers(), handshake(0, &[]), authenticate(0, None, b"", 0)],
            &["what it says is no SCRAM"],
        ),
        ("an old broker", plain(), |_| vec![offers()], &["offers no login", "newer broker"]),
    ];
    for (name, mechanism, script, words) in cases {
        let peer = Peer::start(|_| vec![script(said)]);
        let message = stopped(partition(peer.port, mechanism).describe().unwrap_err());
        for word in words {
            assert!(message.contains(word), "{name}: {message}");
        }
        assert!(!message.contains("hush"), "{name}: {message}");
        peer.requests();
    }
}

#[test]
fn too_many_logins_at_once_pass() {
    let said = "[1b2c]: Too many connects";
    let peer = Peer::start(|_| {
        vec![vec![sasl_offers(), handshake(0, &[]), authenticate(58, Some(said), b"", 0)]]
    });
    let trouble = passing(partition(peer.port, SaslMechanism::AwsMskIam).describe().unwrap_err());
    assert!(trouble.problem.contains(said), "{trouble:?}");
    let word = String::from_utf8_lossy(&peer.requests()[2]).into_owned();
    assert!(word.contains("/eu-west-1/kafka-cluster/aws4_request"), "{word}");
    assert!(word.contains(r#""host":"127.0.0.1""#), "{word}");
}

#[test]
fn a_broker_that_has_its_own_trouble_is_asked_again_later() {
    for (rest, words) in [
        (vec![handshake(-1, &[])], "now: UNKNOWN_SERVER_ERROR (-1)"),
        (vec![handshake(8, &["PLAIN"])], "now: BROKER_NOT_AVAILABLE (8)"),
        (
            vec![handshake(0, &[]), authenticate(7, Some("no\nanswer"), b"", 0)],
            "now: REQUEST_TIMED_OUT (7): noanswer",
        ),
        (vec![handshake(0, &[]), authenticate(-1, None, b"", 0)], "UNKNOWN_SERVER_ERROR (-1)"),
    ] {
        let peer = Peer::start(|_| vec![[&[sasl_offers()][..], &rest].concat()]);
        let mut partition = partition(peer.port, SaslMechanism::Plain(password()));
        let trouble = passing(partition.describe().unwrap_err());
        assert!(trouble.problem.contains(words), "{trouble:?}");
        peer.requests();
    }
}

#[test]
fn credentials_near_their_end_are_renewed() {
    let said = "[1b2c]: Session too short";
    let peer = Peer::start(|_| {
        vec![vec![sasl_offers(), handshake(0, &[]), authenticate(58, Some(said), b"", 0)]]
    });
    // Those of the environment are, by a person.
    let message = stopped(partition(peer.port, SaslMechanism::AwsMskIam).describe().unwrap_err());
    assert!(message.contains(said) && message.contains("AWS_SESSION_TOKEN"), "{message}");
    peer.requests();
}

#[test]
fn answers_that_are_cut_or_foreign_are_asked_again_later() {
    let whole = |act: Act| match act {
        Act::Say(body) => body,
        _ => unreachable!("the answers here are said whole"),
    };
    let handshake_body = whole(handshake(0, &["PLAIN"]));
    let login_body = whole(authenticate(0, None, b"", 0));
    for (name, rest) in [
        ("cut handshake", vec![Act::Say(handshake_body[..handshake_body.len() - 1].to_vec())]),
        ("false count", vec![Act::Say(bytes(&[&[0, 0], &[0x7F; 4]]))]),
        ("longer answer", vec![handshake(0, &[]), Act::Say(bytes(&[&login_body, &one()]))]),
        ("no answer", vec![handshake(0, &[]), Act::HangUp]),
    ] {
        let peer = Peer::start(|_| vec![[&[sasl_offers()][..], &rest].concat()]);
        let mut partition = partition(peer.port, SaslMechanism::Plain(password()));
        let trouble = passing(partition.describe().unwrap_err());
        assert!(trouble.problem.contains("127.0.0.1"), "{name}: {trouble:?}");
        peer.requests();
    }
}

#[test]
fn a_secret_that_was_rotated_is_fetched_once_more() {
    let wrong = || authenticate(58, Some("Invalid username or password"), b"", 0);
    let secret = |password: &str| {
        let text = format!(r#"{{"username": "me", "password": "{password}"}}"#);
        answer("200 OK", "", &serde_json::json!({"SecretString": text}).to_string())
    };
    // The last secret is as wrong as the one before: fetched just now, it is final.
    let manager =
        http_script::Script::run(vec![vec![secret("one"), secret("two"), secret("three")]]);
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:AmazonMSK_x-AbCdEf";
    let arn = SecretArn::parse(arn).unwrap();
    let login = SecretLogin::new(
        Http::new(&|_| None).unwrap(),
        Credentials::from_environment(&|name| Some(name.to_owned())),
        arn.clone(),
        Some(&manager.endpoint),
        Variant::default(),
    );
    let peer = Peer::start(|port| {
        let refuse = || vec![sasl_offers(), handshake(0, &["PLAIN"]), wrong()];
        let good = [&welcome(0)[..], &[metadata(port, &ALL_WELL)]].concat();
        vec![good.clone(), refuse(), good, refuse(), refuse()]
    });
    let mechanism = SaslMechanism::Plain(Login::Secret(arn));
    let mut partition = partition_with(peer.port, mechanism, AwsLogin::Secret(login));
    let mut told = Vec::new();
    for _ in 0..5 {
        partition.hang_up();
        told.push(match partition.describe() {
            Ok(_) => "good".to_owned(),
            Err(Fault::Passing(trouble)) => trouble.problem,
            Err(Fault::Final(stop)) => stop.to_string(),
        });
    }
    drop(partition);
    assert_eq!((&*told[0], &*told[2]), ("good", "good"));
    assert!(told[1].contains("the secret is fetched again"), "{told:?}");
    assert!(told[3].contains("the secret is fetched again"), "{told:?}");
    assert!(told[4].contains("Mend what the secret of KAFKA_SASL_SECRET_ARN holds"), "{told:?}");
    assert!(!told.concat().contains("three"), "{told:?}");
    let said: Vec<String> = peer
        .requests()
        .iter()
        .filter(|request| api_key(request) == 36)
        .map(|request| String::from_utf8_lossy(request).rsplit('\0').next().unwrap().to_owned())
        .collect();
    assert_eq!(said, ["one", "one", "two", "two", "three"]);
    assert_eq!(manager.requests().len(), 3);
}
