//! The machine: its clocks, its randomness, its signals, and who we are on it.
//!
//! `host` names one process on one machine for as long as that machine is up:
//!
//! ```text
//! web-1 pid=4711 start=83412 pidns=4026531836 boot=9a1c…
//!   │    │        │           │                └ since the last start of the kernel
//!   │    │        │           └ the pid is one of this namespace (a container has its own)
//!   │    │        └ clock ticks from the kernel's start to the process's
//!   └ for people; not compared
//! ```
//!
//! Whoever finds a job held by a process of the same boot and namespace can tell at once that
//! it is gone, and need not wait for its lease.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::event::Event;
use crate::flow::ports::{Now, World};
use crate::limits::{SMALL_FILE_BYTES_MAX, WAIT_SLICE_MS};
use crate::port::spot::Spot;
use crate::stop::EXIT_AGAIN;

/// Between two looks for a signal.
const SIGNAL_SLICE: Duration = Duration::from_millis(20);

/// What becomes of an event.
pub type Tell<'a> = Box<dyn FnMut(&Event<'_>, Now) + 'a>;

pub struct Machine<'a> {
    started: Instant,
    signals: Signals,
    spot: Spot,
    /// Where the kernel's randomness goes on from, should it ever fail after the start.
    seed: u64,
    tell: Tell<'a>,
}

impl<'a> Machine<'a> {
    /// Catches SIGTERM and SIGINT from here on. A process that is number 1 of a container gets
    /// only the signals that it catches.
    pub fn new(tell: Tell<'a>, spot: Spot) -> Result<Machine<'a>, String> {
        let seed = getrandom::u64().map_err(|e| format!("the system gives no randomness: {e}"))?;
        let signals =
            Signals::catch().map_err(|e| format!("SIGTERM and SIGINT can not be caught: {e}"))?;
        Ok(Machine { started: Instant::now(), signals, spot, seed, tell })
    }
}

impl World for Machine<'_> {
    fn now(&mut self) -> Now {
        Now { monotonic_ms: milliseconds(self.started.elapsed()), wall_ms: wall_ms() }
    }

    fn random(&mut self) -> u64 {
        // SplitMix64: without the kernel, still different from call to call and run to run.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        getrandom::u64().unwrap_or(0) ^ mixed ^ (mixed >> 31)
    }

    fn wait(&mut self, wait_ms: u64) {
        let begun = Instant::now();
        let wait = Duration::from_millis(wait_ms.min(WAIT_SLICE_MS));
        while self.stop_asked().is_none() {
            let left = wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(SIGNAL_SLICE));
        }
        // Whoever waits on in spite of the signal must not spin.
        std::thread::sleep(wait.saturating_sub(begun.elapsed()).min(SIGNAL_SLICE));
    }

    fn stop_asked(&mut self) -> Option<&'static str> {
        self.signals.caught().or_else(|| self.spot.asks_to_stop())
    }

    fn is_gone(&mut self, host: &str) -> bool {
        is_gone(host, &own_place())
    }

    fn tell(&mut self, event: &Event<'_>) {
        let now = self.now();
        (self.tell)(event, now);
    }
}

/// Unix milliseconds; 0 on a machine whose clock stands before 1970.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds)
}

/// This process, as other runs on this machine may know it.
pub fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.map_or_else(|_| "unknown".to_owned(), |name| name.trim().replace(' ', "_"));
    let pid = std::process::id();
    let place = own_place();
    let facts = [
        ("pid", Some(pid.to_string())),
        ("start", process(pid).map(|process| process.start_ticks.to_string())),
        ("pidns", place.pid_namespace),
        ("boot", place.boot),
    ];
    facts
        .into_iter()
        .filter_map(|(fact, value)| Some(format!(" {fact}={}", value?)))
        .fold(name, |host, fact| host + &fact)
}

/// Who runs this process, as far as the machine knows.
pub fn user() -> String {
    let status = fs::read_to_string("/proc/self/status");
    let uid = status.ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_ascii_whitespace().next().map(str::to_owned)
    });
    uid.map_or_else(|| "unknown".to_owned(), |uid| format!("uid {uid}"))
}

/// A file that is to hold one secret.
pub fn read_small_file(path: &str) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let bytes_max = SMALL_FILE_BYTES_MAX as u64 + 1;
    file.take(bytes_max).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > SMALL_FILE_BYTES_MAX {
        return Err(format!("the file has more than {SMALL_FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

pub fn make_directory(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path)
        .map_err(|e| format!("the directory {} can not be made: {e}", path.display()))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// --- Signals ----------------------------------------------------------------------------

struct Signals {
    by: Arc<AtomicUsize>,
}

impl Signals {
    /// The first one asks the run to stop in good order; a second one ends the process at once,
    /// with the code that says "start again": that is safe at any moment.
    fn catch() -> std::io::Result<Signals> {
        let asked = Arc::new(AtomicBool::new(false));
        let by = Arc::new(AtomicUsize::new(0));
        for (signal, number) in [(SIGTERM, 1), (SIGINT, 2)] {
            flag::register_conditional_shutdown(signal, EXIT_AGAIN.into(), Arc::clone(&asked))?;
            flag::register_usize(signal, Arc::clone(&by), number)?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Signals { by })
    }

    fn caught(&self) -> Option<&'static str> {
        match self.by.load(Ordering::SeqCst) {
            1 => Some("SIGTERM"),
            2 => Some("SIGINT"),
            _ => None,
        }
    }
}

// --- Processes --------------------------------------------------------------------------

/// Where a pid means something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    boot: Option<String>,
    pid_namespace: Option<String>,
}

fn own_place() -> Place {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid");
    Place {
        boot: boot.ok().map(|boot| boot.trim().to_owned()),
        pid_namespace: namespace.ok().and_then(|link| {
            let text = link.to_str()?;
            Some(text.strip_prefix("pid:[")?.strip_suffix(']')?.to_owned())
        }),
    }
}

/// Whether `host` is a process of our own place that is not there any more. Where anything is
/// unknown it may well be alive.
fn is_gone(host: &str, own: &Place) -> bool {
    let fact = |name: &str| {
        host.split(' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    let place = Place { boot: fact("boot"), pid_namespace: fact("pidns") };
    if place != *own || place.boot.is_none() || place.pid_namespace.is_none() {
        return false;
    }
    let number = |name: &str| fact(name).and_then(|text| text.parse::<u64>().ok());
    let Some((pid, start_ticks)) = number("pid").zip(number("start")) else { return false };
    let Ok(pid) = u32::try_from(pid) else { return false };
    // A /proc that hides other users' processes shows process 1 to nobody else either.
    if process(1).is_none() {
        return false;
    }
    process(pid).is_none_or(|process| process.start_ticks != start_ticks || process.has_ended)
}

struct Process {
    /// When it was started, in ticks since the kernel was.
    start_ticks: u64,
    /// It has ended, and its parent has not looked yet.
    has_ended: bool,
}

/// `None`: there is no such process, or it may not be seen.
fn process(pid: u32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// `4711 (a name) S 1 …`: the name may hold blanks and brackets, so the last bracket counts.
/// After it come the state, which is field 3, and the start time, which is field 22.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let start_ticks = fields.nth(22 - 4)?.parse().ok()?;
    Some(Process { start_ticks, has_ended: matches!(state, "Z" | "X") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine<'static> {
        Machine::new(Box::new(|_, _| {}), Spot::off()).unwrap()
    }

    #[test]
    fn time_goes_on() {
        let mut machine = machine();
        let before = machine.now();
        machine.wait(1);
        let after = machine.now();
        assert!(after.monotonic_ms > before.monotonic_ms);
        assert!(after.wall_ms > 1_700_000_000_000);
    }

    #[test]
    fn randomness_does_not_repeat() {
        let mut machine = machine();
        let mut drawn: Vec<u64> = (0..100).map(|_| machine.random()).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 100);
    }

    #[test]
    fn a_secret_is_small() {
        let problem = read_small_file("/dev/zero").unwrap_err();
        assert_eq!(problem, "the file has more than 1048576 bytes");
        assert_eq!(read_small_file("/proc/sys/kernel/ostype").unwrap(), b"Linux\n");
    }

    #[test]
    fn only_a_process_that_is_surely_gone_is_gone() {
        let own = own_place();
        let (boot, namespace) = (own.boot.clone().unwrap(), own.pid_namespace.clone().unwrap());
        let pid = std::process::id();
        let start = process(pid).unwrap().start_ticks;
        // Above what the kernel hands out.
        let no_such_pid = 1 << 22 | 1;
        for (host, expected) in [
            (host(), false),
            (format!("h pid={pid} start={} pidns={namespace} boot={boot}", start + 1), true),
            (format!("h pid={no_such_pid} start={start} pidns={namespace} boot={boot}"), true),
            (format!("h pid={no_such_pid} start={start} pidns=1 boot={boot}"), false),
            (format!("h pid={no_such_pid} start={start} pidns={namespace} boot=other"), false),
            (format!("h pid={no_such_pid} pidns={namespace} boot={boot}"), false),
            (format!("h pid={no_such_pid} start={start}"), false),
            ("a machine".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_gone(&host, &own), expected, "{host}");
        }
        let unknown = Place { boot: None, pid_namespace: None };
        assert!(!is_gone(&format!("h pid={no_such_pid} start=1"), &unknown));
    }

    #[test]
    fn the_kernel_tells_a_process_in_one_line() {
        let fields = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0";
        for (stat, expected) in [
            (format!("7 (sh) S {fields} 83412 1 2"), Some((83_412, false))),
            (format!("7 (a) Z 9 (b) Z {fields} 5 1"), Some((5, true))),
            ("7 (sh) S 1".to_owned(), None),
            ("7 sh".to_owned(), None),
        ] {
            let found = parse_stat(stat.as_bytes());
            assert_eq!(found.map(|process| (process.start_ticks, process.has_ended)), expected);
        }
    }

    #[test]
    fn a_child_that_has_ended_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (pid, own) = (child.id(), own_place());
        let start = process(pid).unwrap().start_ticks;
        child.wait().unwrap();
        let (boot, namespace) = (own.boot.clone().unwrap(), own.pid_namespace.clone().unwrap());
        assert!(is_gone(&format!("h pid={pid} start={start} pidns={namespace} boot={boot}"), &own));
    }
}
