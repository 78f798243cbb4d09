//! The help: an overview, one page for each command, and the settings out of their table.

use crate::settings::{FILE_SUFFIX, Group, Setting, TABLE};

pub const OVERVIEW: &str = "\
csv-to-kafka copies one CSV, an object in S3 or a file, into one Kafka partition:
every row once, in file order, whatever crashes on the way.

  csv-to-kafka [run]              copy, or go on where an earlier run has stopped
  csv-to-kafka check              look at all that a copy needs, and change nothing
  csv-to-kafka rehearse SOURCE    copy without Kafka, into a directory
  csv-to-kafka status [JOB …]     how far jobs are, by their checkpoints
  csv-to-kafka verify [JOB]       compare the partition with the source, after the load
  csv-to-kafka dlq [JOB]          the bad rows that were set aside, to look at or to mend
  csv-to-kafka report [LOG]       a page out of the log of a job
  csv-to-kafka help TOPIC         on run, check, rehearse, status, verify, dlq, report or settings
  csv-to-kafka --version

Every setting is an environment variable and a flag (KAFKA_TOPIC is --kafka-topic).
A flag wins over the environment.

Try it, with nothing installed:
  csv-to-kafka rehearse examples/orders.csv

Copy a file to the Kafka on this machine:
  csv-to-kafka --source examples/orders.csv --checkpoint file:orders.checkpoint \\
    --kafka-bootstrap-servers localhost:9092 --kafka-topic orders

It ends with
  0   complete, or complete already
  1   a person must act: the last line says what is wrong and what to do
  75  interrupted, or gave up for now: start it again, it goes on from there
";

/// For somebody who gave neither a command nor a setting.
pub const SHORT: &str = "\
csv-to-kafka copies one CSV, an object in S3 or a file, into one Kafka partition:
every row once, in file order, whatever crashes on the way.

  csv-to-kafka rehearse SOURCE    try it without Kafka
  csv-to-kafka help               how to copy

Nothing was asked for: there is no command, and no setting names a source or a topic.
";

pub const RUN: &str = "\
csv-to-kafka run copies the source into the partition. Started again, it goes on
where it was; started a second time at once, one of the two stops. `run` may be left out.

Needed
  S3_BUCKET and S3_KEY    the CSV; or SOURCE=s3://bucket/key, or SOURCE=path
  DYNAMODB_TABLE          where progress is kept; or CHECKPOINT=file:path
  KAFKA_BOOTSTRAP_SERVERS host:port of some brokers, with commas between
  KAFKA_TOPIC             it exists already; it is never created here
Where S3 or DynamoDB is used, unless a profile or the machine's role says it
  AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; or AWS_PROFILE

Often set
  JOB_ID                  one for each source [csv-job-1]
  KAFKA_PARTITION         [0]
  KAFKA_COMPRESSION       gzip, none, snappy, lz4, zstd [gzip]
  CSV_DELIMITER           one byte, or tab [,]
  ON_BAD_ROW              stop, or dlq with KAFKA_DLQ_TOPIC [stop]
  LOG_FORMAT              text, json [text]
All others: csv-to-kafka help settings

Example
  export S3_BUCKET=my-bucket S3_KEY=exports/orders.csv DYNAMODB_TABLE=checkpoints
  export KAFKA_BOOTSTRAP_SERVERS=b-1:9092,b-2:9092 KAFKA_TOPIC=orders JOB_ID=orders-7
  csv-to-kafka run

SIGTERM and SIGINT stop it in good order, with exit code 75. A second one ends it at once,
which loses nothing either.
";

pub const CHECK: &str = "\
csv-to-kafka check looks at everything that a run with the same settings would need, once,
and changes nothing: credentials, source, topics, checkpoint, clock. Then it says what the
run will come to: rows, volume, duration, cost.

  --show-rows       the columns and the first records too; without it no value is shown
  --json            one document on standard output

A line for each finding, with what to do:
  ok                as it should be
  warn              a run works, but something endangers it, or could not be looked at
  fail              a run would not do its work

It takes the settings of run, and needs no more permissions than that. What is asked twice
without an answer counts as out of reach; in less than a minute it is done.

It ends with
  0   no finding is a failure
  1   one is

Examples
  csv-to-kafka check && csv-to-kafka run
  csv-to-kafka check --json | jq -r '.findings[] | select(.level != \"ok\") | .text'
";

pub const REHEARSE: &str = "\
csv-to-kafka rehearse SOURCE does all that run does, but the partition is a directory:
a log in Kafka's own format, and the checkpoint beside it. No server is needed.

  SOURCE            a path, or s3://bucket/key
  --rows N          only the first N rows; without it, a second call does the rest
  --print           write the records to standard output as they would be sent
  --directory DIR   where to [./rehearsal-<name of the source>]

The settings of rows and records hold here too (CSV_DELIMITER, KAFKA_KEY_COLUMN, …).
Started again, it goes on where it was; remove the directory to begin anew.

Examples
  csv-to-kafka rehearse examples/orders.csv
  csv-to-kafka rehearse examples/orders.csv --rows 3 --print --directory /tmp/three
  csv-to-kafka rehearse s3://my-bucket/exports/orders.csv --rows 100000
";

pub const VERIFY: &str = "\
csv-to-kafka verify [JOB] proves a load that is complete: it reads the source and the
partition again, side by side, and compares every row: its value to the byte, its key,
its number and its place. Dead letters are compared in their topic.

  JOB               the job [JOB_ID, csv-job-1]
  --headers         completeness and order alone, by batch headers: no value is read, nor
                    the source; seconds for a hundred million rows
  --exclusive       records of other producers since the job began are a difference too
  --json            an audit record on standard output
  --directory DIR   of a rehearsal, in the place of brokers

Needed
  DYNAMODB_TABLE (or CHECKPOINT) and KAFKA_BOOTSTRAP_SERVERS; all else is in the checkpoint,
  which gets the result: a digest (SHA-256 over each value and a line feed) and the time.

It ends with
  0   proved
  1   a difference, each named with row, byte and offset; or there is no such job
  75  not to be decided: out of reach, not complete yet, or deleted by retention since

Examples
  csv-to-kafka verify orders-7 --json > orders-7.proof.json
  csv-to-kafka verify --directory rehearsal-orders.csv
";

pub const DLQ: &str = "\
csv-to-kafka dlq [JOB] prints the dead letters of a job: the bad rows that it has set aside
(ON_BAD_ROW=dlq), in their order. The job may still be running.

  JOB               the job [JOB_ID, csv-job-1]
  --csv             the rows as the source has them, under its header: mend them, and load
                    the file under a JOB_ID of its own, with the same CSV_ settings
  --json            the dead letters as they are in their topic, one a line
  --directory DIR   of a rehearsal, in the place of brokers

Without --csv and --json it is a table: row, byte of the source where it begins, reason, row.

Needed
  DYNAMODB_TABLE (or CHECKPOINT) and KAFKA_BOOTSTRAP_SERVERS; all else is in the checkpoint,
  and the columns' names are in the records.

It ends with
  0   all of them are printed, or there are none
  1   no such job; or some could not be printed: deleted by retention, or, with --csv, longer
      than a dead letter holds. The log says which, and where they are in the source
  75  out of reach

Examples
  csv-to-kafka dlq orders-7
  csv-to-kafka dlq orders-7 --csv > mend.csv
";

pub const STATUS: &str = "\
csv-to-kafka status [JOB …] tells how jobs stand, by their checkpoints; it asks no broker.

  JOB               one or several [JOB_ID, csv-job-1]
  --all             every job that the checkpoint store holds, one a line
  --watch           again and again, until no job is left that may go on
  --stale SECONDS   without a sign of life for so long a job is silent [3 of its leases]
  --json            one document on standard output; with --watch one a line
  --directory DIR   of a rehearsal

Needed
  DYNAMODB_TABLE (or CHECKPOINT); --all reads the whole table (dynamodb:Scan)

It ends with the worst of
  0   complete
  1   failed, no such job, a damaged checkpoint, or in progress without a sign of life
  75  running, interrupted, or the checkpoint store is out of reach

Examples
  csv-to-kafka status orders-7 --watch
  csv-to-kafka status orders-7 orders-8 --json
  csv-to-kafka status --all
";

pub const REPORT: &str = "\
csv-to-kafka report [LOG] makes one page out of the log of a job: rows, pace and latency over
time, every restart, retry and stop, where the time went, what it cost. The page needs nothing
from elsewhere and runs no script.

  LOG               a file; without it, standard input

It reads both formats of the log, behind whatever a collector puts before a line, and several
runs one after the other. Lines of other programs are left out. It asks nobody: no setting is
needed.

It ends with
  0   the page is on standard output
  1   the log can not be read, or holds no run

Examples
  csv-to-kafka report job.log > report.html
  aws logs tail /ecs/csv-to-kafka --since 1d | csv-to-kafka report > report.html
  journalctl -u csv-to-kafka -o cat | csv-to-kafka report > report.html
";

const GROUPS: [(Group, &str); 7] = [
    (Group::Job, "Source and checkpoint"),
    (Group::Kafka, "Kafka"),
    (Group::Security, "TLS and login at Kafka"),
    (Group::Rows, "Rows"),
    (Group::Pace, "Pace"),
    (Group::Log, "Log and metrics"),
    (Group::Aws, "AWS, where S3 or DynamoDB is used"),
];

/// All settings, group by group: name, meaning, values, default.
pub fn settings() -> String {
    let mut lines = vec![SETTINGS_HEAD.to_owned()];
    for (group, title) in GROUPS {
        lines.push(format!("\n{title}"));
        let settings = TABLE.iter().filter(|s| s.group == group);
        lines.extend(settings.map(page_row));
    }
    lines.join("\n") + "\n"
}

const SETTINGS_HEAD: &str = "\
Every setting is an environment variable and a flag: KAFKA_TOPIC is --kafka-topic.
A flag wins; an empty variable counts as not set. (*) is a secret and no flag: the
variable, or its name with _FILE for a file that holds it.";

fn page_row(setting: &Setting) -> String {
    let mark = if setting.secret { " (*)" } else { "" };
    let name = format!("{}{mark}", setting.name);
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [{default}]"),
    };
    let meaning = setting.meaning;
    format!("  {name:<25} {meaning}: {}{default}", setting.values())
}

/// Rows of the settings' tables in the documentation: setting, values, default, meaning.
pub fn markdown_row(setting: &Setting) -> String {
    let file = format!("{}{FILE_SUFFIX}", setting.name);
    let name = if setting.secret && Setting::find(&file).is_none() {
        format!("`{}` or `{file}`", setting.name)
    } else {
        format!("`{}`", setting.name)
    };
    let default = match setting.default {
        "" => "none".to_owned(),
        default => format!("`{default}`"),
    };
    format!("| {name} | {default} | {} | {} |", setting.values(), setting.meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_fits_a_screen() {
        let settings = settings();
        for (name, page, lines_max) in [
            ("overview", OVERVIEW, 40),
            ("short", SHORT, 12),
            ("run", RUN, 40),
            ("check", CHECK, 40),
            ("rehearse", REHEARSE, 40),
            ("verify", VERIFY, 40),
            ("dlq", DLQ, 40),
            ("status", STATUS, 40),
            ("report", REPORT, 40),
            ("settings", &settings, 120),
        ] {
            assert!(page.lines().count() <= lines_max, "{name} is too long");
            for line in page.lines() {
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
        }
    }

    #[test]
    fn each_page_shows_an_example() {
        for page in [OVERVIEW, RUN, CHECK, REHEARSE, VERIFY, DLQ, STATUS, REPORT] {
            let commands = ["re", "run", "check", "verify", "dlq", "status", "report"];
            let mut examples = commands.map(|word| format!("\n  csv-to-kafka {word}")).into_iter();
            assert!(examples.any(|example| page.contains(&example)), "{page}");
        }
    }

    #[test]
    fn the_settings_page_has_each_setting() {
        let page = settings();
        for setting in TABLE {
            assert!(page.contains(setting.name), "{}", setting.name);
        }
    }

    /// Defaults and names that the prose pages repeat are those of the table.
    #[test]
    fn the_prose_repeats_the_table() {
        for (line, name) in [
            ("JOB_ID                  one for each source [{}]", "JOB_ID"),
            ("KAFKA_PARTITION         [{}]", "KAFKA_PARTITION"),
            ("CSV_DELIMITER           one byte, or tab [{}]", "CSV_DELIMITER"),
            ("snappy, lz4, zstd [{}]", "KAFKA_COMPRESSION"),
            ("dlq with KAFKA_DLQ_TOPIC [{}]", "ON_BAD_ROW"),
            ("text, json [{}]", "LOG_FORMAT"),
        ] {
            let setting = Setting::find(name).expect(name);
            assert!(RUN.contains(&line.replace("{}", setting.default)), "{name}");
        }
        let words =
            RUN.split(|letter: char| !(letter.is_ascii_uppercase() || "_3".contains(letter)));
        for word in words.filter(|word| word.contains('_')) {
            assert!(Setting::find(word).is_some(), "{word} is no setting");
        }
    }
}
