//! `METRICS` and the settings around it: where the figures of a run go, and what is refused.

use super::super::*;
use super::{LOCAL, problems_of, run_of};
use crate::settings::Metrics;

#[test]
fn where_metrics_go() {
    for (variables, expected, needs_aws) in [
        ("", MetricsTo::Nowhere, false),
        ("METRICS=OFF ENABLE_METRICS=False", MetricsTo::Nowhere, false),
        ("ENABLE_METRICS=0", MetricsTo::Nowhere, false),
        ("METRICS=emf", MetricsTo::Lines, false),
        ("METRICS=emf ENABLE_METRICS=true", MetricsTo::Lines, false),
        ("METRICS=cloudwatch", MetricsTo::CloudWatch, true),
        ("ENABLE_METRICS=True", MetricsTo::CloudWatch, true),
        ("ENABLE_METRICS=1 METRICS_INTERVAL_SECONDS=60", MetricsTo::CloudWatch, true),
    ] {
        let settings = run_of(&format!("{LOCAL} {variables}"), "");
        assert_eq!(settings.metrics, Metrics { to: expected, interval_seconds: 60 }, "{variables}");
        assert_eq!(settings.aws.is_some(), needs_aws, "{variables}");
    }
    let endpoints = "METRICS=cloudwatch AWS_ENDPOINT_URL=http://a:1 AWS_ENDPOINT_URL_CLOUDWATCH=";
    for (own, expected) in [("", "http://a:1"), ("https://m/", "https://m")] {
        let aws = run_of(&format!("{LOCAL} {endpoints}{own}"), "").aws.expect("aws");
        assert_eq!(aws.cloudwatch_endpoint.as_deref(), Some(expected));
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (variables, arguments, expected) in [
        ("METRICS=statsd", "", "METRICS=statsd is none of: off, emf, cloudwatch"),
        ("ENABLE_METRICS=maybe", "", "ENABLE_METRICS=maybe is none of: false, true"),
        (
            "METRICS=off ENABLE_METRICS=True",
            "",
            "METRICS and ENABLE_METRICS contradict each other; unset one of them",
        ),
        (
            "METRICS=emf ENABLE_METRICS=0",
            "",
            "METRICS and ENABLE_METRICS contradict each other; unset one of them",
        ),
        (
            "METRICS_INTERVAL_SECONDS=0",
            "",
            "METRICS_INTERVAL_SECONDS=0 is not a whole number, 1 to 3600",
        ),
        (
            "METRICS=emf JOB_ID=jöb",
            "",
            "JOB_ID=jöb: metrics go by it, so that it takes at most 1024 characters, of printable ASCII, and does not begin with a colon; or set METRICS=off",
        ),
        (
            "ENABLE_METRICS=yes LEASE_SECONDS=4 AWS_REGION=eu-west-1",
            "",
            "METRICS=cloudwatch needs LEASE_SECONDS=5 or more: its calls take their time",
        ),
        (
            "METRICS=emf",
            "rehearse a --print",
            "METRICS=emf and --print both write to standard output; set METRICS=off",
        ),
    ] {
        let found = problems_of(&format!("{LOCAL} {variables}"), arguments);
        assert_eq!(found, [expected], "{variables} {arguments}");
    }
}
