//! What a lint can not hold: the direction of imports between the layers, a `//!` in every
//! file, its length, and that the documentation repeats the settings as they are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::settings::TABLE;
use crate::show::help;
use crate::wire::metrics::Metric;

/// Who may know whom. `main.rs` with its commands and `lib.rs` know all; tests may too.
const ARROWS: [(&str, &[&str]); 10] = [
    ("limits", &[]),
    ("stop", &["limits"]),
    ("finding", &["stop", "limits"]),
    ("event", &["finding", "stop", "limits"]),
    ("settings", &["limits", "stop", "wire"]),
    ("wire", &["limits", "settings", "stop", "event"]),
    ("flow", &["wire", "limits", "settings", "stop", "finding", "event"]),
    ("port", &["flow::ports", "wire", "limits", "settings", "stop", "event"]),
    (
        "show",
        &[
            "flow::run",
            "flow::Outcome",
            "flow::verify",
            "flow::letters",
            "flow::report",
            "flow::cost",
            "flow::status",
            "flow::check",
            "wire",
            "limits",
            "settings",
            "stop",
            "finding",
            "event",
        ],
    ),
    ("cli", &["wire", "limits", "settings", "stop", "event"]),
];

/// Lines of code in one file; tests at its end are not counted.
const CODE_LINES_MAX: usize = 700;

/// What would tell that a file was written for one machine. In two parts each, so that this
/// file does not hold them.
const FOREIGN: [(&str, &str); 3] = [("/ro", "ot/"), ("/wo", "rk/"), ("/ho", "me/")];

struct Source {
    /// Under `src/`, with `/` between its parts.
    name: String,
    text: String,
}

impl Source {
    /// Without what is compiled for tests only.
    fn code(&self) -> &str {
        let end = self.text.find("\n#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        &self.text[..end]
    }

    fn is_for_tests(&self) -> bool {
        let name = self.name.as_str();
        ["sim/", "tidy.rs"].iter().any(|start| name.starts_with(start))
            || ["/tests.rs", "/properties.rs", "_script.rs"].iter().any(|end| name.ends_with(end))
            || name.contains("/tests/")
    }

    fn layer(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn sources() -> Vec<Source> {
    fn collect(directory: &Path, name: &str, sources: &mut Vec<Source>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let name = if name.is_empty() { file.to_owned() } else { format!("{name}/{file}") };
            if path.is_dir() {
                collect(&path, &name, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source { name, text: read(&path) });
            }
        }
    }
    let mut sources = Vec::new();
    collect(&root().join("src"), "", &mut sources);
    assert!(sources.len() > 20, "the sources are found");
    sources
}

/// What of the crate a text names: `settings::Level`, `flow::ports`, …
fn named(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            // `use crate::{a::b, c}`: the first word of each part at this depth.
            let mut depth = 0_usize;
            let mut part = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut part)),
                    _ if depth == 0 && !letter.is_whitespace() => part.push(letter),
                    _ => {}
                }
            }
            found.push(part);
        } else {
            let is_path = |letter: &char| letter.is_alphanumeric() || "_:".contains(*letter);
            found.push(rest.chars().take_while(is_path).collect());
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

/// The layers that a file names and may not.
fn forbidden(layer: &str, code: &str) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{layer} has no place in the drawing")];
    };
    let is_at = |path: &str, place: &str| {
        path == place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with("::"))
    };
    let mut paths = named(code);
    paths.retain(|path| !is_at(path, layer) && !allowed.iter().any(|place| is_at(path, place)));
    paths
}

#[test]
fn imports_point_one_way() {
    for source in sources() {
        if source.is_for_tests() || ["main", "command", "lib"].contains(&source.layer()) {
            continue;
        }
        let wrong = forbidden(source.layer(), source.code());
        assert!(wrong.is_empty(), "{} must not know {wrong:?}", source.name);
    }
}

#[test]
fn a_wrong_import_is_found() {
    for (layer, code, expected) in [
        ("flow", "use crate::port::kafka::X;", vec!["port::kafka::X"]),
        ("flow", "use crate::{limits, port::kafka, wire::{a, b}};", vec!["port::kafka"]),
        ("flow", "let x = crate::show::log::Line::new();", vec!["show::log::Line::new"]),
        ("port", "use crate::flow::ports::World;\nuse crate::flow::copy;", vec!["flow::copy"]),
        ("wire", "// crate::port is not for us\nuse crate::limits::X;", vec![]),
        ("limits", "use mycrate::port;", vec![]),
    ] {
        assert_eq!(forbidden(layer, code), expected, "{layer}: {code}");
    }
    assert_eq!(forbidden("elsewhere", "").len(), 1);
}

/// `flow`, `wire` and `show` open no socket and no file, read no clock and no environment.
#[test]
fn only_ports_touch_the_world() {
    let world = [
        "TcpStream",
        "TcpListener",
        "ToSocketAddrs",
        "std::fs",
        "std::env",
        "std::thread",
        "std::process",
        "Instant::now",
    ];
    for source in sources() {
        if source.is_for_tests() || ["main", "command", "port", "lib"].contains(&source.layer()) {
            continue;
        }
        for word in world {
            let mut lines = source.code().lines();
            let found = lines.find(|line| line.contains(word) && !line.contains("//"));
            assert!(found.is_none(), "{}: {}", source.name, found.unwrap_or_default());
        }
    }
}

#[test]
fn each_file_says_what_it_is() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} does not begin with //!", source.name);
        let first = source.text.lines().next().unwrap_or_default();
        assert!(first.len() > "//! ".len() + 20, "{}: {first}", source.name);
    }
}

#[test]
fn no_file_is_too_long() {
    for source in sources() {
        let lines = source.code().lines().count();
        assert!(lines <= CODE_LINES_MAX, "{} has {lines} lines of code", source.name);
    }
}

#[test]
fn nothing_is_of_one_machine() {
    let documents = documents().into_iter().map(|(name, text)| Source { name, text });
    for source in sources().into_iter().chain(documents) {
        for (first, second) in FOREIGN {
            let path = format!("{first}{second}");
            let found = source.text.lines().find(|line| {
                line.match_indices(&path).any(|(at, _)| {
                    !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '.')
                })
            });
            assert!(found.is_none(), "{}: {}", source.name, found.unwrap_or_default());
        }
    }
}

fn documents() -> Vec<(String, String)> {
    let names = [
        "README.md",
        "CHANGELOG.md",
        "docs/architecture.md",
        "docs/check.md",
        "docs/decisions.md",
        "docs/deploy.md",
        "docs/guarantee.md",
        "docs/metrics.md",
        "docs/migrate.md",
        "docs/operations.md",
        "docs/operator.md",
        "docs/security.md",
        "docs/settings.md",
        "docs/verify.md",
    ];
    names.map(|name| (name.to_owned(), read(&root().join(name)))).to_vec()
}

/// The table of `docs/settings.md` is that of the code, row for row.
#[test]
fn the_documented_settings_are_those_of_the_code() {
    let text = read(&root().join("docs/settings.md"));
    let found: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 3)
        .collect();
    let expected: Vec<String> = TABLE.iter().map(help::markdown_row).collect();
    let missing: Vec<&String> =
        expected.iter().filter(|row| !found.contains(&row.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new(), "rows that docs/settings.md lacks");
    assert_eq!(found.len(), expected.len(), "rows that are not in the code");
}

/// So is the table of `docs/metrics.md`, on which dashboards and alarms stand.
#[test]
fn the_documented_metrics_are_those_of_the_code() {
    let text = read(&root().join("docs/metrics.md"));
    let found: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = Metric::ALL
        .iter()
        .map(|metric| {
            let (unit, statistic) = (metric.unit().name(), metric.statistic().name());
            format!("| `{}` | {unit} | {statistic} | {} |", metric.name(), metric.meaning())
        })
        .collect();
    assert_eq!(found, expected);
}

/// A name in the documentation that looks like a setting is one.
#[test]
fn the_documents_name_no_setting_that_is_none() {
    let ours = ["KAFKA_", "CSV_", "S3_", "CHECKPOINT_", "DYNAMODB_", "LOG_", "MAX_"];
    // A variable of the build, and one of the user data.
    let others = ["CSV_TO_KAFKA_COMMIT", "LOG_GROUP"];
    for (name, text) in documents() {
        let is_name = |letter: char| letter.is_ascii_uppercase() || "_3".contains(letter);
        for word in text.split(|letter: char| !is_name(letter)) {
            if !ours.iter().any(|prefix| word.starts_with(prefix)) || others.contains(&word) {
                continue;
            }
            let known = TABLE.iter().any(|setting| {
                setting.name == word || word.strip_suffix("_FILE") == Some(setting.name)
            });
            // `KAFKA_SSL_…` means a family.
            let is_family = word.ends_with('_') && TABLE.iter().any(|s| s.name.starts_with(word));
            assert!(known || is_family, "{name}: {word} is no setting");
        }
    }
}

#[test]
fn each_vendor_test_is_described() {
    let text = read(&root().join("vendor-tests/README.md"));
    let mut count = 0;
    for entry in fs::read_dir(root().join("vendor-tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("test_") && path.extension().is_some_and(|extension| extension == "py")
        {
            assert!(text.contains(&format!("\n| `{name}` | ")), "{name} is not in the README");
            count += 1;
        }
    }
    assert!(count > 20, "the tests are found");
}

#[test]
fn the_license_is_there() {
    let license = read(&root().join("LICENSE"));
    assert!(license.trim_start().starts_with("Apache License"));
    assert!(license.contains("END OF TERMS AND CONDITIONS"));
    let manifest = read(&root().join("Cargo.toml"));
    assert!(manifest.contains("license = \"Apache-2.0\""));
}

/// Each dependency has its reason written down.
#[test]
fn each_dependency_has_its_reason() {
    let manifest = read(&root().join("Cargo.toml"));
    let decisions = read(&root().join("docs/decisions.md"));
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let missing: Vec<&str> =
        names.filter(|name| !decisions.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "no reason in docs/decisions.md");
}

/// Text that a spreadsheet or a database might have written, to try the program on.
#[test]
fn the_example_is_varied() {
    let text = read(&root().join("examples/orders.csv"));
    assert!(text.len() < 400_000, "{} bytes", text.len());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().len();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert!(rows.len() >= 2_000 && rows.iter().all(|row| row.len() == columns));
    for (what, is_there) in [
        ("commas in quotes", rows.iter().flatten().any(|field| field.contains(','))),
        ("quotes in quotes", rows.iter().flatten().any(|field| field.contains('"'))),
        ("newlines in quotes", rows.iter().flatten().any(|field| field.contains('\n'))),
        ("other alphabets", rows.iter().flatten().any(|field| !field.is_ascii())),
        ("empty fields", rows.iter().flatten().any(str::is_empty)),
    ] {
        assert!(is_there, "the example has no {what}");
    }
}

/// The defaults that the README repeats are those of the table.
#[test]
fn the_readme_repeats_the_defaults() {
    let text = read(&root().join("README.md"));
    let mut seen = 0;
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (names, defaults) = (cells.next().unwrap(), cells.next().unwrap());
        let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        let defaults: Vec<&str> = defaults.split('`').skip(1).step_by(2).collect();
        for (index, name) in names.iter().enumerate() {
            let setting = TABLE.iter().find(|setting| setting.name == *name).expect(name);
            let expected = setting.default;
            let matches = expected.is_empty() || defaults.contains(&expected);
            assert!(matches, "{name} (number {index}) is {expected} by default: {line}");
            seen += 1;
        }
    }
    // SOURCE and CHECKPOINT stand beside others.
    assert_eq!(seen, TABLE.len() - 2, "each setting is in the README");
}
