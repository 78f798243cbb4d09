//! Every way in which nobody answers, or somebody else than was meant.

use super::{Messages, config, words};
use crate::limits::CALL_TIMEOUT_MS;
use crate::port::http::{Http, Request};
use crate::port::http_script::{Act, Script, answer, certified};
use crate::port::kafka::connection::dial;
use crate::port::kafka::tests::peer::closed_port;
use crate::port::kafka::verdict;
use crate::port::stream::Deadline;
use crate::stop::Peer;

const AUTHORITY: &[u8] = include_bytes!("../../../tls/testdata/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../tls/testdata/server.pem");

pub(super) fn to_brokers() -> Messages {
    let mut advertised = config();
    advertised.bootstrap.clear();
    let dialled = |host: &str, port: u16| {
        let why = dial(host, port, &mut Deadline::after_ms(CALL_TIMEOUT_MS)).unwrap_err();
        [config(), advertised.clone()].map(|config| {
            let said = verdict::unreached(&config, "b-1", 9096, why.clone());
            shown(&format!("(again) {said}"), host, "b-1").replace(&port.to_string(), "9096")
        })
    };
    let [nobody, nobody_advertised] = dialled("127.0.0.1", closed_port());
    let [no_name, no_name_advertised] = dialled(&no_name(), 9096);
    vec![
        ("nobody listens", nobody),
        ("nobody listens where the cluster says", nobody_advertised),
        ("a name that nobody knows", no_name),
        ("a name of the cluster's own", no_name_advertised),
    ]
}

pub(super) fn to_services() -> Messages {
    let bundle = std::env::temp_dir().join(format!("ctk-ways-{}.pem", std::process::id()));
    std::fs::write(&bundle, AUTHORITY).unwrap();
    let with = |name: &str, value: &str| {
        Http::new(&|asked| (asked == name).then(|| value.to_owned())).unwrap()
    };
    let plain = Http::new(&|_| None).unwrap();
    let trusting = with("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    std::fs::remove_file(&bundle).unwrap();
    let tls = |http: &Http, certificate: &[u8]| {
        let (url, server) = certified(certificate);
        let message = ask(http, &url);
        server.join().unwrap();
        shown(&message, url.trim_start_matches("https://"), "minio:9000")
    };
    let at_port = |act: Act| {
        let script = Script::run(vec![vec![act]]);
        let message = ask(&plain, &script.endpoint);
        shown(&message, script.endpoint.trim_start_matches("http://"), "minio:9000")
    };
    let by_proxy = |place: &str| {
        let message = ask(&with("HTTPS_PROXY", &format!("http://{place}")), "https://s3.example/");
        shown(&message, place, "proxy:3128")
    };
    let proxied = |status: &str| {
        let script = Script::run(vec![vec![answer(status, "", "")]]);
        by_proxy(script.endpoint.trim_start_matches("http://"))
    };
    let closed = format!("127.0.0.1:{}", closed_port());
    let name = no_name();
    vec![
        (
            "nobody listens",
            shown(&ask(&plain, &format!("https://{closed}/")), &closed, "minio:9000"),
        ),
        (
            "a name that nobody knows",
            shown(&ask(&plain, &format!("https://{name}/")), &name, "s3.eu-wst-1.amazonaws.com"),
        ),
        ("not trusted", tls(&plain, CERTIFICATE)),
        ("another host name", tls(&trusting, CERTIFICATE)),
        ("no certificate of a server", tls(&trusting, AUTHORITY)),
        ("TLS where plain http was asked for", at_port(Act::Answer(vec![0x15, 3, 1, 0, 2, 2, 70]))),
        ("a proxy that wants a password", proxied("407 Proxy Authentication Required")),
        ("a proxy that lets nobody through", proxied("403 Forbidden")),
        ("a proxy in trouble", proxied("503 Service Unavailable")),
        ("no proxy there", by_proxy(&closed)),
    ]
}

/// As a source asks for an object.
fn ask(http: &Http, url: &str) -> String {
    let request = Request { body: None, url, headers: &[], repeatable: true };
    let failed = http.send(&request).unwrap_err();
    words(failed.into_fault(Peer::Source, "s3://b/exports/orders.csv"))
}

/// Longer than names can be: it is looked for nowhere.
fn no_name() -> String {
    "x".repeat(64)
}

/// With a place that does not change, and without what differs from one system to the next.
fn shown(message: &str, place: &str, name: &str) -> String {
    let message = message.replace(place, name);
    let message = match message.split_once(" (os error ") {
        Some((start, rest)) => format!("{start}{}", rest.split_once(')').unwrap().1),
        None => message,
    };
    match message.split_once("address information: ") {
        Some((start, rest)) => {
            let rest = rest.find(" (").map_or("", |at| &rest[at..]);
            format!("{start}address information: …{rest}")
        }
        None => message,
    }
}
