//! Three requests of DynamoDB and their answers: `GetItem` (consistent), `UpdateItem`
//! (conditional) and `Scan` (page by page).
//!
//! ```text
//! POST /                                  x-amz-target: DynamoDB_20120810.UpdateItem
//! {"TableName": "jobs", "Key": {"job_id": {"S": "a"}},
//!  "UpdateExpression": "SET #last_line = :last_line, … REMOVE #error",
//!  "ConditionExpression": "#run_id = :if_run_id AND #revision < :if_revision AND …",
//!  "ExpressionAttributeNames": {"#last_line": "last_line", …},
//!  "ExpressionAttributeValues": {":last_line": {"N": "7"}, …},
//!  "ReturnValues": "ALL_NEW", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
//!
//! 200 {"Items": [{…}, …], "LastEvaluatedKey": {"job_id": {"S": "a"}}}     a page of a scan
//! 200 {"Attributes": {…}}                                            the item after the write
//! 400 {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
//!      "message": "…", "Item": {…}}                                  the item as it is
//! ```
//!
//! Every name goes through an alias: `timestamp`, `status`, `source` and others are reserved.

use serde_json::{Map, Value, json};

use crate::limits::{ITEM_BYTES_MAX, LIST_PAGE_JOBS};
use crate::wire::aws_endpoint::partition;
use crate::wire::aws_json::{Meaning, Said};
use crate::wire::checkpoint::{Checkpoint, Holder, Identities, OnlyIf, Status};
use crate::wire::checkpoint_json::{Damaged, damaged, from_typed, to_plain, to_typed};

/// Of all requests.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
pub const GET_TARGET: &str = "DynamoDB_20120810.GetItem";
pub const SCAN_TARGET: &str = "DynamoDB_20120810.Scan";
pub const UPDATE_TARGET: &str = "DynamoDB_20120810.UpdateItem";

/// The item would be larger than [`ITEM_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    pub bytes: usize,
}

/// The table and where it is, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub region: String,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The item of a `GetItem`, the item after an `UpdateItem`.
    Item(Option<Box<Checkpoint>>),
    /// A page of a `Scan`: job by job, each with its item or why it has none that can be read;
    /// and the job that the next page begins behind.
    Page(Vec<(String, Result<Checkpoint, String>)>, Option<String>),
    /// The condition of an `UpdateItem` did not hold; the item as it is, if there is one.
    ConditionFailed(Option<Box<Checkpoint>>),
    /// May go away by itself.
    Passing { problem: String },
    /// The credentials are past their time: fresh ones may help.
    Expired { problem: String },
    /// The service judges our time stamp wrong.
    ClockWrong { problem: String },
    /// A person must act.
    Final { problem: String, advice: String },
}

pub fn get_item(table: &Table, job_id: &str) -> Vec<u8> {
    json!({
        "TableName": table.name,
        "Key": {"job_id": {"S": job_id}},
        "ConsistentRead": true,
    })
    .to_string()
    .into_bytes()
}

/// A page of the table; `after`: the one that follows this job.
pub fn scan(table: &Table, after: Option<&str>) -> Vec<u8> {
    let mut request = json!({
        "TableName": table.name,
        "Limit": LIST_PAGE_JOBS,
        "ConsistentRead": true,
    });
    if let Some(job_id) = after {
        request["ExclusiveStartKey"] = json!({"job_id": {"S": job_id}});
    }
    request.to_string().into_bytes()
}

pub fn update_item(
    table: &Table,
    change: &Checkpoint,
    only_if: &OnlyIf,
) -> Result<Vec<u8>, TooLarge> {
    let mut expression = Expression::default();
    let condition = expression.condition(only_if);
    let mut plain = to_plain(change);
    plain.remove("job_id");
    let removes_error = change.error.as_deref() == Some("");
    if removes_error {
        plain.remove("error");
    }
    let bytes = Value::Object(plain.clone()).to_string().len();
    if bytes > ITEM_BYTES_MAX {
        return Err(TooLarge { bytes });
    }
    let mut sets = Vec::with_capacity(plain.len());
    for (name, value) in to_typed(&plain) {
        let alias = expression.name(&name);
        sets.push(format!("{alias} = :{name}"));
        expression.values.insert(format!(":{name}"), value);
    }
    let mut update = String::new();
    if !sets.is_empty() {
        update = format!("SET {}", sets.join(", "));
    }
    if removes_error {
        update = format!("{update} REMOVE {}", expression.name("error"));
    }
    let mut request = json!({
        "TableName": table.name,
        "Key": {"job_id": {"S": change.job_id}},
        "ConditionExpression": condition,
        "ExpressionAttributeNames": expression.names,
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    // The service refuses both when they are empty.
    if !update.is_empty() {
        request["UpdateExpression"] = update.trim().into();
    }
    if !expression.values.is_empty() {
        request["ExpressionAttributeValues"] = Value::Object(expression.values);
    }
    Ok(request.to_string().into_bytes())
}

/// Names and values that an expression refers to.
#[derive(Default)]
struct Expression {
    names: Map<String, Value>,
    values: Map<String, Value>,
}

impl Expression {
    fn name(&mut self, attribute: &str) -> String {
        let alias = format!("#{attribute}");
        self.names.insert(alias.clone(), attribute.into());
        alias
    }

    fn number(&mut self, name: &str, number: u64) -> String {
        let placeholder = format!(":if_{name}");
        self.values.insert(placeholder.clone(), json!({"N": number.to_string()}));
        placeholder
    }

    fn text(&mut self, name: &str, text: &str) -> String {
        let placeholder = format!(":if_{name}");
        self.values.insert(placeholder.clone(), json!({"S": text}));
        placeholder
    }

    /// What [`OnlyIf::holds`] says, in the service's words.
    fn condition(&mut self, only_if: &OnlyIf) -> String {
        let mut terms = Vec::new();
        match &only_if.holder {
            Holder::Nobody => {
                let job_id = self.name("job_id");
                return format!("attribute_not_exists({job_id})");
            }
            Holder::Never => {
                let job_id = self.name("job_id");
                return format!("attribute_exists({job_id}) AND attribute_not_exists({job_id})");
            }
            Holder::Unchanged { run_id, revision } | Holder::Finished { run_id, revision } => {
                let job_id = self.name("job_id");
                terms.push(format!("attribute_exists({job_id})"));
                let alias = self.name("run_id");
                terms.push(match run_id {
                    Some(run_id) => format!("{alias} = {}", self.text("run_id", run_id)),
                    None => format!("attribute_not_exists({alias})"),
                });
                let alias = self.name("revision");
                terms.push(match revision {
                    Some(revision) => format!("{alias} = {}", self.number("revision", *revision)),
                    None => format!("attribute_not_exists({alias})"),
                });
            }
            Holder::Us { run_id, revision, last_line } => {
                let alias = self.name("run_id");
                terms.push(format!("{alias} = {}", self.text("run_id", run_id)));
                let alias = self.name("revision");
                terms.push(format!("{alias} < {}", self.number("revision", *revision)));
                let alias = self.name("last_line");
                terms.push(format!("{alias} <= {}", self.number("last_line", *last_line)));
            }
        }
        let status = self.name("status");
        let completed = self.text("completed", Status::Completed.name());
        terms.push(match &only_if.holder {
            Holder::Finished { .. } => format!("{status} = {completed}"),
            _ => format!("(attribute_not_exists({status}) OR {status} <> {completed})"),
        });
        let producers = match only_if.identities {
            Identities::Any => None,
            Identities::Main(count) => Some(("producers", count)),
            Identities::Dlq(count) => Some(("dlq_producers", count)),
        };
        if let Some((name, count)) = producers {
            let alias = self.name(name);
            let expected = self.number("producers", count as u64);
            let has_count = format!("size({alias}) = {expected}");
            terms.push(match count {
                0 => format!("(attribute_not_exists({alias}) OR {has_count})"),
                _ => has_count,
            });
        }
        terms.join(" AND ")
    }
}

/// What the service answered. `crc32` is its `x-amz-crc32`, where it sent one.
pub fn reply(table: &Table, action: &str, status: u16, crc32: Option<&str>, body: &[u8]) -> Reply {
    let place = format!("DynamoDB table {} in {}", table.name, table.region);
    if let Some(expected) = crc32 {
        let found = crc32fast::hash(body);
        if expected.trim().parse() != Ok(found) {
            return Reply::Passing {
                problem: format!("{place}: the answer came damaged (its CRC-32 does not fit)"),
            };
        }
    }
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    if status == 200 {
        let Ok(Value::Object(answer)) = parsed else {
            return Reply::Passing { problem: format!("{place}: the answer is not JSON") };
        };
        if let Some(Value::Array(items)) = answer.get("Items") {
            return page(&place, items, answer.get("LastEvaluatedKey"));
        }
        let item = answer.get("Item").or_else(|| answer.get("Attributes"));
        return match checkpoint(item) {
            Ok(item) => Reply::Item(item),
            Err(damaged) => damaged_item(&place, &damaged),
        };
    }
    let answer = parsed.unwrap_or(Value::Null);
    let said = Said::of(status, &answer);
    if said.code == "ConditionalCheckFailedException" {
        return match checkpoint(answer.get("Item")) {
            Ok(item) => Reply::ConditionFailed(item),
            Err(damaged) => damaged_item(&place, &damaged),
        };
    }
    judge(table, action, &said, format!("{place}: {}", said.words()))
}

fn judge(table: &Table, action: &str, said: &Said, problem: String) -> Reply {
    let Table { name, region } = table;
    let advice = match (said.meaning(), said.code.as_str()) {
        (Meaning::Passing, _) => return Reply::Passing { problem },
        (Meaning::Expired, _) => return Reply::Expired { problem },
        (Meaning::ClockWrong, _) => return Reply::ClockWrong { problem },
        (Meaning::Key, _) => {
            "The table is encrypted with a KMS key that we may not use: allow kms:Decrypt on that key to the role of this machine, in the key's policy too, and see that the key is enabled".into()
        }
        (Meaning::Identity(advice), _) => advice.into(),
        (Meaning::Other, "ResourceNotFoundException") => format!(
            "Create it: aws dynamodb create-table --region {region} --table-name {name} --attribute-definitions AttributeName=job_id,AttributeType=S --key-schema AttributeName=job_id,KeyType=HASH --billing-mode PAY_PER_REQUEST (or mend DYNAMODB_TABLE or AWS_REGION)"
        ),
        (Meaning::Other, "AccessDeniedException") => format!(
            "Allow dynamodb:{action} on arn:{}:dynamodb:{region}:<account>:table/{name} to the role of this machine",
            partition(region)
        ),
        (Meaning::Other, "ValidationException") if said.message.contains("ableName") => {
            "That is no name of a table (3 to 255 letters, digits, dots, underscores and hyphens): mend DYNAMODB_TABLE".into()
        }
        (Meaning::Other, "ValidationException") if said.message.starts_with("Item size") => {
            "Find out who writes to this item besides csv-to-kafka, and remove what they added"
                .into()
        }
        (Meaning::Other, "ValidationException") => {
            "The key of the table must be job_id (type S, partition key) and nothing else. Create such a table, or mend DYNAMODB_TABLE".into()
        }
        _ if (300..400).contains(&said.status) => {
            "The endpoint sends us elsewhere: mend AWS_ENDPOINT_URL_DYNAMODB or AWS_REGION".into()
        }
        _ => "Mend what DynamoDB names, and start again".into(),
    };
    Reply::Final { problem, advice }
}

fn page(place: &str, items: &[Value], last: Option<&Value>) -> Reply {
    let job_id = |attributes: &Value| Some(attributes.pointer("/job_id/S")?.as_str()?.to_owned());
    let mut jobs = Vec::with_capacity(items.len());
    for item in items {
        let Some(job_id) = job_id(item) else { return odd_key(place) };
        let found = match checkpoint(Some(item)) {
            Ok(item) => Ok(item.map(|item| *item).unwrap_or_default()),
            Err(damaged) => Err(format!("the item is damaged: {damaged}")),
        };
        jobs.push((job_id, found));
    }
    match last.map(job_id) {
        Some(None) => odd_key(place),
        last => Reply::Page(jobs, last.flatten()),
    }
}

fn odd_key(place: &str) -> Reply {
    Reply::Final {
        problem: format!("{place}: its key is not job_id, a text"),
        advice: "Mend DYNAMODB_TABLE: this is no table of checkpoints".into(),
    }
}

fn checkpoint(item: Option<&Value>) -> Result<Option<Box<Checkpoint>>, Damaged> {
    match item {
        None => Ok(None),
        Some(Value::Object(attributes)) => from_typed(attributes).map(|item| Some(Box::new(item))),
        Some(other) => Err(damaged("Item", "a map of attributes", other)),
    }
}

fn damaged_item(place: &str, damaged: &Damaged) -> Reply {
    Reply::Final {
        problem: format!("the checkpoint item in {place} is damaged: {damaged}"),
        advice: "Find out who writes to the table besides csv-to-kafka; mend the attribute, or load the source under a new JOB_ID".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checkpoint::Producer;

    fn table() -> Table {
        Table { name: "jobs".into(), region: "eu-central-1".into() }
    }

    fn request(change: &Checkpoint, only_if: &OnlyIf) -> Value {
        serde_json::from_slice(&update_item(&table(), change, only_if).unwrap()).unwrap()
    }

    #[test]
    fn a_table_page_by_page() {
        let request = |after| -> Value { serde_json::from_slice(&scan(&table(), after)).unwrap() };
        let first = json!({"TableName": "jobs", "Limit": LIST_PAGE_JOBS, "ConsistentRead": true});
        assert_eq!(request(None), first);
        let key = json!({"job_id": {"S": "a\"b"}});
        assert_eq!(request(Some("a\"b"))["ExclusiveStartKey"], key);
        let told = |body: Value| reply(&table(), "Scan", 200, None, body.to_string().as_bytes());
        let good = json!({"job_id": {"S": "a"}, "last_line": {"N": "7"}});
        let bad = json!({"job_id": {"S": "b"}, "last_line": {"S": "seven"}});
        let Reply::Page(jobs, next) =
            told(json!({"Items": [good, bad], "LastEvaluatedKey": {"job_id": {"S": "b"}}}))
        else {
            panic!()
        };
        assert_eq!(next.as_deref(), Some("b"));
        let item = Checkpoint { job_id: "a".into(), last_line: Some(7), ..Checkpoint::default() };
        assert_eq!(jobs[0], ("a".to_owned(), Ok(item)));
        let problem = jobs[1].1.as_ref().unwrap_err();
        assert!(jobs[1].0 == "b" && problem.contains("last_line"), "{problem}");
        assert_eq!(told(json!({"Items": [], "Count": 0})), Reply::Page(Vec::new(), None));
        for odd in [
            json!({"Items": [{"id": {"S": "x"}}]}),
            json!({"Items": [], "LastEvaluatedKey": {"id": {"S": "x"}}}),
        ] {
            assert!(matches!(told(odd), Reply::Final { .. }));
        }
    }

    #[test]
    fn a_consistent_read() {
        let request: Value = serde_json::from_slice(&get_item(&table(), "ä\"")).unwrap();
        assert_eq!(
            request,
            json!({"TableName": "jobs", "Key": {"job_id": {"S": "ä\""}}, "ConsistentRead": true})
        );
    }

    #[test]
    fn conditions_in_the_words_of_the_service() {
        let unchanged = |run_id: Option<&str>, revision| Holder::Unchanged {
            run_id: run_id.map(str::to_owned),
            revision,
        };
        let us = Holder::Us { run_id: "r".into(), revision: 5, last_line: 70 };
        let not_completed = "(attribute_not_exists(#status) OR #status <> :if_completed)";
        let cases = [
            (Holder::Nobody, Identities::Any, "attribute_not_exists(#job_id)".to_owned()),
            (
                unchanged(Some("r"), Some(4)),
                Identities::Any,
                format!(
                    "attribute_exists(#job_id) AND #run_id = :if_run_id AND #revision = :if_revision AND {not_completed}"
                ),
            ),
            (
                unchanged(None, None),
                Identities::Any,
                format!(
                    "attribute_exists(#job_id) AND attribute_not_exists(#run_id) AND attribute_not_exists(#revision) AND {not_completed}"
                ),
            ),
            (
                us.clone(),
                Identities::Main(0),
                format!(
                    "#run_id = :if_run_id AND #revision < :if_revision AND #last_line <= :if_last_line AND {not_completed} AND (attribute_not_exists(#producers) OR size(#producers) = :if_producers)"
                ),
            ),
            (
                us,
                Identities::Dlq(2),
                format!(
                    "#run_id = :if_run_id AND #revision < :if_revision AND #last_line <= :if_last_line AND {not_completed} AND size(#dlq_producers) = :if_producers"
                ),
            ),
            (
                Holder::Finished { run_id: Some("r".into()), revision: Some(4) },
                Identities::Any,
                "attribute_exists(#job_id) AND #run_id = :if_run_id AND #revision = :if_revision AND #status = :if_completed".to_owned(),
            ),
            (
                Holder::Never,
                Identities::Any,
                "attribute_exists(#job_id) AND attribute_not_exists(#job_id)".to_owned(),
            ),
        ];
        let change = Checkpoint { job_id: "j".into(), last_line: Some(9), ..Checkpoint::default() };
        for (holder, identities, expected) in cases {
            let request = request(&change, &OnlyIf { holder, identities });
            let condition = request["ConditionExpression"].as_str().unwrap();
            assert_eq!(condition, expected);
            // Every alias and every value is used, and every one that is used is there.
            let text = format!("{condition} {}", request["UpdateExpression"].as_str().unwrap());
            let words: Vec<&str> = text
                .split(|c: char| !c.is_alphanumeric() && !"#:_".contains(c))
                .filter(|word| word.starts_with(['#', ':']))
                .collect();
            for map in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
                for name in request[map].as_object().unwrap().keys() {
                    assert!(words.contains(&name.as_str()), "{name} is not used in {text}");
                }
            }
            for word in words {
                let map = if word.starts_with('#') { "Names" } else { "Values" };
                let map = &request[format!("ExpressionAttribute{map}")];
                assert!(map.get(word).is_some(), "{word} is missing");
            }
        }
    }

    #[test]
    fn a_change_sets_what_it_has_and_removes_an_error() {
        let only_if = OnlyIf { holder: Holder::Nobody, identities: Identities::Any };
        let mut change = Checkpoint {
            job_id: "j".into(),
            total_sent: Some(u64::MAX),
            error: Some(String::new()),
            ..Checkpoint::default()
        };
        let first = request(&change, &only_if);
        assert_eq!(first["UpdateExpression"], "SET #total_sent = :total_sent REMOVE #error");
        assert_eq!(
            first["ExpressionAttributeValues"],
            json!({":total_sent": {"N": "18446744073709551615"}})
        );
        change.total_sent = None;
        assert_eq!(request(&change, &only_if)["UpdateExpression"], "REMOVE #error");
        change.error = Some("e".repeat(ITEM_BYTES_MAX));
        assert!(update_item(&table(), &change, &only_if).is_err());
    }

    #[test]
    fn answers_with_an_item() {
        let producers = vec![Producer { id: 7, epoch: 1, base_record: 0, first_offset: 3 }];
        let mut item = Checkpoint { job_id: "j".into(), ..Checkpoint::default() };
        item.main.producers = Some(producers);
        let typed = Value::Object(to_typed(&to_plain(&item)));
        let failed = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        let item = Some(Box::new(item));
        let cases = [
            (200, json!({"Item": typed}), Reply::Item(item.clone())),
            (200, json!({"Attributes": typed}), Reply::Item(item.clone())),
            (200, json!({}), Reply::Item(None)),
            (400, json!({"__type": failed, "Item": typed}), Reply::ConditionFailed(item)),
            (400, json!({"__type": failed, "message": "x"}), Reply::ConditionFailed(None)),
        ];
        for (status, body, expected) in cases {
            let body = body.to_string();
            let crc32 = crc32fast::hash(body.as_bytes()).to_string();
            let found = reply(&table(), "GetItem", status, Some(&crc32), body.as_bytes());
            assert_eq!(found, expected, "{body}");
        }
        let found = reply(&table(), "GetItem", 200, Some("1"), b"{}");
        assert!(matches!(found, Reply::Passing { .. }), "{found:?}");
        let found = reply(&table(), "GetItem", 200, None, b"{\"Item\":{\"job_id\":{\"N\":\"1\"}}}");
        let Reply::Final { problem, .. } = found else { panic!("{found:?}") };
        assert!(problem.contains("job_id"), "{problem}");
    }

    #[test]
    fn refusals_are_told_apart() {
        let long = |code: &str| format!("com.amazonaws.dynamodb.v20120810#{code}");
        let coral = |code: &str| format!("com.amazon.coral.service#{code}");
        let cases = [
            (400, long("ProvisionedThroughputExceededException"), "slow", "passing"),
            (400, coral("ThrottlingException"), "slow", "passing"),
            (400, long("RequestLimitExceeded"), "slow", "passing"),
            (500, long("InternalServerError"), "oops", "passing"),
            (400, long("TransactionConflictException"), "busy", "passing"),
            (503, String::new(), "", "passing"),
            (400, coral("ExpiredTokenException"), "expired", "expired"),
            (400, coral("InvalidSignatureException"), "Signature expired: 2020", "clock"),
            (400, coral("InvalidSignatureException"), "Signature not yet current", "clock"),
            (400, coral("InvalidSignatureException"), "does not match", "AWS_SECRET_ACCESS_KEY"),
            (400, coral("UnrecognizedClientException"), "bad", "AWS_ACCESS_KEY_ID"),
            (400, long("ResourceNotFoundException"), "no table", "create-table"),
            (400, coral("AccessDeniedException"), "not authorized", "dynamodb:UpdateItem"),
            (400, coral("ValidationException"), "key element", "job_id"),
            (400, coral("ValidationException"), "TableName must be at least 3", "no name of a"),
            (
                400,
                coral("ValidationException"),
                "Value 'a b' at 'tableName' failed",
                "no name of a",
            ),
            (400, coral("ValidationException"), "Item size to update has exceeded", "this item"),
            (301, String::new(), "", "AWS_ENDPOINT_URL_DYNAMODB"),
            (400, long("Other"), "odd", "Mend what DynamoDB names"),
        ];
        for (status, kind, message, expected) in cases {
            for field in ["message", "Message"] {
                let body = json!({"__type": kind, field: message}).to_string();
                match reply(&table(), "UpdateItem", status, None, body.as_bytes()) {
                    Reply::Passing { problem } => assert_eq!(expected, "passing", "{problem}"),
                    Reply::Expired { problem } => assert_eq!(expected, "expired", "{problem}"),
                    Reply::ClockWrong { problem } => assert_eq!(expected, "clock", "{problem}"),
                    Reply::Final { problem, advice } => {
                        assert!(advice.contains(expected), "{kind}: {advice}");
                        assert!(problem.contains("jobs in eu-central-1"), "{problem}");
                        assert!(problem.contains(message), "{problem}");
                    }
                    other => panic!("{kind}: {other:?}"),
                }
            }
        }
    }
}
