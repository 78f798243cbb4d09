//! Metrics in CloudWatch's embedded metric format: one JSON object a line, which its collectors
//! (awslogs on Fargate and Batch, the CloudWatch agent) turn into metrics.
//!
//! ```text
//! {"_aws":{"Timestamp":1767225600001,"CloudWatchMetrics":[{"Namespace":"CSVToKafka",
//!   "Dimensions":[["JobId"]],"Metrics":[{"Name":"BytesRead","Unit":"Bytes"}, …]}]},
//!   "JobId":"j1","BytesRead":4096, …}
//! ```

use super::metrics::{DIMENSION, Figures, Metric, NAMESPACE};

/// The line, without its end.
pub fn line(figures: &Figures<'_>) -> String {
    let Figures { job_id, wall_ms, values } = figures;
    let listed: Vec<String> = values.iter().map(|(metric, _)| declared(*metric)).collect();
    let numbers: String = values.iter().fold(String::new(), |numbers, (metric, number)| {
        numbers + ",\"" + metric.name() + "\":" + &number.to_string()
    });
    format!(
        r#"{{"_aws":{{"Timestamp":{wall_ms},"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[["{DIMENSION}"]],"Metrics":[{}]}}]}},"{DIMENSION}":{}{numbers}}}"#,
        listed.join(","),
        serde_json::Value::from(*job_id)
    )
}

fn declared(metric: Metric) -> String {
    format!(r#"{{"Name":"{}","Unit":"{}"}}"#, metric.name(), metric.unit().name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metrics::Thousandths;

    #[test]
    fn a_line() {
        let values = [
            (Metric::BytesRead, Thousandths::whole(4_096)),
            (Metric::RecordsPerSecond, Thousandths::ratio(1, 2).unwrap()),
        ];
        let found = line(&Figures { job_id: "a \"b\"", wall_ms: 7, values: &values });
        let expected = serde_json::json!({
            "_aws": {
                "Timestamp": 7,
                "CloudWatchMetrics": [{
                    "Namespace": "CSVToKafka",
                    "Dimensions": [["JobId"]],
                    "Metrics": [
                        {"Name": "BytesRead", "Unit": "Bytes"},
                        {"Name": "RecordsPerSecond", "Unit": "Count/Second"},
                    ],
                }],
            },
            "JobId": "a \"b\"",
            "BytesRead": 4096,
            "RecordsPerSecond": 0.5,
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&found).unwrap(), expected);
        assert!(!found.contains('\n'));
    }
}
