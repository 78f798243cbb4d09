//! The files of one partition, in Kafka's own segment format.
//!
//! ```text
//! 00000000000000000000.log    record batches v2 one after the other, as in `wire/record_batch`,
//! 00000000000000172035.log    with base offset and leader epoch filled in; the name is the
//!                             base offset of the first; below 2^31 bytes each
//! ```
//!
//! There is no index: Kafka's tools do without, and a walk over the headers is short. A batch
//! is synced before its append returns, so a crash can leave at most one that is not whole:
//! it was never confirmed and is cut off when the log is opened. More damage than that is not
//! ours to mend.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::limits::{FETCH_BYTES, LOG_BATCH_BYTES_MAX, SEGMENT_BYTES_MAX};
use crate::wire::record_batch::{BatchHeader, HEADER_BYTES, is_checksum_right};

/// The leader epoch that every batch gets: this log has had one leader.
pub const LEADER_EPOCH: i32 = 0;
/// Base offset, batch length, leader epoch: what the leader fills in stands in here.
const FRONT_BYTES: usize = 16;
/// Segments of one log; each is 2 GiB.
const SEGMENTS_MAX: usize = 65_536;

/// Why the log can not be used.
#[derive(Debug)]
pub enum LogFault {
    Io {
        path: PathBuf,
        doing: &'static str,
        error: io::Error,
    },
    /// More is broken than a crash can break.
    Damaged {
        path: PathBuf,
        byte_offset: u64,
    },
    /// A name that no segment has, or too many.
    Strange {
        path: PathBuf,
    },
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogFault::Io { path, doing, error } => write!(f, "{doing} {}: {error}", path.display()),
            LogFault::Damaged { path, byte_offset } => write!(
                f,
                "{} is damaged at byte {byte_offset}, beyond what a crash leaves",
                path.display()
            ),
            LogFault::Strange { path } => {
                write!(f, "{} is not a segment of this log", path.display())
            }
        }
    }
}

pub struct Segments {
    dir: PathBuf,
    /// The oldest first; never empty.
    files: Vec<Segment>,
    log_end: i64,
    segment_bytes_max: u64,
    /// Where the last read began: the next one is near.
    last_read: Place,
}

struct Segment {
    base_offset: i64,
    path: PathBuf,
    file: File,
    bytes: u64,
}

#[derive(Clone, Copy)]
struct Place {
    segment_index: usize,
    byte_offset: u64,
    base_offset: i64,
}

/// What was found at the opening.
pub struct Recovered {
    pub segments: Segments,
    /// Of a batch that was being written when the process or the machine died.
    pub cut_bytes: u64,
}

impl Segments {
    /// Opens the log in `dir`, or begins one; `visit` sees the header of each batch.
    pub fn open(dir: &Path, visit: &mut dyn FnMut(&BatchHeader)) -> Result<Recovered, LogFault> {
        Segments::open_with(dir, SEGMENT_BYTES_MAX, visit)
    }

    fn open_with(
        dir: &Path,
        segment_bytes_max: u64,
        visit: &mut dyn FnMut(&BatchHeader),
    ) -> Result<Recovered, LogFault> {
        let mut segments = open_all(dir)?;
        if segments.is_empty() {
            segments.push(create(dir, 0)?);
        }
        let mut log_end = segments.first().map_or(0, |segment| segment.base_offset);
        let last_index = segments.len() - 1;
        let mut cut_bytes = 0;
        for (index, segment) in segments.iter_mut().enumerate() {
            if segment.base_offset != log_end {
                return Err(LogFault::Strange { path: segment.path.clone() });
            }
            let is_last = index == last_index;
            let whole = walk(segment, is_last, visit)?;
            log_end = whole.next_offset;
            cut_bytes = segment.bytes - whole.bytes;
            if cut_bytes > 0 {
                segment.cut(whole.bytes)?;
            }
        }
        let last_read = Place {
            segment_index: 0,
            byte_offset: 0,
            base_offset: segments.first().map_or(0, |segment| segment.base_offset),
        };
        let segments = Segments {
            dir: dir.to_owned(),
            files: segments,
            log_end,
            segment_bytes_max,
            last_read,
        };
        Ok(Recovered { segments, cut_bytes })
    }

    pub fn start(&self) -> i64 {
        self.files.first().map_or(0, |segment| segment.base_offset)
    }

    pub fn end(&self) -> i64 {
        self.log_end
    }

    /// Appends a whole batch and syncs it; answers the offset of its first record. After a
    /// failure nobody knows what is on the disk: the log must be opened again.
    pub fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<i64, LogFault> {
        assert_eq!(header.batch_bytes, batch.len(), "the leader checked the batch");
        self.roll_if_full(batch.len() as u64)?;
        let base_offset = self.log_end;
        let mut front = [0; FRONT_BYTES];
        let (head, rest) = batch.split_at(FRONT_BYTES);
        front.copy_from_slice(head);
        front[..8].copy_from_slice(&base_offset.to_be_bytes());
        front[12..].copy_from_slice(&LEADER_EPOCH.to_be_bytes());

        let segment = self.last();
        let at = segment.bytes;
        segment.file.write_all_at(&front, at).map_err(|error| segment.fault("writing", error))?;
        segment
            .file
            .write_all_at(rest, at + FRONT_BYTES as u64)
            .map_err(|error| segment.fault("writing", error))?;
        segment.file.sync_data().map_err(|error| segment.fault("syncing", error))?;
        segment.bytes += batch.len() as u64;
        self.log_end += i64::from(header.last_offset_delta) + 1;
        Ok(base_offset)
    }

    /// Fills `buffer` from the batch that holds `from`, with at least that batch whole; empty
    /// at the log end.
    pub fn read(&mut self, from: i64, buffer: &mut Vec<u8>) -> Result<(), LogFault> {
        buffer.clear();
        if from >= self.log_end || from < self.start() {
            return Ok(());
        }
        let (place, batch_bytes) = self.find(from)?;
        self.last_read = place;
        let segment = &self.files[place.segment_index];
        let left = segment.bytes - place.byte_offset;
        let wanted = FETCH_BYTES.max(batch_bytes) as u64;
        let bytes = usize::try_from(left.min(wanted)).unwrap_or(FETCH_BYTES);
        buffer.resize(bytes, 0);
        segment
            .file
            .read_exact_at(buffer, place.byte_offset)
            .map_err(|error| segment.fault("reading", error))
    }

    /// Where the batch that holds `offset` begins, and its size; the log holds it.
    fn find(&self, offset: i64) -> Result<(Place, usize), LogFault> {
        let index = self.files.partition_point(|segment| segment.base_offset <= offset) - 1;
        let segment = &self.files[index];
        let near = self.last_read;
        let mut place = if near.segment_index == index && near.base_offset <= offset {
            near
        } else {
            Place { segment_index: index, byte_offset: 0, base_offset: segment.base_offset }
        };
        while let Some(header) = segment.header_at(place.byte_offset)? {
            if offset <= header.last_offset() {
                return Ok((place, header.batch_bytes));
            }
            place.byte_offset += header.batch_bytes as u64;
            place.base_offset = header.last_offset() + 1;
        }
        Err(LogFault::Damaged { path: segment.path.clone(), byte_offset: place.byte_offset })
    }

    fn last(&mut self) -> &mut Segment {
        let last = self.files.len() - 1;
        &mut self.files[last]
    }

    fn roll_if_full(&mut self, batch_bytes: u64) -> Result<(), LogFault> {
        let segment_bytes_max = self.segment_bytes_max;
        let log_end = self.log_end;
        let segment = self.last();
        if segment.bytes == 0 || segment.bytes + batch_bytes <= segment_bytes_max {
            return Ok(());
        }
        let next = create(&self.dir, log_end)?;
        self.files.push(next);
        Ok(())
    }
}

impl Segment {
    fn fault(&self, doing: &'static str, error: io::Error) -> LogFault {
        LogFault::Io { path: self.path.clone(), doing, error }
    }

    /// The header of the batch that begins there, if a whole batch of a size that we write
    /// does.
    fn header_at(&self, byte_offset: u64) -> Result<Option<BatchHeader>, LogFault> {
        let mut bytes = [0; HEADER_BYTES];
        let left = self.bytes - byte_offset;
        if left < HEADER_BYTES as u64 {
            return Ok(None);
        }
        self.file
            .read_exact_at(&mut bytes, byte_offset)
            .map_err(|error| self.fault("reading", error))?;
        let fits = |header: &BatchHeader| {
            header.batch_bytes <= LOG_BATCH_BYTES_MAX && header.batch_bytes as u64 <= left
        };
        Ok(BatchHeader::parse(&bytes).ok().filter(fits))
    }

    fn is_checksum_right_at(&self, place: u64, header: &BatchHeader) -> Result<bool, LogFault> {
        let mut batch = vec![0; header.batch_bytes];
        self.file.read_exact_at(&mut batch, place).map_err(|error| self.fault("reading", error))?;
        Ok(is_checksum_right(&batch))
    }

    fn cut(&mut self, bytes: u64) -> Result<(), LogFault> {
        self.file.set_len(bytes).map_err(|error| self.fault("cutting", error))?;
        self.file.sync_all().map_err(|error| self.fault("syncing", error))?;
        self.bytes = bytes;
        Ok(())
    }
}

/// How far a segment is whole.
struct Whole {
    bytes: u64,
    next_offset: i64,
}

/// Visits the headers of a segment. Only the end of the last one may be broken, and only by
/// one batch, because each was synced before the next was begun.
fn walk(
    segment: &Segment,
    is_last: bool,
    visit: &mut dyn FnMut(&BatchHeader),
) -> Result<Whole, LogFault> {
    let mut whole = Whole { bytes: 0, next_offset: segment.base_offset };
    let mut newest: Option<(u64, BatchHeader)> = None;
    while let Some(header) = segment.header_at(whole.bytes)? {
        if header.base_offset != whole.next_offset {
            break;
        }
        if let Some((_, before)) = newest.replace((whole.bytes, header)) {
            visit(&before);
        }
        whole.bytes += header.batch_bytes as u64;
        whole.next_offset = header.last_offset() + 1;
    }
    let damaged = |byte_offset| Err(LogFault::Damaged { path: segment.path.clone(), byte_offset });
    let broken_bytes = segment.bytes - whole.bytes;
    if broken_bytes > 0 && (!is_last || broken_bytes > LOG_BATCH_BYTES_MAX as u64) {
        return damaged(whole.bytes);
    }
    let Some((at, header)) = newest else { return Ok(whole) };
    if segment.is_checksum_right_at(at, &header)? {
        visit(&header);
        return Ok(whole);
    }
    if broken_bytes > 0 || !is_last {
        return damaged(at);
    }
    Ok(Whole { bytes: at, next_offset: header.base_offset })
}

/// The segments that are there, by base offset.
fn open_all(dir: &Path) -> Result<Vec<Segment>, LogFault> {
    let listing = |error| LogFault::Io { path: dir.to_owned(), doing: "listing", error };
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_numbered = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
        let base_offset = name.parse::<i64>().ok().filter(|_| is_numbered);
        let (Some(base_offset), true) = (base_offset, segments.len() < SEGMENTS_MAX) else {
            return Err(LogFault::Strange { path });
        };
        segments.push(open_one(path, base_offset, false)?);
    }
    segments.sort_by_key(|segment| segment.base_offset);
    Ok(segments)
}

fn create(dir: &Path, base_offset: i64) -> Result<Segment, LogFault> {
    let segment = open_one(dir.join(format!("{base_offset:020}.log")), base_offset, true)?;
    sync_dir(dir)?;
    Ok(segment)
}

fn open_one(path: PathBuf, base_offset: i64, is_new: bool) -> Result<Segment, LogFault> {
    let fault = |error| LogFault::Io { path: path.clone(), doing: "opening", error };
    let file =
        OpenOptions::new().read(true).write(true).create_new(is_new).open(&path).map_err(fault)?;
    let bytes = file.metadata().map_err(fault)?.len();
    Ok(Segment { base_offset, path, file, bytes })
}

/// Makes new names in a directory last.
pub fn sync_dir(dir: &Path) -> Result<(), LogFault> {
    let fault = |error| LogFault::Io { path: dir.to_owned(), doing: "syncing", error };
    File::open(dir).map_err(fault)?.sync_all().map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch_writer::{Added, BatchWriter};
    use crate::wire::compress::Compression;
    use crate::wire::record_batch::{Batch, Batches};

    fn batch(count: usize) -> Vec<u8> {
        let mut writer = BatchWriter::new(Compression::None, 4096, 3584);
        writer.restart(Batch::with_capacity(4096));
        for _ in 0..count {
            assert_eq!(writer.add(None, |value| value.extend_from_slice(&[b'v'; 50])), Added::Yes);
        }
        let mut batch = writer.finish();
        batch.seal(3, 0, 0, 1_000);
        batch.as_bytes().to_vec()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The base offsets of all batches from `from` on, read one buffer after the other.
    fn bases(log: &mut Segments, from: i64) -> Vec<i64> {
        let (mut found, mut at, mut buffer) = (Vec::new(), from, Vec::new());
        while at < log.end() {
            log.read(at, &mut buffer).unwrap();
            let before = at;
            for batch in Batches::new(&buffer) {
                let (header, _) = batch.unwrap();
                found.push(header.base_offset);
                at = header.last_offset() + 1;
            }
            assert!(at > before, "a read goes on");
        }
        found
    }

    #[test]
    fn a_full_segment_is_followed_by_another() {
        let dir =
            std::env::temp_dir().join(format!("csv-to-kafka-segments-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let batch = batch(10);
        let header = BatchHeader::parse(&batch).unwrap();
        let segment_bytes_max = 3 * batch.len() as u64;
        let open = || Segments::open_with(&dir, segment_bytes_max, &mut |_| {}).unwrap();

        let mut log = open().segments;
        for index in 0..7 {
            assert_eq!(log.append(&header, &batch).unwrap(), index * 10);
        }
        assert_eq!(
            names(&dir),
            ["00000000000000000000.log", "00000000000000000030.log", "00000000000000000060.log"]
        );
        let mut seen = Vec::new();
        let mut visit = |header: &BatchHeader| seen.push(header.base_offset);
        let mut again = Segments::open_with(&dir, segment_bytes_max, &mut visit).unwrap().segments;
        assert_eq!(seen, [0, 10, 20, 30, 40, 50, 60], "each header once, in order");
        assert_eq!((again.start(), again.end()), (0, 70));
        for (from, expected) in [
            (0, vec![0, 10, 20, 30, 40, 50, 60]),
            (9, vec![0, 10, 20, 30, 40, 50, 60]),
            (55, vec![50, 60]),
            (29, vec![20, 30, 40, 50, 60]),
            (30, vec![30, 40, 50, 60]),
            (69, vec![60]),
            (70, vec![]),
        ] {
            assert_eq!(bases(&mut again, from), expected, "from {from}");
        }

        // A crash just after the next file was made, and an old segment that was deleted.
        create(&dir, 70).unwrap();
        fs::remove_file(dir.join("00000000000000000000.log")).unwrap();
        let mut later = open().segments;
        assert_eq!((later.start(), later.end()), (30, 70));
        assert_eq!(later.append(&header, &batch).unwrap(), 70);
        assert_eq!(bases(&mut later, 60), [60, 70]);

        // A segment that is missing in between, and one that is cut before the last.
        fs::remove_file(dir.join("00000000000000000060.log")).unwrap();
        let broken = Segments::open_with(&dir, segment_bytes_max, &mut |_| {});
        assert!(matches!(broken, Err(LogFault::Strange { .. })));
        OpenOptions::new()
            .write(true)
            .open(dir.join("00000000000000000030.log"))
            .unwrap()
            .set_len(100)
            .unwrap();
        let broken = Segments::open_with(&dir, segment_bytes_max, &mut |_| {});
        assert!(matches!(broken, Err(LogFault::Damaged { byte_offset: 0, .. })));
        fs::remove_dir_all(&dir).unwrap();
    }
}
