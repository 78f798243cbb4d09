//! The corpora of `vendor-tests/fuzz` go through the decoders that they were made for: each
//! input that once was a defect, and what fuzzing found worth keeping.
//!
//! ```text
//! vendor-tests/fuzz/corpus/NAME.hex     one input a line; `#` begins a comment
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers")]

mod decoders;

use std::path::PathBuf;

fn corpora() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vendor-tests/fuzz/corpus")
}

fn bytes_of(line: &str) -> Vec<u8> {
    let digits = line.split('#').next().unwrap_or_default().trim();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_decoder_takes_its_corpus() {
    let mut names = Vec::new();
    for (name, decode) in decoders::all() {
        let text = std::fs::read_to_string(corpora().join(format!("{name}.hex"))).unwrap();
        let inputs: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(inputs.len() > 1, "{name} has no corpus");
        // With which libFuzzer begins.
        decode(&[]);
        for input in inputs {
            let bytes = bytes_of(input);
            // Cut short and made longer too.
            for bytes in [&bytes[..], &bytes[..bytes.len() / 2], &[&bytes[..], &[0]].concat()] {
                decode(bytes);
            }
        }
        names.push(format!("{name}.hex"));
    }
    names.sort();
    let mut files: Vec<_> = std::fs::read_dir(corpora())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(names, files, "a corpus for each decoder");
}
