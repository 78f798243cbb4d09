//! CloudWatch's `PutMetricData`, in the query protocol: a form in, XML out.
//!
//! ```text
//! POST /   Action=PutMetricData&Version=2010-08-01&Namespace=CSVToKafka
//!          &MetricData.member.1.MetricName=BytesRead&MetricData.member.1.Unit=Bytes
//!          &MetricData.member.1.Value=4096
//!          &MetricData.member.1.Dimensions.member.1.Name=JobId
//!          &MetricData.member.1.Dimensions.member.1.Value=j1
//!          &MetricData.member.2.…
//!
//! 200      <PutMetricDataResponse>…
//! 4xx, 5xx <ErrorResponse><Error><Code>AccessDenied</Code><Message>…</Message></Error>…
//! ```
//!
//! No time stamp is sent: the service takes its own, so a clock that is off moves no curve.

use super::aws_identity::form_field;
use super::http::one_line;
use super::metrics::{DIMENSION, Figures, NAMESPACE};
use super::xml::texts;

/// Says that our credentials are past their time.
const EXPIRED: [&str; 2] = ["ExpiredToken", "ExpiredTokenException"];

/// Why the metrics were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// As the service calls it; empty where it does not.
    pub code: String,
    pub problem: String,
    pub is_expired: bool,
}

/// The body of the request.
pub fn put_metric_data(figures: &Figures<'_>) -> String {
    let mut body = format!("Action=PutMetricData&Version=2010-08-01&Namespace={NAMESPACE}");
    for (number, (metric, value)) in (1..).zip(figures.values) {
        let member = format!("MetricData.member.{number}");
        let dimension = format!("{member}.Dimensions.member.1");
        for (name, value) in [
            (format!("{member}.MetricName"), metric.name()),
            (format!("{member}.Unit"), metric.unit().name()),
            (format!("{member}.Value"), value.to_string().as_str()),
            (format!("{dimension}.Name"), DIMENSION),
            (format!("{dimension}.Value"), figures.job_id),
        ] {
            form_field(&mut body, &name, value);
        }
    }
    body
}

/// What the answer means.
pub fn reply(place: &str, status: u16, body: &[u8]) -> Result<(), Refusal> {
    if status == 200 {
        return Ok(());
    }
    let (mut code, mut message) = (String::new(), String::new());
    texts(body, &mut |path, text| match path {
        [_, error, name] if error == "Error" && name == "Code" => code.push_str(text),
        [_, error, name] if error == "Error" && name == "Message" => message.push_str(text),
        _ => {}
    });
    let (code, message) = (one_line(&code), one_line(&message));
    let mut problem = match code.as_str() {
        "" => format!("{place} answers HTTP {status}"),
        code => format!("{place} answers {code} ({status})"),
    };
    if !message.is_empty() {
        problem = format!("{problem}: {message}");
    }
    if code.starts_with("AccessDenied") || code == "UnauthorizedOperation" {
        problem.push_str(". Allow cloudwatch:PutMetricData");
    }
    let is_expired = EXPIRED.contains(&code.as_str());
    Err(Refusal { code, problem, is_expired })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metrics::{Metric, Thousandths};

    #[test]
    fn a_request() {
        let values = [
            (Metric::BytesRead, Thousandths::whole(4_096)),
            (Metric::RecordsPerSecond, Thousandths::ratio(1, 2).unwrap()),
        ];
        let found = put_metric_data(&Figures { job_id: "a b/1", wall_ms: 7, values: &values });
        let expected = "Action=PutMetricData&Version=2010-08-01&Namespace=CSVToKafka\
            &MetricData.member.1.MetricName=BytesRead&MetricData.member.1.Unit=Bytes\
            &MetricData.member.1.Value=4096\
            &MetricData.member.1.Dimensions.member.1.Name=JobId\
            &MetricData.member.1.Dimensions.member.1.Value=a%20b%2F1\
            &MetricData.member.2.MetricName=RecordsPerSecond\
            &MetricData.member.2.Unit=Count%2FSecond&MetricData.member.2.Value=0.5\
            &MetricData.member.2.Dimensions.member.1.Name=JobId\
            &MetricData.member.2.Dimensions.member.1.Value=a%20b%2F1";
        assert_eq!(found, expected);
    }

    #[test]
    fn answers() {
        let error = |code: &str| {
            format!(
                "<ErrorResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>no,\nsorry.</Message></Error><RequestId>1</RequestId></ErrorResponse>"
            )
        };
        for (status, body, expected) in [
            (200, "<PutMetricDataResponse/>".to_owned(), "fine"),
            (
                403,
                error("AccessDenied"),
                "m answers AccessDenied (403): no, sorry. Allow cloudwatch:PutMetricData",
            ),
            (403, error("ExpiredToken"), "expired: m answers ExpiredToken (403): no, sorry"),
            (
                400,
                error("InvalidParameterValue"),
                "m answers InvalidParameterValue (400): no, sorry",
            ),
            (503, "<html>".to_owned(), "m answers HTTP 503"),
        ] {
            let found = match reply("m", status, body.as_bytes()) {
                Ok(()) => "fine".to_owned(),
                Err(refusal) if refusal.is_expired => format!("expired: {}", refusal.problem),
                Err(refusal) => refusal.problem,
            };
            assert_eq!(found, expected);
        }
    }
}
