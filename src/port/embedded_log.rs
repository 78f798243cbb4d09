//! A broker without a server: one partition in a directory.
//!
//! ```text
//! DIR/partition.lock           held while a process uses the log
//!     partition.json           who it is, see `partition_file`
//!     00000000000000000000.log the partition, see `segments`
//! ```
//!
//! It answers as a leader of Kafka does (`wire/append_check`) and syncs to the disk before it
//! confirms. It differs in one thing: it forgets a producer never, where Kafka does after a
//! day, so the guard is only ever stronger. As after a broker's restart, an opened log
//! recognises a replay of each producer's last batch and of none before.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::flow::ports::{
    Answer, Broker, Confirmed, Described, Fault, Mark, ProducerIdentity, ReadTo, RecordVisitor,
    TopicSettings, Trouble, Visit,
};
use crate::limits::{BATCH_UNCOMPRESSED_BYTES_MAX, FETCH_BYTES, LOG_BATCH_BYTES_MAX};
use crate::port::partition_file::{Identity, PARTITION_NAME};
use crate::port::segments::{LEADER_EPOCH, LogFault, Segments};
use crate::stop::{Peer, Stop};
use crate::wire::append_check::{ProducerStates, Verdict};
use crate::wire::record_batch::{
    BadBatch, Batch, BatchHeader, Batches, is_checksum_right, records,
};

const LOCK_NAME: &str = "partition.lock";
const CORRUPT_MESSAGE: i16 = 2;
const MESSAGE_TOO_LARGE: i16 = 10;
const NO_OFFSET: i64 = -1;

pub struct EmbeddedLog {
    dir: PathBuf,
    /// Held for as long as this lives.
    _lock: File,
    identity: Identity,
    segments: Segments,
    producers: ProducerStates,
    cut_bytes: u64,
    print: Option<Box<dyn Write>>,
    is_connected: bool,
    in_flight: Option<Batch>,
    /// After a failed write nobody knows what is on the disk: no call is served any more.
    broken: Option<Stop>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, or begins one there.
    pub fn open(dir: &Path) -> Result<EmbeddedLog, Box<Stop>> {
        fs::create_dir_all(dir)
            .map_err(|error| unusable(&format!("creating {}: {error}", dir.display())))?;
        let lock = lock(dir)?;
        let stored = Identity::load(dir)?;
        let is_new = stored.is_none();
        let identity = match stored {
            Some(identity) => identity,
            None => Identity::fresh()?,
        };
        let mut producers = ProducerStates::default();
        let mut visit = |header: &BatchHeader| producers.appended(header, header.base_offset);
        let recovered = Segments::open(dir, &mut visit).map_err(|fault| unusable_log(&fault))?;
        producers.forget_to_one();
        if is_new && recovered.segments.end() > 0 {
            let file = dir.join(PARTITION_NAME);
            return Err(unusable(&format!("{} is missing beside its log", file.display())).into());
        }
        if is_new {
            identity.store(dir)?;
        }
        Ok(EmbeddedLog {
            dir: dir.to_owned(),
            _lock: lock,
            identity,
            segments: recovered.segments,
            producers,
            cut_bytes: recovered.cut_bytes,
            print: None,
            is_connected: false,
            in_flight: None,
            broken: None,
            buffer: Vec::with_capacity(FETCH_BYTES),
            scratch: Vec::new(),
        })
    }

    /// Each record's value goes there too, with a line feed, once it is in the log.
    pub fn print_to(&mut self, sink: Box<dyn Write>) {
        self.print = Some(sink);
    }

    /// Bytes of a batch that a crash had left half written, never confirmed; cut off.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    fn idle(&self) -> Result<(), Fault> {
        assert!(self.in_flight.is_none(), "no other call while a batch is in flight");
        match &self.broken {
            None => Ok(()),
            Some(stop) => Err(Fault::last(stop.clone())),
        }
    }

    /// What a leader does with a produce request.
    fn append(&mut self, batch: &[u8]) -> Result<Answer, Box<Stop>> {
        let answer = |error_code, base_offset| Answer { error_code, base_offset, throttle_ms: 0 };
        let header = match BatchHeader::parse(batch) {
            Ok(header) if header.batch_bytes == batch.len() && is_checksum_right(batch) => header,
            _ => return Ok(answer(CORRUPT_MESSAGE, NO_OFFSET)),
        };
        if batch.len() > LOG_BATCH_BYTES_MAX {
            return Ok(answer(MESSAGE_TOO_LARGE, NO_OFFSET));
        }
        match self.producers.check(&header) {
            Verdict::Refuse { error_code } => Ok(answer(error_code, NO_OFFSET)),
            Verdict::Duplicate { base_offset } => Ok(answer(0, base_offset)),
            Verdict::Append => {
                let base_offset =
                    self.segments.append(&header, batch).map_err(|fault| unusable_log(&fault))?;
                self.producers.appended(&header, base_offset);
                self.print(&header, batch)?;
                Ok(answer(0, base_offset))
            }
        }
    }

    fn print(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), Box<Stop>> {
        let Some(sink) = &mut self.print else { return Ok(()) };
        let read = records(header, batch, BATCH_UNCOMPRESSED_BYTES_MAX, &mut self.scratch)
            .map_err(|bad| unusable(&bad.to_string()))?;
        let mut print = |value: &[u8]| {
            sink.write_all(value)?;
            sink.write_all(b"\n")
        };
        for record in read {
            let record = record.map_err(|bad| unusable(&bad.to_string()))?;
            print(record.value.unwrap_or_default()).map_err(|error| not_printed(&error))?;
        }
        Ok(sink.flush().map_err(|error| not_printed(&error))?)
    }

    fn visit(&mut self, from: i64, to: i64, mut visit: Visit<'_>) -> Result<ReadTo, BadBatch> {
        let mut next = from;
        for batch in Batches::new(&self.buffer) {
            let (header, batch) = batch?;
            if header.base_offset >= to {
                break;
            }
            if !is_checksum_right(batch) {
                return Err(BadBatch::Checksum);
            }
            match &mut visit {
                Visit::Headers(visit) => visit(&header),
                Visit::Records(visit) => {
                    visit_records((from, to), (&header, batch), &mut self.scratch, *visit)?;
                }
                Visit::Batches(visitor) => {
                    if visitor.batch(&header) {
                        let mut visit = |offset, key: Option<&[u8]>, value: Option<&[u8]>| {
                            visitor.record(offset, key, value);
                        };
                        visit_records((from, to), (&header, batch), &mut self.scratch, &mut visit)?;
                    }
                }
            }
            next = header.last_offset() + 1;
        }
        Ok(ReadTo::Offset(next))
    }
}

impl Broker for EmbeddedLog {
    fn describe(&mut self) -> Result<Described, Fault> {
        self.idle()?;
        Ok(Described {
            // The rows' log and that of the dead letters are no cluster: the topic id tells one
            // log from another.
            cluster_id: None,
            topic_id: Some(self.identity.topic_id.clone()),
            partition_count: 1,
            leader: self.dir.display().to_string(),
            leader_epoch: LEADER_EPOCH,
            replica_count: 1,
            in_sync_count: 1,
            rights: None,
        })
    }

    fn topic_settings(&mut self) -> Result<TopicSettings, Fault> {
        self.idle()?;
        Ok(TopicSettings {
            max_message_bytes: Some(LOG_BATCH_BYTES_MAX as u64),
            // There is one copy, as everybody who rehearses knows: nothing to warn of.
            min_insync_replicas: None,
            cleanup_policy: Some("delete".to_owned()),
            retention_ms: Some(-1),
            retention_bytes: Some(-1),
            unclean_leader_election: Some(false),
        })
    }

    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault> {
        self.idle()?;
        let id = self.identity.next_producer_id;
        self.identity.next_producer_id = id + 1;
        // Stored before it is given away: an id that two producers have would break the guard.
        self.identity.store(&self.dir).map_err(Fault::Final)?;
        Ok(ProducerIdentity { id, epoch: 0 })
    }

    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault> {
        self.idle()?;
        Ok(Some(match mark {
            Mark::Start => self.segments.start(),
            Mark::VisibleEnd | Mark::EpochEnd { .. } => self.segments.end(),
        }))
    }

    fn read(&mut self, from: i64, to: i64, visit: Visit<'_>) -> Result<ReadTo, Fault> {
        self.idle()?;
        let log_start = self.segments.start();
        if from < log_start {
            return Ok(ReadTo::Deleted { log_start });
        }
        self.segments
            .read(from, &mut self.buffer)
            .map_err(|fault| Fault::last(unusable_log(&fault)))?;
        self.visit(from, to, visit).map_err(|bad| {
            Fault::last(unusable(&format!("after offset {from} in {}: {bad}", self.dir.display())))
        })
    }

    fn connect(&mut self) -> Result<(), Fault> {
        self.idle()?;
        self.is_connected = true;
        Ok(())
    }

    fn send(&mut self, batch: Batch) {
        assert!(self.is_connected, "a batch is sent on a connection");
        assert!(self.in_flight.is_none(), "one batch in flight");
        self.in_flight = Some(batch);
    }

    fn confirm(&mut self, _wait_ms: u64) -> Confirmed {
        let Some(batch) = self.in_flight.take() else { return Confirmed::Idle };
        match self.append(batch.as_bytes()) {
            Ok(answer) => Confirmed::Answered(batch, answer),
            Err(stop) => {
                self.is_connected = false;
                let problem = stop.to_string();
                self.broken = Some(*stop);
                Confirmed::Lost(batch, Trouble { problem, missing: None, pause_ms: 0 })
            }
        }
    }

    fn hang_up(&mut self) -> Option<Batch> {
        self.is_connected = false;
        self.in_flight.take()
    }
}

fn visit_records(
    (from, to): (i64, i64),
    (header, batch): (&BatchHeader, &[u8]),
    scratch: &mut Vec<u8>,
    visit: &mut RecordVisitor<'_>,
) -> Result<(), BadBatch> {
    for record in records(header, batch, BATCH_UNCOMPRESSED_BYTES_MAX, scratch)? {
        let record = record?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        if (from..to).contains(&offset) {
            visit(offset, record.key, record.value);
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, Box<Stop>> {
    let path = dir.join(LOCK_NAME);
    let failed = |error: io::Error| unusable(&format!("locking {}: {error}", path.display()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error).into()),
        Err(TryLockError::WouldBlock) => Err(Box::new(Stop::refused(
            Peer::Broker,
            format!("another process uses the log in {}", dir.display()),
            "Let it end, or stop it, or give another directory",
        ))),
    }
}

pub(super) fn unusable_log(fault: &LogFault) -> Stop {
    unusable(&fault.to_string())
}

pub(super) fn unusable(problem: &str) -> Stop {
    Stop::refused(
        Peer::Broker,
        format!("the embedded log can not be used: {problem}"),
        "Mend that and start again, or give another directory",
    )
}

fn not_printed(error: &io::Error) -> Stop {
    Stop::refused(
        Peer::Broker,
        format!("the records can not be printed: {error}"),
        "Those in the log stay there; start again without --print to go on",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch_writer::{Added, BatchWriter};
    use crate::wire::compress::Compression;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A directory of its own, gone at the end.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> TempDir {
            let dir = std::env::temp_dir()
                .join(format!("csv-to-kafka-log-{}-{name}", std::process::id()));
            if dir.exists() {
                fs::remove_dir_all(&dir).unwrap();
            }
            TempDir(dir)
        }

        fn open(&self) -> EmbeddedLog {
            EmbeddedLog::open(&self.0).unwrap()
        }

        fn log_file(&self) -> PathBuf {
            self.0.join("00000000000000000000.log")
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// Records "n", "n + 1", …, which carry the sequences n, n + 1, … of producer 0.
    fn batch(first: i32, count: u32) -> Batch {
        let mut writer = BatchWriter::new(Compression::Gzip, 4096, 3584);
        writer.restart(Batch::with_capacity(4096));
        for number in (first..).take(count as usize) {
            let added = writer.add(Some(b"k"), |value| {
                value.extend_from_slice(number.to_string().as_bytes());
            });
            assert_eq!(added, Added::Yes);
        }
        let mut batch = writer.finish();
        batch.seal(0, 0, first, 1_000);
        batch
    }

    /// Sends and confirms; error code and base offset.
    fn append(log: &mut EmbeddedLog, batch: Batch) -> (i16, i64) {
        log.connect().unwrap();
        log.send(batch);
        match log.confirm(0) {
            Confirmed::Answered(_, answer) => (answer.error_code, answer.base_offset),
            _ => panic!("not answered"),
        }
    }

    fn end(log: &mut EmbeddedLog) -> i64 {
        log.offset(Mark::VisibleEnd).unwrap().unwrap()
    }

    fn read(log: &mut EmbeddedLog, from: i64, to: i64) -> Vec<(i64, String)> {
        let (mut found, mut at) = (Vec::new(), from);
        while at < to {
            let mut visit = |offset, key: Option<&[u8]>, value: Option<&[u8]>| {
                assert_eq!(key, Some(&b"k"[..]));
                found.push((offset, String::from_utf8(value.unwrap().to_vec()).unwrap()));
            };
            let ReadTo::Offset(next) = log.read(at, to, Visit::Records(&mut visit)).unwrap() else {
                panic!("nothing was deleted");
            };
            assert!(next > at, "a read goes on");
            at = next;
        }
        found
    }

    fn numbers(offsets: std::ops::Range<i64>) -> Vec<(i64, String)> {
        offsets.map(|offset| (offset, offset.to_string())).collect()
    }

    #[test]
    fn it_answers_as_a_leader_does() {
        let dir = TempDir::new("leader");
        let mut log = dir.open();
        assert_eq!(append(&mut log, batch(0, 10)), (0, 0));
        assert_eq!(append(&mut log, batch(10, 5)), (0, 10));
        assert_eq!(append(&mut log, batch(0, 10)), (0, 0), "a replay, at its first offset");
        assert_eq!(append(&mut log, batch(16, 1)), (45, -1), "a gap");
        assert_eq!(append(&mut log, batch(10, 6)), (45, -1), "an overlap");
        let mut broken = batch(15, 1);
        broken.flip_byte(70);
        assert_eq!(append(&mut log, broken), (2, -1), "a wrong checksum");
        assert_eq!(append(&mut log, batch(15, 1)), (0, 15), "the next one, after all that");
        assert_eq!(end(&mut log), 16);
        assert_eq!(read(&mut log, 0, 16), numbers(0..16));
        assert_eq!(read(&mut log, 7, 12), numbers(7..12), "from inside a batch");
    }

    #[test]
    fn a_restart_keeps_identity_records_and_the_last_batch() {
        let dir = TempDir::new("restart");
        let mut log = dir.open();
        assert_eq!(log.new_producer(), Ok(ProducerIdentity { id: 0, epoch: 0 }));
        let before = log.describe().unwrap();
        for first in [0, 10, 20] {
            append(&mut log, batch(first, 10));
        }
        drop(log);

        let mut log = dir.open();
        assert_eq!(log.describe(), Ok(before));
        assert_eq!(log.new_producer(), Ok(ProducerIdentity { id: 1, epoch: 0 }));
        assert_eq!((end(&mut log), log.cut_bytes()), (30, 0));
        assert_eq!(append(&mut log, batch(20, 10)), (0, 20), "the last one's replay");
        assert_eq!(append(&mut log, batch(10, 10)), (45, -1), "the window is one batch");
        assert_eq!(append(&mut log, batch(30, 10)), (0, 30));
        assert_eq!(read(&mut log, 0, 40), numbers(0..40));
    }

    #[test]
    fn a_batch_cut_at_any_byte_was_never_there() {
        let dir = TempDir::new("torn");
        let mut log = dir.open();
        append(&mut log, batch(0, 10));
        let whole_bytes = fs::metadata(dir.log_file()).unwrap().len();
        append(&mut log, batch(10, 10));
        drop(log);
        let both = fs::read(dir.log_file()).unwrap();
        let whole = usize::try_from(whole_bytes).unwrap();

        for bytes in whole..both.len() {
            // What the file system left of it: nothing more, or zeros in the rest.
            for is_zero_filled in [false, true] {
                let mut torn = both[..bytes].to_vec();
                if is_zero_filled {
                    torn.resize(both.len(), 0);
                }
                if torn == both {
                    continue;
                }
                fs::write(dir.log_file(), &torn).unwrap();
                let mut log = dir.open();
                assert_eq!(end(&mut log), 10, "cut at {bytes}");
                assert_eq!(log.cut_bytes(), (torn.len() - whole) as u64);
                assert_eq!(fs::metadata(dir.log_file()).unwrap().len(), whole_bytes);
                assert_eq!(append(&mut log, batch(10, 10)), (0, 10), "cut at {bytes}");
                assert_eq!(read(&mut log, 0, 20), numbers(0..20));
            }
        }
    }

    #[test]
    fn more_damage_than_a_crash_leaves_is_refused() {
        let dir = TempDir::new("damaged");
        let mut log = dir.open();
        for first in [0, 10, 20] {
            append(&mut log, batch(first, 10));
        }
        drop(log);
        let whole = fs::read(dir.log_file()).unwrap();
        let refusal = || EmbeddedLog::open(&dir.0).err().unwrap().to_string();

        // The last batch's checksum is wrong, and bytes follow it.
        let mut damaged = whole.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        damaged.extend([0; 10]);
        fs::write(dir.log_file(), &damaged).unwrap();
        assert!(refusal().contains("is damaged at byte"), "{}", refusal());

        // More bytes than one batch may have.
        let mut damaged = whole.clone();
        damaged.resize(whole.len() + LOG_BATCH_BYTES_MAX + 1, 0);
        fs::write(dir.log_file(), &damaged).unwrap();
        assert!(refusal().contains("is damaged at byte"), "{}", refusal());

        fs::write(dir.log_file(), &whole).unwrap();
        fs::write(dir.0.join(PARTITION_NAME), "{}").unwrap();
        assert!(refusal().contains("not of format 1"), "{}", refusal());
        fs::remove_file(dir.0.join(PARTITION_NAME)).unwrap();
        assert!(refusal().contains("is missing beside its log"), "{}", refusal());
        fs::write(dir.0.join("7.log"), "").unwrap();
        assert!(refusal().contains("not a segment"), "{}", refusal());
    }

    #[test]
    fn a_record_that_went_bad_on_the_disk_is_not_read() {
        let dir = TempDir::new("rot");
        let mut log = dir.open();
        append(&mut log, batch(0, 10));
        let mut bytes = fs::read(dir.log_file()).unwrap();
        bytes[70] ^= 1;
        fs::write(dir.log_file(), &bytes).unwrap();
        let read = log.read(0, 10, Visit::Headers(&mut |_| {}));
        let Err(Fault::Final(stop)) = read else { panic!("{read:?}") };
        assert!(stop.to_string().contains("checksum is wrong"), "{stop}");
    }

    #[test]
    fn a_second_process_is_refused() {
        let dir = TempDir::new("lock");
        let log = dir.open();
        let stop = EmbeddedLog::open(&dir.0).err().unwrap();
        assert!(stop.to_string().contains("another process uses the log in"), "{stop}");
        assert_eq!(stop.exit_code(), 1);
        drop(log);
        dir.open();
    }

    #[test]
    fn a_batch_that_was_not_confirmed_comes_back() {
        let dir = TempDir::new("hang-up");
        let mut log = dir.open();
        assert!(matches!(log.confirm(0), Confirmed::Idle));
        log.connect().unwrap();
        log.send(batch(0, 1));
        assert_eq!(log.hang_up().unwrap().record_count(), 1);
        assert!(log.hang_up().is_none());
        assert_eq!(end(&mut log), 0);
    }

    #[test]
    fn the_ends_of_the_log() {
        let dir = TempDir::new("ends");
        let mut log = dir.open();
        let mut none = |_: &BatchHeader| panic!("there is nothing");
        assert_eq!(log.read(0, 0, Visit::Headers(&mut none)), Ok(ReadTo::Offset(0)));
        append(&mut log, batch(0, 3));
        assert_eq!(log.read(3, 3, Visit::Headers(&mut none)), Ok(ReadTo::Offset(3)));
        assert_eq!(log.offset(Mark::Start), Ok(Some(0)));
        assert_eq!(log.offset(Mark::EpochEnd { leader_epoch: 0 }), Ok(Some(3)));
        let mut deltas = Vec::new();
        let mut visit = |header: &BatchHeader| deltas.push(header.last_offset_delta);
        assert_eq!(log.read(1, 3, Visit::Headers(&mut visit)), Ok(ReadTo::Offset(3)));
        assert_eq!(deltas, [2]);
    }

    /// What was printed, seen by test and log.
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes == b"13" {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_record_is_printed_once_and_a_closed_pipe_ends_it() {
        let dir = TempDir::new("print");
        let mut log = dir.open();
        let printed = Shared::default();
        log.print_to(Box::new(printed.clone()));
        append(&mut log, batch(0, 3));
        append(&mut log, batch(0, 3));
        append(&mut log, batch(3, 2));
        assert_eq!(*printed.0.borrow(), b"0\n1\n2\n3\n4\n");

        log.send(batch(5, 20));
        assert!(matches!(log.confirm(0), Confirmed::Lost(..)));
        let Err(Fault::Final(stop)) = log.connect() else { panic!("the pipe is closed") };
        assert!(stop.to_string().contains("can not be printed"), "{stop}");
        drop(log);
        assert_eq!(end(&mut dir.open()), 25, "what is in the log stays there");
    }
}
