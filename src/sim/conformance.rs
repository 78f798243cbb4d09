//! One list of appends, and what a leader answers to each: the model leader, the embedded log
//! and real brokers are held to the same one.
//!
//! ```sh
//! cargo test --lib sim::conformance        # the model and the embedded log
//! vendor-tests/run -k conformance          # Apache Kafka too
//! ```
//!
//! A real broker is reached through `KAFKA_CONFORMANCE_BOOTSTRAP` (`host:port`). What only its
//! operator can do is asked for on standard output, `ASK fresh TOPIC`, `ASK restart`,
//! `ASK forget`, `ASK remake TOPIC`, and a line on standard input says that it is done.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::leader::{Nature, Partition, Unknown};
use super::oracle::{Oracle, Shape};
use super::ports::{Hand, SimBroker};
use super::world::{Rng, Stage, WALL_MS, World};
use crate::flow::ports::{Broker, Confirmed, Mark};
use crate::port::embedded_log::EmbeddedLog;
use crate::port::kafka::{KafkaConfig, KafkaPartition, Security};
use crate::wire::batch_writer::{Added, BatchWriter};
use crate::wire::compress::Compression;
use crate::wire::record_batch::Batch;

/// Answers to "not yet" that a broker may give in a row: it was just started, or its topic was.
const ATTEMPTS_MAX: u32 = 200;
/// Sequences end here; the next one is 0.
const LAST: i32 = i32::MAX;
/// An id that no broker handed out.
const INVENTED: i64 = 7_777_777;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// First sequence, records, and the answer.
    Send(i32, u32, Expect),
    /// The same under this epoch.
    Epoch(i16, i32, u32, Expect),
    /// From here on under an id that nobody handed out.
    Invented,
    Restart,
    /// So long a silence that Kafka forgets the producer.
    Forget,
    /// The topic is deleted, and made again under its name.
    Remake,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// 0 at the log end, and appended.
    Yes,
    /// 0 at this offset, and nothing appended.
    Again(i64),
    Code(i16),
    /// Appended a second time where the producer was forgotten; 0 at this offset where not.
    Forgotten(i64),
    /// 100 where the topic id is sent; 0 at offset 0 by name.
    OtherTopic,
}

use Expect::{Again, Code, Forgotten, OtherTopic, Yes};
use Step::{Epoch, Forget, Invented, Remake, Restart, Send};

#[rustfmt::skip]
const LIST: &[(&str, &[Step])] = &[
    ("in order", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(20, 1, Yes), Send(21, 9, Yes)]),
    ("replays-1-to-5", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(20, 10, Yes), Send(30, 10, Yes), Send(40, 10, Yes),
        Send(50, 10, Yes), Send(60, 10, Yes), Send(60, 10, Again(60)), Send(50, 10, Again(50)), Send(40, 10, Again(40)),
        Send(30, 10, Again(30)), Send(20, 10, Again(20)), Send(70, 10, Yes)]),
    ("replays-6-and-7", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(20, 10, Yes), Send(30, 10, Yes), Send(40, 10, Yes),
        Send(50, 10, Yes), Send(60, 10, Yes), Send(10, 10, Code(45)), Send(0, 10, Code(45)), Send(70, 10, Yes)]),
    ("gap", &[Send(0, 10, Yes), Send(11, 10, Code(45)), Send(10, 10, Yes)]),
    ("overlap", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(15, 10, Code(45)), Send(20, 10, Yes)]),
    ("part-of-the-last", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(10, 5, Code(45)), Send(15, 5, Code(45)), Send(20, 3, Yes)]),
    ("the-last-and-more", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(10, 15, Code(45)), Send(20, 5, Yes)]),
    ("two-joined", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(0, 20, Code(45)), Send(20, 1, Yes)]),
    ("from-0-otherwise", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(0, 7, Code(45)), Send(20, 1, Yes)]),
    ("unknown-id", &[Send(1000, 10, Yes), Send(0, 10, Code(45)), Send(1010, 10, Yes), Send(1000, 10, Again(0))]),
    ("invented-id", &[Invented, Send(77, 3, Yes), Send(80, 3, Yes), Send(77, 3, Again(0))]),
    ("invented-epoch", &[Invented, Epoch(3, 5, 3, Yes), Epoch(3, 8, 1, Yes), Epoch(2, 9, 1, Code(47))]),
    ("epochs", &[Send(0, 10, Yes), Epoch(1, 10, 5, Code(45)), Send(10, 5, Yes), Epoch(1, 0, 5, Yes), Send(15, 5, Code(47)),
        Epoch(1, 5, 5, Yes), Epoch(1, 5, 5, Again(20))]),
    ("wrap", &[Send(LAST - 4, 5, Yes), Send(0, 10, Yes), Send(10, 10, Yes), Send(0, 10, Again(5)), Send(LAST - 4, 5, Again(0)), Send(20, 1, Yes)]),
    ("wrap-and-skip", &[Send(LAST - 4, 5, Yes), Send(1, 5, Code(45)), Send(0, 5, Yes)]),
    ("restart", &[Send(0, 10, Yes), Send(10, 10, Yes), Send(20, 10, Yes), Restart, Send(20, 10, Again(20)), Send(10, 10, Code(45)),
        Send(0, 10, Code(45)), Send(30, 10, Yes), Send(20, 10, Again(20))]),
    ("restart-and-go-on", &[Send(0, 10, Yes), Restart, Send(10, 10, Yes), Restart, Send(21, 1, Code(45)), Send(20, 1, Yes)]),
    ("forgotten-and-gone-on", &[Send(0, 10, Yes), Send(10, 10, Yes), Forget, Send(20, 10, Yes)]),
    ("forgotten-and-replayed", &[Send(0, 10, Yes), Send(10, 10, Yes), Forget, Send(10, 10, Forgotten(10))]),
    ("made-again", &[Send(0, 10, Yes), Send(10, 10, Yes), Remake, Send(20, 10, OtherTopic)]),
];

/// Who is held to the list.
trait Subject {
    fn broker(&mut self) -> &mut dyn Broker;
    fn wall_ms(&mut self) -> u64;
    /// An empty partition.
    fn fresh(&mut self, name: &str);
    fn restart(&mut self);
    fn forget(&mut self);
    /// False: it can not.
    fn remake(&mut self) -> bool;
}

fn hold(subject: &mut dyn Subject) -> usize {
    let mut steps = 0;
    for (name, list) in LIST {
        subject.fresh(name);
        let mut id = patient(|| subject.broker().new_producer()).id;
        let mut end = 0;
        for (index, step) in list.iter().enumerate() {
            let (epoch, first, count, expect) = match *step {
                Send(first, count, expect) => (0, first, count, expect),
                Epoch(epoch, first, count, expect) => (epoch, first, count, expect),
                Invented => {
                    id = INVENTED;
                    continue;
                }
                Restart => {
                    subject.restart();
                    continue;
                }
                Forget => {
                    subject.forget();
                    continue;
                }
                Remake if subject.remake() => continue,
                Remake => break,
            };
            let batch = batch(id, epoch, first, count, subject.wall_ms());
            let (code, base) = answer(subject.broker(), batch);
            let right = match expect {
                Yes => (code, base) == (0, end),
                Again(at) => (code, base) == (0, at),
                Code(expected) => code == expected,
                Forgotten(at) => code == 0 && (base == at || base == end),
                OtherTopic => code == 100 || (code, base) == (0, 0),
            };
            assert!(right, "{name}, step {}: {step:?} is answered {code} @ {base}", index + 1);
            if code == 0 && base == end {
                end += i64::from(count);
            }
            if expect != OtherTopic {
                let found = visible_end(subject.broker());
                assert_eq!(found, end, "{name}, step {}: the log end after {step:?}", index + 1);
            }
            steps += 1;
        }
    }
    steps
}

/// Repeats a call while it fails in passing: a broker that was just started needs a moment.
fn patient<T>(mut call: impl FnMut() -> Result<T, crate::flow::ports::Fault>) -> T {
    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        match call() {
            Ok(done) => return done,
            Err(fault) => last = Some(fault),
        }
        breathe();
    }
    panic!("no answer: {last:?}");
}

#[expect(clippy::disallowed_methods, reason = "only a real broker needs time")]
fn breathe() {
    if std::env::var_os("KAFKA_CONFORMANCE_BOOTSTRAP").is_some() {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn visible_end(broker: &mut dyn Broker) -> i64 {
    patient(|| broker.offset(Mark::VisibleEnd)).unwrap()
}

/// The answer to a batch; what only says "not now" is asked again.
fn answer(broker: &mut dyn Broker, batch: Batch) -> (i16, i64) {
    let mut batch = Some(batch);
    for _ in 0..ATTEMPTS_MAX {
        if broker.connect().is_err() {
            breathe();
            // What was made again keeps its old id here: the broker is to notice.
            continue;
        }
        broker.send(batch.take().unwrap());
        loop {
            match broker.confirm(200) {
                Confirmed::Pending => {}
                Confirmed::Answered(_, answer)
                    if !matches!(answer.error_code, 3 | 5 | 6 | 7 | 9 | 14) =>
                {
                    return (answer.error_code, answer.base_offset);
                }
                Confirmed::Answered(back, _) | Confirmed::Lost(back, _) => {
                    batch = Some(back);
                    broker.hang_up();
                    breathe();
                    break;
                }
                Confirmed::Idle => unreachable!("a batch was sent"),
            }
        }
    }
    panic!("no definite answer");
}

fn batch(id: i64, epoch: i16, first: i32, count: u32, wall_ms: u64) -> Batch {
    let mut writer = BatchWriter::new(Compression::None, 8192, 7000);
    writer.restart(Batch::with_capacity(8192));
    for number in (i64::from(first)..).take(count as usize) {
        let added = writer.add(None, |out| out.extend_from_slice(number.to_string().as_bytes()));
        assert_eq!(added, Added::Yes);
    }
    let mut batch = writer.finish();
    batch.seal(id, epoch, first, wall_ms);
    batch
}

// --- The model leader -------------------------------------------------------------------

struct Model {
    stage: Arc<Stage>,
    broker: SimBroker,
}

impl Model {
    fn new() -> Model {
        let shape = Shape {
            rows: 1,
            row_bytes: 9,
            bad_per_mille: 0,
            keyed: false,
            record_bytes_max: 4_000,
            rows_before: 0,
        };
        let mut rng = Rng(1);
        let oracle = Oracle::make(&mut rng, &shape);
        let nature = Nature {
            topic: "conformance",
            replicas: 3,
            min_insync: 2,
            unknown: Unknown::Accepts,
            refuses_straddle: true,
            offers_topic_id: true,
            offers_epoch_end: true,
            shows_settings: true,
            expiry_ms: 86_400_000,
            thinned: false,
        };
        let mut world = World::new(rng, oracle, vec![Partition::new(nature, 8192)], 1);
        // What is appended here is no job's.
        world.checked[0].remade = true;
        world.calls_max = u64::MAX;
        let stage = Arc::new(Stage::new(world));
        let broker = SimBroker::new(Hand { stage: stage.clone(), me: 0 }, 0);
        Model { stage, broker }
    }
}

impl Subject for Model {
    fn broker(&mut self) -> &mut dyn Broker {
        &mut self.broker
    }

    fn wall_ms(&mut self) -> u64 {
        self.stage.lock().wall_ms()
    }

    fn fresh(&mut self, _name: &str) {
        *self = Model::new();
        patient(|| self.broker.describe());
    }

    fn restart(&mut self) {
        let mut world = self.stage.lock();
        let wall_ms = world.wall_ms();
        world.parts[0].restart(wall_ms);
    }

    fn forget(&mut self) {
        self.stage.lock().now += 2 * 86_400_000;
        self.broker.hang_up();
    }

    fn remake(&mut self) -> bool {
        self.stage.lock().parts[0].remake();
        true
    }
}

// --- The embedded log -------------------------------------------------------------------

struct Embedded {
    dir: PathBuf,
    log: Option<EmbeddedLog>,
}

impl Embedded {
    fn remove(&mut self) {
        self.log = None;
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir).unwrap();
        }
    }
}

impl Subject for Embedded {
    fn broker(&mut self) -> &mut dyn Broker {
        self.log.as_mut().unwrap()
    }

    fn wall_ms(&mut self) -> u64 {
        WALL_MS
    }

    fn fresh(&mut self, _name: &str) {
        self.remove();
        self.log = Some(EmbeddedLog::open(&self.dir).unwrap());
        patient(|| self.log.as_mut().unwrap().describe());
    }

    fn restart(&mut self) {
        self.log = None;
        self.log = Some(EmbeddedLog::open(&self.dir).unwrap());
    }

    /// It never forgets: the guard is only ever stronger.
    fn forget(&mut self) {}

    fn remake(&mut self) -> bool {
        false
    }
}

// --- A broker elsewhere -----------------------------------------------------------------

struct Elsewhere {
    host: String,
    port: u16,
    topic: String,
    broker: Option<KafkaPartition>,
}

impl Elsewhere {
    #[expect(clippy::print_stdout, reason = "the operator reads it")]
    fn ask(what: &str) {
        println!("\nASK {what}");
        std::io::stdout().flush().unwrap();
        let mut line = String::new();
        assert!(std::io::stdin().lock().read_line(&mut line).unwrap() > 0, "nobody answers");
    }
}

impl Subject for Elsewhere {
    fn broker(&mut self) -> &mut dyn Broker {
        self.broker.as_mut().unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a real broker judges by real time")]
    fn wall_ms(&mut self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).unwrap()
    }

    fn fresh(&mut self, name: &str) {
        self.topic = format!("conformance-{}", name.replace(' ', "-"));
        Elsewhere::ask(&format!("fresh {}", self.topic));
        self.broker = Some(KafkaPartition::new(KafkaConfig {
            bootstrap: vec![(self.host.clone(), self.port)],
            topic: self.topic.clone(),
            partition: 0,
            client_id: "conformance".into(),
            security: Security::default(),
            client: crate::settings::KafkaClient::Auto,
            compression: crate::wire::compress::Compression::None,
        }));
        patient(|| self.broker().describe());
    }

    fn restart(&mut self) {
        self.broker().hang_up();
        Elsewhere::ask("restart");
        patient(|| self.broker().describe());
    }

    fn forget(&mut self) {
        Elsewhere::ask("forget");
    }

    fn remake(&mut self) -> bool {
        Elsewhere::ask(&format!("remake {}", self.topic));
        true
    }
}

// --- The tests --------------------------------------------------------------------------

#[test]
fn the_model_leader_answers_as_the_list_says() {
    assert!(hold(&mut Model::new()) > 80);
}

#[test]
fn the_embedded_log_answers_as_the_list_says() {
    let dir = std::env::temp_dir().join(format!("csv-to-kafka-conformance-{}", std::process::id()));
    let mut embedded = Embedded { dir, log: None };
    assert!(hold(&mut embedded) > 80);
    embedded.remove();
}

/// Without a broker there is nothing to hold; `vendor-tests/` brings one.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test that is told where its broker is")]
fn a_broker_elsewhere_answers_as_the_list_says() {
    let Ok(bootstrap) = std::env::var("KAFKA_CONFORMANCE_BOOTSTRAP") else { return };
    let (host, port) = bootstrap.rsplit_once(':').unwrap();
    let mut elsewhere = Elsewhere {
        host: host.into(),
        port: port.parse().unwrap(),
        topic: String::new(),
        broker: None,
    };
    let steps = hold(&mut elsewhere);
    eprintln!("conformance: {steps} appends answered as the list says");
}
