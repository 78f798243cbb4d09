//! The ledger in DynamoDB: one attempt a call, every write conditional.

use crate::flow::ports::{Fault, Ledger, LedgerPage, Listed, Stored};
use crate::limits::{ITEM_BYTES_MAX, LEDGER_ANSWER_BYTES_MAX, LIST_ANSWER_BYTES_MAX};
use crate::port::aws_json::{Call, Service, service_url};
use crate::port::credentials::Credentials;
use crate::port::http::Http;
use crate::stop::{Peer, Stop};
use crate::wire::aws_endpoint::Variant;
use crate::wire::checkpoint::{Checkpoint, OnlyIf};
use crate::wire::dynamodb::{
    CONTENT_TYPE, GET_TARGET, Reply, SCAN_TARGET, Table, TooLarge, UPDATE_TARGET, get_item, reply,
    scan, update_item,
};

pub struct DynamoDb {
    service: Service,
    table: Table,
}

impl DynamoDb {
    pub fn new(
        http: Http,
        table: Table,
        endpoint: Option<&str>,
        variant: Variant,
        credentials: Credentials,
    ) -> DynamoDb {
        let service = Service {
            http,
            credentials,
            name: "dynamodb",
            region: table.region.clone(),
            url: service_url("dynamodb", &table.region, endpoint, variant),
            content_type: CONTENT_TYPE,
            peer: Peer::Ledger,
        };
        DynamoDb { service, table }
    }

    fn call(&self, target: &'static str, body: &[u8], repeatable: bool) -> Result<Reply, Fault> {
        let place = format!("DynamoDB table {} in {}", self.table.name, self.table.region);
        let answer_bytes_max =
            if target == SCAN_TARGET { LIST_ANSWER_BYTES_MAX } else { LEDGER_ANSWER_BYTES_MAX };
        let call = Call { place: &place, target, body, repeatable, answer_bytes_max };
        let (answer, body) = self.service.call(&call)?;
        answer.check_clock(Peer::Ledger)?;
        let action = target.rsplit('.').next().unwrap_or(target);
        let crc32 = answer.header("x-amz-crc32");
        match reply(&self.table, action, answer.status(), crc32, &body) {
            Reply::Passing { problem } => Err(Fault::passing(problem)),
            Reply::Expired { problem } => {
                Err(self.service.credentials.expired(Peer::Ledger, problem))
            }
            Reply::ClockWrong { problem } => Err(answer.clock_wrong(Peer::Ledger, problem)),
            Reply::Final { problem, advice } => {
                Err(Fault::last(Stop::refused(Peer::Ledger, problem, advice)))
            }
            said => Ok(said),
        }
    }

    fn odd(&self, problem: &str) -> Fault {
        Fault::passing(format!(
            "DynamoDB table {} in {}: {problem}",
            self.table.name, self.table.region
        ))
    }
}

impl Ledger for DynamoDb {
    fn load(&mut self, job_id: &str) -> Result<Option<Checkpoint>, Fault> {
        match self.call(GET_TARGET, &get_item(&self.table, job_id), true)? {
            Reply::Item(item) => Ok(item.map(|item| *item)),
            _ => Err(self.odd("a read was answered like a write")),
        }
    }

    fn list(&mut self, after: Option<&str>) -> Result<LedgerPage, Fault> {
        match self.call(SCAN_TARGET, &scan(&self.table, after), true)? {
            Reply::Page(jobs, next) => {
                let listed = |(job_id, item)| Listed { job_id, item };
                Ok(LedgerPage { jobs: jobs.into_iter().map(listed).collect(), next })
            }
            _ => Err(self.odd("a scan was answered without items")),
        }
    }

    fn store(&mut self, change: &Checkpoint, only_if: &OnlyIf) -> Result<Stored, Fault> {
        let body = update_item(&self.table, change, only_if).map_err(|TooLarge { bytes }| {
            Fault::last(Stop::refused(
                Peer::Ledger,
                format!(
                    "the checkpoint of job {} has {bytes} bytes, the limit is {ITEM_BYTES_MAX}",
                    change.job_id
                ),
                "Shorten the longest of its settings (CSV_COLUMNS?)",
            ))
        })?;
        // Sent twice, the second would find the first one's revision and be refused.
        match self.call(UPDATE_TARGET, &body, false)? {
            Reply::Item(Some(item)) => Ok(Stored::Done(item)),
            Reply::Item(None) => Err(self.odd("a write was answered without its item")),
            Reply::ConditionFailed(item) => Ok(Stored::Refused(item)),
            _ => Err(self.odd("an answer that belongs to no write")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::http_script::{Act, Script, answer};
    use crate::wire::checkpoint::{Holder, Identities};

    fn ledger(script: &Script) -> DynamoDb {
        let lookup = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hush-hush".to_owned()),
            "AWS_SESSION_TOKEN" => Some("whisper".to_owned()),
            _ => None,
        };
        DynamoDb::new(
            Http::new(&|_| None).unwrap(),
            Table { name: "jobs".into(), region: "eu-central-1".into() },
            Some(&script.endpoint),
            Variant::default(),
            Credentials::from_environment(&lookup),
        )
    }

    fn us() -> OnlyIf {
        let holder = Holder::Us { run_id: "r".into(), revision: 2, last_line: 7 };
        OnlyIf { holder, identities: Identities::Any }
    }

    const ITEM: &str = r#"{"job_id": {"S": "j"}, "last_line": {"N": "7"}}"#;

    #[test]
    fn reads_and_writes_over_one_connection() {
        let failed = format!(
            r#"{{"__type": "x#ConditionalCheckFailedException", "message": "m", "Item": {ITEM}}}"#
        );
        let item = Checkpoint { job_id: "j".into(), last_line: Some(7), ..Checkpoint::default() };
        let script = Script::run(vec![vec![
            answer("200 OK", "", "{}"),
            answer("200 OK", "", &format!(r#"{{"Item": {ITEM}}}"#)),
            answer("200 OK", "", &format!(r#"{{"Attributes": {ITEM}}}"#)),
            answer("400 Bad", "", &failed),
        ]]);
        let mut ledger = ledger(&script);
        assert_eq!(ledger.load("j"), Ok(None));
        assert_eq!(ledger.load("j"), Ok(Some(item.clone())));
        let stored = Box::new(item.clone());
        assert_eq!(ledger.store(&item, &us()), Ok(Stored::Done(stored.clone())));
        assert_eq!(ledger.store(&item, &us()), Ok(Stored::Refused(Some(stored))));
        drop(ledger);
        let requests = script.requests();
        for (request, action) in requests.iter().zip(["getitem", "getitem", "updateitem"]) {
            assert!(request.starts_with("post / http/1.1"), "{request}");
            assert!(request.contains(&format!("dynamodb_20120810.{action}\r\n")), "{request}");
            assert!(request.contains("x-amz-security-token: whisper"), "{request}");
            assert!(request.contains("/eu-central-1/dynamodb/aws4_request"), "{request}");
        }
    }

    #[test]
    fn a_write_whose_answer_is_lost_is_not_sent_again() {
        let script = Script::run(vec![vec![Act::Ignore], vec![answer("200 OK", "", "{}")]]);
        let mut ledger = ledger(&script);
        let change = Checkpoint { job_id: "j".into(), ..Checkpoint::default() };
        assert!(matches!(ledger.store(&change, &us()), Err(Fault::Passing(_))));
        assert_eq!(ledger.load("j"), Ok(None));
        drop(ledger);
        assert_eq!(script.requests().len(), 2);
    }

    #[test]
    fn a_table_is_read_in_pages() {
        let page = |last: &str| format!(r#"{{"Items": [{ITEM}]{last}}}"#);
        let denied = r#"{"__type": "x#AccessDeniedException", "Message": "m"}"#;
        let script = Script::run(vec![vec![
            answer("200 OK", "", &page(r#", "LastEvaluatedKey": {"job_id": {"S": "j"}}"#)),
            answer("200 OK", "", &page("")),
            answer("400 Bad", "", denied),
        ]]);
        let mut ledger = ledger(&script);
        let first = ledger.list(None).unwrap();
        assert_eq!((first.jobs.len(), first.next.as_deref()), (1, Some("j")));
        assert_eq!(first.jobs[0].item.as_ref().unwrap().last_line, Some(7));
        assert_eq!(ledger.list(Some("j")).unwrap().next, None);
        let Err(Fault::Final(stop)) = ledger.list(None) else { panic!("not refused") };
        assert!(stop.to_string().contains("Allow dynamodb:Scan on"), "{stop}");
        drop(ledger);
        let requests = script.requests();
        assert!(requests[1].contains("dynamodb_20120810.scan\r\n"), "{}", requests[1]);
    }

    #[test]
    fn refusals() {
        let error = |code: &str| format!(r#"{{"__type": "x#{code}", "Message": "m"}}"#);
        let wrong = "x-amz-crc32: 1\r\n";
        let cases = [
            (answer("400 Bad", "", &error("ResourceNotFoundException")), "create-table"),
            (answer("400 Bad", "", &error("AccessDeniedException")), "dynamodb:GetItem"),
            (answer("400 Bad", "", &error("ExpiredTokenException")), "AWS_SESSION_TOKEN"),
            (answer("400 Bad", "", &error("RequestTimeTooSkewed")), "clock"),
            (answer("400 Bad", "", &error("ThrottlingException")), "passing"),
            (answer("200 OK", wrong, "{}"), "passing"),
            (answer("200 OK", "", "<html>"), "passing"),
            (answer("500 Oops", "", ""), "passing"),
        ];
        for (act, expected) in cases {
            let script = Script::run(vec![vec![act]]);
            let words = match ledger(&script).load("j").unwrap_err() {
                Fault::Passing(trouble) => format!("passing: {}", trouble.problem),
                Fault::Final(stop) => stop.to_string(),
            };
            assert!(words.contains(expected), "{words}");
            assert!(!words.contains("hush") && !words.contains("whisper"), "{words}");
        }
    }
}
