//! Every bound of the program, unit last in the name, and the relations between them.
//!
//! What is not here may not grow: a buffer, a wait and a loop each name their ceiling from
//! this file.

// --- Rows -------------------------------------------------------------------------------

/// The default of `ROW_BYTES_MAX`: one CSV row, quotes and line end included.
pub const ROW_BYTES_MAX: usize = 1024 * 1024;
/// The largest value that `ROW_BYTES_MAX` may be set to.
pub const ROW_BYTES_CEILING: usize = 4 * 1024 * 1024;
/// Columns of one source.
pub const COLUMNS_MAX: usize = 16 * 1024;
/// What one read from the source asks for.
pub const READ_BYTES: usize = 128 * 1024;
/// How much of a bad row goes into its dead letter.
pub const DEAD_LETTER_RAW_BYTES_MAX: usize = 256 * 1024;

// --- Batches ----------------------------------------------------------------------------

/// What is parsed, encoded and compressed between two looks at the socket.
pub const SLICE_BYTES: usize = 64 * 1024;
/// One produce request's records, compressed, header included.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The same where the topic's limit may not be read: Kafka's default is 1,048,588.
pub const BATCH_BYTES_MAX_UNKNOWN: usize = 1_000_000;
/// One request of the compatibility client, which compresses the batch itself.
pub const COMPAT_BATCH_BYTES_MAX: usize = 256 * 1024;
/// A topic that allows less than this can not be used.
pub const BATCH_BYTES_MIN: usize = 4 * 1024;
/// Header and framing of a batch that holds one record, with room to spare.
pub const BATCH_OVERHEAD_BYTES: usize = 512;
/// Records of one batch.
pub const BATCH_RECORDS_MAX: u32 = 65_536;
/// The first batch of a run is small, so that it is soon known whether the broker takes any.
pub const FIRST_BATCH_RECORDS_MAX: u32 = 2_048;
/// A consumer must inflate a whole batch.
pub const BATCH_UNCOMPRESSED_BYTES_MAX: usize = 16 * 1024 * 1024;

// --- Broker -----------------------------------------------------------------------------

/// A frame that a broker sends, whatever it claims.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// An answer without records: a topic of tens of thousands of partitions fits.
pub const BROKER_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What one Fetch asks for; a larger first batch comes whole all the same.
pub const FETCH_BYTES: usize = 256 * 1024;
/// One port call.
pub const CALL_TIMEOUT_MS: u64 = 4_000;
/// What the broker may take to replicate a batch (`timeout_ms` of Produce).
pub const PRODUCE_TIMEOUT_MS: u64 = 10_000;
/// No answer to a produce request after this, throttling not counted: hang up, ask again.
pub const ANSWER_TIMEOUT_MS: u64 = 15_000;
/// Pauses that a broker may ask for in a row before that counts as a fault.
pub const THROTTLES_MAX: u32 = 8;
/// At least this long a broker is asked again before the run gives up for now.
pub const BROKER_PATIENCE_MS: u64 = 20_000;
/// A log end below the checkpoint may be a deposed leader's, for this long.
pub const SHORT_LOG_PATIENCE_MS: u64 = 20_000;
/// A topic that does not exist may be new, for this long; one that was there is waited for as a
/// broker is.
pub const NEW_TOPIC_PATIENCE_MS: u64 = 10_000;
/// After a silence longer than this, the tail is read again before a send.
pub const SILENCE_MS: u64 = 10 * 60 * 1000;
/// The records of one batch that is read back, decompressed; other writers may have larger ones.
pub const FETCH_UNCOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a broker may hold a Fetch that has nothing to give yet.
pub const FETCH_WAIT_MS: u32 = 500;
/// The least time that one address of several gets to accept a connection.
pub const CONNECT_MS_MIN: u64 = 1_000;
/// What a stranger who waits for a line gets at the end of a call, to make himself known.
pub const STRANGER_MS: u64 = 500;
/// Addresses of one host name that are tried.
pub const ADDRESSES_MAX: usize = 16;
/// Brokers of a cluster that we remember.
pub const BROKERS_MAX: usize = 1_024;

/// Certificates in one PEM text: all public roots are some hundred and fifty.
pub const CERTIFICATES_MAX: usize = 1_024;
/// A file that a setting names: a secret, a bundle of certificates.
pub const SMALL_FILE_BYTES_MAX: usize = 1024 * 1024;
/// What PBKDF2 does for a login; Kafka's brokers do no less, and no more in half a call.
pub const SCRAM_ROUNDS_MIN: u32 = 4_096;
pub const SCRAM_ROUNDS_MAX: u32 = 1_000_000;
/// The salt of a login.
pub const SCRAM_SALT_BYTES_MAX: usize = 1_024;
/// Of a user's name or password.
pub const LOGIN_BYTES_MAX: usize = 4 * 1024;
/// Turns of one login; SCRAM has two.
pub const LOGIN_TURNS_MAX: u32 = 4;
/// How long a signed login may be on its way.
pub const IAM_EXPIRES_SECONDS: u64 = 900;
/// A login is renewed when this part of its time is left.
pub const SESSION_MARGIN_PARTS: u64 = 8;
/// What is encrypted and waits for the socket.
pub const TLS_OUTPUT_BYTES: usize = 64 * 1024;
/// Reads from the socket that one look makes; messages of TLS itself may bring nothing to us.
pub const TLS_READS_MAX: u32 = 64;

// --- Embedded log -----------------------------------------------------------------------

/// A batch that the embedded log takes; Kafka's default of `max.message.bytes`.
pub const LOG_BATCH_BYTES_MAX: usize = 1_048_588;
/// A segment file; Kafka keeps positions in 31 bits.
pub const SEGMENT_BYTES_MAX: u64 = (1 << 31) - 1;

// --- Source -----------------------------------------------------------------------------

/// A body that is silent for this long is asked for again at the failing byte.
pub const SOURCE_SILENCE_MS: u64 = 20_000;
/// A read from the source returns "not yet" after this.
pub const SOURCE_READ_MS: u64 = 100;
/// So much is read over one connection before it is judged whether several would bring more.
pub const AHEAD_AFTER_BYTES: u64 = 16 * 1024 * 1024;
/// They are opened where the run waited for the source for at least this part of the time.
pub const AHEAD_WAIT_PERCENT: u128 = 15;
/// Connections that read ahead, and what each asks for at once, in memory: with 20 ms to the
/// first byte and 90 MB/s each, they bring about 120 MB/s.
pub const AHEAD_CONNECTIONS: usize = 6;
pub const AHEAD_STRIPE_BYTES: u64 = 512 * 1024;
/// A connection of these is there within this, or it is no help.
pub const AHEAD_CONNECT_MS: u64 = 1_000;
/// How long the first of them is waited for before the others are looked at.
pub const AHEAD_WAIT_MS: u64 = 2;
/// What `check` reads of a source, at least.
pub const SAMPLE_BYTES: usize = 1024 * 1024;
/// How long it waits for that.
pub const SAMPLE_MS_MAX: u64 = 8_000;
/// A machine whose clock is further from S3's or DynamoDB's stops.
pub const CLOCK_SKEW_MS_MAX: u64 = 10 * 60 * 1000;
/// Up to here it is right: a time stamp that a service does not take is then one of before.
pub const CLOCK_RIGHT_MS_MAX: u64 = 60 * 1000;

// --- HTTP -------------------------------------------------------------------------------

/// What a connection keeps of an answer before it is taken; with TLS it has two of them.
pub const HTTP_INPUT_BYTES: usize = 64 * 1024;
/// What a connection keeps of a request before it is sent.
pub const HTTP_OUTPUT_BYTES: usize = 16 * 1024;
/// Status line and headers of an answer.
pub const HTTP_HEAD_BYTES_MAX: usize = 32 * 1024;
/// The body of an answer that tells why not.
pub const HTTP_ERROR_BYTES_MAX: usize = 64 * 1024;
/// The answer of the ledger; an item comes with the names of its types.
pub const LEDGER_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The same of a page of items.
pub const LIST_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

// --- Credentials ------------------------------------------------------------------------

/// With less time left than this, fresh credentials are asked for.
pub const CREDENTIALS_LEFT_MS: u64 = 15 * 60 * 1000;
/// The least time between two such requests while the old ones last.
pub const CREDENTIALS_RETRY_MS: u64 = 30 * 1000;
/// The longest time between them, however long the last one took.
pub const CREDENTIALS_RETRY_MS_MAX: u64 = 5 * 60 * 1000;
/// One request to the metadata of an instance, which are on the machine itself.
pub const METADATA_TIMEOUT_MS: u64 = 1_000;
/// How often they are asked whether they are there.
pub const METADATA_ATTEMPTS_MAX: u32 = 2;
/// One request of the watch for the Spot notice, its first one included.
pub const SPOT_TIMEOUT_MS: u64 = 250;
/// Between two looks for the notice, which comes two minutes ahead.
pub const SPOT_POLL_MS: u64 = 5_000;
/// All looks together take at most this part of the time.
pub const SPOT_POLL_PARTS: u32 = 100;
/// A session of the watch; the longest that there is.
pub const SPOT_SESSION_SECONDS: u32 = 6 * 60 * 60;
/// One request to the endpoint of a container.
pub const CONTAINER_TIMEOUT_MS: u64 = 2_000;
/// An answer with a secret, which may have 64 KiB, and twice that as JSON.
pub const SECRET_ANSWER_BYTES_MAX: usize = 192 * 1024;
/// An answer with credentials.
pub const CREDENTIALS_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A file that holds a token.
pub const SECRET_FILE_BYTES_MAX: usize = 64 * 1024;
/// A profile file.
pub const PROFILE_FILE_BYTES_MAX: usize = 1024 * 1024;
/// A file of certificates; all the public authorities together have a quarter of it.
pub const CERTIFICATES_BYTES_MAX: usize = 1024 * 1024;

// --- Ledger -----------------------------------------------------------------------------

/// Least time between two checkpoints.
pub const CHECKPOINT_MS_MIN: u64 = 1_000;
/// A lease is renewed at least at this part of it.
pub const LEASE_PARTS: u64 = 3;
/// A checkpoint item; DynamoDB's own limit is 400 KB.
pub const ITEM_BYTES_MAX: usize = 64 * 1024;
/// A ledger file: all its jobs together.
pub const LEDGER_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Identities that one job may have had; a new one is only needed where the broker forgot ours.
pub const PRODUCERS_MAX: usize = 64;

// --- Metrics ----------------------------------------------------------------------------

/// One call of CloudWatch, after the credentials are there.
pub const METRICS_CALL_MS: u64 = 2_000;
/// The last one of a run that was asked to stop.
pub const METRICS_HURRIED_MS: u64 = 500;
/// Figures wait so long for a batch in flight, then they go without one.
pub const METRICS_LATE_MS: u64 = 1_000;
/// A call that took long is followed by a pause of so many times that.
pub const METRICS_PAUSE_PARTS: u64 = 100;
/// Calls in a row that fail double the pause so often.
pub const METRICS_MISSES_MAX: u32 = 4;
/// With a shorter lease there is no time for a call of CloudWatch.
pub const METRICS_LEASE_SECONDS_MIN: u64 = 5;

// --- Waiting ----------------------------------------------------------------------------

/// All waiting is in slices of this, which tend lease, signals and Spot notice.
pub const WAIT_SLICE_MS: u64 = 200;
/// The first delay between two attempts; each next one doubles.
pub const RETRY_DELAY_MS: u64 = 1_000;
/// The longest delay between two attempts.
pub const RETRY_DELAY_MS_MAX: u64 = 16_000;
/// After a request to stop, the batch in flight has this long to be confirmed.
pub const STOP_GRACE_MS: u64 = 1_000;
/// Progress is told at most this often; a terminal's line moves with it.
pub const PROGRESS_MS: u64 = 200;
/// A progress line in a log, at most this often.
pub const PROGRESS_LOG_MS: u64 = 10_000;
/// Between two looks of `status --watch`.
pub const WATCH_MS: u64 = 2_000;
/// A job without a sign of life for so many of its leases is silent.
pub const SILENT_LEASES: u64 = 3;
/// The lease of an item that has none: the default of `LEASE_SECONDS`.
pub const LEASE_SECONDS: u64 = 15;
/// The longest lease that a job may have.
pub const LEASE_SECONDS_MAX: u64 = 86_400;
/// Jobs that one call of `status` looks at.
pub const STATUS_JOBS_MAX: usize = 100;
/// Jobs of a whole table that `status --all` looks at.
pub const LIST_JOBS_MAX: usize = 10_000;
/// Items that one page of a table is asked for.
pub const LIST_PAGE_JOBS: usize = 32;
/// How much of the last error goes into the item.
pub const ERROR_BYTES_MAX: usize = 1_024;

// --- Report -----------------------------------------------------------------------------

/// What of a log's line is read.
pub const REPORT_LINE_BYTES_MAX: usize = 64 * 1024;
/// What of a text is kept.
pub const REPORT_TEXT_CHARS_MAX: usize = 1_000;
/// Points of a picture, however long the log is.
pub const REPORT_POINTS_MAX: usize = 4_000;
/// Things that happened, in a picture.
pub const REPORT_MARKS_MAX: usize = 1_000;
/// The same, in words.
pub const REPORT_NOTES_MAX: usize = 200;
/// Runs that are listed.
pub const REPORT_RUNS_MAX: usize = 500;
/// Names of jobs in one log.
pub const REPORT_JOBS_MAX: usize = 8;

// --- Memory -----------------------------------------------------------------------------

/// All the buffers that a run allocates at its start, at their default sizes: row input and
/// output, two batches and a slice for each lane, one fetch, HTTP both ways.
pub const MEMORY_BYTES_MAX: usize = (2 * ROW_BYTES_MAX + READ_BYTES)
    + 2 * (2 * BATCH_BYTES_MAX + BATCH_BYTES_MAX)
    + FETCH_BYTES
    + 2 * 128 * 1024;

const _: () = {
    assert!(BATCH_BYTES_MAX_UNKNOWN <= BATCH_BYTES_MAX);
    assert!(BATCH_BYTES_MIN > 2 * BATCH_OVERHEAD_BYTES);
    assert!(BATCH_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(COMPAT_BATCH_BYTES_MAX <= BATCH_BYTES_MAX_UNKNOWN);
    assert!(BATCH_BYTES_MAX <= LOG_BATCH_BYTES_MAX);
    assert!(SLICE_BYTES < BATCH_BYTES_MAX);
    assert!(ROW_BYTES_MAX <= ROW_BYTES_CEILING);
    assert!(DEAD_LETTER_RAW_BYTES_MAX < BATCH_BYTES_MAX);
    assert!(BROKER_ANSWER_BYTES_MAX <= FRAME_BYTES_MAX);
    assert!(FETCH_BYTES < FRAME_BYTES_MAX);
    assert!(FETCH_WAIT_MS as u64 + CONNECT_MS_MIN < CALL_TIMEOUT_MS);
    assert!(STRANGER_MS < CONNECT_MS_MIN);
    // The protocol counts these in 32 bits.
    assert!(FETCH_WAIT_MS <= i32::MAX.unsigned_abs());
    assert!(FETCH_BYTES <= i32::MAX.unsigned_abs() as usize);
    assert!(PRODUCE_TIMEOUT_MS <= i32::MAX.unsigned_abs() as u64);
    assert!(PRODUCE_TIMEOUT_MS < ANSWER_TIMEOUT_MS);
    assert!(ANSWER_TIMEOUT_MS < BROKER_PATIENCE_MS);
    assert!(HTTP_HEAD_BYTES_MAX <= HTTP_INPUT_BYTES);
    assert!(ITEM_BYTES_MAX < LEDGER_ANSWER_BYTES_MAX && ITEM_BYTES_MAX < LEDGER_FILE_BYTES_MAX);
    assert!(LIST_PAGE_JOBS * ITEM_BYTES_MAX < LIST_ANSWER_BYTES_MAX);
    assert!(SOURCE_READ_MS < CALL_TIMEOUT_MS);
    // A session, the role's name and the credentials.
    assert!((METADATA_ATTEMPTS_MAX as u64 + 2) * METADATA_TIMEOUT_MS <= CALL_TIMEOUT_MS);
    // Two requests in one look; the notice comes two minutes ahead.
    assert!(2 * SPOT_TIMEOUT_MS * (SPOT_POLL_PARTS as u64 + 1) < 120_000);
    assert!(CONTAINER_TIMEOUT_MS <= CALL_TIMEOUT_MS);
    assert!(CREDENTIALS_RETRY_MS_MAX < CREDENTIALS_LEFT_MS);
    assert!(CALL_TIMEOUT_MS + STOP_GRACE_MS + CALL_TIMEOUT_MS + METRICS_HURRIED_MS < 10_000);
    assert!(METRICS_CALL_MS < CALL_TIMEOUT_MS);
    assert!(METRICS_LEASE_SECONDS_MIN * 1_000 > CALL_TIMEOUT_MS);
    assert!(SILENCE_MS < 24 * 60 * 60 * 1000 / 10);
    assert!(MEMORY_BYTES_MAX < 12 * 1024 * 1024);
};
