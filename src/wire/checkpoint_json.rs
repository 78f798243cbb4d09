//! The checkpoint item as JSON: the plain object of the ledger file, and DynamoDB's typed
//! attributes.
//!
//! ```text
//! plain    {"job_id": "a", "last_line": 7, "producers": [{"id": 5, "epoch": 0, …}], …}
//! typed    {"job_id": {"S": "a"}, "last_line": {"N": "7"},
//!           "producers": {"L": [{"M": {"id": {"N": "5"}, "epoch": {"N": "0"}, …}}]}, …}
//! ```
//!
//! [`walk`] names every attribute once; reading and writing are two ways to walk. Attributes
//! that we do not know are left alone, whatever they hold. Numbers are exact from `i64::MIN`
//! to `u64::MAX`; a fraction is accepted in `timestamp` alone, where the Python processor may
//! have written one, and cut off.

use std::fmt;

use serde_json::{Map, Value};

use crate::limits::PRODUCERS_MAX;
use crate::wire::checkpoint::{Checkpoint, LaneItem, Producer, Status};
use crate::wire::http::one_line;

/// Why an item can not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The attribute, with the way to it: `producers[0].epoch`.
    pub attribute: String,
    pub expected: &'static str,
    /// What is there instead; long values are cut.
    pub found: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damaged { attribute, expected, found } = self;
        write!(f, "its attribute {attribute} should be {expected}, and is {found}")
    }
}

/// The attributes that the checkpoint has, in the order of the item.
pub fn to_plain(item: &Checkpoint) -> Map<String, Value> {
    let mut writing = Writing { attributes: Map::new() };
    writing.attributes.insert("job_id".into(), Value::from(item.job_id.as_str()));
    match walk(&mut item.clone(), &mut writing) {
        Ok(()) => writing.attributes,
        Err(damaged) => unreachable!("writing reads nothing: {damaged}"),
    }
}

/// The checkpoint that a plain object holds.
pub fn from_plain(attributes: &Map<String, Value>) -> Result<Checkpoint, Damaged> {
    read(&|name| Ok(attributes.get(name).cloned()))
}

/// Plain attributes as DynamoDB wants them.
pub fn to_typed(plain: &Map<String, Value>) -> Map<String, Value> {
    plain.iter().map(|(name, value)| (name.clone(), typed(value))).collect()
}

/// The checkpoint that DynamoDB's typed attributes hold.
pub fn from_typed(attributes: &Map<String, Value>) -> Result<Checkpoint, Damaged> {
    read(&|name| {
        let Some(value) = attributes.get(name) else { return Ok(None) };
        let depth_max = 4;
        plain(value, depth_max)
            .map(Some)
            .ok_or_else(|| damaged(name, "a text, a number, a list or a map", value))
    })
}

/// Every attribute of the item, once.
fn walk(item: &mut Checkpoint, pass: &mut dyn Pass) -> Result<(), Damaged> {
    field(pass, "last_line", &mut item.last_line)?;
    field(pass, "total_sent", &mut item.total_sent)?;
    let mut timestamp = item.timestamp.map(Seconds);
    field(pass, "timestamp", &mut timestamp)?;
    item.timestamp = timestamp.map(|seconds| seconds.0);
    field(pass, "status", &mut item.status)?;

    field(pass, "next_byte", &mut item.next_byte)?;
    field(pass, "header_bytes", &mut item.header_bytes)?;
    field(pass, "source", &mut item.source)?;
    field(pass, "etag", &mut item.etag)?;
    field(pass, "version_id", &mut item.version_id)?;
    field(pass, "source_bytes", &mut item.source_bytes)?;

    field(pass, "cluster_id", &mut item.cluster_id)?;
    walk_lane("", &mut item.main, pass)?;
    walk_lane("dlq_", &mut item.dlq, pass)?;
    field(pass, "dlq_rows", &mut item.dlq_rows)?;

    field(pass, "settings", &mut item.settings)?;
    field(pass, "rules", &mut item.rules)?;

    field(pass, "run_id", &mut item.run_id)?;
    field(pass, "revision", &mut item.revision)?;
    field(pass, "lease_seconds", &mut item.lease_seconds)?;
    field(pass, "host", &mut item.host)?;
    field(pass, "identity", &mut item.identity)?;
    field(pass, "version", &mut item.version)?;
    field(pass, "started_at", &mut item.started_at)?;
    field(pass, "completed_at", &mut item.completed_at)?;
    field(pass, "rows_per_second", &mut item.rows_per_second)?;
    field(pass, "digest", &mut item.digest)?;
    field(pass, "verified_at", &mut item.verified_at)?;
    field(pass, "error", &mut item.error)?;
    field(pass, "format", &mut item.format)
}

fn walk_lane(prefix: &str, lane: &mut LaneItem, pass: &mut dyn Pass) -> Result<(), Damaged> {
    let name = |field: &str| format!("{prefix}{field}");
    field(pass, &name("topic"), &mut lane.topic)?;
    field(pass, &name("topic_id"), &mut lane.topic_id)?;
    field(pass, &name("partition"), &mut lane.partition)?;
    field(pass, &name("first_offset"), &mut lane.first_offset)?;
    field(pass, &name("last_offset"), &mut lane.last_offset)?;
    field(pass, &name("kafka_offset"), &mut lane.kafka_offset)?;
    field(pass, &name("producers"), &mut lane.producers)?;
    field(pass, &name("record_bytes_max"), &mut lane.record_bytes_max)
}

/// One way to walk over the attributes.
trait Pass {
    /// What a reader finds under `name`; a writer finds nothing.
    fn find(&mut self, name: &str) -> Result<Option<Value>, Damaged>;
    /// A writer takes the value; a reader is never offered one.
    fn put(&mut self, name: &str, value: Value);
}

fn field<T: Attribute>(
    pass: &mut dyn Pass,
    name: &str,
    field: &mut Option<T>,
) -> Result<(), Damaged> {
    if let Some(value) = field {
        pass.put(name, value.to_value());
    } else if let Some(value) = pass.find(name)? {
        *field = Some(T::from_value(name, &value)?);
    }
    Ok(())
}

struct Writing {
    attributes: Map<String, Value>,
}

impl Pass for Writing {
    fn find(&mut self, _: &str) -> Result<Option<Value>, Damaged> {
        Ok(None)
    }
    fn put(&mut self, name: &str, value: Value) {
        let before = self.attributes.insert(name.into(), value);
        assert!(before.is_none(), "an attribute has one name: {name}");
    }
}

type Find<'a> = &'a dyn Fn(&str) -> Result<Option<Value>, Damaged>;

struct Reading<'a> {
    find: Find<'a>,
}

impl Pass for Reading<'_> {
    fn find(&mut self, name: &str) -> Result<Option<Value>, Damaged> {
        (self.find)(name)
    }
    fn put(&mut self, name: &str, _: Value) {
        unreachable!("a reader begins with an empty item, and {name} comes once")
    }
}

fn read(find: Find<'_>) -> Result<Checkpoint, Damaged> {
    let missing = || damaged("job_id", "a text", &Value::Null);
    let job_id = find("job_id")?.ok_or_else(missing)?;
    let mut item =
        Checkpoint { job_id: String::from_value("job_id", &job_id)?, ..Checkpoint::default() };
    walk(&mut item, &mut Reading { find })?;
    Ok(item)
}

/// What an attribute can hold.
trait Attribute: Sized {
    fn to_value(&self) -> Value;
    fn from_value(name: &str, value: &Value) -> Result<Self, Damaged>;
}

impl Attribute for String {
    fn to_value(&self) -> Value {
        Value::from(self.as_str())
    }
    fn from_value(name: &str, value: &Value) -> Result<String, Damaged> {
        value.as_str().map(str::to_owned).ok_or_else(|| damaged(name, "a text", value))
    }
}

impl Attribute for u64 {
    fn to_value(&self) -> Value {
        Value::from(*self)
    }
    fn from_value(name: &str, value: &Value) -> Result<u64, Damaged> {
        value.as_u64().ok_or_else(|| damaged(name, "a whole number from 0", value))
    }
}

impl Attribute for i64 {
    fn to_value(&self) -> Value {
        Value::from(*self)
    }
    fn from_value(name: &str, value: &Value) -> Result<i64, Damaged> {
        value.as_i64().ok_or_else(|| damaged(name, "a whole number", value))
    }
}

impl Attribute for i32 {
    fn to_value(&self) -> Value {
        Value::from(*self)
    }
    fn from_value(name: &str, value: &Value) -> Result<i32, Damaged> {
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
        number.ok_or_else(|| damaged(name, "a whole number of 32 bits", value))
    }
}

/// Unix seconds, a fraction cut off.
struct Seconds(u64);

impl Attribute for Seconds {
    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the fraction goes; sign and size are checked"
    )]
    fn from_value(name: &str, value: &Value) -> Result<Seconds, Damaged> {
        if let Some(seconds) = value.as_u64() {
            return Ok(Seconds(seconds));
        }
        match value.as_f64() {
            Some(seconds) if (0.0..1e15).contains(&seconds) => Ok(Seconds(seconds as u64)),
            _ => Err(damaged(name, "a number of seconds since 1970", value)),
        }
    }
}

impl Attribute for Status {
    fn to_value(&self) -> Value {
        Value::from(self.name())
    }
    fn from_value(name: &str, value: &Value) -> Result<Status, Damaged> {
        value
            .as_str()
            .and_then(Status::parse)
            .ok_or_else(|| damaged(name, "IN_PROGRESS, INTERRUPTED, COMPLETED or FAILED", value))
    }
}

impl Attribute for Vec<Producer> {
    fn to_value(&self) -> Value {
        let producer = |producer: &Producer| {
            let mut map = Map::new();
            map.insert("id".into(), producer.id.into());
            map.insert("epoch".into(), producer.epoch.into());
            map.insert("base_record".into(), producer.base_record.into());
            map.insert("first_offset".into(), producer.first_offset.into());
            Value::Object(map)
        };
        Value::Array(self.iter().map(producer).collect())
    }
    fn from_value(name: &str, value: &Value) -> Result<Vec<Producer>, Damaged> {
        let list = value.as_array().filter(|list| list.len() <= PRODUCERS_MAX);
        let list = list.ok_or_else(|| damaged(name, "a list of at most 64 producers", value))?;
        list.iter()
            .enumerate()
            .map(|(index, producer)| {
                let part = |part: &str| {
                    (format!("{name}[{index}].{part}"), producer.get(part).unwrap_or(&Value::Null))
                };
                let (epoch_name, epoch_value) = part("epoch");
                let epoch = i32::from_value(&epoch_name, epoch_value)?;
                Ok(Producer {
                    id: named(part("id"))?,
                    epoch: i16::try_from(epoch)
                        .map_err(|_| damaged(&epoch_name, "a number of 16 bits", epoch_value))?,
                    base_record: named(part("base_record"))?,
                    first_offset: named(part("first_offset"))?,
                })
            })
            .collect()
    }
}

fn named<T: Attribute>((name, value): (String, &Value)) -> Result<T, Damaged> {
    T::from_value(&name, value)
}

impl Attribute for Vec<(String, String)> {
    fn to_value(&self) -> Value {
        Value::Object(
            self.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect(),
        )
    }
    fn from_value(name: &str, value: &Value) -> Result<Vec<(String, String)>, Damaged> {
        let map = value.as_object().ok_or_else(|| damaged(name, "a map of texts", value))?;
        let setting = |(key, value): (&String, &Value)| {
            Ok((key.clone(), String::from_value(&format!("{name}.{key}"), value)?))
        };
        let mut settings = map.iter().map(setting).collect::<Result<Vec<_>, Damaged>>()?;
        settings.sort();
        Ok(settings)
    }
}

/// Both the way to it and what is there may be a stranger's words.
pub(super) fn damaged(attribute: &str, expected: &'static str, found: &Value) -> Damaged {
    Damaged { attribute: one_line(attribute), expected, found: excerpt(found) }
}

fn excerpt(value: &Value) -> String {
    if value.is_null() {
        return "missing".into();
    }
    let text = one_line(&value.to_string());
    if text.chars().count() <= 60 {
        return text;
    }
    text.chars().take(60).chain(['…']).collect()
}

// --- DynamoDB's types -------------------------------------------------------------------

fn typed(value: &Value) -> Value {
    let (kind, inner) = match value {
        Value::Null => ("NULL", Value::Bool(true)),
        Value::Bool(flag) => ("BOOL", Value::Bool(*flag)),
        Value::Number(number) => ("N", Value::from(number.to_string())),
        Value::String(text) => ("S", Value::from(text.as_str())),
        Value::Array(list) => ("L", Value::Array(list.iter().map(typed).collect())),
        Value::Object(map) => ("M", Value::Object(to_typed(map))),
    };
    let mut map = Map::new();
    map.insert(kind.into(), inner);
    Value::Object(map)
}

/// `None`: a type that no attribute of ours has, a number that is none, or too deep.
fn plain(value: &Value, depth_max: usize) -> Option<Value> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (kind, inner) = map.iter().next()?;
    let depth_max = depth_max.checked_sub(1)?;
    match (kind.as_str(), inner) {
        ("S", Value::String(_)) => Some(inner.clone()),
        ("N", Value::String(digits)) => number(digits),
        ("L", Value::Array(list)) => list
            .iter()
            .map(|value| plain(value, depth_max))
            .collect::<Option<_>>()
            .map(Value::Array),
        ("M", Value::Object(map)) => map
            .iter()
            .map(|(name, value)| Some((name.clone(), plain(value, depth_max)?)))
            .collect::<Option<_>>()
            .map(Value::Object),
        _ => None,
    }
}

fn number(digits: &str) -> Option<Value> {
    if let Ok(number) = digits.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = digits.parse::<i64>() {
        return Some(number.into());
    }
    let number = digits.parse::<f64>().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("not an object: {value}") };
        map
    }

    #[test]
    fn what_is_damaged_is_shown_and_cut() {
        let text = |count| json!("x".repeat(count));
        for (value, shown) in [
            (Value::Null, "missing".to_owned()),
            (json!(1.5), "1.5".to_owned()),
            (text(58), format!("\"{}\"", "x".repeat(58))),
            (text(59), format!("\"{}…", "x".repeat(59))),
        ] {
            assert_eq!(damaged("a", "a number", &value).found, shown);
        }
    }

    #[test]
    fn reads_what_the_python_processor_wrote() {
        let expected = Checkpoint {
            job_id: "csv-job-1".into(),
            last_line: Some(1200),
            total_sent: Some(1199),
            timestamp: Some(1_700_000_000),
            ..Checkpoint::default()
        };
        for timestamp in ["1700000000", "1700000000.75", "1700000000.0"] {
            let item = json!({
                "job_id": {"S": "csv-job-1"}, "last_line": {"N": "1200"},
                "total_sent": {"N": "1199"}, "timestamp": {"N": timestamp},
                "note": {"BOOL": true}, "tags": {"SS": ["a"]}, "nothing": {"NULL": true},
            });
            assert_eq!(from_typed(&object(item)).unwrap(), expected, "{timestamp}");
        }
        let mut item = to_typed(&to_plain(&expected));
        item.insert("status".into(), json!({"S": "IN_PROGRESS"}));
        assert_eq!(from_typed(&item).unwrap().status, Some(Status::InProgress));
    }

    #[test]
    fn a_damaged_item_names_its_attribute() {
        let producer =
            |epoch: Value| json!([{"id": 1, "epoch": epoch, "base_record": 0, "first_offset": 0}]);
        let many = Value::Array(vec![json!({}); PRODUCERS_MAX + 1]);
        let cases = [
            ("last_line", json!("7"), "last_line"),
            ("last_line", json!(7.5), "last_line"),
            ("last_line", json!(-1), "last_line"),
            ("timestamp", json!(-1), "timestamp"),
            ("timestamp", json!("now"), "timestamp"),
            ("status", json!("DONE"), "status"),
            ("partition", json!(4_294_967_296_u64), "partition"),
            ("kafka_offset", json!(u64::MAX), "kafka_offset"),
            ("producers", json!({}), "producers"),
            ("producers", many, "producers"),
            ("producers", json!([7]), "producers[0].epoch"),
            ("producers", producer(json!(40_000)), "producers[0].epoch"),
            ("producers", producer(json!("0")), "producers[0].epoch"),
            ("dlq_producers", json!([{"epoch": 0}]), "dlq_producers[0].id"),
            ("settings", json!([]), "settings"),
            ("settings", json!({"CSV_QUOTE": 1}), "settings.CSV_QUOTE"),
            ("run_id", Value::Null, "run_id"),
            ("job_id", json!(1), "job_id"),
        ];
        for (name, value, expected) in cases {
            let mut item = object(json!({"job_id": "j"}));
            item.insert(name.into(), value.clone());
            let damaged = from_plain(&item).unwrap_err();
            assert_eq!(damaged.attribute, expected, "{name} = {value}: {damaged}");
            let damaged = from_typed(&to_typed(&item)).unwrap_err();
            // What has no type of ours is named before its parts are looked at.
            assert!(expected.starts_with(damaged.attribute.as_str()), "{damaged}");
        }
        assert_eq!(from_plain(&Map::new()).unwrap_err().attribute, "job_id");
        let untyped = object(json!({"job_id": "plain where a type belongs"}));
        assert_eq!(from_typed(&untyped).unwrap_err().attribute, "job_id");
        let typed = [json!({"N": "x"}), json!({"N": 7}), json!({"B": "AA=="}), json!({})];
        for value in typed {
            let item = object(json!({"job_id": {"S": "j"}, "revision": value}));
            assert_eq!(from_typed(&item).unwrap_err().attribute, "revision");
        }
    }

    fn producer() -> impl Strategy<Value = Producer> {
        (any::<i64>(), any::<i16>(), any::<u64>(), any::<i64>()).prop_map(
            |(id, epoch, base_record, first_offset)| Producer {
                id,
                epoch,
                base_record,
                first_offset,
            },
        )
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(any::<String>())
    }

    fn lane() -> impl Strategy<Value = LaneItem> {
        let offsets = any::<[Option<i64>; 3]>();
        let producers = proptest::option::of(proptest::collection::vec(producer(), 0..5));
        let rest = (any::<Option<i32>>(), any::<Option<u64>>());
        (text(), text(), offsets, producers, rest).prop_map(
            |(topic, topic_id, [first_offset, last_offset, kafka_offset], producers, rest)| {
                let (partition, record_bytes_max) = rest;
                let offsets = (first_offset, last_offset, kafka_offset);
                let (first_offset, last_offset, kafka_offset) = offsets;
                LaneItem {
                    topic,
                    topic_id,
                    partition,
                    first_offset,
                    last_offset,
                    kafka_offset,
                    producers,
                    record_bytes_max,
                }
            },
        )
    }

    /// An item in which any attribute may be there or not.
    pub(crate) fn any_item() -> impl Strategy<Value = Checkpoint> {
        let numbers = any::<[Option<u64>; 15]>();
        let texts = proptest::collection::vec(text(), 11);
        let status = proptest::option::of(proptest::sample::select(vec![
            Status::InProgress,
            Status::Interrupted,
            Status::Completed,
            Status::Failed,
        ]));
        let settings = proptest::option::of(proptest::collection::btree_map(
            any::<String>(),
            any::<String>(),
            0..4,
        ));
        (any::<String>(), numbers, texts, status, settings, lane(), lane()).prop_map(
            |(job_id, numbers, texts, status, settings, main, dlq)| {
                let text = |index: usize| texts[index].clone();
                Checkpoint {
                    job_id,
                    last_line: numbers[0],
                    total_sent: numbers[1],
                    timestamp: numbers[2],
                    status,
                    next_byte: numbers[3],
                    header_bytes: numbers[4],
                    source: text(0),
                    etag: text(1),
                    version_id: text(2),
                    source_bytes: numbers[5],
                    cluster_id: text(3),
                    main,
                    dlq,
                    dlq_rows: numbers[6],
                    settings: settings.map(|map| map.into_iter().collect()),
                    rules: numbers[7],
                    run_id: text(4),
                    revision: numbers[8],
                    lease_seconds: numbers[9],
                    host: text(5),
                    identity: text(6),
                    version: text(7),
                    started_at: numbers[10],
                    completed_at: numbers[11],
                    rows_per_second: numbers[12],
                    digest: text(8),
                    verified_at: numbers[13],
                    error: text(9),
                    format: numbers[14],
                }
            },
        )
    }

    proptest! {
        #[test]
        fn an_item_survives_both_forms(item in any_item()) {
            let plain = to_plain(&item);
            prop_assert_eq!(from_plain(&plain).unwrap(), item.clone());
            let text = Value::Object(to_typed(&plain)).to_string();
            let Value::Object(typed) = serde_json::from_str(&text).unwrap() else { unreachable!() };
            prop_assert_eq!(from_typed(&typed).unwrap(), item);
        }

        #[test]
        fn foreign_items_are_refused_or_read_but_never_break_us(digits in ".{0,12}", kind in "(S|N|L|M|B|NULL)") {
            let mut inner = Map::new();
            inner.insert(kind, Value::from(digits.as_str()));
            let mut item = object(json!({"job_id": {"S": "j"}}));
            item.insert("timestamp".into(), Value::Object(inner));
            if let Ok(read) = from_typed(&item) {
                prop_assert!(read.timestamp.is_some());
            }
        }
    }
}
