//! A checkpoint that has lost the producer identity is not begun anew: its rows are in the
//! partition already.
#![expect(clippy::unwrap_used, reason = "a test's helpers")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn a_lost_identity_is_no_new_job() {
    let directory = Scratch::new();
    let rows = directory.0.join("rows.csv");
    std::fs::write(&rows, "id\n1\n2\n3\n").unwrap();
    let log = directory.0.join("log");
    let rehearse = |more: &[&str]| rehearse(&rows, &log, more);
    assert_eq!(rehearse(&["--rows", "2"]).status.code(), Some(0));

    let ledger = log.join("checkpoint.json");
    let whole = std::fs::read_to_string(&ledger).unwrap();
    let mut items: serde_json::Value = serde_json::from_str(&whole).unwrap();
    items["rehearsal"].as_object_mut().unwrap().remove("producers").unwrap();
    std::fs::write(&ledger, items.to_string()).unwrap();
    let refused = rehearse(&["--print"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("the checkpoint of job rehearsal has lost its producers"), "{said}");
    assert!(refused.stdout.is_empty(), "nothing is sent");

    // With its identity the same job goes on.
    std::fs::write(&ledger, whole).unwrap();
    let resumed = rehearse(&["--print"]);
    let sent = String::from_utf8(resumed.stdout).unwrap();
    assert_eq!(resumed.status.code(), Some(0));
    assert_eq!(sent.lines().count(), 1, "{sent}");
    assert!(sent.starts_with(r#"{"id":"3","_source_line":3,"#), "{sent}");
}

fn rehearse(rows: &Path, log: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_csv-to-kafka"));
    command.arg("rehearse").arg(rows).arg("--directory").arg(log).args(more);
    command.env_clear().output().unwrap()
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let name = format!("csv-to-kafka-damaged-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
