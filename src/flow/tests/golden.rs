//! A text of many lines against a file of its own under `testdata`. A change that nobody meant is
//! seen in it; whoever means one writes the file anew, and reads what has changed:
//!
//! ```sh
//! WRITE_GOLDEN=1 cargo test --lib flow::
//! ```

/// Each case begins with a line that starts with `===`.
pub(in crate::flow) fn golden(file: &str, found: &str) {
    let path = format!("{}/src/flow/testdata/{file}.txt", env!("CARGO_MANIFEST_DIR"));
    if is_to_write() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).expect("the golden file");
    let mut title = "";
    for (expected, line) in expected.lines().zip(found.lines()) {
        if line.starts_with("===") {
            title = line;
        }
        assert_eq!(line, expected, "{file}.txt, {title}");
    }
    assert!(expected == found, "{file}.txt is longer or shorter");
}

#[expect(clippy::disallowed_methods, reason = "a test that is told to write its golden file")]
fn is_to_write() -> bool {
    std::env::var_os("WRITE_GOLDEN").is_some()
}
