//! The source in a local file.
//!
//! It is pinned by its size and a digest of both ends, which stands in for an `ETag`:
//!
//! ```text
//! "sha256-" hex( SHA-256( first 64 KiB, last 64 KiB, size as 8 bytes, big endian ) )
//! ```
//!
//! (both ends overlap in a file below 128 KiB). A change in the middle that keeps the size is
//! not seen; for what must be proved, load from S3.

use std::fmt::Write as _;
use std::fs::{self, File as Handle, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::flow::ports::{Fault, Opened, Pin, Read, Source};
use crate::stop::{Peer, Stop};

/// What is digested of each end.
const END_BYTES: u64 = 64 * 1024;

pub struct File {
    path: PathBuf,
    open: Option<(Handle, u64)>,
}

impl File {
    pub fn new(path: impl Into<PathBuf>) -> File {
        File { path: path.into(), open: None }
    }
}

impl Source for File {
    fn open(&mut self, from: u64, to: Option<u64>, pinned: Option<&Pin>) -> Result<Opened, Fault> {
        self.open = None;
        let fault = |error: io::Error| fault(&self.path, &error);
        // Looked at before it is opened: opening a pipe would wait for its writer.
        regular(&self.path, &fs::metadata(&self.path).map_err(fault)?)?;
        let mut handle = Handle::open(&self.path).map_err(fault)?;
        let metadata = handle.metadata().map_err(fault)?;
        regular(&self.path, &metadata)?;
        let source_bytes = metadata.len();
        let etag = digest(&mut handle, source_bytes).map_err(fault)?;
        let found = Pin { etag, version_id: None, source_bytes };
        if pinned.is_some_and(|pin| pin.etag != found.etag || pin.source_bytes != source_bytes) {
            return Ok(Opened::Replaced);
        }
        if from > source_bytes {
            return Err(Fault::last(Stop::refused(
                Peer::Source,
                format!("{}: byte {from} lies beyond the end of the file", self.path.display()),
                "The checkpoint does not belong to this file: load it under a new JOB_ID",
            )));
        }
        handle.seek(SeekFrom::Start(from)).map_err(fault)?;
        let end = to.map_or(source_bytes, |to| to.min(source_bytes));
        self.open = Some((handle, end.saturating_sub(from)));
        Ok(Opened::Open(found))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault> {
        assert!(!buffer.is_empty(), "a read needs room");
        let path = &self.path;
        let Some((handle, left_bytes)) = &mut self.open else {
            return Err(Fault::passing(format!("{}: nothing is open", path.display())));
        };
        if *left_bytes == 0 {
            return Ok(Read::End);
        }
        let room_bytes = usize::try_from(*left_bytes).unwrap_or(usize::MAX).min(buffer.len());
        let (room, _) = buffer.split_at_mut(room_bytes);
        match handle.read(room) {
            Ok(0) => {
                let problem = format!("{}: the file became shorter", path.display());
                self.open = None;
                Err(Fault::passing(problem))
            }
            Ok(count) => {
                *left_bytes -= u64::try_from(count).unwrap_or(u64::MAX);
                Ok(Read::Bytes(count))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Read::NotYet),
            Err(error) => {
                let problem = format!("{}: {error}", path.display());
                self.open = None;
                Err(Fault::passing(problem))
            }
        }
    }
}

fn regular(path: &Path, metadata: &Metadata) -> Result<(), Fault> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "a directory" } else { "not a regular file" };
    Err(Fault::last(Stop::refused(
        Peer::Source,
        format!("{} is {what}", path.display()),
        "Name a file: what can be read only once can not be pinned and resumed",
    )))
}

fn fault(path: &Path, error: &io::Error) -> Fault {
    let problem = format!("{}: {error}", path.display());
    let advice = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            "There is no such file (any more): mend SOURCE"
        }
        io::ErrorKind::PermissionDenied => "Allow this user to read it",
        _ => return Fault::passing(problem),
    };
    Fault::last(Stop::refused(Peer::Source, problem, advice))
}

fn digest(handle: &mut Handle, source_bytes: u64) -> io::Result<String> {
    let mut hash = Sha256::new();
    let last_from = source_bytes.saturating_sub(END_BYTES);
    let mut chunk = [0; 8 * 1024];
    for from in [0, last_from] {
        handle.seek(SeekFrom::Start(from))?;
        let mut left = END_BYTES.min(source_bytes);
        while left > 0 {
            let room_bytes = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            let (room, _) = chunk.split_at_mut(room_bytes);
            handle.read_exact(room)?;
            hash.update(&*room);
            left -= u64::try_from(room_bytes).unwrap_or(left);
        }
    }
    hash.update(source_bytes.to_be_bytes());
    let mut etag = String::from("sha256-");
    for byte in hash.finalize() {
        let written = write!(etag, "{byte:02x}");
        assert!(written.is_ok(), "writing to a string does not fail");
    }
    Ok(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("csv-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn all(source: &mut File) -> Vec<u8> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        while let Read::Bytes(count) = source.read(&mut buffer).unwrap() {
            bytes.extend(&buffer[..count]);
        }
        bytes
    }

    #[test]
    fn any_part_of_a_file_of_any_size() {
        let scratch = Scratch::new("parts");
        let path = scratch.0.join("a.csv");
        for size in [0_u64, 1, 64 * 1024, 100_000, 128 * 1024 + 1] {
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            fs::write(&path, &bytes).unwrap();
            let mut source = File::new(&path);
            let Opened::Open(pin) = source.open(0, None, None).unwrap() else { panic!() };
            assert_eq!(pin.source_bytes, size);
            assert_eq!(all(&mut source), bytes);
            for (from, to) in [(0, Some(1)), (size / 2, None), (size, None), (0, Some(0))] {
                let opened = source.open(from, to, Some(&pin)).unwrap();
                assert_eq!(opened, Opened::Open(pin.clone()));
                let at = |n: u64| usize::try_from(n.min(size)).unwrap();
                assert_eq!(all(&mut source), &bytes[at(from)..at(to.unwrap_or(size))]);
            }
            assert!(matches!(source.open(size + 1, None, Some(&pin)), Err(Fault::Final(_))));
        }
    }

    #[test]
    fn a_change_at_either_end_or_of_the_size_is_seen() {
        let scratch = Scratch::new("changes");
        let path = scratch.0.join("a.csv");
        let bytes = vec![b'x'; 300_000];
        fs::write(&path, &bytes).unwrap();
        let mut source = File::new(&path);
        let Opened::Open(pin) = source.open(0, None, None).unwrap() else { panic!() };
        for at in [0, 65_535, 300_000 - 65_536, 299_999] {
            let mut changed = bytes.clone();
            changed[at] = b'y';
            fs::write(&path, &changed).unwrap();
            assert_eq!(source.open(5, None, Some(&pin)), Ok(Opened::Replaced), "byte {at}");
        }
        fs::write(&path, &bytes[1..]).unwrap();
        assert_eq!(source.open(5, None, Some(&pin)), Ok(Opened::Replaced));
        assert!(matches!(source.read(&mut [0]), Err(Fault::Passing(_))));
        fs::write(&path, &bytes).unwrap();
        assert_eq!(source.open(5, None, Some(&pin)), Ok(Opened::Open(pin.clone())));
        // Cut while it is read.
        fs::write(&path, "").unwrap();
        assert!(matches!(source.read(&mut [0]), Err(Fault::Passing(_))));
    }

    #[test]
    fn what_is_no_file() {
        let scratch = Scratch::new("kinds");
        let cases = [
            (scratch.0.clone(), "a directory"),
            (scratch.0.join("none"), "no such file"),
            (PathBuf::from("/dev/null"), "not a regular file"),
        ];
        for (path, words) in cases {
            let Err(Fault::Final(stop)) = File::new(path).open(0, None, None) else { panic!() };
            assert!(stop.to_string().contains(words), "{stop}");
        }
    }
}
