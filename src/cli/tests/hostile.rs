//! What somebody wrote comes back in a message without its control characters.

use super::*;
use crate::settings::TABLE;

/// Whatever a setting is given, as a variable or as a flag: each problem stays on its line, and
/// none of them steers a terminal.
#[test]
fn no_value_steers_a_message() {
    let hostile = "S\u{4}\u{1b}[2J\n9";
    for (name, flag) in TABLE.iter().map(|setting| (setting.name, setting.flag())) {
        for (protocol, mechanism) in
            [("PLAINTEXT", "PLAIN"), ("SASL_SSL", "PLAIN"), ("SASL_SSL", hostile), (hostile, "")]
        {
            let mut variables: BTreeMap<OsString, OsString> = LOCAL
                .split_whitespace()
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            variables.insert("KAFKA_SECURITY_PROTOCOL".into(), protocol.into());
            variables.insert("KAFKA_SASL_MECHANISM".into(), mechanism.into());
            variables.insert(format!("KAFKA_TOPI{hostile}").into(), "x".into());
            variables.insert(name.into(), hostile.into());
            let read_file = |_: &str| Err("no such file".to_owned());
            for arguments in [vec![], vec![OsString::from(&flag), OsString::from(hostile)]] {
                let given =
                    Given { arguments: &arguments, variables: &variables, read_file: &read_file };
                let parsed = parse(&given);
                let problems = match parsed.command {
                    Err(Stop::Settings(problems)) => problems,
                    _ => Vec::new(),
                };
                for told in problems.iter().chain(&parsed.warnings) {
                    assert!(!told.contains(char::is_control), "{name}: {told:?}");
                }
            }
        }
    }
}
