//! The program: picks the ports, runs a command, prints, and turns how it ended into an exit
//! code. The only place that knows all layers.
//!
//! ```text
//! run        S3 or file ─> flow ─> Kafka          checkpoint in DynamoDB or a file
//! rehearse   S3 or file ─> flow ─> embedded log   checkpoint in a file beside it
//! verify     both ends of either ─> flow          what is where, the checkpoint says
//! status     checkpoint ─> flow
//! ```

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use csv_to_kafka::cli::{self, Command, Given, Looking, Proving, Rehearsal, Topic};
use csv_to_kafka::flow::job::{Job, Target};
use csv_to_kafka::flow::ports::{Broker, Ledger, Ports, Source};
use csv_to_kafka::flow::status::Sight;
use csv_to_kafka::flow::verify::{Asked, Depth, Proof};
use csv_to_kafka::flow::{self, Outcome};
use csv_to_kafka::limits::BATCH_BYTES_MAX;
use csv_to_kafka::port::console::{self, Console};
use csv_to_kafka::port::credentials::{self, Credentials};
use csv_to_kafka::port::dynamodb::DynamoDb;
use csv_to_kafka::port::embedded_log::EmbeddedLog;
use csv_to_kafka::port::file::File;
use csv_to_kafka::port::file_ledger::FileLedger;
use csv_to_kafka::port::http::Http;
use csv_to_kafka::port::kafka::{AwsLogin, KafkaConfig, KafkaPartition, Security};
use csv_to_kafka::port::machine::{self, Machine};
use csv_to_kafka::port::s3::S3;
use csv_to_kafka::settings::{
    Aws, CheckpointAt, KafkaSecurity, Level, Log, LogFormat, Server, Settings, SourceAt, Verify,
};
use csv_to_kafka::show::log::Line;
use csv_to_kafka::show::rehearsal::{self, Rehearsed};
use csv_to_kafka::show::teller::{Said, Teller};
use csv_to_kafka::show::{help, status, verify};
use csv_to_kafka::stop::{EXIT_COMPLETE, EXIT_MEND, Peer, Stop};
use csv_to_kafka::wire::dynamodb::Table;
use csv_to_kafka::wire::s3::Place;

/// The commit may be handed over by whoever builds: there is no build script to ask for it.
const COMMIT: Option<&str> = option_env!("CSV_TO_KAFKA_COMMIT");
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let parsed = cli::parse(&Given {
        arguments: &arguments,
        variables: &variables,
        read_file: &machine::read_small_file,
    });
    let voice = match Voice::new(parsed.log, &variables) {
        Ok(voice) => voice,
        Err(problem) => {
            console::aside(&problem);
            return ExitCode::from(EXIT_MEND);
        }
    };
    for warning in &parsed.warnings {
        voice.line(&Line::warning(warning));
    }
    let ended = match parsed.command {
        Ok(Command::Run(settings)) => run(&settings, &variables, &voice),
        Ok(Command::Rehearse(asked)) => rehearse(&asked, &variables, &voice),
        Ok(Command::Verify(asked)) => prove(&asked, &variables, &voice),
        Ok(Command::Status(asked)) => look(&asked, &variables, &voice),
        Ok(Command::Help(topic)) => print(&page(topic)),
        Ok(Command::Version) => print(&version()),
        Ok(Command::Nothing) => {
            console::aside(help::SHORT.trim_end());
            Ok(EXIT_MEND)
        }
        Err(stop) => Err(Box::new(stop)),
    };
    ExitCode::from(ended.unwrap_or_else(|stop| {
        voice.line(&Line::stopped(&stop));
        stop.exit_code()
    }))
}

/// The exit code, or why nothing came of it.
type Ended = Result<u8, Box<Stop>>;

fn run(settings: &Settings, variables: &Variables, voice: &Voice) -> Ended {
    let mut places = Places::open(settings, variables)?;
    let job = job(settings, None)?;
    let security = Security::new(&settings.security, places.aws.take()).map_err(one_problem)?;
    let servers = &settings.bootstrap_servers;
    let partition = |target: &Target| kafka(servers, &security, &job.job_id, target);
    let mut main = partition(&job.target);
    let mut dead = job.dead_target().as_ref().map(partition);
    let outcome = voice.follow(&job, &mut places, &mut main, dead.as_mut())?;
    let mut world = voice.world()?;
    let mut ports = places.ports(&mut main, dead.as_mut(), &mut world);
    let (exit_code, proof) = prove_end(settings, &job, &outcome.stop, &mut ports)?;
    print(proof.as_deref().unwrap_or(""))?;
    Ok(exit_code)
}

fn kafka(servers: &[Server], security: &Security, job_id: &str, target: &Target) -> KafkaPartition {
    KafkaPartition::new(KafkaConfig {
        bootstrap: servers.iter().map(|server| (server.host.clone(), server.port)).collect(),
        topic: target.topic.clone(),
        partition: target.partition,
        client_id: format!("csv-to-kafka-{job_id}"),
        security: security.clone(),
    })
}

fn rehearse(asked: &Rehearsal, variables: &Variables, voice: &Voice) -> Ended {
    let settings = &asked.settings;
    let directory = Path::new(&asked.directory);
    let mut places = Places::open(settings, variables)?;
    // A mistyped path leaves no directory behind.
    if let SourceAt::File(_) = settings.source {
        places.source.open(0, None, None).map_err(|fault| fault.into_stop(Peer::Source))?;
    }
    machine::make_directory(directory).map_err(one_problem)?;
    let job = job(settings, asked.rows)?;
    let log = log_in(&asked.directory, &job.target);
    let mut main = EmbeddedLog::open(&log)?;
    if asked.print {
        main.print_to(Box::new(io::BufWriter::new(io::stdout())));
    }
    let mut dead = match job.dead_target() {
        Some(target) => Some(EmbeddedLog::open(&log_in(&asked.directory, &target))?),
        None => None,
    };
    let Outcome { stop, summary } = voice.follow(&job, &mut places, &mut main, dead.as_mut())?;
    let rows = match stop {
        Stop::Complete { rows }
        | Stop::AlreadyComplete { rows, .. }
        | Stop::RowsReached { rows } => rows,
        stop => return Ok(stop.exit_code()),
    };
    let source = match &settings.source {
        SourceAt::File(path) => path.clone(),
        object @ SourceAt::S3 { .. } => object.to_string(),
    };
    let program = std::env::args().next();
    let text = rehearsal::text(&Rehearsed {
        program: program.as_deref().unwrap_or("csv-to-kafka"),
        source: &source,
        directory: &asked.directory,
        log: &log.display().to_string(),
        rows,
        is_complete: !matches!(stop, Stop::RowsReached { .. }),
        summary,
    });
    let mut world = voice.world()?;
    let mut ports = places.ports(&mut main, dead.as_mut(), &mut world);
    let (exit_code, proof) = prove_end(settings, &job, &stop, &mut ports)?;
    let text = text + proof.as_deref().unwrap_or("");
    // Standard output is the records' alone.
    if asked.print {
        console::aside(text.trim_end());
    } else {
        print(&text)?;
    }
    Ok(exit_code)
}

// --- What only looks --------------------------------------------------------------------

/// `VERIFY`: a run that is complete, or finds the job so and not proved yet, proves it. Answers
/// the exit code of the whole.
fn prove_end(
    settings: &Settings,
    job: &Job,
    stop: &Stop,
    ports: &mut Ports<'_>,
) -> Result<(u8, Option<String>), Box<Stop>> {
    let depth = match (settings.verify, stop) {
        (Verify::Headers, Stop::Complete { .. } | Stop::AlreadyComplete { .. }) => Depth::Headers,
        (Verify::Full, Stop::Complete { .. } | Stop::AlreadyComplete { .. }) => Depth::Full,
        _ => return Ok((stop.exit_code(), None)),
    };
    let item = flow::find(job, ports.ledger, ports.world)?;
    let is_proved = match depth {
        Depth::Headers => item.verified_at.is_some(),
        Depth::Full => item.digest.is_some(),
    };
    if is_proved {
        return Ok((stop.exit_code(), None));
    }
    let proof = flow::verify(job, &item, Asked { depth, exclusive: false }, ports)?;
    let text = match settings.log.format {
        LogFormat::Text => verify::text(&proof),
        LogFormat::Json => verify::json(&proof, VERSION),
    };
    Ok((proof.verdict().exit_code(), Some(text)))
}

fn prove(asked: &Proving, variables: &Variables, voice: &Voice) -> Ended {
    let proof = compare(asked, variables, voice);
    let text = match &proof {
        Ok(proof) if asked.json => verify::json(proof, VERSION),
        Ok(proof) => verify::text(proof),
        Err(stop) if asked.json => verify::failed_json(&asked.job_id, stop, VERSION),
        Err(_) => String::new(),
    };
    print(&text)?;
    Ok(proof?.verdict().exit_code())
}

fn compare(asked: &Proving, variables: &Variables, voice: &Voice) -> Result<Proof, Box<Stop>> {
    let mut services = Lazy { aws: Some(&asked.aws), variables, services: None };
    let mut ledger = services.ledger(&asked.checkpoint)?;
    let mut world = voice.world()?;
    let servers: Vec<String> = asked.bootstrap_servers.iter().map(ToString::to_string).collect();
    let reader = Job::reader(asked.job_id.clone(), servers.join(","), asked.max_retries);
    let item = flow::find(&reader, &mut *ledger, &mut world)?;
    let job = reader.of_item(&item, asked.columns.clone())?;
    let source = SourceAt::of_name(&job.source)
        .ok_or_else(|| one_problem(format!("the checkpoint names the source {}", job.source)))?;
    let mut source = services.source(&source)?;
    let login = services.login(&asked.security)?;
    let security = Security::new(&asked.security, login).map_err(one_problem)?;
    let partition = |target: &Target| -> Result<Box<dyn Broker>, Box<Stop>> {
        Ok(match &asked.directory {
            Some(directory) => Box::new(EmbeddedLog::open(&log_in(directory, target))?),
            None => Box::new(kafka(&asked.bootstrap_servers, &security, &job.job_id, target)),
        })
    };
    let mut main = partition(&job.target)?;
    let mut dead = job.dead_target().as_ref().map(partition).transpose()?;
    let depth = if asked.headers { Depth::Headers } else { Depth::Full };
    let mut ports = Ports {
        source: &mut *source,
        main: &mut *main,
        dead: match &mut dead {
            Some(dead) => Some(&mut **dead),
            None => None,
        },
        ledger: &mut *ledger,
        world: &mut world,
    };
    let exclusive = asked.exclusive;
    Ok(flow::verify(&job, &item, Asked { depth, exclusive }, &mut ports)?)
}

fn look(asked: &Looking, variables: &Variables, voice: &Voice) -> Ended {
    let mut services = Lazy { aws: asked.aws.as_ref(), variables, services: None };
    let mut ledger = services.ledger(&asked.checkpoint)?;
    let mut world = voice.world()?;
    let reader = |job_id: &String| Job::reader(job_id.clone(), String::new(), asked.max_retries);
    let jobs: Vec<Job> = asked.job_ids.iter().map(reader).collect();
    let stale_seconds = asked.stale_seconds;
    if !asked.watch {
        let sights = flow::status::status(&jobs, stale_seconds, &mut *ledger, &mut world)?;
        let text = if asked.json {
            format!("{:#}\n", status::json(&sights))
        } else {
            status::text(&sights)
        };
        print(&text)?;
        return Ok(flow::status::exit_code(&sights));
    }
    let is_terminal = io::stdout().is_terminal();
    let mut drawn = String::new();
    let mut show = |sights: &[Sight]| {
        let text =
            if asked.json { format!("{}\n", status::json(sights)) } else { status::text(sights) };
        let redrawn = match drawn.lines().count() {
            lines @ 1.. if is_terminal && !asked.json => format!("\x1b[{lines}A\x1b[J{text}"),
            _ => text.clone(),
        };
        drawn = text;
        print(&redrawn).map_err(|stop| *stop)?;
        Ok(())
    };
    let sights = flow::status::watch(&jobs, stale_seconds, &mut *ledger, &mut world, &mut show)?;
    Ok(flow::status::exit_code(&sights))
}

/// Where a rehearsal has the log of a partition.
fn log_in(directory: &str, target: &Target) -> PathBuf {
    Path::new(directory).join(format!("{}-{}", target.topic, target.partition))
}

fn print(text: &str) -> Ended {
    console::result(text.as_bytes()).map_err(|problem| {
        let advice = "Mend where it goes to";
        Box::new(Stop::refused(Peer::Source, problem, advice))
    })?;
    Ok(EXIT_COMPLETE)
}

fn page(topic: Topic) -> String {
    match topic {
        Topic::Overview => help::OVERVIEW.to_owned(),
        Topic::Run => help::RUN.to_owned(),
        Topic::Rehearse => help::REHEARSE.to_owned(),
        Topic::Verify => help::VERIFY.to_owned(),
        Topic::Status => help::STATUS.to_owned(),
        Topic::Settings => help::settings(),
    }
}

fn version() -> String {
    let commit = COMMIT.map_or_else(String::new, |commit| format!(" ({commit})"));
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    format!("csv-to-kafka {VERSION}{commit} {target}\n")
}

// --- What a run is given ----------------------------------------------------------------

type Variables = BTreeMap<OsString, OsString>;

/// The two ends that a run and a rehearsal have in common.
struct Places {
    source: Box<dyn Source>,
    ledger: Box<dyn Ledger>,
    /// Where anything of AWS is used.
    aws: Option<AwsLogin>,
}

impl Places {
    fn open(settings: &Settings, variables: &Variables) -> Result<Places, Box<Stop>> {
        let mut services = Lazy { aws: settings.aws.as_ref(), variables, services: None };
        let source = services.source(&settings.source)?;
        let ledger = services.ledger(&settings.checkpoint)?;
        let aws = services.login(&settings.security)?;
        Ok(Places { source, ledger, aws })
    }

    fn ports<'p, B: Broker>(
        &'p mut self,
        main: &'p mut B,
        dead: Option<&'p mut B>,
        world: &'p mut Machine<'_>,
    ) -> Ports<'p> {
        Ports {
            source: &mut *self.source,
            main,
            dead: dead.map(|dead| dead as &mut dyn Broker),
            ledger: &mut *self.ledger,
            world,
        }
    }
}

/// Credentials are looked for only where anything of AWS is used.
struct Lazy<'a> {
    aws: Option<&'a Aws>,
    variables: &'a Variables,
    services: Option<Services<'a>>,
}

impl<'a> Lazy<'a> {
    fn source(&mut self, source: &SourceAt) -> Result<Box<dyn Source>, Box<Stop>> {
        Ok(match source {
            SourceAt::S3 { bucket, key } => Box::new(self.services()?.s3(bucket, key)),
            SourceAt::File(path) => Box::new(File::new(path)),
        })
    }

    fn ledger(&mut self, checkpoint: &CheckpointAt) -> Result<Box<dyn Ledger>, Box<Stop>> {
        Ok(match checkpoint {
            CheckpointAt::DynamoDb { table } => Box::new(self.services()?.dynamodb(table)),
            CheckpointAt::File { path } => Box::new(FileLedger::new(path)),
        })
    }

    /// What logs in at Kafka with a role of AWS.
    fn login(&mut self, security: &KafkaSecurity) -> Result<Option<AwsLogin>, Box<Stop>> {
        if !security.takes_aws() {
            return Ok(None);
        }
        let services = self.services()?;
        let credentials = services.credentials.clone();
        Ok(Some(AwsLogin { credentials, region: services.region.clone() }))
    }

    fn services(&mut self) -> Result<&Services<'a>, Box<Stop>> {
        let Some(aws) = self.aws else {
            unreachable!("the settings of S3 and DynamoDB come with those of AWS")
        };
        if self.services.is_none() {
            self.services = Some(Services::new(aws, self.variables)?);
        }
        match &self.services {
            Some(services) => Ok(services),
            None => unreachable!("they were made just now"),
        }
    }
}

/// What S3 and `DynamoDB` share.
struct Services<'a> {
    aws: &'a Aws,
    region: String,
    http: Http,
    credentials: Credentials,
}

impl<'a> Services<'a> {
    fn new(aws: &'a Aws, variables: &Variables) -> Result<Services<'a>, Box<Stop>> {
        let lookup = |name: &str| match aws.variables.get(name) {
            Some(value) => Some(value.to_owned()),
            // Those of the proxy.
            None => variables.get(&OsString::from(name))?.to_str().map(str::to_owned),
        };
        let http = Http::new(&lookup).map_err(one_problem)?;
        let region =
            credentials::region(aws.region.as_deref(), &aws.variables).map_err(Box::new)?;
        let credentials = Credentials::find(&aws.variables, &http, &region, aws.variant);
        Ok(Services { aws, region, http, credentials })
    }

    fn s3(&self, bucket: &str, key: &str) -> S3 {
        let place = Place {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            region: self.region.clone(),
            endpoint: self.aws.s3_endpoint.clone(),
            variant: self.aws.variant,
            requester_pays: self.aws.requester_pays,
        };
        S3::new(self.http.clone(), place, self.credentials.clone())
    }

    fn dynamodb(&self, table: &str) -> DynamoDb {
        let table = Table { name: table.to_owned(), region: self.region.clone() };
        let endpoint = self.aws.dynamodb_endpoint.as_deref();
        let credentials = self.credentials.clone();
        DynamoDb::new(self.http.clone(), table, endpoint, self.aws.variant, credentials)
    }
}

fn job(settings: &Settings, rows_max: Option<u64>) -> Result<Job, Box<Stop>> {
    let servers: Vec<String> = settings.bootstrap_servers.iter().map(ToString::to_string).collect();
    Ok(Job {
        job_id: settings.job_id.clone(),
        source: source_name(&settings.source)?,
        target: Target { topic: settings.topic.clone(), partition: settings.partition },
        bootstrap: servers.join(","),
        csv: settings.csv.clone(),
        key_column: settings.key_column.clone(),
        on_bad_row: settings.on_bad_row.clone(),
        bad_rows_max: settings.max_bad_rows,
        compression: settings.compression,
        batch_bytes_max: BATCH_BYTES_MAX,
        checkpoint_interval_rows: settings.checkpoint_interval_rows,
        lease_seconds: settings.lease_seconds,
        retries_max: settings.max_retries,
        rows_per_second_max: settings.max_rows_per_second,
        rows_max,
        host: machine::host(),
        identity: machine::user(),
        version: VERSION.to_owned(),
    })
}

/// As records name it. A file has its absolute path, so that a run that was started in another
/// directory knows it again.
fn source_name(source: &SourceAt) -> Result<String, Box<Stop>> {
    let SourceAt::File(path) = source else { return Ok(source.to_string()) };
    let absolute = std::path::absolute(path)
        .map_err(|e| one_problem(format!("the source {path} has no absolute path: {e}")))?;
    let absolute = absolute.to_str().ok_or_else(|| {
        one_problem(format!("the absolute path of {path} is not UTF-8; records name it"))
    })?;
    Ok(SourceAt::File(absolute.to_owned()).to_string())
}

fn one_problem(problem: String) -> Stop {
    Stop::Settings(vec![problem])
}

// --- What is said -----------------------------------------------------------------------

/// The console, and the words for it.
struct Voice {
    console: Console,
    teller: Rc<RefCell<Teller>>,
}

impl Voice {
    fn new(log: Log, variables: &Variables) -> Result<Voice, String> {
        let text = |name: &str| variables.get(&OsString::from(name)).and_then(|v| v.to_str());
        let no_colour = text("NO_COLOR").is_some_and(|value| !value.is_empty());
        let library_line = match log.format {
            LogFormat::Text => |level: Level, target: &str, said: &str| {
                Line::library(level, target, said).text(machine::wall_ms(), false)
            },
            LogFormat::Json => |level: Level, target: &str, said: &str| {
                Line::library(level, target, said).json(machine::wall_ms())
            },
        };
        let console = Console::start(log.level, text("RUST_LOG"), no_colour, library_line)?;
        let teller = Teller::new(log.format, console.is_terminal(), console.colour());
        Ok(Voice { console, teller: Rc::new(RefCell::new(teller)) })
    }

    fn line(&self, line: &Line) {
        self.write(self.teller.borrow().line(line, machine::wall_ms()));
    }

    fn write(&self, said: Said) {
        match said {
            Said::Line(level, text) => self.console.line(level, &text),
            Said::Bar(text) => self.console.bar(&text),
            Said::Nothing => {}
        }
    }

    /// The machine, which tells its events through this voice.
    fn world(&self) -> Result<Machine<'_>, Box<Stop>> {
        let tell = |event: &csv_to_kafka::event::Event<'_>, now: flow::ports::Now| {
            self.write(self.teller.borrow_mut().say(event, now.monotonic_ms, now.wall_ms));
        };
        Ok(Machine::new(Box::new(tell)).map_err(one_problem)?)
    }

    /// Runs the job, and says what becomes of it.
    fn follow<B: Broker>(
        &self,
        job: &Job,
        places: &mut Places,
        main: &mut B,
        dead: Option<&mut B>,
    ) -> Result<Outcome, Box<Stop>> {
        let mut world = self.world()?;
        let mut ports = places.ports(main, dead, &mut world);
        Ok(flow::run(job, &mut ports))
    }
}
