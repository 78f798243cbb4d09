//! The commands: each picks its ports, hands them to the flow and prints what came of it.
//!
//! ```text
//! run, rehearse   run.rs      verify   proof.rs      status   sight.rs      dlq   letters.rs
//! report          report.rs   check    check.rs
//! what they are given         places.rs (ports)      voice.rs (console)
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use csv_to_kafka::flow::job::Target;
use csv_to_kafka::port::console;
use csv_to_kafka::port::kafka::{KafkaConfig, KafkaPartition, Security};
use csv_to_kafka::settings::{KafkaClient, Server};
use csv_to_kafka::stop::{EXIT_COMPLETE, Peer, Stop};
use csv_to_kafka::wire::compress::Compression;

pub(crate) mod check;
pub(crate) mod letters;
pub(crate) mod places;
pub(crate) mod proof;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sight;
pub(crate) mod voice;

/// The exit code, or why nothing came of it.
pub(crate) type Ended = Result<u8, Box<Stop>>;
pub(crate) type Variables = BTreeMap<OsString, OsString>;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn kafka(
    servers: &[Server],
    security: &Security,
    (client, compression): (KafkaClient, Compression),
    job_id: &str,
    target: &Target,
) -> KafkaPartition {
    KafkaPartition::new(KafkaConfig {
        bootstrap: servers.iter().map(|server| (server.host.clone(), server.port)).collect(),
        topic: target.topic.clone(),
        partition: target.partition,
        client_id: format!("csv-to-kafka-{job_id}"),
        security: security.clone(),
        client,
        compression,
    })
}
/// Where a rehearsal has the log of a partition.
pub(crate) fn log_in(directory: &str, target: &Target) -> PathBuf {
    Path::new(directory).join(format!("{}-{}", target.topic, target.partition))
}

pub(crate) fn print(text: &str) -> Ended {
    console::result(text.as_bytes()).map_err(not_printed)?;
    Ok(EXIT_COMPLETE)
}
pub(crate) fn not_printed(problem: String) -> Stop {
    Stop::refused(Peer::Source, problem, "Mend where it goes to")
}
pub(crate) fn one_problem(problem: String) -> Stop {
    Stop::Settings(vec![problem])
}
